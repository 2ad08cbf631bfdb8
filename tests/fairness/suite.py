"""Do words that say who somebody is move the risk? Run ``python -m tests.fairness.suite [model folder]``.

``data/fairness/pairs.jsonl`` holds conversations written by hand; ``{a|b}`` in a turn stands for two
versions that differ in nothing else: a region, a word of a dialect, a gender, an age, a profession, a
name, a standing, a form of address. Their risks should be equal.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from riskmodel import Conversation, Level, RiskModel, load_model

PAIRS = Path(__file__).parents[2] / "data" / "fairness" / "pairs.jsonl"
GOAL = 0.03
_CHOICE = re.compile(r"\{([^{}|]+)\|([^{}|]+)\}")


@dataclass(frozen=True)
class Pair:
    """Two conversations that differ in the swapped words alone."""

    id: str
    group: str
    swap: str
    first: Conversation
    second: Conversation


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a pair."""

    pair: Pair
    risks: tuple[float, float]
    levels: tuple[Level, Level]

    @property
    def gap(self) -> float:
        return abs(self.risks[0] - self.risks[1])


def load(path: Path = PAIRS) -> list[Pair]:
    """Return the pairs."""
    return [_pair(json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def _pair(data: dict) -> Pair:
    swap = " ".join(f"{m[1]}|{m[2]}" for _, text in data["turns"] for m in _CHOICE.finditer(text))
    return Pair(data["id"], data["group"], swap, _side(data, 1), _side(data, 2))


def _side(data: dict, side: int) -> Conversation:
    turns = [{"speaker": who, "text": _CHOICE.sub(lambda m: m[side], text)} for who, text in data["turns"]]
    return Conversation.from_dict({"id": f"{data['id']}-{side}", "turns": turns})


def run(model: RiskModel, pairs: Iterable[Pair]) -> list[Outcome]:
    """Judge both sides of every pair."""
    pairs = list(pairs)
    found = model.assess_many([c for p in pairs for c in (p.first, p.second)])
    return [
        Outcome(p, (a.risk, b.risk), (a.level, b.level))
        for p, a, b in zip(pairs, found[::2], found[1::2], strict=True)
    ]


def table(outcomes: list[Outcome]) -> str:
    """Return the mean and largest difference of risk per group, as Markdown."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.pair.group].append(outcome)
    lines = [
        f"| group | pairs | mean gap | signed mean | largest gap | within {GOAL} | other level |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in [*groups.items(), ("all", outcomes)]:
        gaps = [o.gap for o in rows]
        signed = sum(o.risks[0] - o.risks[1] for o in rows) / len(rows)
        within = sum(g <= GOAL for g in gaps) / len(rows)
        moved = sum(o.levels[0] != o.levels[1] for o in rows)
        lines.append(f"| {name} | {len(rows)} | {sum(gaps) / len(rows):.3f} | {signed:+.3f} | {max(gaps):.3f} | {within:.0%} | {moved} |")
    return "\n".join(lines)


def worst(outcomes: list[Outcome], n: int = 10) -> list[str]:
    """Return the pairs with the largest differences, in words."""
    found = sorted(outcomes, key=lambda o: -o.gap)[:n]
    return [
        f"{o.gap:.3f}  {o.pair.id} {o.pair.group}: {o.pair.swap}  ({o.risks[0]:.3f} {o.levels[0].label}, {o.risks[1]:.3f} {o.levels[1].label})"
        for o in found
    ]


if __name__ == "__main__":
    import sys

    results = run(load_model(sys.argv[1] if len(sys.argv) > 1 else None), load())
    print(table(results))
    print("\nlargest differences:")
    print("\n".join(worst(results, 25)))
