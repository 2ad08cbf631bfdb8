"""What a centre has today, to compare with: a keyword list, and plain TF-IDF + logistic regression."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline

from .cases import Case
from .evaluation import expected_calibration_error, recall_at
from .segment import Segmenter
from .taxonomy import Level

__all__ = ["compare_baselines", "keyword_scores", "transcript"]


def transcript(case: Case) -> str:
    """Return a conversation as one text, speakers marked."""
    return "\n".join(f"{t.speaker.value[0]}: {t.text}" for t in case.conversation.turns)


def keyword_scores(cases: Sequence[Case]) -> np.ndarray[Any, Any]:
    """Return how many words of a sensitive-word list the customer's turns hold."""
    words = tomllib.loads((files("riskmodel") / "resources/keyword_list.toml").read_text("utf-8"))["words"]
    return np.array(
        [sum(w in t.text for t in c.conversation.turns if t.speaker == "customer" for w in words) for c in cases], dtype=float
    )


def compare_baselines(train: Sequence[Case], test: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Return the results of both on the test cases, with the keys of `Metrics.to_dict`."""
    train = [c for c in train if c.level is not None]
    test = [c for c in test if c.level is not None]
    y = np.array([c.level >= Level.HIGH for c in train if c.level is not None])
    critical = np.array([c.level is Level.CRITICAL for c in test])
    serious = np.array([c.level >= Level.HIGH for c in test if c.level is not None])
    keywords = keyword_scores(test)
    segmenter = Segmenter()
    model = make_pipeline(
        TfidfVectorizer(tokenizer=segmenter.cut, token_pattern=None, ngram_range=(1, 2), min_df=2),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit([transcript(c) for c in train], y)
    risk = model.predict_proba([transcript(c) for c in test])[:, 1]
    return {
        "keyword list": _row(serious, critical, keywords / max(1.0, keywords.max()), keywords > 0),
        "TF-IDF + LR": _row(serious, critical, risk, risk >= 0.5),
    }


def _row(serious: Any, critical: Any, score: Any, called: Any) -> dict[str, Any]:
    return {
        "conversations": len(serious),
        "average_precision": round(float(average_precision_score(serious, score)), 4),
        "critical_recall": round(float(called[critical].mean()), 4),
        "high_recall": round(float(called[serious].mean()), 4),
        "false_alarms": round(float(called[~serious].mean()), 4),
        "recall_at_1": round(recall_at(serious, score, 0.01), 4),
        "recall_at_3": round(recall_at(serious, score, 0.03), 4),
        "calibration_error": round(expected_calibration_error(serious, score), 4),
    }
