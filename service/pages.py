"""The review page at ``/``: plain files, nothing from elsewhere, and a policy that keeps it so."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files

import orjson
from fastapi import APIRouter, Request, Response

from riskmodel import Signal
from riskmodel.taxonomy import DEMANDS

from .errors import Problem

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}


@lru_cache(maxsize=1)
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page by name: what is not in this table cannot be asked for."""
    out = {}
    for entry in (files("service") / "static").iterdir():
        kind = entry.name.rpartition(".")[2]
        if kind in _TYPES:
            out[entry.name] = (entry.read_bytes(), _TYPES[kind])
    out["labels.json"] = (_labels(), _TYPES["json"])
    return out


def _labels() -> bytes:
    """Return the package's names for people, and what the page must know of the taxonomy."""
    groups: dict[str, list[str]] = {}
    for signal in Signal:
        groups.setdefault(signal.group, []).append(signal.value)
    text = (files("riskmodel") / "resources/labels.toml").read_text("utf-8")
    return orjson.dumps({"labels": tomllib.loads(text), "groups": groups, "demands": sorted(DEMANDS)})


def _answer(name: str) -> Response:
    if name not in _files():
        raise Problem(404, "there is no such file")
    content, kind = _files()[name]
    headers = {
        "Content-Security-Policy": _CSP,
        "Cache-Control": "no-cache",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Content-Type": kind,
    }
    return Response(content, headers=headers)


@router.get("/")
async def index(request: Request) -> Response:
    return _answer("index.html")


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    return _answer("icon.svg")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    return _answer(name)
