"""Full assessments against the script an analyst writes: ``python tests/benchmarks/bench_batch.py FOLDER``.

The script: jieba.lcut + TfidfVectorizer(1-2-grams) + LogisticRegression on each conversation's text. FOLDER
holds the public corpora (CrossWOZ dialogues as transcripts with their natural repetition). Medians of paired
runs on one core are printed; nothing here is asserted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jieba
import orjson
from pairs import paired, real, written
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import riskmodel
from riskmodel import Conversation


def main(folder: Path) -> None:
    cases = written()
    distinct = [c.conversation for c in cases]
    repeated = real(folder)
    script = make_pipeline(TfidfVectorizer(tokenizer=jieba.lcut, token_pattern=None, ngram_range=(1, 2)), LogisticRegression())
    script.fit([text_of(c) for c in distinct], [c.level is not None and c.level >= 2 for c in cases])
    model = riskmodel.load_model()

    def compare(name: str, conversations: list[Conversation], rounds: int) -> None:
        texts = [text_of(c) for c in conversations]
        ours, theirs, ratio = paired(
            lambda: [orjson.dumps(a.to_dict()) for a in model.assess_many(conversations)], lambda: script.predict_proba(texts), rounds
        )
        turns = sum(len(c.turns) for c in conversations)
        print(
            f"{name}: {len(conversations)} conversations, {turns} turns, {sum(len(t.encode()) for t in texts) / ours / 1e6:.2f} MB/s; "
            f"{1e6 * ours / turns:.1f} µs a turn, the script {1e6 * theirs / turns:.1f}: {ratio:.1f} times the script"
        )

    compare("distinct text (written corpus)", distinct, 3)
    compare("real transcripts, as they are", repeated, 5)
    compare("the same, ten nights", repeated * 10, 3)
    one = distinct[0].prefix(6)
    ours, theirs, ratio = paired(lambda: model.assess(one), lambda: script.predict_proba([text_of(one)]), 200)
    print(f"one conversation of {len(one.turns)} turns: {1e6 * ours:.0f} µs, the script {1e6 * theirs:.0f} µs: {ratio:.1f} times the script")


def text_of(conversation: Conversation) -> str:
    return "\n".join(t.text for t in conversation.turns)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
