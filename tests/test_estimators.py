"""The contract every estimator keeps: arguments only stored, clone, pickle, names, grid search."""

from __future__ import annotations

import inspect
import io
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import riskmodel
from riskmodel.cases import Case
from riskmodel.features import FEATURE_NAMES, ConversationFeatures
from riskmodel.pipeline import LevelClassifier, make_risk_pipeline
from riskmodel.tagger import SignalTagger
from riskmodel.vectorizer import NgramVectorizer

ESTIMATORS = [NgramVectorizer, SignalTagger, ConversationFeatures, LevelClassifier]


@pytest.fixture(scope="module")
def few(corpus: list[Case]) -> list[Case]:
    """Some conversations of four authors, all levels among them."""
    authors = sorted({c.author for c in corpus})[:4]
    return [c for a in authors for c in [c for c in corpus if c.author == a and c.level is not None][:40]]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_constructor_only_stores_its_arguments(kind: type[BaseEstimator]) -> None:
    estimator = kind()
    names = set(inspect.signature(kind.__init__).parameters) - {"self"}
    assert set(vars(estimator)) == names
    assert set(estimator.get_params(deep=False)) == names


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_clones_copies_and_pickles(kind: type[BaseEstimator]) -> None:
    estimator = kind()
    for copy in (clone(estimator), pickle.loads(pickle.dumps(estimator))):
        assert copy.get_params().keys() == estimator.get_params().keys()


@pytest.mark.parametrize("kind", [SignalTagger, ConversationFeatures])
def test_fit_returns_self_and_learned_names_end_in_an_underscore(kind: type[BaseEstimator], few: list[Case]) -> None:
    estimator = kind()
    before = set(vars(estimator))
    assert estimator.fit(few) is estimator
    assert all(name.endswith("_") for name in set(vars(estimator)) - before)


def test_level_classifier_is_a_scikit_learn_classifier() -> None:
    results = check_estimator(LevelClassifier(), on_fail=None, on_skip=None)
    failed = [r["check_name"] for r in results if r["status"] == "failed"]
    allowed = {
        "check_sample_weight_equivalence_on_dense_data",  # corners and folds do not know the weights
        "check_classifiers_one_label",  # a single level cannot be learned, and the error says so
        "check_classifiers_classes",
        "check_classifiers_train",  # both: the decision function has one column a threshold, not a class
    }
    assert set(failed) <= allowed, failed


def test_feature_names(few: list[Case]) -> None:
    features = ConversationFeatures().fit(few)
    assert list(features.get_feature_names_out()) == list(FEATURE_NAMES)
    assert features.transform(few).shape == (len(few), len(FEATURE_NAMES))
    names = NgramVectorizer().fit(["我要投诉", "不要投诉"]).get_feature_names_out()
    assert "投诉␃" in names


def test_features_are_cross_fitted(few: list[Case]) -> None:
    features = ConversationFeatures()
    held_out = features.fit_transform(few)
    seen = features.transform(few)
    column = FEATURE_NAMES.index("deciding:high:max")
    y = np.array([c.level >= 2 for c in few if c.level is not None])
    gap = seen[y, column].mean() - seen[~y, column].mean()
    assert gap > held_out[y, column].mean() - held_out[~y, column].mean()


def test_grid_search_with_two_processes_and_joblib(few: list[Case], tmp_path: Path) -> None:
    y = np.array([int(c.level) for c in few if c.level is not None])
    search = GridSearchCV(make_risk_pipeline(), {"levels__C": [0.01, 0.1]}, cv=2, n_jobs=2, scoring="accuracy")
    search.fit(few, y)
    buffer = io.BytesIO()
    joblib.dump(search.best_estimator_, buffer)
    buffer.seek(0)
    again = joblib.load(buffer)
    conversations = [c.conversation for c in few]
    np.testing.assert_array_equal(again.predict_proba(conversations), search.predict_proba(conversations))


def test_pipeline_predicts_for_conversations(few: list[Case]) -> None:
    y = [int(c.level) for c in few if c.level is not None]
    pipeline = make_risk_pipeline().fit(few, y, levels__groups=[c.author for c in few])
    p = pipeline.predict_proba([c.conversation for c in few])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert set(pipeline.predict(few)) <= {0, 1, 2, 3}
    assert isinstance(riskmodel.Level(int(pipeline.predict(few)[0])), riskmodel.Level)
