"""Few characters one by one, many in passes over arrays: the same words, n-grams and openings."""

from __future__ import annotations

import random

import numpy as np
import pytest

import riskmodel
from riskmodel import ngrams, openings, trie
from riskmodel.cases import Case
from riskmodel.lexicon import default_lexicon
from riskmodel.matching import matcher_for
from riskmodel.normalize import normalize_many
from riskmodel.trie import WordFinder


def test_all_words_are_found_where_they_stand() -> None:
    finder = WordFinder(["投诉", "投", "诉讼", "12315", "🐶东西"])
    text = "投诉诉讼123151🐶东西"
    found = {(int(a), int(b)) for _, a, b in zip(*finder.find(codes(text)), strict=True)}
    assert {text[a:b] for a, b in found} == {"投诉", "投", "诉讼", "12315", "🐶东西"}
    assert len(finder.find(codes("没有"))[0]) == 0
    assert len(WordFinder([]).find(codes("投诉"))[0]) == 0


def test_words_equal_plain_search() -> None:
    draw = random.Random(3)
    words = list({"".join(draw.choices("投诉去吧12", k=draw.randint(1, 4))) for _ in range(60)})
    text = "".join(draw.choices("投诉去吧123", k=900))
    wanted = sorted((w, k, k + len(word)) for w, word in enumerate(words) for k in range(len(text)) if text.startswith(word, k))
    assert len(text) > trie.FEW
    assert sorted(rows(WordFinder(words).find(codes(text)))) == wanted
    wanted = [hit for hit in wanted if hit[2] <= 300]
    assert sorted(rows(WordFinder(words).find(codes(text[:300])))) == wanted


def test_few_and_many_are_read_alike(model: riskmodel.RiskModel, corpus: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    matcher = matcher_for(default_lexicon())
    column = normalize_many([t.text for c in corpus[::200] for t in c.conversation.turns][:20])
    sides = np.array([1, 2, 4, 7] * 5, dtype=np.uint8)[: len(column)]

    def read() -> tuple[object, ...]:
        word, start, end = matcher._finder.find(column.codes)
        opened = matcher._openings.of(word, column.owners[start], sides)
        scores = model.tagger.customer_.table.project(column)
        return sorted(rows((word, start, end))), sorted((p, sorted(t)) for p, t in opened), scores.tolist()

    for module in (trie, ngrams):
        monkeypatch.setattr(module, "FEW", 10**6)
    monkeypatch.setattr(openings, "_FEW", 10**6)
    one_by_one = read()
    for module in (trie, ngrams):
        monkeypatch.setattr(module, "FEW", -1)
    monkeypatch.setattr(openings, "_FEW", -1)
    assert read() == one_by_one


def codes(text: str) -> np.ndarray:
    return np.array([ord(c) for c in text], dtype=np.uint32)


def rows(columns: tuple[np.ndarray, ...]) -> list[tuple[int, ...]]:
    return list(zip(*(c.tolist() for c in columns), strict=True))
