"""What the pages say is so: examples run, options and keys are all told, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from .test_layers import FLOOR

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/**/*.md"), *ROOT.glob("constraints/*.md")])
#: Blocks of Python that stand alone; the others need a model or data of the reader's own.
ALONE = ["README.md", "docs/policy.md", "data/README.md"]


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ALONE)
def test_python_runs(page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    found = blocks(page, "python")
    assert found
    scope: dict[str, object] = {"__name__": "docs"}
    for block in found:
        exec(compile(block, page, "exec"), scope)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_commands_run(tmp_path: Path) -> None:
    """Every line after a $ in docs/cli.md, in its order, in a folder that holds the data."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "out").mkdir()
    lines = [line[2:] for block in blocks("docs/cli.md", "console") for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) >= 8
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "riskmodel"
        code = "import sys; from riskmodel.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, (line, done.stderr)
    assert {"scored.jsonl", "scored.csv", "text.parquet", "report.html"} <= {p.name for p in (tmp_path / "out").iterdir()}


def test_every_command_and_option_is_told() -> None:
    import typer

    from riskmodel.cli import app

    told = (ROOT / "docs/cli.md").read_text("utf-8")
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert re.search(rf"riskmodel {name}\b", told), name
        for child in getattr(command, "commands", {}):
            assert f"riskmodel {name} {child}" in told or f"`{child}`" in told, (name, child)
    for parameter in group.commands["score"].params:  # type: ignore[attr-defined]
        long = max(parameter.opts, key=len)
        assert f"`{long}`" in told or f"`{long}" in told, long


def test_every_part_of_the_policy_is_told() -> None:
    told = (ROOT / "docs/policy.md").read_text("utf-8")
    data = tomllib.loads((files("riskmodel") / "resources/policy.toml").read_text("utf-8"))
    for section, values in data.items():
        if section == "name":
            continue
        assert f"[{section}]" in told, section
        if section not in ("floors", "floors_when_done", "rules"):
            for key in values[0] if isinstance(values, list) else values:
                assert f"`{key}`" in told, (section, key)


def test_the_format_of_models_is_told() -> None:
    from riskmodel.artifact import _FILES, FORMAT

    told = (ROOT / "docs/artifact.md").read_text("utf-8")
    assert f"format {FORMAT}" in told
    for name in (*_FILES, "card.json"):
        assert f"`{name}`" in told


def test_the_floors_are_told() -> None:
    told = (ROOT / "docs/architecture.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (\d) \| (.+) \|$", told, re.MULTILINE))
    for name, floor in FLOOR.items():
        if not name.startswith("__"):
            assert re.search(rf"\b{name}\b", rows[str(floor)]), f"{name} stands on floor {floor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_files(page: Path) -> None:
    text = page.read_text("utf-8")
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", plain):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for target in re.findall(r"`((?:riskmodel|service|tests|docs|data|notebooks|constraints)/[\w./-]+\.(?:py|md|toml|jsonl|ipynb|txt|json|tsv))`", plain):
        assert (ROOT / target).exists() or (ROOT / "riskmodel" / target).exists(), target
