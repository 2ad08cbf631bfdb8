"""One shape for every error: RFC 9457 problem details, in words a client can act on.

A problem never holds a trace or the text of a message. Its `type` is ``urn:riskmodel:problem:<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from riskmodel import RiskModelError

__all__ = ["Problem", "add_handlers", "field_errors", "problem_response"]

MEDIA_TYPE = "application/problem+json"
_MAX_ERRORS = 20

_NAMES = {
    400: "bad-request",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "not-enabled",
    413: "too-large",
    415: "not-json",
    422: "invalid",
    429: "too-many-requests",
    500: "internal",
    503: "busy",
}


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An answer that is an error.

    Parameters
    ----------
    status : int
    detail : str
        What was wrong and how to mend it.
    errors : sequence of mapping, optional
        One entry a field: ``field``, ``detail`` and, where known, ``expected`` and ``mend``.
    headers : mapping, optional
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)[:_MAX_ERRORS]
        self.headers = dict(headers or {})

    def to_dict(self, request_id: str = "") -> dict[str, Any]:
        """Return the problem object."""
        out: dict[str, Any] = {
            "type": f"urn:riskmodel:problem:{_NAMES.get(self.status, 'http')}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if request_id:
            out["instance"] = f"urn:riskmodel:request:{request_id}"
        if self.errors:
            out["errors"] = self.errors
        return out


def busy(detail: str, retry_after_s: int = 1) -> Problem:
    """Return the answer of a service that has more to do than it should promise."""
    return Problem(503, detail, headers={"Retry-After": str(retry_after_s)})


def problem_response(problem: Problem, request_id: str = "") -> Response:
    """Return the HTTP response of a problem."""
    return Response(
        orjson.dumps(problem.to_dict(request_id)),
        problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def from_riskmodel(error: RiskModelError, field: str = "") -> Problem:
    """Return a 422 in the library's own words."""
    entry = {"field": field or error.where, "detail": error.what}
    entry.update({k: v for k, v in (("expected", error.expected), ("mend", error.mend)) if v})
    return Problem(422, str(error), errors=[entry])


def field_errors(error: ValidationError | RequestValidationError) -> list[dict[str, str]]:
    """Return pydantic's findings by field, without the values that were sent."""
    out = []
    for item in error.errors() if isinstance(error, RequestValidationError) else error.errors(
        include_url=False, include_context=False, include_input=False
    ):
        out.append({"field": field_name(item["loc"]), "detail": str(item["msg"])})
    return out


def field_name(loc: Sequence[str | int]) -> str:
    """Return a place such as ``turns[3].text``."""
    name = ""
    for part in loc:
        name += f"[{part}]" if isinstance(part, int) else f".{part[:60]}" if name else part[:60]
    return name or "body"


def add_handlers(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error, _request_id(request))

    async def on_riskmodel(request: Request, error: Exception) -> Response:
        assert isinstance(error, RiskModelError)
        return problem_response(from_riskmodel(error), _request_id(request))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        errors = field_errors(error)
        what = "; ".join(f"{e['field']}: {e['detail']}" for e in errors[:3])
        return problem_response(Problem(422, what, errors=errors), _request_id(request))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {
            404: "there is nothing at this path; GET /openapi.json lists what there is",
            405: f"this path does not take {request.method}; see the Allow header",
        }
        headers = dict(error.headers or {})
        problem = Problem(error.status_code, words.get(error.status_code, "the request was refused"), headers=headers)
        return problem_response(problem, _request_id(request))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RiskModelError, on_riskmodel)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _request_id(request: Request) -> str:
    return str(request.scope.get("riskmodel.request_id", ""))
