"""The corpus holds to its own rules, its counts and its datasheet; and the checks find what is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from riskmodel import load_cases
from riskmodel.cases import Case
from riskmodel.corpus import Corpus, CorpusSummary, read_corpus, summarise
from riskmodel.corpus_checks import check, check_corpus
from riskmodel.corpus_cli import corpus_app
from riskmodel.corpus_curve import CurvePoint, nested_authors
from riskmodel.corpus_repeats import shared_phrases
from riskmodel.corpus_tables import curve_sheet, read_section, sheets, to_markdown, write_section
from riskmodel.errors import InputError, TrainingError

DATA = Path(__file__).parents[1] / "data"

# What the corpus holds at least: the goal of issue 3 (`corpus_tables.GOALS`) where it is reached, else
# what holds so far. Raise a figure when the corpus grows.
MINIMUMS = {
    "conversations": 3_000,
    "utterances": 12_000,
    "authors": 15,
    "industries": 15,
    "test authors": 3,
    "test conversations": 450,
    "share by phone": 0.25,
    "share with 30 turns and more": 0.11,  # goal 0.15
    "share in Traditional characters": 0.03,  # goal 0.05
    "share of none and low with a look-alike": 0.40,
    "utterances that carry the rarest signal": 150,
    "utterances that look like the rarest signal": 150,
    "utterances of the rarest step denied, asked or reported": 60,
    "self_harm, violence_threat, agent_abuse: carried": 300,
    "self_harm, violence_threat, agent_abuse: look-alikes": 300,
    "conversations with the rarest red line": 150,
}
LEVELS = {"none": 0.38, "low": 0.25, "high": 0.22, "critical": 0.15}


@pytest.fixture(scope="module")
def whole() -> Corpus:
    return read_corpus(DATA)


@pytest.fixture(scope="module")
def summary(whole: Corpus) -> CorpusSummary:
    return summarise(whole.cases, whole.splits)


def test_the_checks_are_green(whole: Corpus) -> None:
    assert [str(problem) for problem in check_corpus(whole)] == []


@pytest.mark.parametrize("name", MINIMUMS)
def test_counts(summary: CorpusSummary, name: str) -> None:
    assert summary.figures()[name] >= MINIMUMS[name]


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_balanced_as_planned(summary: CorpusSummary, level: str) -> None:
    assert summary.figures()[f"share of {level}"] == pytest.approx(LEVELS[level], abs=0.03)


def test_splits_are_fixed(whole: Corpus) -> None:
    assert whole.splits["test"] == ("a03", "a07", "a10")
    others = {author for name, authors in whole.splits.items() if name != "test" for author in authors}
    assert not others & set(whole.splits["test"])


def test_test_industries_are_mixed_with_the_rest(whole: Corpus) -> None:
    by_side: dict[bool, set[str]] = {True: set(), False: set()}
    for case in whole.cases:
        if not case.is_utterance:
            by_side[case.author in whole.splits["test"]].add(case.meta["industry"])
    assert by_side[True] <= by_side[False]


def test_the_loader_gives_all_cases(whole: Corpus, corpus: list[Case]) -> None:
    assert {c.id for c in corpus} == {c.id for c in whole.cases}
    assert {c.author for c in load_cases("test", DATA)} == set(whole.splits["test"])


def test_the_datasheet_is_fresh(summary: CorpusSummary) -> None:
    fresh = read_section(DATA / "README.md", "counts") == to_markdown(sheets(summary))
    assert fresh, "run: riskmodel corpus report --write data/README.md"


def test_the_datasheet_says_what_must_be_said() -> None:
    text = (DATA / "README.md").read_text("utf-8")
    for words in (
        "Synthetic",
        "全部为合成数据",
        "CC BY 4.0",
        "<!-- agreement:begin -->",
        "<!-- curve:begin -->",
    ):
        assert words in text
    assert "CC BY 4.0" in (DATA / "LICENSE").read_text("utf-8")


# The checks themselves, on planted problems.


def conversation(
    ident: str = "a01-c001", text: str = "这个月账单怎么多出来十二块钱", **changed: Any
) -> dict[str, Any]:
    return {
        "id": ident, "risk_level": "none", "topic": "billing", "author": "a01", "industry": "telecom", "channel": "chat", "style": [],
        "turns": [{"speaker": "customer", "text": text, "signals": []}, {"speaker": "agent", "text": "我看一下", "signals": []}], **changed,
    }  # fmt: skip


def utterance(ident: str, text: str, *signals: str) -> dict[str, Any]:
    return {
        "id": ident,
        "author": ident[:3],
        "turns": [{"speaker": "customer", "text": text, "signals": list(signals)}],
    }


def turn(speaker: str, text: str, *signals: str) -> dict[str, Any]:
    return {"speaker": speaker, "text": text, "signals": list(signals)}


def test_a_good_case_passes() -> None:
    assert (
        check([Case.from_dict(conversation()), Case.from_dict(utterance("a01-u0001", "三天了谁都没理我"))])
        == []
    )


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (conversation("x1"), "ids", "a01-c"),
        (conversation(channel="fax"), "schema", "channel"),
        (conversation(industry="Big Bank"), "schema", "industry"),
        (conversation(topic=None), "schema", "topic"),
        (conversation(turns=[{"speaker": "customer", "text": "喂"}]), "schema", "empty list"),
        (conversation(turns=[turn("agent", "我要告你们", "legal_action:threatened")], risk_level="high"), "sides", "agent"),
        (conversation(turns=[turn("customer", "他骂我", "agent_abuse:done")], risk_level="critical"), "sides", "customer"),
        (conversation(turns=[turn("customer", "假的", "fraud_allegation:threatened")], risk_level="low"), "statuses", "done"),
        (conversation(turns=[turn("customer", "法院见", "legal_action:threatened")]), "levels", "give high"),
        (conversation(risk_level="critical"), "levels", "give none"),
        (conversation(text="打我电话13857640921"), "numbers", "mobile"),
        (conversation(text="打一三八五七六四零九二一"), "numbers", "mobile"),
        (conversation(text="座机0571-87654213"), "numbers", "telephone"),
        (conversation(text="身份证330106198703124518"), "numbers", "identity"),
        (conversation(text="卡号6222 0212 3456 7894"), "numbers", "card"),
        (conversation(text="发到wang@qq.com"), "numbers", "address"),
    ],
)  # fmt: skip
def test_a_planted_problem_is_found(data: dict[str, Any], kind: str, says: str) -> None:
    problems = check([Case.from_dict(data)])
    assert [p.kind for p in problems] == [kind]
    assert says in problems[0].what
    assert data["turns"][0]["text"] not in str(problems[0])


@pytest.mark.parametrize(
    "text",
    [
        "138****8000",
        "幺三八零零零零八零零零",
        "订单号202503151234",
        "发到caigou@xxxx.com",
        "尾号12315",
        "6222****7894",
    ],
)
def test_masked_and_invented_numbers_pass(text: str) -> None:
    assert check([Case.from_dict(conversation(text=text))]) == []


def test_an_exception_needs_a_reason_and_a_departure() -> None:
    case = Case.from_dict(conversation(risk_level="critical"))
    assert check([case], exceptions={"levels": {"a01-c001": "a burn"}}) == []
    assert [p.kind for p in check([case], exceptions={"levels": {"a01-c001": " "}})] == ["levels"]
    stale = check([Case.from_dict(conversation())], exceptions={"levels": {"a01-c001": "a burn"}})
    assert [(p.kind, p.where) for p in stale] == [("exceptions", "a01-c001")]


def test_near_duplicates_are_found_across_authors_and_kinds() -> None:
    cases = [
        Case.from_dict(utterance("a01-u0001", "退我三十九块九就行，别的我一概不要")),
        Case.from_dict(utterance("a02-u0001", "退我三十九块九就行别的我一概不要了")),
        Case.from_dict(conversation(text="退我三十九块九就行 别的我一概不要")),
        Case.from_dict(utterance("a02-u0002", "今天下午能不能送到小区门口")),
    ]
    found = [p.where for p in check(cases)]
    assert sorted(found) == ["a01-c001 a01-u0001", "a01-c001 a02-u0001", "a01-u0001 a02-u0001"]
    assert check(cases, stock=["退我三十九块九就行"]) == []


def test_shared_phrases_are_found() -> None:
    trades = ["机票改签", "燃气表读数", "驾校约课", "体检报告", "宽带迁移", "会员续费"]
    cases = [
        Case.from_dict(conversation(f"a01-c{i:03}", f"{t}的事情麻烦您务必在今天之内给我一个说法，{t * 3}"))
        for i, t in enumerate(trades)
    ]
    found = shared_phrases(cases)
    assert [(f.phrase, f.conversations) for f in found] == [("的事情麻烦您务必在今天之内给我一个说法", 6)]
    assert shared_phrases(cases[:5]) == []
    assert shared_phrases(cases, ["麻烦您务必在今天之内给我一个说法"]) == []


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def build(*rows: dict[str, Any] | str) -> Path:
        (tmp_path / "cases").mkdir()
        (tmp_path / "splits.toml").write_text('[train]\nauthors = ["a01"]\n', "utf-8")
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / "cases" / "a01.conversations.jsonl").write_text("\n".join(lines), "utf-8")
        return tmp_path

    return build


def test_reading_goes_on_after_a_bad_line(folder: Callable[..., Path]) -> None:
    corpus = read_corpus(
        folder(
            "{",
            conversation(risk_level="odd"),
            conversation("a01-c002", mood="bad"),
            conversation("a01-c003", author="a09"),
            conversation(),
        )
    )
    said = [str(p) for p in check_corpus(corpus)]
    for words in (
        "line 1: not valid JSON",
        "unknown risk level 'odd'",
        "unknown key mood",
        "another author's",
        "a09: belongs to no split",
    ):
        assert any(words in line for line in said), words
    assert "a01-c001" in {c.id for c in corpus.cases}


def test_commands(folder: Callable[..., Path]) -> None:
    data = folder(
        conversation(), conversation("a01-c002", "换一双大一码的鞋要补差价吗", risk_level="critical")
    )
    run = CliRunner().invoke
    checked = run(corpus_app, ["check", str(data)])
    assert checked.exit_code == 1
    assert "a01-c002" in checked.output
    assert "Figures and goals" in run(corpus_app, ["report", str(data)]).output
    sheet = data / "README.md"
    sheet.write_text("a\n<!-- counts:begin -->\nstale words\n<!-- counts:end -->\nb\n", "utf-8")
    assert run(corpus_app, ["report", str(data), "--write", str(sheet)]).exit_code == 0
    text = sheet.read_text("utf-8")
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    assert "stale words" not in text


def test_errors_teach(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no corpus here"):
        read_corpus(tmp_path)
    (tmp_path / "x.md").write_text("<!-- counts:end --><!-- counts:begin -->", "utf-8")
    with pytest.raises(InputError, match="marker is missing"):
        write_section(tmp_path / "x.md", "counts", "")


def test_a_learning_curve_holds_ever_more_authors() -> None:
    sets = nested_authors([f"a{i:02}" for i in range(1, 14)])
    assert [len(s) for s in sets] == [2, 4, 7, 13]
    assert all(set(a) <= set(b) for a, b in pairwise(sets))
    row = curve_sheet([CurvePoint(0.5, sets[2], 1400, 5600, 0.9, (0.88, 0.91), 0.95)]).rows[0]
    assert row == ("50%", "7", "1,400", "5,600", "0.900", "0.880 to 0.910", "0.950")


def test_a_learning_curve_needs_cases() -> None:
    from riskmodel.corpus_curve import learning_curve

    with pytest.raises(TrainingError, match="nothing to learn from"):
        next(learning_curve([], []))
