"""Normalise + match + status against jieba.lcut on the same text: ``python tests/benchmarks/bench_rules.py FOLDER``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jieba
from pairs import paired, quantiles, real, written

from riskmodel import Conversation, Speaker, Turn
from riskmodel.lexicon import default_lexicon
from riskmodel.matching import matcher_for
from riskmodel.table import build_table


def main(folder: Path) -> None:
    matcher = matcher_for(default_lexicon())
    for name, conversations in (("written corpus", [c.conversation for c in written()]), ("real transcripts", real(folder))):
        texts = list({t.text: None for c in conversations for t in c.turns})
        # Every text once, said by whom it was first said by: repetition would only help us.
        speakers = {t.text: t.speaker for c in reversed(conversations) for t in reversed(c.turns)}
        turns = [Conversation(str(i), (Turn(text, speakers[text]),)) for i, text in enumerate(texts)]
        ours, _, ratio = paired(lambda t=turns: build_table(t, matcher), lambda t=texts: [jieba.lcut(x) for x in t])
        size = sum(len(t.encode()) for t in texts) / 1e6
        print(f"{name}: {len(texts)} distinct turns, {size:.2f} MB; {size / ours:.2f} MB/s, {ratio:.1f} times jieba.lcut")
    one = [Conversation("x", (Turn("你好，我上周在你们店里买的电饭锅，今天早上插上电一直不加热，能不能帮我看看是换一个还是退款呢，谢谢了", Speaker.CUSTOMER),))]
    seconds = []
    for _ in range(1000):
        started = time.perf_counter()
        build_table(one, matcher)
        seconds.append(time.perf_counter() - started)
    print(f"one turn of {len(one[0].turns[0].text)} characters: {quantiles(seconds)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
