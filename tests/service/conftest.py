"""A service in this process, and what its tests share."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    # It asks for httpx2; httpx serves as well.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

import riskmodel
from service.app import create_app
from service.settings import Settings

KEY = "test-key-0123456789abcdef"


@pytest.fixture(scope="session")
def model() -> riskmodel.RiskModel:
    """The model that comes with the package, or the one of the folder TEST_MODEL."""
    return riskmodel.load_model(os.environ.get("TEST_MODEL") or None)


@pytest.fixture(scope="session")
def examples() -> dict[str, Any]:
    return json.loads((files("service") / "resources/examples.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def samples() -> list[riskmodel.Conversation]:
    found = json.loads((files("service") / "static/samples.json").read_text("utf-8"))
    return [riskmodel.Conversation.from_dict({"id": s["id"], "turns": s["turns"]}) for s in found]


@pytest.fixture
def make(model: riskmodel.RiskModel) -> Iterator[Callable[..., TestClient]]:
    """Start a service with settings; closed after the test."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        app = create_app(Settings(**{"log": "off", **settings}), model=model)
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make: Callable[..., TestClient]) -> TestClient:
    return make()


@pytest.fixture
def model_folder(model: riskmodel.RiskModel, tmp_path: Path) -> Path:
    """The model as a folder that a test may spoil."""
    return riskmodel.save_model(model, tmp_path / "model")
