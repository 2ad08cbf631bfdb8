"""Complaint-risk classifier for Chinese customer-service conversations.

>>> import riskmodel
>>> model = riskmodel.load_model()
>>> conversation = riskmodel.Conversation.from_dict(
...     {"id": "c1", "turns": [{"speaker": "customer", "text": "再不退款我就打12315"}]})
>>> model.assess(conversation).level.label
'high'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifact import load_model as load_model
    from .artifact import load_pipeline as load_pipeline
    from .artifact import save_model as save_model
    from .assessment import Action as Action
    from .assessment import Assessment as Assessment
    from .assessment import Evidence as Evidence
    from .assessment import Finding as Finding
    from .cases import Case as Case
    from .cases import load_cases as load_cases
    from .cases import read_cases as read_cases
    from .conformal import Conformal as Conformal
    from .conformal import fit_conformal as fit_conformal
    from .conversation import Conversation as Conversation
    from .conversation import Speaker as Speaker
    from .conversation import Turn as Turn
    from .display import show as show
    from .drift import score_drift as score_drift
    from .drift import signal_drift as signal_drift
    from .drift import vocabulary_drift as vocabulary_drift
    from .errors import RiskModelError as RiskModelError
    from .evaluation import evaluate as evaluate
    from .evaluation_compare import compare as compare
    from .evaluation_report import measure as measure
    from .frames import cases_frame as cases_frame
    from .frames import from_frame as from_frame
    from .frames import to_frame as to_frame
    from .labelled import read_labelled as read_labelled
    from .lexicon import load_lexicon as load_lexicon
    from .model import RiskModel as RiskModel
    from .pipeline import make_risk_pipeline as make_risk_pipeline
    from .policy import load_policy as load_policy
    from .readers import read_conversations as read_conversations
    from .signals import find_evidence as find_evidence
    from .small_data import find_label_issues as find_label_issues
    from .small_data import learning_curve as learning_curve
    from .small_data import score_frame as score_frame
    from .small_data import suggest as suggest
    from .taxonomy import Level as Level
    from .taxonomy import Signal as Signal
    from .taxonomy import Status as Status
    from .taxonomy import Topic as Topic
    from .texts import cross_predict as cross_predict
    from .texts import train_texts as train_texts
    from .thresholds import choose_thresholds as choose_thresholds
    from .training import train_model as train_model

# Loaded on first use: scoring does not need what training needs.
_HOMES = {
    "Action": "assessment",
    "Assessment": "assessment",
    "Case": "cases",
    "Conformal": "conformal",
    "Conversation": "conversation",
    "Evidence": "assessment",
    "Finding": "assessment",
    "Level": "taxonomy",
    "RiskModel": "model",
    "RiskModelError": "errors",
    "Signal": "taxonomy",
    "Speaker": "conversation",
    "Status": "taxonomy",
    "Topic": "taxonomy",
    "Turn": "conversation",
    "cases_frame": "frames",
    "choose_thresholds": "thresholds",
    "compare": "evaluation_compare",
    "cross_predict": "texts",
    "evaluate": "evaluation",
    "find_evidence": "signals",
    "find_label_issues": "small_data",
    "fit_conformal": "conformal",
    "from_frame": "frames",
    "learning_curve": "small_data",
    "load_cases": "cases",
    "load_lexicon": "lexicon",
    "load_model": "artifact",
    "load_pipeline": "artifact",
    "load_policy": "policy",
    "make_risk_pipeline": "pipeline",
    "measure": "evaluation_report",
    "read_cases": "cases",
    "read_conversations": "readers",
    "read_labelled": "labelled",
    "save_model": "artifact",
    "score_drift": "drift",
    "score_frame": "small_data",
    "show": "display",
    "signal_drift": "drift",
    "suggest": "small_data",
    "to_frame": "frames",
    "train_model": "training",
    "train_texts": "texts",
    "vocabulary_drift": "drift",
}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
