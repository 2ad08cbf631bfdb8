"""Full assessments against the script an analyst writes, as paired runs: ``python tests/benchmarks/bench_batch.py FOLDER``.

The script: jieba.lcut + TfidfVectorizer(1-2-grams) + LogisticRegression on each conversation's text. FOLDER
holds the public corpora (CrossWOZ dialogues as transcripts with their natural repetition). Ratios of medians
are printed; nothing here is asserted.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from pathlib import Path

import jieba
import orjson
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import riskmodel
from riskmodel.cases import load_cases

ROUNDS = 3


def main(folder: Path) -> None:
    jieba.setLogLevel(logging.WARNING)
    real = list(riskmodel.read_conversations(folder / "crosswoz" / "val.jsonl"))
    corpus = load_cases("train", Path(__file__).parents[2] / "data")
    written = [c.conversation for c in corpus if c.level is not None]
    texts = ["\n".join(t.text for t in c.turns) for c in written]
    script = make_pipeline(TfidfVectorizer(tokenizer=jieba.lcut, token_pattern=None, ngram_range=(1, 2)), LogisticRegression())
    script.fit(texts, [c.level is not None and c.level >= 2 for c in corpus if c.level is not None])
    model = riskmodel.load_model()
    for name, conversations in (("distinct text (written corpus)", written), ("real transcripts, as they are", real), ("the same, ten nights", real * 10)):
        texts = ["\n".join(t.text for t in c.turns) for c in conversations]
        ours, theirs = [], []
        for _ in range(ROUNDS + 1):
            started = time.perf_counter()
            script.predict_proba(texts)
            middle = time.perf_counter()
            for a in model.assess_many(conversations):
                orjson.dumps(a.to_dict())
            theirs.append(middle - started)
            ours.append(time.perf_counter() - middle)
        ratio = statistics.median(t / o for t, o in zip(theirs[1:], ours[1:], strict=True))
        turns = sum(len(c.turns) for c in conversations)
        print(f"{name}: {len(conversations)} conversations, {turns} turns; {1e6 * statistics.median(ours[1:]) / turns:.1f} µs a turn; {ratio:.1f} times the script")
    one = written[0].prefix(min(6, len(written[0].turns)))
    text = "\n".join(t.text for t in one.turns)
    pairs = []
    for _ in range(200):
        started = time.perf_counter()
        script.predict_proba([text])
        middle = time.perf_counter()
        model.assess(one)
        pairs.append((middle - started, time.perf_counter() - middle))
    script_s, ours_s = (statistics.median(p[k] for p in pairs) for k in (0, 1))
    print(f"one conversation of {len(one.turns)} turns: {1e6 * ours_s:.0f} µs, the script {1e6 * script_s:.0f} µs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
