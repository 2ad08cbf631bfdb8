"""What a notebook draws: marked words, masked names, nothing that the text could run."""

from __future__ import annotations

import subprocess
import sys

import pytest

import riskmodel
from riskmodel.cases import Case

TALK = riskmodel.Conversation.from_dict(
    {
        "id": "n1",
        "turns": [
            {"speaker": "customer", "text": "我叫张伟，电话13812045678"},
            {"speaker": "agent", "text": "张先生您好"},
            {"speaker": "customer", "text": "再不退款我就打12315<script>alert(1)</script>"},
            {"speaker": "customer", "text": "[图片]"},
        ],
    }
)


def test_the_words_of_the_evidence_are_marked(model: riskmodel.RiskModel) -> None:
    drawn = riskmodel.show(TALK, model.assess(TALK), lang="zh")._repr_html_()
    assert '<mark class="threat"' in drawn
    assert "12315</mark>" in drawn
    assert "升级风险" in drawn


def test_personal_data_is_masked_unless_asked_for(model: riskmodel.RiskModel) -> None:
    judged = model.assess(TALK)
    for drawn in (TALK._repr_html_(), judged._repr_html_(), riskmodel.show(TALK, judged)._repr_html_()):
        assert "13812045678" not in drawn
        assert "张伟" not in drawn
    assert "13812045678" in riskmodel.show(TALK, judged, mask=False)._repr_html_()


def test_nothing_in_a_message_can_run(model: riskmodel.RiskModel) -> None:
    for drawn in (TALK._repr_html_(), riskmodel.show(TALK, model.assess(TALK), mask=False)._repr_html_()):
        assert "<script>" not in drawn
        assert "&lt;script&gt;" in drawn


def test_an_assessment_alone_shows_its_evidence_and_reasons(model: riskmodel.RiskModel) -> None:
    drawn = model.assess(TALK)._repr_html_()
    assert "12315" in drawn
    assert 'class="talk"' not in drawn


def test_a_case_shows_its_labels_beside_the_turns(corpus: list[Case]) -> None:
    case = next(c for c in corpus if c.level is not None and any(c.labels))
    name = next(s.value for labels in case.labels for s, _ in labels or ())
    drawn = riskmodel.show(case, lang="en")._repr_html_()
    assert f'badge {case.level.label}"' in drawn  # type: ignore[union-attr]
    assert "(done)" in drawn or "(threatened)" in drawn, name
    assert "<b>0.000" not in drawn  # nobody judged it: no risk is shown


def test_every_conversation_of_the_corpus_can_be_drawn(corpus: list[Case], model: riskmodel.RiskModel) -> None:
    some = corpus[::40]
    for case, judged in zip(some, model.assess_many(c.conversation for c in some), strict=True):
        assert case.id in riskmodel.show(case, judged)._repr_html_()


def test_an_assessment_of_another_conversation_is_refused(model: riskmodel.RiskModel) -> None:
    other = riskmodel.Conversation.from_dict({"id": "n2", "turns": [{"text": "好"}]})
    with pytest.raises(riskmodel.RiskModelError, match=r"'n1'.*'n2'.*assess it"):
        riskmodel.show(TALK, model.assess(other))


def test_outside_a_notebook_no_text_is_printed(model: riskmodel.RiskModel) -> None:
    assert repr(riskmodel.show(TALK)) == "<Shown n1>"


def test_drawing_costs_nothing_until_it_is_asked_for() -> None:
    code = "import sys, riskmodel; riskmodel.Conversation; riskmodel.Assessment; sys.exit('jinja2' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
