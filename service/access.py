"""Who may ask, and how often."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from .errors import Problem
from .settings import Settings, SettingsError

__all__ = ["Buckets", "Gatekeeper", "TokenBucket"]

_SHORTEST = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MAX_BUCKETS = 10_000
_KEY_PROTOCOL = "riskmodel.key."  # a browser cannot set headers on a WebSocket: key in hex as a subprotocol


class TokenBucket:
    """`rate` tokens a second, at most `burst` at once."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate


class Buckets:
    """A bucket for each key or address, the least recently used forgotten first."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, who: str) -> float:
        """Take a token of `who`; return 0, or the seconds to wait."""
        if not self.rate:
            return 0.0
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = TokenBucket(self.rate, self.burst)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        return bucket.take()


class Gatekeeper:
    """Checks the key (or, where none is set, that the caller is on this machine), then the rate."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = _digests(settings.api_keys, "RISKMODEL_API_KEYS")
        self._file = Path(settings.api_keys_file) if settings.api_keys_file else None
        self._stamp = (0.0, 0)
        self._looked = 0.0
        self._from_file: dict[bytes, str] = {}
        self._buckets = Buckets(settings.rate_per_s, settings.rate_burst)
        self._refresh()

    @property
    def open(self) -> bool:
        """Whether no key is set: only this machine may ask."""
        return not self._fixed and self._file is None

    def admit(self, scope: Scope) -> str:
        """Return who asks.

        Raises
        ------
        Problem
            401 or 429.
        """
        headers = Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else "local"
        if scope["type"] == "websocket" or self.open:
            _same_site(headers, address, by_name=self.open)
        if self.open:
            if not _is_local(address):
                raise Problem(
                    401,
                    "no API key is set, so only this machine may ask; "
                    "set RISKMODEL_API_KEYS on the server to serve others",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            who = address
        else:
            who = self._holder(_key(headers, scope))
        wait = self._buckets.take(who)
        if wait:
            seconds = max(1, round(wait + 0.5))
            raise Problem(
                429,
                f"too many requests: {self._buckets.rate:g} a second are allowed; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        return who

    def _holder(self, key: str) -> str:
        self._refresh()
        if not key:
            raise Problem(
                401,
                "an API key is needed: send Authorization: Bearer <key>, or X-API-Key: <key>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        sent = _digest(key)
        found = ""
        for digest, name in (*self._fixed.items(), *self._from_file.items()):
            if hmac.compare_digest(digest, sent):  # all are compared: the time tells nothing
                found = name
        if not found:
            raise Problem(401, "this API key is not known", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return found

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._file is None or (self._looked and now - self._looked < 1):
            return
        self._looked = now
        try:
            status = self._file.stat()
            if (status.st_mtime, status.st_size) == self._stamp:
                return
            lines = [line.strip() for line in self._file.read_text("utf-8").splitlines()]
            self._from_file = _digests([x for x in lines if x and not x.startswith("#")], str(self._file))
            self._stamp = (status.st_mtime, status.st_size)
        except (OSError, UnicodeDecodeError, SettingsError):
            if not self._from_file:
                raise
            # A file that is being rewritten, or broken, does not lock out those who had access.


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _digests(keys: tuple[str, ...] | list[str], where: str) -> dict[bytes, str]:
    out: dict[bytes, str] = {}
    for number, entry in enumerate(keys, 1):
        name, colon, secret = entry.partition(":")
        if not colon:
            name, secret = f"key{number}", entry
        if len(secret) < _SHORTEST:
            raise SettingsError(
                f"key {number} is too short", where=where, expected=f"{_SHORTEST} characters or more",
                mend="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )  # fmt: skip
        out[_digest(secret)] = name
    return out


def _key(headers: Headers, scope: Scope) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if headers.get("x-api-key"):
        return headers["x-api-key"].strip()
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", ()):
            if protocol.startswith(_KEY_PROTOCOL):
                try:
                    return bytes.fromhex(protocol.removeprefix(_KEY_PROTOCOL)).decode("utf-8", "replace")
                except ValueError:
                    return ""
    return ""


def _is_local(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return True  # a Unix socket or a call within the process: no network peer has such a name
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _same_site(headers: Headers, address: str, *, by_name: bool) -> None:
    """Refuse a foreign web page that drives a visitor's browser against this service.

    With `by_name` the service must be called by a name of this machine: a page whose own name was
    made to point here, or a proxy that would open an unprotected service to others, is refused.
    """
    host = headers.get("host", "").lower()
    origin = headers.get("origin", "").lower()
    if origin and origin.split("://", 1)[-1] != host:
        raise Problem(401, "the page that asks is of another site than this service")
    name = host.strip("[]") if host.endswith("]") else host.rsplit(":", 1)[0].strip("[]")
    if by_name and _is_address(address) and name not in _LOOPBACK:
        raise Problem(
            401, "without an API key this service answers only to the names localhost and 127.0.0.1; set RISKMODEL_API_KEYS"
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
