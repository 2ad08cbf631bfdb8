"""Run the behaviour suite and report by functionality: ``python -m tests.behaviour.suite``."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import riskmodel
from riskmodel import Assessment, Conversation, Level, Signal

CASES = Path(__file__).with_name("cases.jsonl")
_COMPARE = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "": lambda a, b: a == b,
}


@dataclass(frozen=True)
class Outcome:
    """One case and the expectations it fails."""

    id: str
    functionality: str
    failed: tuple[str, ...]


def holds(expectation: str, result: Assessment) -> bool:
    """Whether an assessment meets one expectation of a case."""
    for sign in ("<=", ">="):
        if expectation.startswith(sign):
            return _COMPARE[sign](result.level, Level.parse(expectation[2:]))
    if expectation.upper() in Level.__members__:
        return result.level is Level.parse(expectation)
    name, _, rest = expectation.partition(":")
    if name == "not_analysed":
        return any(n.reason.startswith(rest) for n in result.not_analysed)
    finding = result.finding(Signal(name.lstrip("!~")))
    counts = finding is not None and finding.status.counts and finding.probability >= 0.5
    if name.startswith("!"):
        return not counts
    if name.startswith("~"):
        return finding is not None and not finding.standing
    if rest:
        return any(e.signal == name and e.status == rest for e in result.evidence)
    return counts


def load() -> list[dict]:
    """Return the cases."""
    return [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]


def run(model: riskmodel.RiskModel) -> list[Outcome]:
    """Judge every case."""
    cases = load()
    conversations = [Conversation.from_dict({"id": c["id"], "turns": c["turns"]}) for c in cases]
    return [
        Outcome(c["id"], c["functionality"], tuple(e for e in c["expect"] if not holds(e, a)))
        for c, a in zip(cases, model.assess_many(conversations), strict=True)
    ]


def by_functionality(outcomes: list[Outcome]) -> dict[str, float]:
    """Return the share of cases passed, by functionality."""
    passed: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        passed[outcome.functionality].append(not outcome.failed)
    return {name: sum(v) / len(v) for name, v in passed.items()}


if __name__ == "__main__":
    import sys

    outcomes = run(riskmodel.load_model(sys.argv[1] if len(sys.argv) > 1 else None))
    for name, share in sorted(by_functionality(outcomes).items(), key=lambda kv: kv[1]):
        print(f"{share:6.0%}  {name}")
    print(f"{sum(not o.failed for o in outcomes) / len(outcomes):6.1%}  of {len(outcomes)} cases")
