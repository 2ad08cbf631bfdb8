"""Count what a report shows, one row after the other: nothing here grows with the number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from .conversation import Conversation
from .taxonomy import AGENT_SIGNALS, Level

__all__ = ["Facts", "Group", "Tally", "day_of", "facts_of", "periods"]

_RED_LINES = frozenset(s.value for s in AGENT_SIGNALS)
_MAX_COLUMNS = 45
_MAX_GROUPS = 5_000
_TEAMS = ("team", "group", "班组", "技能组")


class Facts(NamedTuple):
    """What is counted of one row once its conversation is known."""

    level: int
    red_lines: tuple[str, ...]


def facts_of(row: Mapping[str, Any]) -> Facts:
    """Return the facts of a scored row."""
    return Facts(
        int(Level.parse(row["level"])),
        tuple(s for s, f in row["signals"].items() if s in _RED_LINES and f["standing"]),
    )


@dataclass(slots=True)
class Group:
    """Conversations of one topic, day, agent or channel: how many of each level, and their red lines."""

    levels: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    red_lines: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return sum(self.levels)

    @property
    def at_risk(self) -> int:
        """Conversations of level high or critical."""
        return self.levels[Level.HIGH] + self.levels[Level.CRITICAL]

    @property
    def dissatisfied(self) -> int:
        """Conversations of level low or worse."""
        return self.total - self.levels[Level.NONE]

    def add(self, facts: Facts) -> None:
        """Count one conversation."""
        self.levels[facts.level] += 1
        self.red_lines.update(facts.red_lines)


class Tally:
    """All counts of a report."""

    def __init__(self) -> None:
        self.all = Group()
        self.with_red_lines = 0
        self.topics: dict[str, Group] = {}
        self.standing: Counter[str] = Counter()
        self.mentioned: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        self.clocks: dict[str, int] = {}
        self.unread: Counter[str] = Counter()
        self.unread_conversations: Counter[str] = Counter()
        self.models: Counter[tuple[str, str, str]] = Counter()
        self.days: dict[date, Group] = {}
        self.undated = 0
        self.agents: dict[str, Group] = {}
        self.channels: dict[str, Group] = {}
        self.teams: dict[str, Group] = {}

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Count what a scored row says by itself."""
        facts = facts_of(row)
        self.all.add(facts)
        self.with_red_lines += bool(facts.red_lines)
        _group(self.topics, row["topic"]).add(facts)
        for signal, finding in row["signals"].items():
            (self.standing if finding["standing"] else self.mentioned)[signal] += 1
        for action in row["actions"]:
            name, due = action["action"], int(action["due_in_s"])
            self.actions[name] += 1
            self.clocks[name] = min(due, self.clocks.get(name, due))
        reasons = [n["reason"] for n in row["not_analysed"]]
        self.unread.update(reasons)
        self.unread_conversations.update(set(reasons))
        model = row["model"]
        self.models[model["name"], model["version"], model["digest"]] += 1

    def add_conversation(self, facts: Facts, conversation: Conversation) -> None:
        """Count what only the conversation knows: its day, agent, channel and team."""
        day = day_of(conversation)
        if day is None:
            self.undated += 1
        else:
            self.days.setdefault(day, Group()).add(facts)
        if conversation.agent_id:
            _group(self.agents, conversation.agent_id).add(facts)
        if conversation.channel:
            _group(self.channels, conversation.channel).add(facts)
        team = next((str(conversation.meta[k]) for k in _TEAMS if conversation.meta.get(k)), None)
        if team:
            _group(self.teams, team).add(facts)


def _group(groups: dict[str, Group], name: str) -> Group:
    if name not in groups and len(groups) >= _MAX_GROUPS:
        name = "…"  # an id where a channel should be must not fill the memory
    return groups.setdefault(name, Group())


def day_of(conversation: Conversation) -> date | None:
    """Return the day a conversation began, or None."""
    for text in (conversation.opened_at, next((t.time for t in conversation.turns if t.time), None)):
        try:
            if text:
                return date.fromisoformat(text[:10])
        except ValueError:
            continue
    return None


def periods(days: Mapping[date, Group]) -> tuple[str, list[tuple[str, Group]]]:
    """Return ``day``, ``week`` or ``month`` and the columns of a trend, as fine as there is room for.

    Days without a conversation are columns too: a gap is something to see.
    """
    if not days:
        return "day", []
    first, last = min(days), max(days)
    span = (last - first).days + 1
    if span <= _MAX_COLUMNS:
        names = [date.fromordinal(first.toordinal() + i) for i in range(span)]
        return "day", [(d.isoformat(), days.get(d, Group())) for d in names]
    unit = "week" if span <= _MAX_COLUMNS * 7 else "month"
    columns: dict[str, list[Group]] = {}
    for day in sorted(days):
        monday = date.fromordinal(max(1, day.toordinal() - day.weekday()))
        columns.setdefault(monday.isoformat() if unit == "week" else day.isoformat()[:7], []).append(days[day])
    return unit, [(name, _sum(groups)) for name, groups in columns.items()]


def _sum(groups: Iterable[Group]) -> Group:
    out = Group()
    for group in groups:
        out.levels = [a + b for a, b in zip(out.levels, group.levels, strict=True)]
        out.red_lines.update(group.red_lines)
    return out
