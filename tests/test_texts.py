"""Learning from a plain table: any file, any label, a model that scores as one, and errors that help."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest

import riskmodel
from riskmodel.errors import InputError, LabelError, TrainingError
from riskmodel.labelled import find_scheme, frame_cases, read_labelled
from riskmodel.taxonomy import Level

_CALM = ("请问{x}什么时候发货呢", "{x}已经收到了，谢谢", "麻烦帮我查一下{x}的订单", "{x}可以开发票吗", "想换一个颜色的{x}")
_ANGRY = ("{x}坏了还不退款，我要去投诉你们", "再不处理{x}我就找记者曝光", "垃圾{x}，骗子商家等着收传票", "{x}的事今天不解决我去你们店里闹", "买个{x}气死人，12315见")
_THINGS = ("锅", "手机", "裙子", "鞋", "沙发", "电饭煲", "耳机", "奶粉", "被子", "台灯", "行李箱", "口红")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """120 short texts of two kinds, by four annotators."""
    rows = [(t.format(x=x), kind) for kind, texts in ((0, _CALM), (1, _ANGRY)) for t in texts for x in _THINGS]
    order = np.random.default_rng(0).permutation(len(rows))
    return pd.DataFrame(
        {"text": [rows[i][0] for i in order], "label": [rows[i][1] for i in order], "annotator": [f"n{k % 4}" for k in range(len(rows))]}
    )


@pytest.fixture(scope="module")
def trained(frame: pd.DataFrame) -> riskmodel.training.TrainingResult:  # type: ignore[name-defined]
    """A model of the two kinds."""
    return riskmodel.train_texts(frame, group="annotator", name="kinds")


def _write(frame: pd.DataFrame, path: Path) -> None:
    named = frame.rename(columns={"text": "内容", "label": "是否升级"})
    if path.suffix == ".xlsx":
        named.to_excel(path, index=False)
    elif path.suffix == ".parquet":
        named.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        named.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        named.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",", encoding="gb18030" if "gbk" in path.stem else "utf-8-sig")


@pytest.mark.parametrize("name", ["a.csv", "gbk.csv", "a.tsv", "a.xlsx", "a.parquet", "a.jsonl"])
def test_a_table_is_read_in_every_format_and_its_columns_are_found(frame: pd.DataFrame, tmp_path: Path, name: str) -> None:
    _write(frame, tmp_path / name)
    got = read_labelled(tmp_path / name)
    assert got["text"].tolist() == frame["text"].tolist()
    assert got["level"].tolist() == ["high" if k else "none" for k in frame["label"]]
    assert got.attrs["kind"] == "binary"
    assert got["id"].is_unique


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        (("0", "1"), "binary", (0, 2)),
        (("否", "是"), "binary", (0, 2)),
        (("False", "True"), "binary", (0, 2)),
        (("0", "1", "2", "3"), "ordinal", (0, 1, 2, 3)),
        (("正常", "不满", "升级风险", "疑似危机"), "ordinal", (0, 1, 2, 3)),
        (("none", "low", "High", "CRITICAL"), "ordinal", (0, 1, 2, 3)),
    ],
)
def test_labels(values: tuple[str, ...], kind: str, levels: tuple[int, ...]) -> None:
    scheme = find_scheme(values)
    assert scheme.kind == kind
    assert tuple(int(scheme.levels[v]) for v in values) == levels


def test_own_names_of_labels() -> None:
    scheme = find_scheme(["差评", "好评", "中评"], {"差评": "high", "好评": "none", "中评": "不满"})
    assert scheme.levels == {"差评": Level.HIGH, "好评": Level.NONE, "中评": Level.LOW}
    with pytest.raises(LabelError, match=r"'差评' \(2 rows\).*--labels"):
        find_scheme(["差评", "差评", "0"])


def test_a_column_of_texts_given_for_labels_is_not_quoted(frame: pd.DataFrame) -> None:
    with pytest.raises(LabelError, match="different values") as caught:
        frame_cases(frame, text="text", label="text")
    assert not any(text in str(caught.value) for text in frame["text"])


def test_transcripts_become_turns() -> None:
    made, _ = frame_cases(pd.DataFrame({"text": ["客服：您好\n用户：退款一直不到账", "退款"], "label": [1, 0]}))
    assert [t.speaker.value for t in made[0].conversation.turns] == ["agent", "customer"]
    assert [t.speaker.value for t in made[1].conversation.turns] == ["customer"]


def _one_label(f: pd.DataFrame) -> pd.DataFrame:
    return f[f["label"] == 1]


def _three_of_a_kind(f: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([f[f["label"] == 0], f[f["label"] == 1].head(3)])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_one_label, TrainingError, r"all 60 rows have one label"),
        (_three_of_a_kind, TrainingError, r"label '1' has 3 rows.*at least 10"),
        (lambda f: f.rename(columns={"text": "x"}), InputError, r"no column 'text'.*one of x, label"),
        (lambda f: f.assign(text=["", *f["text"].tolist()[1:]]), InputError, r"rows 0: 1 rows are empty in column 'text'; drop or fill"),
        (lambda f: f.assign(label=[None, *f["label"].tolist()[1:]]), InputError, r"empty in column 'label'"),
        (lambda f: f.assign(id="same"), InputError, r"the id 'same' stands 120 times"),
        (lambda f: f.assign(label=["坏", *f["label"].tolist()[1:]]), LabelError, r"unknown label '坏' \(1 rows\)"),
    ],
)
def test_bad_tables_are_refused_with_words_that_help(
    frame: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        riskmodel.train_texts(change(frame))


def test_ids_that_stand_twice_in_a_file_are_named_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("会话ID,内容,标签\nc1,你好,0\nc2,在吗,0\nc1,退款,1\n", "utf-8")
    with pytest.raises(InputError, match=r"'c1' on lines 2, 4.*--id"):
        read_labelled(tmp_path / "t.csv")


def test_rows_without_text_are_listed_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("内容,标签\n你好,0\n,0\n退款,1\n在,\n", "utf-8")
    bad: list[riskmodel.readers.Reject] = []  # type: ignore[name-defined]
    assert len(read_labelled(tmp_path / "t.csv", rejects=bad.append)) == 2
    assert [(r.line, r.field) for r in bad] == [(3, "text"), (5, "label")]


def test_the_model_learns_scores_and_survives_saving(trained: object, frame: pd.DataFrame, tmp_path: Path) -> None:
    result = trained
    held_out = result.held_out_frame()  # type: ignore[attr-defined]
    right = (held_out["risk"] >= 0.5) == (held_out["label"] == "high")
    assert right.mean() >= 0.95
    model = result.model  # type: ignore[attr-defined]
    riskmodel.save_model(model, tmp_path / "m")
    again = riskmodel.load_model(tmp_path / "m")
    a, b = (riskmodel.score_frame(frame, m) for m in (model, again))
    assert np.abs(a["risk"] - b["risk"]).max() < 1e-9
    assert (a["level"] == b["level"]).all()
    assert set(a["level"]) <= {"none", "high"}
    assert ((a["risk"] >= 0.5) == (a["level"] == "high")).all()


def test_one_is_a_batch_of_one(trained: object, frame: pd.DataFrame) -> None:
    model = trained.model  # type: ignore[attr-defined]
    conversations = riskmodel.labelled.frame_conversations(frame.head(7))  # type: ignore[attr-defined]
    together = [a.risk for a in model.assess_many(conversations)]
    assert together == pytest.approx([model.assess(c).risk for c in conversations], abs=1e-12)


def test_the_compiled_head_equals_what_was_learned(frame: pd.DataFrame) -> None:
    from riskmodel.textlearner import TextMatrix, learn_linear

    conversations = riskmodel.labelled.frame_conversations(frame)  # type: ignore[attr-defined]
    matrix = TextMatrix(conversations, riskmodel.segment.Segmenter())  # type: ignore[attr-defined]
    (X,), kept, idfs = matrix.part(np.arange(len(frame)))
    weights = learn_linear(X, frame["label"].to_numpy() == 1).weights
    stacked = np.column_stack([weights, weights.sum(axis=1)])
    scores = matrix.compile(stacked, kept, idfs).score(conversations)
    # The tables hold half-precision weights; that is the only difference.
    assert np.abs(scores - X @ stacked).max() < 0.01
    assert (np.sign(scores) == np.sign(X @ stacked)).mean() > 0.99


def test_characters_carry_exactly_the_score(trained: object) -> None:
    head = trained.model.text  # type: ignore[attr-defined]
    text = "再不处理锅我就找记者曝光，太气人了"
    conversation = riskmodel.Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": text}]})
    weights = head.weigh_characters(text)
    assert "".join(ch for ch, _ in weights) == text
    assert sum(w for _, w in weights) == pytest.approx(head.score([conversation])[0, 1], abs=1e-9)


def test_reasons_are_told_in_the_words_of_the_table(trained: object) -> None:
    said = riskmodel.Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": "再不处理锅我就找记者曝光"}]})
    (assessment,) = trained.model.assess_many([said], explain=True)  # type: ignore[attr-defined]
    words = {r.feature: r.weight for r in assessment.reasons if r.feature.startswith("words:")}
    assert words["words:曝光"] > 0
    assert any(r.feature == "own words" for r in assessment.reasons)


def test_the_card_says_what_it_was_made_of(trained: object) -> None:
    card = trained.model.card  # type: ignore[attr-defined]
    assert card["data"]["conversations"] == 120
    assert len(card["data"]["digest"]) == 64
    assert card["labels"] == {"kind": "binary", "meaning": {"0": "none", "1": "high"}}
    accuracy = card["metrics"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert "rows of one group" in card["metrics"]["how"]
    assert {"intended_use", "limits", "made_with", "learned"} <= set(card)


def test_levels_keep_the_floors_and_two_values_do_not(trained: object, frame: pd.DataFrame) -> None:
    danger = riskmodel.Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": "请问锅发货了吗，我不想活了，现在就从楼上跳下去"}]})
    assert trained.model.policy.floors[riskmodel.Signal.SELF_HARM] is Level.NONE  # type: ignore[attr-defined]
    four = frame.assign(label=["不满" if k else "正常" for k in frame["label"]])
    model = riskmodel.train_texts(four).model
    assert model.assess(danger).level is Level.CRITICAL


_RETRAIN = """
import hashlib, sys, pandas as pd, riskmodel
result = riskmodel.train_texts(pd.read_csv(sys.argv[1]), group="annotator", seed=3)
folder = riskmodel.save_model(result.model, sys.argv[2])
print(hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_training_again_in_a_fresh_process_gives_the_same_bits(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    digests = set()
    for seed in ("1", "2"):  # the order of sets must not matter
        done = subprocess.run(
            [sys.executable, "-c", _RETRAIN, str(tmp_path / "t.csv"), str(tmp_path / f"m{seed}")],
            check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert len(digests) == 1


_RETRAIN_CASES = """
import hashlib, sys
from pathlib import Path
from threadpoolctl import threadpool_limits
import riskmodel
from riskmodel.training import train_model
with threadpool_limits(1):
    result = train_model(riskmodel.read_cases([Path(sys.argv[1])]))
folder = riskmodel.save_model(result.model, sys.argv[2])
print(hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest(), result.model.card["data"]["digest"])
"""


@pytest.mark.slow
def test_a_small_corpus_trained_twice_gives_the_same_bits(tmp_path: Path) -> None:
    cases = Path(__file__).parents[1] / "data/cases"
    lines = [line for a in ("a01", "a09") for line in (cases / f"{a}.conversations.jsonl").read_bytes().splitlines()[:70]]
    (tmp_path / "few.jsonl").write_bytes(b"\n".join(lines))
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _RETRAIN_CASES, str(tmp_path / "few.jsonl"), str(tmp_path / f"m{seed}")],
            check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        digests.add(done.stdout.strip())
    assert len(digests) == 1


@pytest.mark.skipif(not os.environ.get("RISKMODEL_RETRAIN"), reason="takes minutes: set RISKMODEL_RETRAIN=1")
def test_the_default_model_is_what_training_gives(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    inputs = [str(p) for p in sorted((root / "data/cases").glob("*.jsonl"))]
    command = [sys.executable, "-c", "from riskmodel.cli import main; main()", "train", *inputs, "--splits", str(root / "data/splits.toml"), "--jobs", "2", "-o", str(tmp_path / "m")]
    subprocess.run(command, check=True)
    shipped = root / "riskmodel/resources/model"
    for name in ("weights.npz", "rules.json", "policy.toml", "words.txt"):
        new, old = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (tmp_path / "m", shipped))
        assert new == old, name
    new_card, old_card = (orjson.loads((folder / "card.json").read_bytes()) for folder in (tmp_path / "m", shipped))
    for key in ("data", "metrics", "labels"):
        assert new_card.get(key) == old_card.get(key), key


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RISKMODEL_RETRAIN"), reason="takes a minute: set RISKMODEL_RETRAIN=1")
def test_public_comments_reach_the_bar(public_data: Path, tmp_path: Path) -> None:
    frame = read_labelled(public_data / "cold/train.csv", text="TEXT", label="label")
    model = riskmodel.train_texts(frame).model
    dev = read_labelled(public_data / "cold/dev.csv", text="TEXT", label="label")
    scored = riskmodel.score_frame(dev, model)
    assert (scored["level"] == dev["level"]).mean() >= 0.918
