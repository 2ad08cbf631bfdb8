"""Assessments and cases as pandas tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .assessment import Assessment
from .cases import Case
from .conversation import Conversation, Speaker
from .errors import InputError
from .readers.wording import Names
from .taxonomy import SIGNALS, Level
from .wording import word

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cases_frame", "flat_row", "from_frame", "held_out_frame", "to_frame"]


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
    frame: pd.DataFrame, *, id: str | None = None, speaker: str | None = None, text: str | None = None, time: str | None = None
) -> list[Conversation]:
    """Return conversations from a table with one row a message, in the table's order.

    Parameters
    ----------
    id, speaker, text, time : str, optional
        Names of the columns; found by their usual Chinese and English names where they are not given.
        Speakers are understood as the readers do (客户, 坐席, agent …).

    Raises
    ------
    InputError
        When a column is missing.
    """
    names = Names()
    known = names.columns([str(c) for c in frame.columns])
    asked = {"id": id, "speaker": speaker, "text": text, "time": time}
    found: dict[str, list[Any]] = {}
    for field, column in asked.items():
        if (column not in frame.columns) if column is not None else (field not in known and field != "time"):
            raise InputError(
                f"no column {column!r}" if column is not None else f"no column is recognised as {field}",
                expected="one of " + ", ".join(map(str, frame.columns)),
                mend=f"name it in the call: from_frame(frame, {field}=…); a table with one row a conversation goes to score_frame",
            )
        if column is not None:
            found[field] = frame[column].tolist()
        elif field in known:
            found[field] = frame.iloc[:, known[field]].tolist()
    turns: dict[str, list[dict[str, Any]]] = {}
    for ident, who, said, *rest in zip(*found.values(), strict=True):
        turn: dict[str, Any] = {"speaker": (names.speaker(str(who)) or Speaker.UNKNOWN).value, "text": "" if said is None or said != said else str(said)}
        if rest:
            turn["time"] = None if rest[0] is None or rest[0] != rest[0] else str(rest[0])
        turns.setdefault(str(ident), []).append(turn)
    return [Conversation.from_dict({"id": k, "turns": v}) for k, v in turns.items()]


def cases_frame(cases: Iterable[Case]) -> pd.DataFrame:
    """Return labelled cases as a table, one row a case.

    Its columns ``text`` (a transcript with 客户： and 客服： before the turns), ``level`` and ``author``
    are what `train_texts`, `cross_predict`, `suggest` and their like read.
    """
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
            "text": "\n".join(f"{word('speaker', t.speaker.value)}：{t.text}" for t in c.conversation.turns),
            **{k: c.meta.get(k) for k in ("industry", "channel")},
        }
        for c in cases
    )


def held_out_frame(cases: Sequence[Case], held_out: Any) -> pd.DataFrame:
    """Return predictions by models that did not see the case, beside the true levels.

    Parameters
    ----------
    held_out : ndarray, shape (n_cases, 3)
        P(level >= low, high, critical), in the order of `cases`.

    Returns
    -------
    DataFrame
        id, label (name of the true level), group, risk, p_none, p_low, p_high, p_critical.
    """
    import pandas as pd

    edges = [1.0, *held_out.T, 0.0]
    return pd.DataFrame(
        {
            "id": [c.id for c in cases],
            "label": [None if c.level is None else c.level.label for c in cases],
            "group": [c.author for c in cases],
            "risk": held_out[:, Level.HIGH - 1],
            **{f"p_{lv.label}": edges[lv] - edges[lv + 1] for lv in Level},
        }
    )
