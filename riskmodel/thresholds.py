"""Thresholds from costs or from the alerts a team can take, written into a policy file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .evaluation_stats import Ranking
from .labelled import find_scheme
from .policy import Policy, default_policy, load_policy, read_policy
from .taxonomy import Level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choose_thresholds", "level_numbers", "probabilities", "with_thresholds"]

Array = np.ndarray[Any, Any]
_SECTION = re.compile(r"\s*\[+([A-Za-z_.]+)\]+")
_VALUE = re.compile(r"^(\s*)([A-Za-z_]+)(\s*=\s*)([^#\n]*?)(\s*(?:#.*)?)$")


def with_thresholds(
    policy: Policy, thresholds: tuple[float, ...] | None, *, floors: bool = True, floor_risk: float | None = None, name: str | None = None
) -> Policy:
    """Return a policy with other thresholds; its text keeps its comments.

    Parameters
    ----------
    floors : bool
        False sets every floor and combination to none: the learned decision alone gives the level.
    floor_risk : float, optional
        The risk below which floors raise to low at most (``confidence.risk``).
    """
    out = []
    section = ""
    for line in policy.source.splitlines():
        head = _SECTION.match(line)
        if head is not None:
            section = head[1]
        value = _VALUE.match(line)
        if value is None:
            out.append(line)
            continue
        indent, key, sign, _, rest = value.groups()
        if section == "thresholds" and thresholds is not None and key.upper() in Level.__members__:
            line = f"{indent}{key}{sign}{thresholds[Level[key.upper()] - 1]:.6g}{rest}"
        elif section == "confidence" and key == "risk" and floor_risk is not None:
            line = f"{indent}{key}{sign}{floor_risk:.6g}{rest}"
        elif section == "" and key == "name" and name is not None:
            line = f'{indent}{key}{sign}"{_quoted(name)}"{rest}'
        elif not floors and section in ("floors", "combinations"):
            line = f'{indent}{key}{sign}"none"{rest}'
        elif not floors and section == "floors_when_done":
            continue
        out.append(line)
    if not floors:
        out = _without(out, "rules")
    return read_policy("\n".join(out) + "\n", "policy")


def _quoted(name: str) -> str:
    return name.replace("\\", "").replace('"', "")


def _without(lines: list[str], section: str) -> list[str]:
    out, inside = [], False
    for line in lines:
        head = _SECTION.match(line)
        if head is not None:
            inside = head[1] == section
        if not inside:
            out.append(line)
    return out


def choose_thresholds(
    scored: pd.DataFrame,
    *,
    label: str = "label",
    contacts_per_day: float | None = None,
    max_alerts_per_day: float | Mapping[str, float] | None = None,
    costs: Mapping[str, Any] | None = None,
    policy: Policy | str | Path | None = None,
    output: str | Path | None = None,
) -> pd.DataFrame:
    """Choose thresholds on held-out predictions, and write them into a policy file.

    The rows must be a fair sample of the contacts: where risky cases were over-sampled, alerts a day and
    costs are over-stated.

    Parameters
    ----------
    scored : DataFrame
        Predictions by models that did not see the case (`TrainingResult.held_out_frame`), or a scored
        frame; columns p_none to p_critical and the true level.
    contacts_per_day : float, optional
        How many conversations come in; needed with `max_alerts_per_day`.
    max_alerts_per_day : number or mapping, optional
        At most so many conversations a day called at least ``high`` (a number), or by level.
    costs : mapping, optional
        ``{"missed": 200, "false_alarm": 5}``, or one such mapping by level. The threshold with the lowest
        cost on the rows is taken.
    policy : Policy or path, optional
        What the file is made of; the package's own policy by default.
    output : path, optional
        Where the policy file is written.

    Returns
    -------
    DataFrame
        Index low, high, critical; columns threshold, alerts_per_day, recall, precision, false_alarm_rate,
        cost_per_contact, chosen_by. Levels that nothing was said about, or that no row has, keep the policy's threshold.

    Raises
    ------
    InputError
        When neither or both of alerts and costs are given, or a level is unknown.
    """
    import pandas as pd

    if (max_alerts_per_day is None) == (costs is None):
        raise InputError("one of the two is needed", where="max_alerts_per_day, costs", expected="max_alerts_per_day=40 or costs={'missed': 200, 'false_alarm': 5}")
    if max_alerts_per_day is not None and not contacts_per_day:
        raise InputError("how many contacts come in a day is not known", where="contacts_per_day", expected="a number, such as 1000")
    old = policy if isinstance(policy, Policy) else default_policy() if policy is None else load_policy(policy)
    y, at_least = level_numbers(scored, label), probabilities(scored)
    budgets = _by_level(max_alerts_per_day) if max_alerts_per_day is not None else {}
    prices = _by_level(costs) if costs is not None and not {"missed", "false_alarm"} <= set(costs) else {"high": costs} if costs else {}
    rows, chosen = {}, list(old.thresholds)
    for level in list(Level)[1:]:
        k = level - 1
        ranking = Ranking(y >= level, at_least[:, k])
        how = "policy"
        if not ranking.target.any():
            how = "policy (no such cases)"  # of a label of two values, critical
        elif level.label in budgets:
            chosen[k] = _for_budget(ranking, float(budgets[level.label]) / float(contacts_per_day or 1))
            how = "alerts"
        elif level.label in prices:
            chosen[k] = _for_costs(ranking, prices[level.label])
            how = "costs"
        rows[level.label] = {**_row(ranking, chosen[k], contacts_per_day, prices.get(level.label)), "chosen_by": how}
    if output is not None:
        new = with_thresholds(old, tuple(chosen))
        Path(output).write_text(new.source, "utf-8")
    return pd.DataFrame.from_dict(rows, orient="index")


def level_numbers(frame: pd.DataFrame, label: str = "label") -> Array:
    """Return a column of labels or level names as levels 0 to 3."""
    _require(frame, (label,))
    marks = [str(v.label if isinstance(v, Level) else v) for v in frame[label].tolist()]
    scheme = find_scheme(marks, where=f"column {label!r}")
    return np.array([int(scheme.levels[m]) for m in marks])


def probabilities(frame: pd.DataFrame) -> Array:
    """Return P(level >= low, high, critical) of a scored frame, shape (n, 3)."""
    columns = ("p_none", "p_low", "p_high", "p_critical")
    _require(frame, columns)
    p = frame[list(columns)].to_numpy(dtype=float)
    at_least: Array = p[:, :0:-1].cumsum(axis=1)[:, ::-1].clip(0, 1)
    return at_least


def _require(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    gone = [c for c in columns if c not in frame.columns]
    if gone:
        raise InputError(
            f"there is no column {', '.join(gone)}", expected="held-out predictions or a scored frame with true levels",
            mend="make it with held_out_frame(), cross_predict() or score_frame()",
        )  # fmt: skip


def _by_level(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return {"high": given}
    known = [lv.label for lv in Level][1:]
    unknown = [str(k) for k in given if k not in known]
    if unknown:
        raise InputError(f"unknown level {unknown[0]!r}", expected=", ".join(known))
    return dict(given)


def _for_budget(ranking: Ranking, share: float) -> float:
    """Return the lowest threshold at which at most this share of the rows is called."""
    score, hits, false = ranking.counts(np.ones(len(ranking.score)))
    called = (hits + false) / max(len(ranking.score), 1)
    allowed = int(np.searchsorted(called, share + 1e-12, side="right"))
    if not allowed:
        return float(min(1.0, score[0] + 1e-6)) if len(score) else 1.0
    return _between(score, allowed)


def _between(score: Array, allowed: int) -> float:
    """Return a threshold that calls the first `allowed` distinct scores: half way to the next one."""
    below = score[allowed] if allowed < len(score) else 0.0
    return float((score[allowed - 1] + below) / 2)


def _for_costs(ranking: Ranking, price: Any) -> float:
    if not isinstance(price, Mapping) or {"missed", "false_alarm"} - set(price):
        raise InputError("costs are not complete", where="costs", expected="{'missed': 200, 'false_alarm': 5}")
    missed, alarm = float(price["missed"]), float(price["false_alarm"])
    if missed < 0 or alarm < 0:
        raise InputError("a cost is below zero", where="costs", expected="numbers from 0 on")
    score, hits, false = ranking.counts(np.ones(len(ranking.score)))
    cost = np.append(missed * ranking.target.sum(), missed * (ranking.target.sum() - hits) + alarm * false)
    best = int(cost.argmin())
    return _between(score, best) if best else float(min(1.0, score[0] + 1e-6))


def _row(ranking: Ranking, threshold: float, contacts: float | None, price: Any) -> dict[str, Any]:
    called = ranking.score >= threshold
    hits, positives = int((called & ranking.target).sum()), int(ranking.target.sum())
    negatives = len(called) - positives
    nan = float("nan")
    cost = nan
    if price is not None:
        cost = (float(price["missed"]) * (positives - hits) + float(price["false_alarm"]) * (int(called.sum()) - hits)) / max(len(called), 1)
    return {
        "threshold": threshold,
        "alerts_per_day": called.mean() * contacts if contacts else nan,
        "recall": hits / positives if positives else nan,
        "precision": hits / int(called.sum()) if called.any() else nan,
        "false_alarm_rate": (int(called.sum()) - hits) / negatives if negatives else nan,
        "cost_per_contact": cost,
    }
