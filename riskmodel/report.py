"""A scored file as one HTML page that needs nothing else: open it, filter it, print it, send it on.

The page holds counts of all rows and the riskiest conversations in full. Everything that comes from
the data is escaped by the template, and the page's content policy lets no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import os
import tomllib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .assessment import Assessment
from .conversation import Conversation
from .errors import InputError
from .policy import Policy, default_policy
from .privacy import find_personal, mask_text
from .report_tally import Facts, Group, Tally, facts_of, periods
from .report_view import View, view
from .taxonomy import SIGNALS, Level, Signal
from .wording import LANGUAGES, duration, word

__all__ = ["write_report"]

_TOP = 200
_AGENTS = 300
_KEYS = ("id", "level", "risk", "levels", "topic", "signals", "evidence", "reasons", "actions", "not_analysed", "model")
_NOT_SCORED = {
    "expected": "one assessment a line, as `riskmodel score -o FILE.jsonl` writes them",
    "mend": "score the conversations first, into a .jsonl file",
}


def write_report(
    scored: str | Path,
    conversations: Mapping[str, Conversation] | Iterable[Conversation] | None,
    output: str | Path,
    lang: str = "zh",
    mask: bool = True,
    *,
    policy: Policy | None = None,
) -> None:
    """Write a report of a scored file.

    Parameters
    ----------
    scored : path
        JSON Lines of assessments. It is read twice, line by line; only the riskiest 200 rows are held.
    conversations : mapping by id, or iterable, or None
        What was scored, for transcripts, days, agents and channels. An iterable is read once; it may
        hold more or fewer conversations than the file, and is read fastest in the file's order.
    output : path
        The HTML file. It appears when it is complete.
    lang : str
        ``zh`` or ``en``.
    mask : bool
        Mask names, numbers and addresses (`riskmodel.privacy`).
    policy : Policy, optional
        The policy that was scored with, to tell the floors; the package's own by default.

    Raises
    ------
    InputError
        When the scored file is none, or the output cannot be written.
    """
    if lang not in LANGUAGES:
        raise InputError(f"unknown language {lang!r}", where="lang", expected=" or ".join(LANGUAGES))
    scored, output = Path(scored), Path(output)
    tally = Tally()
    top: list[tuple[int, float, int, dict[str, Any]]] = []
    for i, row in enumerate(_rows(scored)):
        tally.add_row(row)
        entry = (int(Level.parse(row["level"])), float(row["risk"]), -i, row)  # -i: the first of equals, and no two alike
        if len(top) < _TOP:
            heapq.heappush(top, entry)
        else:
            heapq.heappushpop(top, entry)
    chosen = {-i for _, _, i, _ in top}
    found: dict[int, Conversation] = {}
    if conversations is not None:
        for i, facts, conversation in _joined(scored, conversations):
            tally.add_conversation(facts, conversation)
            if i in chosen:
                found[i] = conversation
    words = partial(_word, lang)
    call = _agent_names(tally, words) if mask else str
    views = [
        _view(row, found.get(-i), policy or default_policy(), lang, words, mask, call, scored) for _, _, i, row in sorted(top, reverse=True)
    ]
    page = _page(tally, views, lang, words, call, mask, scored.name, conversations is not None)
    made = output.with_name(f".{output.name}.made")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(page.encode("utf-8", "replace"))
        os.replace(made, output)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=str(output), mend="choose another place for the report") from None


def _rows(scored: Path) -> Iterator[dict[str, Any]]:
    try:
        with scored.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, f"{scored}, line {number}")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(scored), **_NOT_SCORED) from None


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise InputError("not a JSON object", where=where, **_NOT_SCORED) from None
    missing = [k for k in _KEYS if k not in row] if isinstance(row, dict) else list(_KEYS)
    if missing:
        raise InputError(f"an assessment has no {missing[0]}", where=where, **_NOT_SCORED)
    return dict(row)


def _joined(
    scored: Path, conversations: Mapping[str, Conversation] | Iterable[Conversation]
) -> Iterator[tuple[int, Facts, Conversation]]:
    """Yield row number, facts and conversation of every row whose conversation is known.

    In the same order nothing is held; out of order, a row waits as its facts only.
    """
    rows = ((i, row["id"], facts_of(row)) for i, row in enumerate(_rows(scored)))
    if isinstance(conversations, Mapping):
        for i, ident, facts in rows:
            if ident in conversations:
                yield i, facts, conversations[ident]
        return
    waiting: dict[str, deque[tuple[int, Facts]]] = {}
    for conversation in conversations:
        queue = waiting.get(conversation.id)
        if queue:
            yield *queue.popleft(), conversation
            continue
        for i, ident, facts in rows:
            if ident == conversation.id:
                yield i, facts, conversation
                break
            waiting.setdefault(ident, deque()).append((i, facts))


def _view(
    row: dict[str, Any],
    conversation: Conversation | None,
    policy: Policy,
    lang: str,
    words: Callable[[str, str], str],
    masked: bool,
    call: Callable[[str], str],
    scored: Path,
) -> View:
    try:
        assessment = Assessment.from_dict(row)
    except (KeyError, TypeError, ValueError):
        raise InputError("an assessment has a field of another kind", where=f"{scored}, conversation {row['id']}", **_NOT_SCORED) from None
    agent = call(conversation.agent_id) if conversation and conversation.agent_id else ""
    return view(assessment, conversation, policy, lang, words, masked=masked, agent=agent)


def _agent_names(tally: Tally, words: Callable[[str, str], str]) -> Callable[[str], str]:
    """Return how agents are called: by their id, or by a number where the id is a name or a telephone."""
    names: dict[str, str] = {}
    for agent in sorted(tally.agents):
        named = any("㐀" <= c <= "鿿" for c in agent) or find_personal(agent) or " " in agent.strip()
        if named and agent != "…":
            names[agent] = f"{words('page', 'agent_masked')}{len(names) + 1}"
    return lambda agent: names.get(agent, agent)


def _page(
    tally: Tally,
    views: list[View],
    lang: str,
    words: Callable[[str, str], str],
    call: Callable[[str], str],
    masked: bool,
    source: str,
    joined: bool,
) -> str:
    unit, columns = periods(tally.days)
    looked_at = {call(a): g for a, g in tally.agents.items() if g.red_lines or g.at_risk}
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    def groups(found: Mapping[str, Group]) -> list[tuple[str, Group]]:
        return sorted(found.items(), key=lambda kv: (-kv[1].at_risk, -kv[1].total, kv[0]))

    page: str = _template().render(
        t=tally,
        views=views,
        lang=lang,
        w=partial(words, "page"),
        reflection=partial(words, "reflection"),
        word=partial(word, lang=lang),
        clock=partial(duration, lang=lang),
        levels=[lv.label for lv in Level],
        signals=[s for s in SIGNALS if tally.standing[s.value] or tally.mentioned[s.value]],
        group_of={s.value: s.group for s in Signal},
        topics=groups(tally.topics),
        channels=groups({mask_text(c) if masked else c: g for c, g in tally.channels.items()}),
        teams=groups({mask_text(c) if masked else c: g for c, g in tally.teams.items()}),
        agents=sorted(looked_at.items())[:_AGENTS],
        questions=[s for s in Signal if s.by_agent and any(g.red_lines[s.value] for g in looked_at.values())],
        agents_cut=max(0, len(looked_at) - _AGENTS),
        agents_fine=len(tally.agents) - len(looked_at),
        unit=unit,
        columns=columns,
        tallest=max((g.total for _, g in columns), default=1) or 1,
        days=(min(tally.days).isoformat(), max(tally.days).isoformat()) if tally.days else None,
        masked=masked,
        joined=joined,
        source=mask_text(source) if masked else source,
        style=Markup(_resource("page.css")),
        script=Markup(script),
        digest=digest,
    )
    return page


def _word(lang: str, section: str, key: str) -> str:
    names = _wording().get(section, {}).get(key)
    return names[LANGUAGES.index(lang)] if names else key


@lru_cache(maxsize=1)
def _wording() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(_resource("words.toml"))


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_resource("page.html"))


def _resource(name: str) -> str:
    return (files("riskmodel") / "resources/report" / name).read_text("utf-8")
