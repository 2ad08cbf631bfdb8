"""A large file through the command line: ``python tests/benchmarks/bench_scale.py FOLDER [CONVERSATIONS]``.

Conversations are made by drawing turns from the corpus and from real dialogues: agents' turns from a small
pool, as scripts repeat, customers' from a large one. The file is scored with one job and with two; time,
peak memory of the largest process and rejected rows are printed.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from pairs import real, written

RUN = "from riskmodel.cli import main; main()"


def main(folder: Path, n: int) -> None:
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "night.jsonl"
        messages = make(folder, n, path)
        print(f"{n} conversations, {messages} messages, {path.stat().st_size / 1e6:.0f} MB", flush=True)
        taken = {}
        for jobs in (2, 1):
            scored = Path(work) / f"scored{jobs}.jsonl"
            started = time.perf_counter()
            command = [sys.executable, "-c", RUN, "score", str(path), "-o", str(scored), "--jobs", str(jobs)]
            done = subprocess.run(command, capture_output=True, text=True)
            taken[jobs] = time.perf_counter() - started
            lines = sum(1 for _ in scored.open("rb"))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{jobs} jobs: {taken[jobs]:.1f} s, {messages / taken[jobs]:.0f} messages/s, largest process so far {peak:.0f} MB, "
                f"{lines} scored, exit status {done.returncode}", flush=True
            )  # fmt: skip
        print(f"two jobs against one: {taken[1] / taken[2]:.2f} times")


def make(folder: Path, n: int, path: Path) -> int:
    """Write `n` conversations; return the number of messages."""
    draw = random.Random(7)
    said: dict[str, list[str]] = {"customer": [], "agent": []}
    for c in [*(c.conversation for c in written()), *real(folder)]:
        for turn in c.turns:
            if turn.speaker.value in said:
                said[turn.speaker.value].append(turn.text)
    scripts = draw.sample(said["agent"], 3_000)
    messages = 0
    with path.open("wb") as sink:
        for i in range(n):
            turns = []
            for k in range(draw.randint(3, 12)):
                speaker = "customer" if k % 2 == 0 else "agent"
                pool = scripts if speaker == "agent" and draw.random() < 0.8 else said[speaker]
                turns.append({"speaker": speaker, "text": draw.choice(pool)})
            messages += len(turns)
            sink.write(orjson.dumps({"id": f"c{i}", "turns": turns}) + b"\n")
    return messages


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200_000)
