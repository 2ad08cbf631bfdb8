"""Rules measured on labelled turns, as tables: coverage, overlap, conflicts, and what a new rule changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .cases import Case, Labels
from .lexicon import Lexicon
from .matching import matcher_for
from .privacy import mask_text
from .rules import report_rules
from .signals import RuleHit, read_hits
from .table import build_table
from .taxonomy import Signal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["missed_turns", "rule_changes", "rule_hits", "rule_table", "signal_table"]

_TURN = ["id", "turn", "signal"]


def rule_hits(lexicon: Lexicon, cases: Sequence[Case]) -> pd.DataFrame:
    """Return every hit on a labelled turn.

    Returns
    -------
    DataFrame
        One row a turn and rule: id, turn, signal, rule, status, counts (of the hit), labelled (whether
        the turn carries the signal with a counting status).
    """
    import pandas as pd

    rows = [
        (case.id, i, hit.signal.value, hit.rule.name, hit.status.value, hit.status.counts, hit.signal in _counting(labels))
        for case, i, labels, hits in _labelled_turns(lexicon, cases)
        for hit in hits
    ]
    frame = pd.DataFrame(rows, columns=[*_TURN, "rule", "status", "counts", "labelled"])
    # A rule that marks two places of a turn has one hit there, a counting one if there is any.
    return frame.sort_values("counts", ascending=False, kind="stable").drop_duplicates([*_TURN, "rule"]).sort_index()


def rule_table(lexicon: Lexicon, cases: Sequence[Case]) -> pd.DataFrame:
    """Return what each rule does on labelled turns.

    Returns
    -------
    DataFrame
        By rule, the busiest first. ``hits`` are turns marked with a counting status, ``right`` those
        labelled so, ``precision`` their share; ``coverage`` is the share of the signal's turns that the
        rule finds, ``alone`` the right ones that no other rule finds, ``overlaps`` the hits that another
        rule has too, ``conflicts`` the turns where another rule of the signal says the opposite (one
        counts it, the other reads a denial, a question or a report); ``mentions`` are turns marked with
        a status that does not count.
    """
    import pandas as pd

    hits = rule_hits(lexicon, cases)
    positives = pd.Series(
        [s.value for c in cases for labels in c.labels if labels is not None for s in _counting(labels)], dtype=object
    ).value_counts()
    turn = hits.groupby(_TURN, sort=False)["counts"]
    counting = turn.transform("sum")
    opposed = counting.where(~hits["counts"], turn.transform("size") - counting) > 0
    right = hits["counts"] & hits["labelled"]
    marks = pd.DataFrame(
        {
            "hits": hits["counts"],
            "right": right,
            "alone": right & (counting == 1),
            "overlaps": hits["counts"] & (counting > 1),
            "conflicts": opposed,
            "mentions": ~hits["counts"],
        }
    )
    table = marks.groupby(hits["rule"]).sum().reindex([r.name for r in lexicon.rules], fill_value=0).astype(int)
    signal = pd.Series({r.name: r.signal.value for r in lexicon.rules})
    table.insert(0, "signal", signal)
    table.insert(3, "precision", table["right"] / table["hits"].where(table["hits"] > 0))
    table.insert(4, "coverage", table["right"] / signal.map(positives))
    return table.rename_axis("rule").sort_values("hits", ascending=False, kind="stable")


def signal_table(lexicon: Lexicon, cases: Sequence[Case]) -> pd.DataFrame:
    """Return what all rules of each signal do together on labelled turns.

    Returns
    -------
    DataFrame
        By signal: turns (that carry it), hits, right, precision, recall.
    """
    import pandas as pd

    _, reports = report_rules(lexicon, cases)
    table = pd.DataFrame(
        {"turns": [r.positives for r in reports], "hits": [r.hits for r in reports], "right": [r.right for r in reports]},
        index=pd.Index([r.signal.value for r in reports], name="signal"),
    )
    return table.assign(precision=[r.precision for r in reports], recall=[r.recall for r in reports])


def missed_turns(lexicon: Lexicon, cases: Sequence[Case], signal: Signal) -> pd.DataFrame:
    """Return the turns that carry a signal and that no rule counts: id, turn, text, masked for reading."""
    import pandas as pd

    rows = [
        (case.id, i, mask_text(case.conversation.turns[i].text))
        for case, i, labels, hits in _labelled_turns(lexicon, cases)
        if signal in _counting(labels) and signal.value not in _read(hits)
    ]
    return pd.DataFrame(rows, columns=["id", "turn", "text"])


def rule_changes(before: Lexicon, after: Lexicon, cases: Sequence[Case]) -> pd.DataFrame:
    """Return the labelled turns that other rules read otherwise.

    Returns
    -------
    DataFrame
        One row a turn and signal whose reading changes: id, turn, signal, ``change`` (``found`` or
        ``lost``), ``right`` (whether the labels agree with what the new rules say), text
        with personal data masked.
    """
    import pandas as pd

    rows = []
    for (case, i, labels, old), (_, _, _, new) in zip(
        _labelled_turns(before, cases), _labelled_turns(after, cases), strict=True
    ):
        was, now = _read(old), _read(new)
        for signal in sorted(was ^ now):
            labelled = signal in {s.value for s in _counting(labels)}
            found = signal in now
            rows.append((case.id, i, signal, "found" if found else "lost", found == labelled, mask_text(case.conversation.turns[i].text)))
    return pd.DataFrame(rows, columns=[*_TURN, "change", "right", "text"])


def _labelled_turns(lexicon: Lexicon, cases: Sequence[Case]) -> Iterator[tuple[Case, int, Labels, Sequence[RuleHit]]]:
    table = build_table([c.conversation for c in cases], matcher_for(lexicon))
    for first, case in zip(table.bounds.tolist(), cases, strict=False):
        for i, labels in enumerate(case.labels):
            if labels is not None:
                yield case, i, labels, table.hits.get(first + i, ())


def _counting(labels: Labels) -> set[Signal]:
    return {s for s, status in labels if status.counts}


def _read(hits: Sequence[RuleHit]) -> set[str]:
    return {s.value for s, h in read_hits(hits).items() if h.status.counts}
