"""One is a batch of one; the compiled form equals scikit-learn's; results cannot be changed."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import riskmodel
from riskmodel import Assessment, Conversation, Level, Signal, Speaker, Turn
from riskmodel.additive import compile_levels
from riskmodel.cases import Case
from riskmodel.features import ConversationFeatures
from riskmodel.heads import CUSTOMER_HEADS
from riskmodel.pipeline import LevelClassifier
from riskmodel.trust import N_RULE_COLUMNS, readings, rule_tiers
from riskmodel.trust_fit import design
from riskmodel.vectorizer import NgramVectorizer


def say(text: str, speaker: Speaker = Speaker.CUSTOMER) -> Conversation:
    return Conversation("x", (Turn(text, speaker),))


def test_batch_of_one_equals_batch_of_many(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    conversations = [c.conversation for c in corpus[::60]]
    together = model.assess_many(conversations)
    assert [model.assess(c) for c in conversations] == together
    assert model.assess_many(conversations[::-1])[::-1] == together


def test_compiled_scores_equal_the_sparse_product(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    """The compiled pass gives what scikit-learn's form of the same model gives, to 1e-9."""
    table = model.tagger.read([c.conversation for c in corpus[::20]])
    part = model.tagger.customer_
    reference = NgramVectorizer(part.table.max_n)
    reference.keys_, reference.idf_ = part.table.keys, part.table.idf
    turns = np.flatnonzero(table.side == 0)
    matrix: sp.csr_matrix = reference.transform(table.column.take(table.text_of[turns]))
    words = matrix @ part.table.weights[:, : len(CUSTOMER_HEADS)].astype(float) + part.intercept
    tiers = np.zeros((len(turns), N_RULE_COLUMNS))
    for row, turn in enumerate(turns.tolist()):
        for column, tier in rule_tiers(table.hits.get(turn, ())).items():
            tiers[row, column] = tier
    basis = design(readings(words, table.lengths[turns]), tiers, part.trust.knots)
    n = len(CUSTOMER_HEADS)
    weights = np.concatenate([part.trust.values.reshape(-1, n), part.trust.rules.reshape(-1, n)])
    wanted = basis @ weights + part.trust.intercept
    np.testing.assert_allclose(model.tagger.score(table).customer[turns], wanted, rtol=0, atol=1e-9)


def test_compiled_levels_equal_the_classifier(corpus: list[Case]) -> None:
    cases = [c for c in corpus if c.level is not None][::12]
    X = ConversationFeatures().fit_transform(cases)
    y = np.array([int(c.level) for c in cases if c.level is not None])
    classifier = LevelClassifier().fit(X, y)
    compiled = compile_levels(classifier, X)
    np.testing.assert_allclose(compiled.at_least(compiled.terms(X)), classifier.predict_at_least(X), rtol=0, atol=1e-9)


def test_the_contract_round_trips(model: riskmodel.RiskModel, corpus: list[Case]) -> None:
    for a in model.assess_many([c.conversation for c in corpus[::100]]):
        data = a.to_dict()
        assert Assessment.from_dict(data) == a
        assert list(data) == ["id", "level", "risk", "levels", "topic", "signals", "evidence", "reasons", "actions", "not_analysed", "model"]
        assert abs(sum(data["levels"].values()) - 1) < 1e-5
        assert abs(data["risk"] - data["levels"]["high"] - data["levels"]["critical"]) < 1e-5


def test_results_cannot_be_changed(model: riskmodel.RiskModel) -> None:
    a = model.assess(say("我要投诉"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.risk = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "signal"),
    [("再不退款我就打12315", Signal.REGULATOR_COMPLAINT), ("我不想活了，你们看着办吧", Signal.SELF_HARM)],
)
def test_plain_threats_are_high(model: riskmodel.RiskModel, text: str, signal: Signal) -> None:
    a = model.assess(say(text))
    assert a.level >= Level.HIGH
    finding = a.finding(signal)
    assert finding is not None
    assert finding.standing


def test_a_withdrawn_threat_does_not_stand(model: riskmodel.RiskModel) -> None:
    c = Conversation("x", (
        Turn("再不退我就去消协投诉", Speaker.CUSTOMER), Turn("给您退了，您查收一下", Speaker.AGENT),
        Turn("收到了，那我不去消协了，谢谢", Speaker.CUSTOMER),
    ))  # fmt: skip
    finding = model.assess(c).finding(Signal.REGULATOR_COMPLAINT)
    assert finding is not None
    assert not finding.standing


def test_ordinary_talk_is_none(model: riskmodel.RiskModel) -> None:
    c = Conversation("x", (Turn("你好，这件有L码吗", Speaker.CUSTOMER), Turn("您好，有的哦", Speaker.AGENT), Turn("好的谢谢", Speaker.CUSTOMER)))
    a = model.assess(c)
    assert a.level is Level.NONE
    assert a.evidence == ()
    assert a.actions == ()


def test_what_cannot_be_judged_is_named(model: riskmodel.RiskModel) -> None:
    c = Conversation("x", (Turn("[图片]", Speaker.CUSTOMER), Turn("안녕하세요 도와주세요", Speaker.CUSTOMER), Turn("退款", Speaker.UNKNOWN)))
    assert [(n.turn, n.reason) for n in model.assess(c).not_analysed] == [(0, "picture"), (1, "not_chinese"), (2, "unknown_speaker")]


def test_heat_adds_up(model: riskmodel.RiskModel) -> None:
    heat = model.heat(say("再不退款我就打12315"), 0, Signal.REGULATOR_COMPLAINT)
    assert "".join(ch for ch, _ in heat) == "再不退款我就打12315"
    assert sum(w for _, w in heat) > 0


def test_explained_words(model: riskmodel.RiskModel) -> None:
    a = model.assess_many([say("再不退款我就打12315")], explain=True)[0]
    assert any(r.feature.startswith("words:") for r in a.reasons)


def test_conversations_pickle() -> None:
    c = Conversation.from_dict({"id": 1, "turns": [{"text": "好"}], "order_id": "7"})
    assert pickle.loads(pickle.dumps(c)) == c
    assert c.meta["order_id"] == "7"
