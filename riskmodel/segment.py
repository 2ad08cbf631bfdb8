"""Cutting text into words with jieba's dictionary and the words of this domain.

The one module that touches jieba. Two engines read the same dictionary: ``rjieba`` (jieba in Rust,
the default) and ``jieba`` itself, the reference; a test holds them equal over the corpus. Neither
changes any global state: jieba's own default tokenizer is never touched.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["ENGINES", "Segmenter", "domain_words"]

ENGINES = ("rjieba", "jieba")
_FREQUENCY = 20_000  # high enough to win against jieba's own cuts of the listed words


@lru_cache(maxsize=1)
def domain_words() -> tuple[str, ...]:
    """Return the words of the domain dictionary, in file order."""
    text = (files("riskmodel") / "resources/words.txt").read_text("utf-8")
    words = (line.split("#")[0].strip() for line in text.splitlines())
    return tuple(dict.fromkeys(w for w in words if w))


class Segmenter:
    """Cut normalised text into words.

    Holds settings only, so that it can be cloned, copied and pickled; the engine is loaded on first
    use, once in a process for each pair of settings.

    Parameters
    ----------
    engine : {'rjieba', 'jieba'}
    words : tuple of str, optional
        The domain dictionary; the package's own by default.
    """

    def __init__(self, engine: str = "rjieba", words: tuple[str, ...] | None = None) -> None:
        if engine not in ENGINES:
            raise ValueError(f"engine is {engine!r}; expected one of {', '.join(ENGINES)}")
        self.engine = engine
        self.words = words

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the domain dictionary."""
        joined = "\n".join(self.words if self.words is not None else domain_words())
        return hashlib.sha256(joined.encode()).hexdigest()[:16]

    def cut(self, text: str) -> list[str]:
        """Return the words of `text`, in order; joined they are `text`. No hidden Markov model."""
        words = self.words if self.words is not None else domain_words()
        return _engine(self.engine, words).cut(text)

    def cut_many(self, texts: Iterable[str]) -> list[list[str]]:
        """Cut several texts."""
        return [self.cut(text) for text in texts]

    def __repr__(self) -> str:
        return f"Segmenter(engine={self.engine!r})"


class _Rjieba:
    def __init__(self, words: tuple[str, ...]) -> None:
        import rjieba

        self._jieba = rjieba.Jieba()
        for word in words:
            self._jieba.add_word(word, _FREQUENCY, "n")

    def cut(self, text: str) -> list[str]:
        return self._jieba.cut(text, False)


class _Jieba:
    def __init__(self, words: tuple[str, ...]) -> None:
        import jieba

        tokenizer = jieba.Tokenizer()
        # jieba keeps its cache, a marshal file, where every user of the machine can write: use a
        # private folder that is gone after loading.
        level = jieba.default_logger.level
        jieba.default_logger.setLevel(logging.WARNING)
        try:
            with tempfile.TemporaryDirectory() as folder:
                tokenizer.tmp_dir = folder
                tokenizer.cache_file = str(Path(folder) / "jieba.cache")
                tokenizer.initialize()
        finally:
            jieba.default_logger.setLevel(level)
        for word in words:
            tokenizer.add_word(word, _FREQUENCY)
        self._tokenizer: Any = tokenizer

    def cut(self, text: str) -> list[str]:
        words: list[str] = self._tokenizer.lcut(text, HMM=False)
        return words


@lru_cache(maxsize=4)
def _engine(name: str, words: tuple[str, ...]) -> _Rjieba | _Jieba:
    return _Rjieba(words) if name == "rjieba" else _Jieba(words)
