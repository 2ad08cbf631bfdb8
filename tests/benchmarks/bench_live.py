"""One turn at a time: ``python tests/benchmarks/bench_live.py FOLDER``.

Real dialogues and written ones are fed turn by turn; the first hundred dialogues, in which expressions are
compiled that are used for the first time, are told apart from the rest.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pairs import quantiles, real, written

import riskmodel
from riskmodel import Conversation
from riskmodel.live import LiveConversation, guard


def main(folder: Path) -> None:
    model = riskmodel.load_model()
    for name, conversations in (("written corpus", [c.conversation for c in written()][:600]), ("real dialogues", real(folder)[:300])):
        for part, some in (("the first hundred dialogues", conversations[:100]), ("the others", conversations[100:])):
            print(f"{name}, {part}: a live turn {quantiles(live(model, some))}")
    seconds = []
    for c in conversations:
        started = time.perf_counter()
        guard(model, c.prefix(len(c.turns) - 1), c.turns[-1].text)
        seconds.append(time.perf_counter() - started)
    print(f"guard: {quantiles(seconds)}")
    seconds = []
    for c in [c.conversation for c in written()][600:1600]:
        started = time.perf_counter()
        model.assess(c.prefix(1))
        seconds.append(time.perf_counter() - started)
    print(f"a conversation of one turn: {quantiles(seconds)}")


def live(model: riskmodel.RiskModel, conversations: list[Conversation]) -> list[float]:
    seconds = []
    for c in conversations:
        chat = LiveConversation(model, c.id)
        for turn in c.turns:
            started = time.perf_counter()
            chat.add(turn)
            seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main(Path(sys.argv[1]))
