"""Policy: from probabilities and signals to level and actions. It is data (TOML) that a centre owns."""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .assessment import Action, Evidence, Finding
from .errors import PolicyError
from .taxonomy import HARMS, OUTSIDE_STEPS, Level, Signal, Status

__all__ = ["Policy", "default_policy", "label_level", "load_policy"]

_COMBINATIONS = ("two_outside_steps", "weighty_with_step", "repeated_insult", "large_following_with_exposure")
_WEIGHTY = frozenset({Signal.MANAGEMENT_ESCALATION, Signal.INFLUENTIAL_IDENTITY})
_LARGE_FOLLOWING = "rule:influential_identity/following-large"


@dataclass(frozen=True, slots=True)
class ActionRule:
    """An action, its clock, and the level or the signal that asks for it."""

    action: str
    due_in_s: int
    level: Level | None
    signal: Signal | None


@dataclass(frozen=True, eq=False)
class Policy:
    """A checked policy; see ``resources/policy.toml`` for what each part means."""

    name: str
    thresholds: tuple[float, float, float]
    floor_confidence: float
    low_confidence: float
    floor_risk: float
    floors: Mapping[Signal, Level]
    floors_when_done: Mapping[Signal, Level]
    rule_floors: tuple[tuple[str, Level], ...]
    combinations: Mapping[str, Level]
    window_days: int
    complaints: int
    history_level: Level
    counts_from: Level
    actions: tuple[ActionRule, ...]
    off_hours: tuple[time, time] | None
    off_hours_route: Mapping[str, str]
    digest: str
    source: str = field(default="", repr=False)

    def decide(
        self,
        at_least: Sequence[float],
        findings: Sequence[Finding],
        evidence: Sequence[Evidence],
        past_complaints: int = 0,
    ) -> tuple[Level, tuple[tuple[Level, str], ...]]:
        """Return the level, and the floors that hold with their reasons.

        Parameters
        ----------
        at_least : sequence of three floats
            Calibrated P(level >= low), P(level >= high), P(level >= critical).
        past_complaints : int
            Complaints of the same customer about the same topic in the window before this one.
        """
        level = Level.NONE
        for k, (p, threshold) in enumerate(zip(at_least, self.thresholds, strict=True), 1):
            if p >= threshold:
                level = Level(k)
        floors = list(self.floors_of(findings, evidence))
        if at_least[1] < self.floor_risk:
            # A signal alone against everything else that was said: it counts, but wakes nobody. Only
            # what a rule makes graver than its signal (a slur) the risk does not know of.
            floors = [(floor if self._graver(reason) else min(floor, Level.LOW), reason) for floor, reason in floors]
        level = max([level, *(f for f, _ in floors)])
        if past_complaints + 1 >= self.complaints and level >= self.counts_from:
            floors.append((self.history_level, "history"))
            level = max(level, self.history_level)
        return level, tuple(floors)

    def _graver(self, reason: str) -> bool:
        signal, _, rule = reason.partition("/")
        return bool(rule) and self.floors[Signal(signal)] <= Level.LOW

    def floors_of(self, findings: Sequence[Finding], evidence: Sequence[Evidence]) -> Iterable[tuple[Level, str]]:
        """Yield (level, reason) for every floor that the standing signals set."""
        sure: dict[Signal, Status] = {}
        for finding in findings:
            if not finding.standing:
                if finding.status.counts and finding.probability >= self.low_confidence:
                    yield min(self.floors[finding.signal], Level.LOW), finding.signal.value  # taken back, but it was said
                continue
            needed = self.low_confidence if self.floors[finding.signal] <= Level.LOW else self.floor_confidence
            if finding.probability >= needed:
                sure[finding.signal] = finding.status
                floor = self.floors[finding.signal]
                if finding.status is Status.DONE:
                    floor = max(floor, self.floors_when_done.get(finding.signal, floor))
                yield floor, finding.signal.value
        steps = OUTSIDE_STEPS & set(sure)
        if len(steps) >= 2:
            yield self.combinations["two_outside_steps"], "two_outside_steps"
        if steps and _WEIGHTY & set(sure):
            yield self.combinations["weighty_with_step"], "weighty_with_step"
        insults = set()
        for item in evidence:
            if not item.status.counts or item.signal not in sure:
                continue
            if item.signal is Signal.CUSTOMER_INSULT and item.probability >= self.low_confidence:
                insults.add(item.turn)
            if item.source.startswith("rule:"):
                for floor in _floors_of_rule(self.rule_floors, item.source[5:]):
                    yield floor, item.source[5:]
                if item.source == _LARGE_FOLLOWING and {Signal.SOCIAL_EXPOSURE, Signal.MEDIA_EXPOSURE} & set(sure):
                    yield self.combinations["large_following_with_exposure"], "large_following_with_exposure"
        if len(insults) >= 2:
            yield self.combinations["repeated_insult"], "repeated_insult"

    def actions_for(self, level: Level, findings: Sequence[Finding], now: datetime | None = None) -> tuple[Action, ...]:
        """Return what must be done, soonest first; each action once, with its earliest clock.

        Parameters
        ----------
        now : datetime, optional
            Local time at which the conversation is judged; off-hours routes apply when it is given.
        """
        standing = {f.signal: f for f in findings if f.standing and f.probability >= self.low_confidence}
        closed = now is not None and self._closed(now.time())
        found: dict[str, Action] = {}
        for rule in self.actions:
            if rule.level is not None and level >= rule.level:
                because = level.label
                if rule.level is Level.LOW and level > Level.LOW:
                    continue
            elif rule.signal is not None and rule.signal in standing and level >= Level.LOW:
                because = rule.signal.value
            else:
                continue
            name = self.off_hours_route.get(rule.action, rule.action) if closed else rule.action
            if name not in found or rule.due_in_s < found[name].due_in_s:
                found[name] = Action(name, rule.due_in_s, because)
        return tuple(sorted(found.values(), key=lambda a: (a.due_in_s, a.action)))

    def _closed(self, now: time) -> bool:
        if self.off_hours is None:
            return False
        start, end = self.off_hours
        return start <= now < end if start <= end else now >= start or now < end

    def __reduce__(self) -> tuple[object, ...]:
        return (read_policy, (self.source,))


