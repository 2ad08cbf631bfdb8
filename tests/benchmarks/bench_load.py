"""From nothing to the first answer, in fresh processes: ``python tests/benchmarks/bench_load.py``.

Beside each start stands that of a process that imports pandas and scikit-learn and loads jieba, as the
analyst's script does before its first text.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROUNDS = 5
LOAD = """
import time
started = time.perf_counter()
import riskmodel
from riskmodel.artifact import load_model
imported = time.perf_counter()
model = load_model()
loaded = time.perf_counter()
c = riskmodel.Conversation.from_dict({"id": "x", "turns": [{"speaker": "customer", "text": "再不退款我就打12315"}]})
model.assess(c)
first = time.perf_counter()
import sys
heavy = [m for m in ("sklearn", "pandas", "scipy", "numba") if m in sys.modules]
print(imported - started, loaded - imported, first - loaded, "imports " + (", ".join(heavy) or "nothing heavy"), sep="|")
"""
SCRIPT = "import logging, pandas, sklearn.linear_model, sklearn.feature_extraction.text, jieba; jieba.setLogLevel(logging.WARNING); jieba.initialize()"
PORT = 8199


def main() -> None:
    parts = []
    note = ""
    for _ in range(ROUNDS):
        *numbers, note = subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True, text=True).stdout.strip().split("|")
        parts.append([float(x) for x in numbers])
    imported, loaded, first = (statistics.median(column) for column in zip(*parts, strict=True))
    print(f"library: import {imported:.2f} s, load {loaded:.2f} s, first answer after {first:.2f} s more; {note}")
    sample = Path(__file__).parents[2] / "data/samples/conversations.jsonl"
    score = [sys.executable, "-c", "from riskmodel.cli import main; main()", "score", str(sample)]
    rows = [(timed(score), timed([sys.executable, "-c", SCRIPT])) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"riskmodel score of a small file: {ours:.2f} s; only the imports of the script: {theirs:.2f} s")
    print(f"service, start to ready: {statistics.median(ready() for _ in range(3)):.2f} s")


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def ready() -> float:
    started = time.perf_counter()
    command = [sys.executable, "-m", "uvicorn", "service.app:create_app", "--factory", "--port", str(PORT), "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while time.perf_counter() - started < 60:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=1):
                        return time.perf_counter() - started
                except (urllib.error.URLError, OSError):
                    time.sleep(0.02)
        finally:
            server.terminate()
    return float("nan")


if __name__ == "__main__":
    main()
