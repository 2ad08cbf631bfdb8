"""A saved model is checked before it is used; nothing in it is executed."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import orjson
import pytest

import riskmodel
from riskmodel.errors import ArtifactError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "model"
    shutil.copytree(str(files("riskmodel") / "resources/model"), target)
    return target


def test_saving_again_gives_the_same_files(model: riskmodel.RiskModel, folder: Path, tmp_path: Path) -> None:
    riskmodel.save_model(riskmodel.load_model(folder), tmp_path / "again")
    for name in ("weights.npz", "rules.json", "policy.toml", "words.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_size_and_card(folder: Path) -> None:
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 15 * 1024 * 1024
    card = orjson.loads((folder / "card.json").read_bytes())
    assert {"name", "version", "digest", "data", "made_with", "limits", "intended_use"} <= set(card)


@pytest.mark.parametrize("name", ["weights.npz", "rules.json", "policy.toml", "words.txt"])
def test_tampered_truncated_and_missing_files_are_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for wrong in (data[:-3], data + b"\n", data[: len(data) // 2], b""):
        (folder / name).write_bytes(wrong)
        with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
            riskmodel.load_model(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        riskmodel.load_model(folder)


def test_another_format_or_a_damaged_card(folder: Path) -> None:
    card = orjson.loads((folder / "card.json").read_bytes())
    for wrong in ({**card, "format": 0}, {**card, "digest": "0" * 16}, {k: v for k, v in card.items() if k != "files"}, []):
        (folder / "card.json").write_bytes(orjson.dumps(wrong))
        with pytest.raises(ArtifactError, match=r"card\.json"):
            riskmodel.load_model(folder)
    (folder / "card.json").write_bytes(b"{")
    with pytest.raises(ArtifactError, match="JSON"):
        riskmodel.load_model(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="folder"):
        riskmodel.load_model(tmp_path / "nothing")


def test_joblib_is_loaded_on_request_only_and_with_a_warning(folder: Path) -> None:
    (folder / "pipeline.joblib").write_bytes(b"not a pickle")
    riskmodel.load_model(folder)
    with pytest.warns(UserWarning, match="trust"), pytest.raises(Exception):  # noqa: B017, PT011
        riskmodel.load_pipeline(folder)
