"""The OpenAPI description: bodies that the endpoints read themselves, and problems everywhere."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from . import schemas

__all__ = ["body", "describe", "problems"]

_BODIES = (schemas.ConversationIn, schemas.BatchIn, schemas.GuardIn, schemas.HeatIn, schemas.FeedbackIn)
_WORDS = {
    400: "The body is not JSON in UTF-8",
    401: "No or an unknown API key",
    404: "Nothing here",
    408: "The body did not arrive in time",
    409: "Not enabled on this server, or refused by its state",
    413: "Larger than the limits",
    415: "The body is not declared as JSON",
    422: "A field is wrong; `errors` names it",
    429: "Too many requests; Retry-After says when to come back",
    503: "Too much to do; Retry-After says when to come back",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of an endpoint."""
    return {
        status: {
            "description": _WORDS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}},
            **({"headers": {"Retry-After": {"schema": {"type": "integer"}}}} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def body(schema: str, example: str) -> dict[str, Any]:
    """Return the description of a JSON body with an example."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{schema}"},
                    "examples": {example: {"value": schemas.examples()[example]}},
                }
            },
        }
    }


def describe(app: FastAPI) -> None:
    """Give the app its description, made on first use."""

    def make() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
            )
            parts = found.setdefault("components", {}).setdefault("schemas", {})
            template = "#/components/schemas/{model}"
            wanted = [(m, "validation") for m in _BODIES] + [(schemas.ProblemOut, "serialization")]
            _, definitions = models_json_schema(wanted, ref_template=template)  # type: ignore[arg-type]
            parts.update(definitions["$defs"])
            found["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            for path, operations in found["paths"].items():
                for operation in operations.values():
                    if path.startswith("/v1") or path == "/metrics":
                        operation["security"] = [{"bearer": []}, {"key": []}, {}]
                    if not path.startswith("/v1"):
                        operation["responses"].pop("422", None)
            parts.pop("HTTPValidationError", None)
            parts.pop("ValidationError", None)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = make  # type: ignore[method-assign]
