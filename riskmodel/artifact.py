"""A saved model: a folder of plain arrays, rules, policy and a card. Nothing in it is executed.

====================  ==========================================================================
``card.json``         name, version, format, digest of every file, counts, metrics, limits
``weights.npz``       arrays only (no pickles)
``rules.json``        the rule files the model was trained with
``policy.toml``       thresholds, floors, actions
``words.txt``         the domain dictionary
====================  ==========================================================================

Digests are checked before anything is read. ``pipeline.joblib``, where it was saved too, is for
notebooks: `load_pipeline` says so before it unpickles.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from .additive import N_THRESHOLDS, AdditiveModel
from .assessment import ModelRef
from .errors import ArtifactError, RiskModelError
from .heads import AGENT_HEADS, CUSTOMER_HEADS, CompiledTagger, TurnModel
from .lexicon import pack_rules, unpack_rules
from .model import RiskModel
from .ngrams import MAX_N, NgramTable
from .policy import Policy, read_policy
from .pooling import FEATURE_NAMES
from .segment import Segmenter, domain_words
from .taxonomy import Topic
from .trust import N_RULE_COLUMNS, N_TIERS, TurnTrust

if TYPE_CHECKING:
    from .texthead import TextHead

__all__ = ["FORMAT", "load_model", "load_pipeline", "save_model"]

FORMAT = 3
_FILES = ("weights.npz", "rules.json", "policy.toml", "words.txt")
_TEXT_TABLES = tuple(f"text_{side}_{kind}" for side in ("customer", "agent") for kind in ("chars", "words", "near"))
_MAX_BYTES = 256 * 1024 * 1024
_SPLIT_FROM = 65_536
_RETRAIN = "train it again with this version: riskmodel train LABELLED... -o DIR"
Array = np.ndarray[Any, Any]


def save_model(model: RiskModel, folder: str | Path, pipeline: Any = None) -> Path:
    """Write a model to a folder; an earlier model there is replaced only when all is written.

    Parameters
    ----------
    pipeline : Pipeline, optional
        The scikit-learn form, saved beside it for notebooks.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lexicon = model.tagger.lexicon_or_default()
    contents: dict[str, bytes] = {
        "weights.npz": _pack(_arrays(model)),
        "rules.json": orjson.dumps({"sources": dict(lexicon.sources), "rules": pack_rules(lexicon)}, option=orjson.OPT_SORT_KEYS),
        "policy.toml": model.policy.source.encode(),
        "words.txt": ("\n".join(model.segmenter.words or domain_words()) + "\n").encode(),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    card = {
        **model.card,
        "name": model.ref.name,
        "version": model.ref.version,
        "format": FORMAT,
        "digest": _digest(digests),
        "files": digests,
        "max_n": model.tagger.customer_.table.max_n,
        "segmentation": {"engine": model.segmenter.engine, "dictionary": model.segmenter.digest},
        "text_head": model.text is not None,
    }
    contents["card.json"] = orjson.dumps(card, option=orjson.OPT_INDENT_2)
    for name, data in contents.items():
        part = folder / f".{name}.part"
        part.write_bytes(data)
        part.replace(folder / name)
    if pipeline is not None:
        import joblib

        joblib.dump(pipeline, folder / "pipeline.joblib", compress=3)
    return folder


def load_model(path: str | Path | None = None, *, policy: Policy | None = None) -> RiskModel:
    """Load a model: a folder, or the one that comes with the package.

    Parameters
    ----------
    path : path, optional
    policy : Policy, optional
        In place of the model's own.

    Raises
    ------
    ArtifactError
        When a file is missing, damaged, tampered with, too large, or of another format.
    """
    model = _default() if path is None else _load(Path(path))
    if policy is not None:
        model = replace(model, policy=policy)
    return model


@lru_cache(maxsize=1)
def _default() -> RiskModel:
    with as_file(files("riskmodel") / "resources/model") as folder:
        return _load(folder)


def load_pipeline(path: str | Path) -> Any:
    """Unpickle the scikit-learn pipeline saved beside a model, for notebooks.

    Unpickling runs code that the file holds: only do it with files you trust. The service never does.
    """
    import joblib

    warnings.warn("a joblib file can run code when it is loaded: open only what you trust", stacklevel=2)
    file = Path(path) / "pipeline.joblib"
    if not file.exists():
        raise ArtifactError("there is no scikit-learn pipeline", where=str(file), mend="save one with riskmodel train --pipeline")
    return joblib.load(file)


def _load(folder: Path) -> RiskModel:
    card = _read_card(folder)
    contents: dict[str, bytes] = {}
    for name in _FILES:
        data = _read(folder / name)
        if hashlib.sha256(data).hexdigest() != card["files"].get(name):
            raise ArtifactError(
                "the file is not the one the card was written for", where=str(folder / name),
                expected="the digest in card.json", mend="copy the whole model folder again, or " + _RETRAIN,
            )  # fmt: skip
        contents[name] = data
    if _digest(card["files"]) != card["digest"]:
        raise ArtifactError("the digests do not add up", where=str(folder / "card.json"), mend="copy the model folder again")
    try:
        return _built(folder, card, contents)
    except RiskModelError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        # The digests agree, so this is no damage: somebody, or another version, wrote it like this.
        raise ArtifactError(f"the model is not put together as it should be ({type(error).__name__})", where=str(folder), mend=_RETRAIN) from None


def _built(folder: Path, card: Mapping[str, Any], contents: Mapping[str, bytes]) -> RiskModel:
    arrays = _unpack(contents["weights.npz"], folder / "weights.npz")
    rules = orjson.loads(contents["rules.json"])
    lexicon = unpack_rules(rules["rules"], rules["sources"])
    words = tuple(contents["words.txt"].decode().split())
    where = str(folder / "weights.npz")
    tagger = CompiledTagger(
        lexicon,
        _turn_model(arrays, "customer", len(CUSTOMER_HEADS), card, where),
        _turn_model(arrays, "agent", len(AGENT_HEADS), card, where),
        _checked(arrays, "topic_intercept", (len(Topic),), where),
    )
    n_knots = arrays["level_knots"].shape[1] if arrays["level_knots"].ndim == 2 else 0
    n_columns = len(FEATURE_NAMES) + (N_THRESHOLDS if card.get("text_head") else 0)
    levels = AdditiveModel(
        _checked(arrays, "level_knots", (n_columns, n_knots), where),
        _checked(arrays, "level_values", (3, n_columns, n_knots), where),
        _checked(arrays, "level_intercept", (3,), where),
        _checked(arrays, "level_baseline", (3, n_columns), where),
    )
    segmenter = Segmenter(card["segmentation"]["engine"], words)
    return RiskModel(
        tagger,
        levels,
        read_policy(contents["policy.toml"].decode(), str(folder / "policy.toml")),
        ModelRef(str(card["name"]), str(card["version"]), str(card["digest"])),
        card,
        segmenter,
        _text_head(arrays, segmenter, where) if card.get("text_head") else None,
    )


def _read_card(folder: Path) -> dict[str, Any]:
    where = folder / "card.json"
    try:
        card = orjson.loads(_read(where))
    except orjson.JSONDecodeError:
        raise ArtifactError("the card is not valid JSON", where=str(where), mend="copy the model folder again") from None
    known = isinstance(card, dict) and card.get("format")
    if known != FORMAT:
        raise ArtifactError(f"the model has format {known!r}", where=str(where), expected=str(FORMAT), mend=_RETRAIN)
    for key, kind in (("files", dict), ("digest", str), ("name", str), ("version", str), ("max_n", int), ("segmentation", dict)):
        if not isinstance(card.get(key), kind):
            raise ArtifactError(f"the card has no {key}", where=str(where), mend="copy the model folder again")
    if not 1 <= card["max_n"] <= MAX_N:
        raise ArtifactError(f"max_n is {card['max_n']}", where=str(where), expected=f"1 to {MAX_N}")
    checked: dict[str, Any] = card
    return checked


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ArtifactError("the file is too large for a model", where=str(path), expected=f"at most {_MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"cannot be read ({type(error).__name__})", where=str(path),
            expected="a model folder with card.json, " + ", ".join(_FILES), mend="name the folder, not a file in it",
        ) from None  # fmt: skip


def _arrays(model: RiskModel) -> dict[str, Array]:
    out: dict[str, Array] = {
        "topic_intercept": model.tagger.topic_intercept_,
        "level_knots": model.levels.knots,
        "level_values": model.levels.values,
        "level_intercept": model.levels.intercept,
        "level_baseline": model.levels.baseline,
    }
    for side, part in (("customer", model.tagger.customer_), ("agent", model.tagger.agent_)):
        out[f"{side}_keys"] = part.table.keys
        out[f"{side}_idf"] = part.table.idf
        out[f"{side}_weights"] = part.table.weights.astype(np.float16)
        out[f"{side}_intercept"] = part.intercept
        for name in ("knots", "values", "rules", "intercept"):
            out[f"{side}_trust_{name}"] = getattr(part.trust, name)
    if model.text is not None:
        for name, table in zip(_TEXT_TABLES, model.text.tables, strict=True):
            out[f"{name}_keys"] = table.keys
            out[f"{name}_idf"] = table.idf
            out[f"{name}_weights"] = table.weights.astype(np.float16)
    return out


def _text_head(arrays: Mapping[str, Array], segmenter: Segmenter, where: str) -> TextHead:
    from .grams import GramTable  # most models have no text head
    from .texthead import TextHead

    tables = []
    for name in _TEXT_TABLES:
        keys = arrays.get(f"{name}_keys", np.zeros(0))
        n = len(keys)
        if keys.dtype != np.uint64 or (n > 1 and not (keys[1:] > keys[:-1]).all()):
            raise ArtifactError("the keys are not in order", where=f"{where}, {name}_keys", mend=_RETRAIN)
        idf = _checked(arrays, f"{name}_idf", (n,), where).astype(np.float32)
        tables.append(GramTable(keys, idf, _checked(arrays, f"{name}_weights", (n, N_THRESHOLDS), where).astype(np.float32)))
    return TextHead(tuple(tables), segmenter)


def _pack(arrays: Mapping[str, Array]) -> bytes:
    """Return an .npz with fixed dates, so that equal models are equal files.

    Of large half-precision arrays the two bytes stand apart: the high one packs well, the low one is
    noise, and unpacking that would only take time.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:

        def add(name: str, array: Array, how: int) -> None:
            inner = io.BytesIO()
            np.lib.format.write_array(inner, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (2020, 1, 1, 0, 0, 0)), inner.getvalue(), how, 6)

        for name, array in sorted(arrays.items()):
            if array.dtype == np.float16 and array.size >= _SPLIT_FROM:
                halves = np.ascontiguousarray(array).view(np.uint16)
                add(f"{name}.high", (halves >> 8).astype(np.uint8), zipfile.ZIP_DEFLATED)
                add(f"{name}.low", halves.astype(np.uint8), zipfile.ZIP_STORED)
            else:
                add(name, array, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _unpack(data: bytes, path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MAX_BYTES:
                raise ArtifactError("the arrays are too large for a model", where=str(path))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            out = {name: arrays[name] for name in arrays.files}
        for name in [n.removesuffix(".high") for n in out if n.endswith(".high")]:
            high, low = out.pop(f"{name}.high"), out.pop(f"{name}.low")
            out[name] = ((high.astype(np.uint16) << 8) | low).view(np.float16)
        return out
    except (ValueError, TypeError, zipfile.BadZipFile, KeyError, OSError, MemoryError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"the arrays cannot be read ({type(error).__name__})", where=str(path), mend=_RETRAIN) from None


def _turn_model(arrays: Mapping[str, Array], side: str, n_heads: int, card: Mapping[str, Any], where: str) -> TurnModel:
    keys = arrays.get(f"{side}_keys", np.zeros(0))
    n = len(keys)
    if keys.dtype != np.uint64 or (n > 1 and not (keys[1:] > keys[:-1]).all()):
        raise ArtifactError("the n-grams are not in order", where=f"{where}, {side}_keys", mend=_RETRAIN)
    return TurnModel(
        NgramTable(
            keys,
            _checked(arrays, f"{side}_idf", (n,), where).astype(np.float32),
            _checked(arrays, f"{side}_weights", (n, n_heads + len(Topic)), where).astype(np.float32),
            card["max_n"],
        ),
        _checked(arrays, f"{side}_intercept", (n_heads,), where),
        _trust(arrays, side, n_heads, where),
    )


def _trust(arrays: Mapping[str, Array], side: str, n_heads: int, where: str) -> TurnTrust:
    knots = arrays.get(f"{side}_trust_knots", np.zeros(0))
    n_knots = knots.shape[1] if knots.ndim == 2 else 0
    shapes = {
        "knots": (n_heads + 1, n_knots),
        "values": (n_heads + 1, n_knots, n_heads),
        "rules": (N_RULE_COLUMNS, N_TIERS, n_heads),
        "intercept": (n_heads,),
    }
    return TurnTrust(**{name: _checked(arrays, f"{side}_trust_{name}", shape, where) for name, shape in shapes.items()})


def _checked(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], where: str) -> Array:
    array = arrays.get(name)
    if array is None or array.shape != shape or array.dtype.kind != "f":
        found = "is missing" if array is None else f"has shape {array.shape} and type {array.dtype}"
        raise ArtifactError(f"array {name} {found}", where=where, expected=f"floats of shape {shape}", mend=_RETRAIN)
    if not np.isfinite(array).all():
        raise ArtifactError(f"array {name} holds values that are not finite", where=where, mend=_RETRAIN)
    return array


def _digest(files_: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(f"{k} {files_[k]}" for k in sorted(files_)).encode()).hexdigest()[:16]
