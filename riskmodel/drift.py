"""Whether what comes in has changed: words, signals and scores of two frames, say of two months."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .evaluation_stats import wilson
from .normalize import normalize_many
from .segment import Segmenter
from .taxonomy import SIGNALS, Status

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["score_drift", "signal_drift", "vocabulary_drift"]

Array = np.ndarray[Any, Any]

_HALF = 0.5  # added to every count, so that a word or a bin that is new has no endless weight
_WATCH, _DRIFTED = 0.1, 0.25  # usual marks of the population stability index
_COUNTING = frozenset(w for s in Status if s.counts for w in (s.value, f"({s.value})"))


def vocabulary_drift(before: pd.DataFrame, after: pd.DataFrame, *, text: str = "text", top: int = 30) -> pd.DataFrame:
    """Return the words whose share has changed most.

    Returns
    -------
    DataFrame
        word, share_before, share_after (of all words), log_ratio, js: the word's part of the Jensen-Shannon
        divergence in bits, largest first. ``attrs["js"]`` is the whole, from 0 (the same) to 1.
    """
    import pandas as pd

    a, b = _words(before, text), _words(after, text)
    words = sorted(set(a) | set(b))
    counts = np.array([[a[w], b[w]] for w in words], dtype=float).reshape(-1, 2) + _HALF
    share = counts / counts.sum(axis=0)
    parts = js_parts(share[:, 0], share[:, 1])
    order = np.argsort(-parts, kind="stable")[:top]
    out = pd.DataFrame(
        {
            "word": [words[i] for i in order],
            "share_before": share[order, 0],
            "share_after": share[order, 1],
            "log_ratio": np.log(share[order, 1] / share[order, 0]),
            "js": parts[order],
        }
    )
    out.attrs["js"] = float(parts.sum())
    return out


def _words(frame: pd.DataFrame, text: str) -> Counter[str]:
    if text not in frame.columns:
        raise InputError(f"there is no column {text!r}", expected="one of " + ", ".join(map(str, frame.columns)))
    if not len(frame):
        raise InputError("a frame is empty", expected="conversations of two periods")
    segmenter = Segmenter()
    texts = normalize_many(["" if t is None or t != t else str(t) for t in frame[text].tolist()]).texts()
    return Counter(w for words in segmenter.cut_many(texts) for w in words if any(ch.isalnum() for ch in w))


def js_parts(p: Array, q: Array) -> Array:
    """Return each entry's part of the Jensen-Shannon divergence of two distributions, in bits."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = (np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)) / 2
    out: Array = parts
    return out


def psi_parts(p: Array, q: Array) -> Array:
    """Return each bin's part of the population stability index of two distributions."""
    parts: Array = (q - p) * np.log(q / p)
    return parts


def signal_drift(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return how the share of conversations with each signal has changed, in two scored frames.

    Returns
    -------
    DataFrame
        signal, before, after (shares of conversations in which it counts), difference with the ends of its
        95 % interval (low, high), and psi; the largest difference first. Signals that neither has are left out.
    """
    import pandas as pd

    rows = []
    n_a, n_b = len(before), len(after)
    if not n_a or not n_b:
        raise InputError("a frame is empty", expected="scored conversations of two periods")
    for signal in SIGNALS:
        if signal.value not in before.columns or signal.value not in after.columns:
            raise InputError(f"there is no column {signal.value!r}", expected="scored frames, as model.to_frame or score_frame gives them")
        k_a, k_b = (int(frame[signal.value].isin(_COUNTING).sum()) for frame in (before, after))
        if not k_a and not k_b:
            continue
        low, high = _difference_interval(k_a, n_a, k_b, n_b)
        share = np.array([[k_a, n_a - k_a], [k_b, n_b - k_b]]) + _HALF
        p, q = share / share.sum(axis=1, keepdims=True)
        rows.append(
            {
                "signal": signal.value, "before": k_a / n_a, "after": k_b / n_b, "difference": k_b / n_b - k_a / n_a,
                "low": low, "high": high, "psi": float(psi_parts(p, q).sum()),
            }
        )  # fmt: skip
    columns = ["signal", "before", "after", "difference", "low", "high", "psi"]
    out = pd.DataFrame(rows, columns=columns)
    return out.sort_values("difference", key=abs, ascending=False, kind="stable", ignore_index=True)


def _difference_interval(k_a: int, n_a: int, k_b: int, n_b: int) -> tuple[float, float]:
    """Return Newcombe's interval of the difference of two shares: right for rare signals, too."""
    a, b = wilson(k_a, n_a), wilson(k_b, n_b)
    d = b.value - a.value
    return d - float(np.hypot(b.value - b.low, a.high - a.value)), d + float(np.hypot(b.high - b.value, a.value - a.low))


def score_drift(before: pd.DataFrame, after: pd.DataFrame, *, column: str = "risk", bins: int = 10) -> pd.DataFrame:
    """Return how the distribution of a score has changed, over bins that `before` fills evenly.

    Returns
    -------
    DataFrame
        bin, low, high, before, after (shares) and psi. ``attrs`` has the whole psi, js (bits) and the
        verdict: ``stable`` below 0.1, ``watch`` below 0.25, else ``drifted``.
    """
    import pandas as pd

    for frame in (before, after):
        if column not in frame.columns:
            raise InputError(f"there is no column {column!r}", expected="one of " + ", ".join(map(str, frame.columns)))
    a, b = (f[column].to_numpy(dtype=float) for f in (before, after))
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if not len(a) or not len(b) or bins < 2:
        raise InputError(f"{len(a)} and {len(b)} scores, {bins} bins", expected="scores on both sides, and two bins or more")
    inner = np.unique(np.quantile(a, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(inner, v, side="right"), minlength=len(inner) + 1) for v in (a, b)]
    shares = [(c + _HALF) / (c + _HALF).sum() for c in counts]
    parts = psi_parts(*shares)
    ends = np.concatenate([[min(a.min(), b.min())], inner, [max(a.max(), b.max())]])
    out = pd.DataFrame(
        {"bin": np.arange(len(parts)), "low": ends[:-1], "high": ends[1:], "before": counts[0] / len(a), "after": counts[1] / len(b), "psi": parts}
    )
    psi = float(parts.sum())
    verdict = "stable" if psi < _WATCH else "watch" if psi < _DRIFTED else "drifted"
    out.attrs.update(psi=psi, js=float(js_parts(*shares).sum()), verdict=verdict)
    return out
