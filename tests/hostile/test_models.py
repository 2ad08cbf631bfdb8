"""Models made to harm: every digest agrees, and still nothing but an ArtifactError comes of them."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

import riskmodel
from riskmodel.artifact import _digest
from riskmodel.errors import RiskModelError

Card = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with_model = files("riskmodel") / "resources/model"
    shutil.copytree(str(with_model), tmp_path / "m")
    return tmp_path / "m"


def sealed(folder: Path, change: Callable[[Card], None] = lambda card: None) -> None:
    """Write the card anew, its digests those of the changed files."""
    card = orjson.loads((folder / "card.json").read_bytes())
    card["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in card["files"]}
    card["digest"] = _digest(card["files"])
    change(card)
    (folder / "card.json").write_bytes(orjson.dumps(card))


def arrays(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "weights.npz") as archive:
        return {i.filename: archive.read(i) for i in archive.infolist()}


def write(folder: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def npy(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, **options)
    return out.getvalue()


def refused(folder: Path) -> None:
    with pytest.raises(RiskModelError) as caught:
        riskmodel.load_model(folder)
    assert str(folder) in str(caught.value)


def test_the_seal_of_these_tests_is_good(folder: Path) -> None:
    sealed(folder)
    assert riskmodel.load_model(folder).ref.name


@pytest.mark.parametrize("name", ["level_knots.npy", "level_values.npy", "topic_intercept.npy", "agent_keys.npy", "customer_trust_rules.npy"])
@pytest.mark.parametrize("how", ["gone", "object", "text", "flat", "nan", "huge", "cut"])
def test_arrays(folder: Path, name: str, how: str) -> None:
    parts = arrays(folder)
    huge = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + b"{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000000,), }".ljust(117) + b"\n"
    parts[name] = {
        "gone": b"",
        "object": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
        "text": npy(np.array(["a", "b"])),
        "flat": npy(np.zeros(3)),
        "nan": npy(np.full_like(np.load(io.BytesIO(parts[name])), np.nan, dtype=float)),
        "huge": huge,
        "cut": parts[name][: len(parts[name]) // 2],
    }[how]
    if how == "gone":
        del parts[name]
    write(folder, parts)
    sealed(folder)
    refused(folder)


def test_arrays_that_unpack_without_end(folder: Path) -> None:
    write(folder, arrays(folder) | {"bomb.npy": npy(np.zeros(300 << 17))})
    assert (folder / "weights.npz").stat().st_size < 64 << 20
    sealed(folder)
    refused(folder)


@pytest.mark.parametrize("name", ["rules.json", "policy.toml", "words.txt", "weights.npz"])
@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"[]", b"{}", b'{"rules": 1, "sources": 2}', b'{"rules": [[1]], "sources": {}}', b"[" * 100_000])
def test_other_files(folder: Path, name: str, data: bytes) -> None:
    if name == "words.txt" and data != b"\xff\xfe\x00":
        pytest.skip("any text is a list of words")
    (folder / name).write_bytes(data)
    sealed(folder)
    refused(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(segmentation={"engine": "os.system"}),
        lambda c: c.update(segmentation={}),
        lambda c: c.update(text_head=True),
        lambda c: c.update(max_n=10**9),
        lambda c: c.update(files=dict.fromkeys(c["files"], 7)),
        lambda c: c.update(files={}),
        lambda c: c.update(digest="0" * 16),
        lambda c: c.update(format=2),
    ],
)
def test_cards(folder: Path, change: Callable[[Card], None]) -> None:
    sealed(folder, change)
    refused(folder)


def test_no_flipped_byte_gets_through(folder: Path) -> None:
    draw = random.Random(7)
    for name in ("weights.npz", "rules.json", "policy.toml", "words.txt"):
        data = bytearray((folder / name).read_bytes())
        for _ in range(3):
            at = draw.randrange(len(data))
            data[at] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(data)
            refused(folder)
            data[at] = (files("riskmodel") / "resources/model" / name).read_bytes()[at]
        (folder / name).write_bytes(data)


def test_a_link_out_of_the_folder_changes_nothing_that_is_checked(folder: Path, tmp_path: Path) -> None:
    (folder / "policy.toml").unlink()
    (tmp_path / "other.toml").write_text("name = 'x'")
    (folder / "policy.toml").symlink_to(tmp_path / "other.toml")
    refused(folder)
