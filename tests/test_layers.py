"""A module imports only from lower floors, or from its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "riskmodel"
FLOORS = [
    {"errors", "conversation", "taxonomy", "assessment"},
    {"disguise", "gates", "judgeable", "lexicon", "normalize", "personal", "addresses", "privacy", "readers", "segment", "wording", "cases", "labelled", "grams", "svg"}
    | {"ngrams", "openings", "trie", "vectorizer"},
    {"matching", "status", "signals", "table"},
    {"heads", "trust", "trust_fit", "pooling", "tagger", "features", "pipeline", "additive", "rules", "texthead", "textlearner"},
    {"policy", "history", "explain", "model", "frames", "evaluation", "baselines"},
    {"artifact", "batch", "corpus", "display", "live", "report", "spark", "texts", "training", "cards", "thresholds", "small_data", "conformal", "drift"},
    {"show", "cli", "__init__", "__main__"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
MODULES = sorted(p for p in ROOT.rglob("*.py"))


def stem(module: str) -> str:
    """Return the module a helper belongs to: ``report_view`` stands on the floor of ``report``."""
    return module if module in FLOOR else module.split("_")[0]


def name_of(path: Path) -> str:
    return stem(path.relative_to(ROOT).with_suffix("").parts[0])


def imports(path: Path) -> set[str]:
    """Return the package's modules that a file imports outside of ``if TYPE_CHECKING``."""
    package = path.relative_to(ROOT).parent.parts
    found: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for n in ast.walk(block)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in hidden or not node.level:
            continue
        base = list(package)[: len(package) - (node.level - 1)] if node.level > 1 else list(package)
        target = [*base, *(node.module or "").split(".")] if node.module else [*base]
        if target:
            found.add(target[0])
        else:
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    own = name_of(path)
    assert own in FLOOR, f"give {own} a floor in {Path(__file__).name}"
    if own == "__init__":
        return
    for other in map(stem, imports(path)):
        assert FLOOR[other] <= FLOOR[own], f"{own} (floor {FLOOR[own]}) imports {other} (floor {FLOOR[other]})"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 600


def test_only_segment_knows_jieba() -> None:
    for path in MODULES:
        if path.stem != "segment":
            tree = ast.parse(path.read_text("utf-8"))
            names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
            assert not names & {"jieba", "rjieba"}, path


def test_the_service_uses_public_names_only() -> None:
    import riskmodel

    service = Path(__file__).parents[1] / "service"
    for path in service.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "riskmodel":
                assert {a.name for a in node.names} <= set(riskmodel.__all__), path
