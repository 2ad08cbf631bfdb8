"""Both engines read the same dictionary and cut alike; no global state."""

from __future__ import annotations

import pickle
import subprocess
import sys

from sklearn.base import clone

from riskmodel.cases import Case
from riskmodel.normalize import normalize_many
from riskmodel.segment import Segmenter
from riskmodel.tagger import SignalTagger


def test_domain_words_stay_whole() -> None:
    assert Segmenter().cut("退一赔三打银保监会") == ["退一赔三", "打", "银保监会"]


def test_engines_cut_the_corpus_alike(corpus: list[Case]) -> None:
    texts = normalize_many([t.text for c in corpus[::4] for t in c.conversation.turns]).texts()
    fast, reference = Segmenter("rjieba"), Segmenter("jieba")
    differing = sum(fast.cut(t) != reference.cut(t) for t in texts)
    assert differing <= len(texts) / 10_000


def test_words_join_to_the_text(corpus: list[Case]) -> None:
    segmenter = Segmenter()
    for c in corpus[::40]:
        for text in normalize_many([t.text for t in c.conversation.turns]).texts():
            assert "".join(segmenter.cut(text)) == text


def test_pickles_and_clones() -> None:
    assert pickle.loads(pickle.dumps(Segmenter("jieba"))).engine == "jieba"
    assert clone(SignalTagger(C=3)).C == 3


def test_importing_does_nothing() -> None:
    code = (
        "import sys, logging; import riskmodel, riskmodel.segment, riskmodel.readers; "
        "assert not logging.getLogger().handlers; "
        "assert 'jieba' not in sys.modules and 'sklearn' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
