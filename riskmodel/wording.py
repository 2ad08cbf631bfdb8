"""Words for people, in Chinese and English (``resources/labels.toml``)."""

from __future__ import annotations

import locale
import tomllib
from functools import lru_cache
from importlib.resources import files

__all__ = ["LANGUAGES", "duration", "language", "word"]

LANGUAGES = ("zh", "en")


def language(chosen: str | None = None) -> str:
    """Return the language to speak: the chosen one, else the locale's, else Chinese."""
    if chosen in LANGUAGES:
        return str(chosen)
    return "en" if (locale.getlocale()[0] or "").startswith("en") else "zh"


def word(section: str, key: str, lang: str = "zh") -> str:
    """Return the name of a level, signal, action …; the key itself when it has none."""
    names = _labels().get(section, {}).get(key)
    return names[LANGUAGES.index(lang)] if names else key


def duration(seconds: int, lang: str = "zh") -> str:
    """Return a clock such as ``30 分钟内``."""
    amount, unit = (f"{seconds / 3600:g}", "hours") if seconds >= 3600 else (f"{seconds / 60:g}", "minutes")
    within, name = word("words", "within", lang), word("words", unit, lang)
    return f"{amount} {name}{within}" if lang == "zh" else f"{within} {amount} {name}"


@lru_cache(maxsize=1)
def _labels() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files("riskmodel") / "resources/labels.toml").read_text("utf-8"))
