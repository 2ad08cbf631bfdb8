"""Said otherwise, found all the same: the loss of recall per kind of change, against what was reached.

The goal is 5 points for each; `docs/robustness.md` holds the figures of the model that is shipped.
"""

from __future__ import annotations

import pytest

import riskmodel

from . import robustness
from .robustness import (
    CHANGES,
    Row,
    cases,
    measure,
    padded,
    polite,
    split,
    table,
    traditional,
    with_signs,
    words,
    write,
)

# Points that may be lost, with some room for another model trained on the same cases.
CONVERSATIONS = {"padding": 28.0}
SIGNALS = {"paraphrase by hand": 15.0, "politeness": 18.0, "splitting": 36.0, "disguise: signs between": 18.0}
SIGNALS_DISGUISED = 38.0
OTHERWISE = 10.0


@pytest.fixture(scope="module")
def rows(model: riskmodel.RiskModel) -> list[Row]:
    return measure(model)


def test_nothing_is_lost_beyond_what_was_reached(rows: list[Row]) -> None:
    for row in rows:
        if row.unit == "conversations":
            bound = CONVERSATIONS.get(row.kind, OTHERWISE)
        else:
            bound = SIGNALS.get(row.kind, SIGNALS_DISGUISED if row.kind.split(": ")[-1] in ("pinyin", "same sound", "taken apart") else OTHERWISE)
        assert row.loss <= bound, table(rows)


def test_there_is_enough_to_measure(rows: list[Row]) -> None:
    assert {r.kind for r in rows} == {"paraphrase by hand", *CHANGES}
    assert min(r.n for r in rows) >= 25
    assert next(r for r in rows if r.kind == "paraphrase by hand").n >= 60


def test_paraphrases_are_other_words() -> None:
    by_id = {c.id: c for c in cases()}
    for line in (robustness.DATA / "paraphrases.tsv").read_text("utf-8").splitlines():
        ident, said = line.split("\t")
        original = by_id[ident].conversation.turns[-1].text
        common = {original[i : i + 9] for i in range(len(original) - 8)} & {said[i : i + 9] for i in range(len(said) - 8)}
        assert len(common) <= len(original) / 3, (ident, common)
        assert said != original, ident


def test_changes_do_what_they_say() -> None:
    assert polite("还钱！", 0) == ["您好，不好意思打扰一下，还钱，麻烦您了，谢谢"]
    assert split("不退钱，我就打12315", 0) == ["不退钱，", "我就打12315"]
    assert "".join(split("我要去法院告你们", 0)) == "我要去法院告你们"
    assert with_signs("去法院告你们", 0) == ["去法*院告你们"]
    assert traditional("投诉", 0) == ["投訴"]
    assert all(len(ways) == 3 and word not in ways for word, ways in words().items())
    case = cases()[0]
    for number in range(8):
        assert len(padded(case, number).conversation.turns) == len(case.conversation.turns) + 12


def test_the_page_is_written_between_its_marks(tmp_path) -> None:
    page = tmp_path / "p.md"
    page.write_text("a\n<!-- measured -->\nold\n<!-- end -->\nz\n", "utf-8")
    write(page, "new")
    assert page.read_text("utf-8") == "a\n<!-- measured -->\nnew\n<!-- end -->\nz\n"
