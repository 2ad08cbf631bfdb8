"""What goes wrong around a batch: kills, full disks, locked folders, rivals, clocks. Nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import riskmodel
from riskmodel.batch import score_file, score_lines
from riskmodel.cases import Case

MAIN = "from riskmodel.cli import main; main()"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, corpus: list[Case]) -> Path:
    """4,000 conversations, enough to be interrupted in."""
    path = tmp_path_factory.mktemp("faults") / "in.jsonl"
    whole = [c.conversation.to_dict() for c in corpus if not c.is_utterance][:1_000]
    with path.open("w", encoding="utf-8") as out:
        for k in range(4):
            out.writelines(json.dumps(row | {"id": f"{row['id']}-{k}", "customer_id": row["id"]}, ensure_ascii=False) + "\n" for row in whole)
    return path


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("whole") / "out.jsonl"
    assert run(source, out).returncode == 0
    return out.read_bytes()


def start(source: Path, out: Path, *more: str, code: str = MAIN, **env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, "score", str(source), "-o", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env}, start_new_session=True)


def run(source: Path, out: Path, *more: str, code: str = MAIN, **env: str) -> subprocess.CompletedProcess[bytes]:
    process = start(source, out, *more, code=code, **env)
    said, problem = process.communicate(timeout=500)
    return subprocess.CompletedProcess(process.args, process.returncode, said, problem)


def until(condition: Callable[[], bool], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def staged(out: Path) -> int:
    part = out.with_name(f".{out.name}.part")
    return part.stat().st_size if part.exists() else 0


def kill(process: subprocess.Popen[bytes], out: Path, size: int) -> None:
    """Kill a run once it has staged more than `size` bytes."""
    until(lambda: staged(out) > size or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)  # until its workers, too, let go of the pipe


def test_killed_and_resumed_equals_an_uninterrupted_run(source: Path, expected: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    sizes = [0]
    for k in range(3):
        process = start(source, out, "--resume", "--jobs", "2" if k == 1 else "1")
        kill(process, out, sizes[-1])
        if out.exists():  # the machine was faster than the knife
            break
        sizes.append(staged(out))
    assert len(sizes) > 1, "never interrupted"
    done = run(source, out, "--resume")
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == expected
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_workers_end_with_a_killed_run(source: Path, tmp_path: Path) -> None:
    process = start(source, tmp_path / "out.jsonl", "--jobs", "2")
    kill(process, tmp_path / "out.jsonl", 0)

    def alive() -> list[str]:
        lines = subprocess.run(["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True).stdout.splitlines()[1:]
        return [line for line in lines if line.split()[1] == str(process.pid) and not line.split()[2].startswith("Z")]

    assert until(lambda: not alive(), 60), alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs RLIMIT_FSIZE: not on this system")
def test_a_full_disk_is_said_and_nothing_is_lost(source: Path, expected: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(expected) // 3}, {len(expected) // 3})); {MAIN}"
    failed = run(source, out, code=limited)
    assert failed.returncode == 2
    assert b"Traceback" not in failed.stderr
    assert b"--resume" in failed.stderr
    assert not out.exists()
    assert staged(out) > 0
    assert run(source, out, "--resume").returncode == 0
    assert out.read_bytes() == expected


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_a_disk_that_is_full_at_the_last_step_keeps_the_old_output(source: Path, tmp_path: Path, ending: str, model: riskmodel.RiskModel) -> None:
    out = tmp_path / f"out.{ending}"
    out.write_bytes(b"yesterday")
    code = (
        "import riskmodel.batch as b\n"
        "def full(*_): raise OSError(28, 'No space left on device')\n"
        f"b._write_table = full\n{MAIN}"
    )
    small = tmp_path / "in.jsonl"
    small.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:20]))
    failed = run(small, out, code=code)
    assert failed.returncode == 2, failed.stderr
    assert b"No space left" in failed.stderr
    assert out.read_bytes() == b"yesterday"
    assert run(small, out, "--resume").returncode == 0
    assert out.read_bytes() != b"yesterday"


@pytest.mark.parametrize("where", ["a-file/out.jsonl", "/proc/out.jsonl", "/dev/null/out.jsonl"])
def test_a_place_that_cannot_be_written(source: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "a-file").write_text("x")
    failed = run(source, tmp_path / where)
    assert failed.returncode == 2
    assert b"cannot be written" in failed.stderr
    assert b"Traceback" not in failed.stderr


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere: run as another user")
def test_a_read_only_folder(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    failed = run(source, folder / "out.jsonl")
    assert failed.returncode == 2
    assert b"Permission denied" in failed.stderr


def test_two_runs_on_one_output(source: Path, expected: bytes, tmp_path: Path) -> None:
    """The second is refused, and does not touch the lines of the first."""
    out = tmp_path / "out.jsonl"
    first = start(source, out)
    assert until(lambda: staged(out) > 0)
    for more in ((), ("--resume",)):
        second = run(source, out, *more)
        if first.poll() is None:
            assert second.returncode == 2, second.stderr
            assert b"another run is writing this output" in second.stderr
    first.communicate(timeout=300)
    assert out.read_bytes() == expected


def test_a_file_that_grows_while_it_is_read_gives_whole_lines(source: Path, tmp_path: Path) -> None:
    growing = tmp_path / "grows.jsonl"
    lines = source.read_bytes().splitlines(keepends=True)
    growing.write_bytes(b"".join(lines[:50]) + lines[50][:30])
    done = run(growing, tmp_path / "out.jsonl")
    assert done.returncode == 1
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 50


@pytest.mark.parametrize("clock", ["1.0", "-5e9", "4102444800.0", "float('nan')"])
def test_a_broken_clock_changes_nothing(source: Path, expected: bytes, tmp_path: Path, clock: str) -> None:
    code = f"import time; time.time = lambda: {clock}; time.monotonic = lambda: 7.0; {MAIN}"
    small = tmp_path / "in.jsonl"
    small.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:40]))
    done = run(small, tmp_path / "out.jsonl", code=code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(expected.splitlines(keepends=True)[:40])


@pytest.mark.parametrize(("seed", "jobs", "threads"), [("0", "1", "1"), ("1", "2", "2"), ("12345", "1", "8")])
def test_processes_threads_and_hash_seeds_change_no_byte(
    source: Path, expected: bytes, tmp_path: Path, seed: str, jobs: str, threads: str
) -> None:
    small = tmp_path / "in.jsonl"
    small.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:900]))
    env = {"PYTHONHASHSEED": seed, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)}
    assert run(small, tmp_path / "out.jsonl", "--jobs", jobs, **env).returncode == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(expected.splitlines(keepends=True)[:900])


@pytest.mark.parametrize("size", [1, 7, 499, 1_000])
def test_sizes_of_chunks_change_no_byte(source: Path, expected: bytes, model: riskmodel.RiskModel, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("riskmodel.batch._CHUNK", size)
    some = [riskmodel.Conversation.from_dict(json.loads(line)) for line in source.read_bytes().splitlines()[:300]]
    assert list(score_lines(some, model)) == expected.splitlines()[:300]


def test_an_interrupted_last_step_can_be_done_again(source: Path, tmp_path: Path, model: riskmodel.RiskModel) -> None:
    """All lines are staged, and the run died before they became the output."""
    some = [riskmodel.Conversation.from_dict(json.loads(line)) for line in source.read_bytes().splitlines()[:30]]
    out = tmp_path / "out.csv"
    (tmp_path / ".out.csv.part").write_bytes(b"".join(line + b"\n" for line in score_lines(some, model)))
    (tmp_path / ".out.csv.made").write_bytes(b"half a table")
    summary = score_file(some, out, model, resume=True)
    assert summary.resumed == summary.conversations == 30
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_lines_of_another_input_or_model_are_not_gone_on_from(source: Path, tmp_path: Path, model: riskmodel.RiskModel) -> None:
    some = [riskmodel.Conversation.from_dict(json.loads(line)) for line in source.read_bytes().splitlines()[:30]]
    out = tmp_path / "out.jsonl"
    lines = list(score_lines(some, model))
    stage = tmp_path / ".out.jsonl.part"
    stage.write_bytes(b"".join(line + b"\n" for line in lines[:20]))
    with pytest.raises(riskmodel.RiskModelError, match=r"other conversations.*without --resume"):
        score_file(some[::-1], out, model, resume=True)
    with pytest.raises(riskmodel.RiskModelError, match=r"more conversations.*without --resume"):
        score_file(some[:10], out, model, resume=True)
    stage.write_bytes(b"".join(line.replace(model.ref.digest.encode(), b"0123456789abcdef") + b"\n" for line in lines[:20]))
    with pytest.raises(riskmodel.RiskModelError, match=r"another model.*without --resume"):
        score_file(some, out, model, resume=True)
    assert score_file(some, out, model).resumed == 0
    assert out.read_bytes().splitlines() == lines
