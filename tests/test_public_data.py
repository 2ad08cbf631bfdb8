"""Real text that nobody here wrote: ordinary service dialogues must raise no alarm."""

from __future__ import annotations

from pathlib import Path

import riskmodel
from riskmodel import Level


def test_no_ordinary_dialogue_is_high(model: riskmodel.RiskModel, public_data: Path) -> None:
    conversations = list(riskmodel.read_conversations(public_data / "crosswoz" / "val.jsonl"))
    assert len(conversations) == 500
    results = model.assess_many(conversations)
    assert [a.id for a in results if a.level >= Level.HIGH] == []
    turns = sum(len(c.turns) for c in conversations)
    carrying = {(a.id, e.turn) for a in results for e in a.evidence if e.status.counts and e.probability >= 0.5}
    assert len(carrying) < 0.01 * turns