@lru_cache(maxsize=4096)
def _floors_of_rule(rule_floors: tuple[tuple[str, Level], ...], name: str) -> tuple[Level, ...]:
    return tuple(floor for pattern, floor in rule_floors if fnmatch.fnmatchcase(name, pattern))


@lru_cache(maxsize=1)
def default_policy() -> Policy:
    """Return the package's own policy."""
    return read_policy((files("riskmodel") / "resources/policy.toml").read_text("utf-8"), "resources/policy.toml")


def load_policy(path: str | Path) -> Policy:
    """Read a policy file.

    Raises
    ------
    PolicyError
        Naming the file and the key.
    """
    try:
        return read_policy(Path(path).read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"cannot be read ({type(error).__name__})", where=str(path), expected="a TOML file in UTF-8") from None


def read_policy(text: str, where: str = "policy") -> Policy:
    """Build a policy from TOML text."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"not valid TOML: {error}", where=where) from None
    check = _Checker(data, where)
    check.keys("", data, {"name", "thresholds", "confidence", "floors", "floors_when_done", "rules", "combinations", "history", "action", "off_hours"})
    floors = check.levels("floors", Signal)
    missing = set(Signal) - set(floors)
    if missing:
        raise PolicyError("a signal has no floor", where=f"{where}, floors.{min(missing)}", expected="none, low, high or critical")
    history = data.get("history", {})
    off = data.get("off_hours", {})
    return Policy(
        str(data.get("name", "")),
        (check.share("thresholds.low"), check.share("thresholds.high"), check.share("thresholds.critical")),
        check.share("confidence.floor"),
        check.share("confidence.low"),
        check.share("confidence.risk") if "risk" in data.get("confidence", {}) else 0.0,
        floors,
        check.levels("floors_when_done", Signal),
        tuple(check.levels("rules", str).items()),
        check.levels("combinations", _combination),
        check.whole("history.window_days", history.get("window_days", 365)),
        check.whole("history.complaints", history.get("complaints", 4)),
        check.level("history.level", history.get("level", "critical")),
        check.level("history.counts_from", history.get("counts_from", "low")),
        tuple(check.action(i, a) for i, a in enumerate(data.get("action", ()))),
        (check.clock("off_hours.start", off["start"]), check.clock("off_hours.end", off["end"])) if {"start", "end"} <= set(off) else None,
        dict(off.get("route", {})),
        hashlib.sha256(text.encode()).hexdigest()[:16],
        text,
    )


def _combination(name: str) -> str:
    if name not in _COMBINATIONS:
        raise ValueError
    return name


class _Checker:
    """Read values with errors that name the key."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where

    def fail(self, key: str, what: str, expected: str) -> PolicyError:
        return PolicyError(what, where=f"{self.where}, {key}", expected=expected)

    def keys(self, key: str, table: Mapping[str, Any], known: set[str]) -> None:
        for name in table:
            if name not in known:
                raise self.fail(f"{key}.{name}".strip("."), "unknown key", "one of " + ", ".join(sorted(known)))

    def share(self, key: str) -> float:
        section, name = key.split(".")
        value = self.data.get(section, {}).get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise self.fail(key, f"is {value!r}", "a number from 0 to 1")
        return float(value)

    def whole(self, key: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.fail(key, f"is {value!r}", "a whole number above 0")
        return value

    def level(self, key: str, value: object) -> Level:
        try:
            return Level[str(value).upper()]
        except KeyError:
            raise self.fail(key, f"is {value!r}", "none, low, high or critical") from None

    def levels(self, section: str, kind: Callable[[str], Any]) -> dict[Any, Level]:
        out = {}
        for name, value in self.data.get(section, {}).items():
            try:
                known = kind(name)
            except ValueError:
                raise self.fail(f"{section}.{name}", "unknown name", "a name of the taxonomy") from None
            out[known] = self.level(f"{section}.{name}", value)
        if section == "combinations":
            for name in _COMBINATIONS:
                if name not in out:
                    raise self.fail(f"combinations.{name}", "is missing", "none, low, high or critical")
        return out

    def clock(self, key: str, value: object) -> time:
        try:
            return time.fromisoformat(str(value))
        except ValueError:
            raise self.fail(key, f"is {value!r}", "a time such as 21:00") from None

    def action(self, i: int, raw: Mapping[str, Any]) -> ActionRule:
        key = f"action[{i}]"
        self.keys(key, raw, {"action", "due_in_s", "when_level", "when_signal"})
        if not isinstance(raw.get("action"), str) or not raw["action"]:
            raise self.fail(f"{key}.action", "is missing", "a name such as escalate_team_leader")
        if ("when_level" in raw) == ("when_signal" in raw):
            raise self.fail(key, "needs one of when_level and when_signal", "exactly one of the two")
        level = self.level(f"{key}.when_level", raw["when_level"]) if "when_level" in raw else None
        try:
            signal = Signal(raw["when_signal"]) if "when_signal" in raw else None
        except ValueError:
            raise self.fail(f"{key}.when_signal", f"is {raw['when_signal']!r}", "a signal of the taxonomy") from None
        return ActionRule(raw["action"], self.whole(f"{key}.due_in_s", raw.get("due_in_s")), level, signal)


def label_level(labels: Sequence[frozenset[tuple[Signal, Status]] | None], final: Level, policy: Policy) -> Level:
    """Return the level that labelled turns alone give a prefix of a conversation.

    Used to learn from the beginnings of labelled conversations: before the deciding turn the level
    is at most `low`, from it on it is what the floors say, and never above the final level unless
    the customer takes a threat back.
    """
    standing: dict[Signal, Status] = {}
    insults = 0
    withdrawn = False
    for turn in labels:
        for signal, status in sorted(turn or ()):
            if status.counts:
                standing[signal] = max(status, standing.get(signal, status), key=lambda s: s is Status.DONE)
                insults += signal is Signal.CUSTOMER_INSULT
            elif status is Status.DENIED and signal in standing and signal not in HARMS:
                del standing[signal]
                withdrawn = True
    level = Level.LOW if withdrawn else Level.NONE
    for signal, status in standing.items():
        floor = policy.floors[signal]
        if status is Status.DONE:
            floor = max(floor, policy.floors_when_done.get(signal, floor))
        level = max(level, floor)
    steps = OUTSIDE_STEPS & set(standing)
    if len(steps) >= 2:
        level = max(level, policy.combinations["two_outside_steps"])
    if steps and _WEIGHTY & set(standing):
        level = max(level, policy.combinations["weighty_with_step"])
    if insults >= 2:
        level = max(level, policy.combinations["repeated_insult"])
    return level
