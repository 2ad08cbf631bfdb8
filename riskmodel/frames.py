"""Assessments and cases as pandas tables, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .assessment import Assessment
from .cases import Case
from .conversation import Conversation
from .errors import InputError
from .taxonomy import SIGNALS, Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cases_frame", "flat_row", "from_frame", "to_frame"]


def flat_row(assessment: Assessment) -> dict[str, Any]:
    """Return one conversation as flat columns: level, risk, one column a signal, the words."""
    signals = {f.signal: f for f in assessment.findings}
    row: dict[str, Any] = {
        "id": assessment.id,
        "level": assessment.level.label,
        "risk": assessment.risk,
        **{f"p_{lv.label}": p for lv, p in zip(Level, assessment.levels, strict=True)},
        "topic": assessment.topic.value,
    }
    for signal in SIGNALS:
        finding = signals.get(signal)
        row[signal.value] = "" if finding is None else finding.status.value if finding.standing else f"({finding.status.value})"
    row["evidence"] = " | ".join(f"{e.signal.value}:{e.status.value}: {e.text}" for e in assessment.evidence)
    row["actions"] = " | ".join(f"{a.action} {a.due_in_s}s" for a in assessment.actions)
    row["not_analysed"] = " | ".join(f"{n.turn}:{n.reason}" for n in assessment.not_analysed)
    return row


def to_frame(assessments: Iterable[Assessment]) -> pd.DataFrame:
    """Return assessments as a table, one row a conversation."""
    import pandas as pd

    return pd.DataFrame([flat_row(a) for a in assessments])


def from_frame(
    frame: pd.DataFrame, *, id: str = "id", speaker: str = "speaker", text: str = "text", time: str | None = None
) -> list[Conversation]:
    """Return conversations from a table with one row a message, in the table's order.

    Raises
    ------
    InputError
        When a column is missing.
    """
    for column in (id, speaker, text, *([time] if time else [])):
        if column not in frame.columns:
            raise InputError(f"no column {column!r}", expected="one of " + ", ".join(map(str, frame.columns)), mend="name it in the call")
    turns: dict[str, list[dict[str, Any]]] = {}
    columns = [frame[c].tolist() for c in (id, speaker, text, *([time] if time else []))]
    for row in zip(*columns, strict=True):
        turn = {"speaker": row[1], "text": "" if row[2] is None or row[2] != row[2] else str(row[2])}
        if time:
            turn["time"] = None if row[3] is None or row[3] != row[3] else str(row[3])
        turns.setdefault(str(row[0]), []).append(turn)
    return [Conversation.from_dict({"id": k, "turns": v}) for k, v in turns.items()]


def cases_frame(cases: Iterable[Case]) -> pd.DataFrame:
    """Return labelled cases as a table, one row a case."""
    import pandas as pd

    return pd.DataFrame(
        {
            "id": c.id,
            "author": c.author,
            "level": None if c.level is None else c.level.label,
            "topic": None if c.topic is None else c.topic.value,
            "turns": len(c.labels),
            "characters": sum(len(t.text) for t in c.conversation.turns),
            "signals": sorted({s.value for labels in c.labels for s, st in labels or () if st.counts}),
            **{k: c.meta.get(k) for k in ("industry", "channel")},
        }
        for c in cases
    )
