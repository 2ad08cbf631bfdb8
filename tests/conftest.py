"""What several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import riskmodel
from riskmodel.cases import Case

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def model() -> riskmodel.RiskModel:
    """The model that comes with the package."""
    return riskmodel.load_model()


@pytest.fixture(scope="session")
def corpus() -> list[Case]:
    """All labelled cases."""
    return riskmodel.load_cases(folder=ROOT / "data")


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Folder of the public corpora; they are not part of the project."""
    folder = Path(os.environ.get("RISKMODEL_PUBLIC_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the public corpora are not here: set RISKMODEL_PUBLIC_DATA to their folder")
    return folder
