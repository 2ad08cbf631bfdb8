"""Conversations, cases and assessments as Jupyter shows them: bubbles, marked words, names masked.

`Conversation`, `Case` and `Assessment` come here for their ``_repr_html_``. An assessment holds only
the words of its evidence; `show` puts it beside its conversation and marks them in place.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .assessment import Assessment, ModelRef
from .cases import Case, Labels
from .conversation import Conversation
from .errors import InputError
from .policy import Policy, default_policy
from .report_view import Bubble, view
from .taxonomy import Level, Topic
from .wording import LANGUAGES, language, word

__all__ = ["Shown", "html", "show"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What `show` returns: a notebook draws it, elsewhere it is one line without the words."""

    markup: str
    title: str

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return f"<Shown {self.title}>"


def show(
    talk: Conversation | Case,
    assessment: Assessment | None = None,
    *,
    mask: bool = True,
    lang: str | None = None,
    policy: Policy | None = None,
) -> Shown:
    """Return a conversation for the notebook, with the words of the assessment marked in it.

    Parameters
    ----------
    talk : Conversation or Case
        A case shows its labels too, beside the turns they stand on.
    assessment : Assessment, optional
        Of the same conversation.
    mask : bool
        Mask names, numbers and addresses (`riskmodel.privacy`).
    lang : str, optional
        ``zh`` or ``en``; the locale's by default.
    policy : Policy, optional
        The policy that was judged with, to tell the floors; the package's own by default.

    Raises
    ------
    InputError
        When the assessment is another conversation's.
    """
    ident = talk.id
    if assessment is not None and assessment.id != ident:
        raise InputError(
            f"the assessment is of conversation {assessment.id!r}", where=f"conversation {ident!r}",
            expected="an assessment of the same conversation", mend="assess it: model.assess(conversation)",
        )  # fmt: skip
    return Shown(html(talk, assessment, mask=mask, lang=lang, policy=policy), ident)


def html(
    talk: Conversation | Case | None,
    assessment: Assessment | None = None,
    *,
    mask: bool = True,
    lang: str | None = None,
    policy: Policy | None = None,
) -> str:
    """Return the markup; with `talk` None, what an assessment shows on its own."""
    lang = language(lang)
    words = partial(_word, lang)
    conversation = talk.conversation if isinstance(talk, Case) else talk
    judged = assessment or _unjudged(talk)
    shown = view(judged, conversation, policy or default_policy(), lang, words, masked=mask, agent="")
    if isinstance(talk, Case):
        shown = replace(shown, bubbles=tuple(_with_labels(b, talk, lang) if isinstance(b, Bubble) else b for b in shown.bubbles))
    template, style = _template()
    drawn: str = template.render(
        v=shown,
        level=assessment is not None or (isinstance(talk, Case) and talk.level is not None),
        topic=assessment is not None or (isinstance(talk, Case) and talk.topic is not None),
        risk=assessment is not None,
        style=style,
        w=words,
        word=partial(_name, lang),
    )
    return drawn


def _unjudged(talk: Conversation | Case | None) -> Assessment:
    """Return an assessment that holds nothing but the labels of a case."""
    assert talk is not None, "a conversation, an assessment, or both"
    level = talk.level if isinstance(talk, Case) and talk.level is not None else Level.NONE
    topic = talk.topic if isinstance(talk, Case) and talk.topic is not None else Topic.OTHER
    return Assessment(talk.id, level, 0.0, (1.0, 0.0, 0.0, 0.0), topic, (), (), (), (), (), ModelRef("", "", ""))


def _with_labels(bubble: Bubble, case: Case, lang: str) -> Bubble:
    labels: Labels = case.labels[bubble.number - 1] or frozenset()
    names = [f"{word('signal', s.value, lang)} ({word('status', status.value, lang)})" for s, status in sorted(labels)]
    return replace(bubble, notes=(*bubble.notes, *names))


def _name(lang: str, section: str, key: str) -> str:
    return word(section, key, lang)


def _word(lang: str, section: str, key: str) -> str:
    names = _wording().get(section, {}).get(key)
    return names[LANGUAGES.index(lang)] if names else key


@lru_cache(maxsize=1)
def _wording() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files("riskmodel") / "resources/report/words.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def _template() -> tuple[Any, Markup]:
    folder = files("riskmodel") / "resources/notebook"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return (
        environment.from_string((folder / "cell.html").read_text("utf-8")),
        Markup((folder / "cell.css").read_text("utf-8")),
    )
