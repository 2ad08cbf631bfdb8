"""Settings of the service, read from the environment when an app is made (never at import).

``python -m service.settings`` prints the table that docs/http.md shows.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from riskmodel import Level, RiskModelError

__all__ = ["Settings", "SettingsError"]

_PREFIX = "RISKMODEL_"
_ON = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}


class SettingsError(RiskModelError):
    """An environment variable cannot be used."""


def _setting(default: Any, doc: str, least: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"doc": doc, "least": least, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a centre can set; each field is the variable RISKMODEL_<FIELD IN CAPITALS>."""

    model: str = _setting("", "folder of the model; empty: the one that comes with the package")
    policy: str = _setting("", "policy file in place of the model's own")
    timezone: str = _setting("", "such as Asia/Shanghai: apply the policy's off-hours route; empty: do not")

    api_keys: tuple[str, ...] = _setting((), "keys, comma-separated, each `secret` or `name:secret`, 16 characters or more")
    api_keys_file: str = _setting("", "file with one key a line (# comments); read again when it changes, for rotation")
    rate_per_s: float = _setting(0.0, "requests a second for each key (or address); 0: no limit", 0)
    rate_burst: int = _setting(100, "requests that may come at once before the rate counts", 1)

    max_body_bytes: int = _setting(4_194_304, "largest request body", 1024)
    body_timeout_s: float = _setting(15.0, "time a client has to send its body", 0.1)
    max_turns: int = _setting(2_000, "turns of one conversation", 1)
    max_turn_chars: int = _setting(20_000, "characters of one turn", 1)
    max_conversation_chars: int = _setting(200_000, "characters of one conversation", 1)
    max_batch: int = _setting(200, "conversations of one batch request", 1)
    max_waiting: int = _setting(256, "conversations that may wait for scoring; beyond: 503 with Retry-After", 1)
    batch_threads: int = _setting(1, "threads for batches and very long conversations", 1)

    live_max: int = _setting(500, "open WebSockets", 1)
    live_conversations: int = _setting(200, "conversations on one WebSocket", 1)
    live_message_bytes: int = _setting(262_144, "largest WebSocket message", 1024)
    live_rate_per_s: float = _setting(50.0, "messages a second on one WebSocket; 0: no limit", 0)
    live_heartbeat_s: float = _setting(20.0, "time between heartbeats of the server", 0.05)
    live_idle_s: float = _setting(600.0, "a WebSocket without a message for this long is closed", 0.1)

    reload: bool = _setting(False, "allow POST /v1/model/reload (SIGHUP always works)")
    page: bool = _setting(True, "serve the review page at /")
    log: str = _setting("json", "logs on standard output: json or off", choices=("json", "off"))

    store: str = _setting("", "SQLite file for assessments and feedback; empty: keep nothing")
    store_text: bool = _setting(True, "keep the (masked) conversation beside its assessment")
    store_days: int = _setting(30, "days after which a row is deleted", 1)
    store_mask: str = _setting("digits", "digits: long numbers masked; none; or module:function")

    alert_url: str = _setting("", "webhook that is told of risky conversations; empty: none")
    alert_format: str = _setting("plain", "payload", choices=("plain", "wecom", "feishu", "dingtalk"))
    alert_level: str = _setting("high", "lowest level that is told", choices=("low", "high", "critical"))
    alert_secret: str = _setting("", "secret of the signature")
    alert_spool: str = _setting("", "folder for alerts not yet delivered and dead letters; needed with alert_url")
    alert_attempts: int = _setting(6, "attempts before an alert is a dead letter", 1)
    alert_timeout_s: float = _setting(5.0, "time the receiver has to answer", 0.1)
    alert_backoff_s: float = _setting(1.0, "pause after the first failure; doubled after each further one", 0.0)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises
        ------
        SettingsError
            Naming the variable, also one that is nearly the name of a setting.
        """
        environ = os.environ if environ is None else environ
        known = {_PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for name, raw in environ.items():
            if not name.startswith(_PREFIX):
                continue
            if name not in known:
                meant = difflib.get_close_matches(name, known, 1, 0.85)
                if meant:  # others of this prefix may belong to the command line
                    raise SettingsError("unknown setting", where=name, mend=f"did you mean {meant[0]}?")
                continue
            if raw.strip():
                values[known[name].name] = _read(name, known[name], raw.strip())
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Raise `SettingsError` for settings that contradict each other or the world."""
        if self.timezone:
            self.zone()
        if self.alert_url and not self.alert_url.startswith(("http://", "https://")):
            raise SettingsError("is no web address", where=_PREFIX + "ALERT_URL", expected="http:// or https://")
        if self.alert_url and not self.alert_spool:
            raise SettingsError(
                "is missing", where=_PREFIX + "ALERT_SPOOL",
                expected="a folder for alerts that wait", mend="set it, or alerts would be lost in a restart",
            )  # fmt: skip
        if self.api_keys_file and not Path(self.api_keys_file).is_file():
            raise SettingsError("no such file", where=_PREFIX + "API_KEYS_FILE", expected="a file with one key a line")

    def zone(self) -> ZoneInfo | None:
        """Return the time zone of the off-hours route, or None when it is off."""
        if not self.timezone:
            return None
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise SettingsError("unknown time zone", where=_PREFIX + "TIMEZONE", expected="a name such as Asia/Shanghai") from None

    @property
    def least_alert(self) -> Level:
        """The lowest level that is told."""
        return Level.parse(self.alert_level)


def _read(name: str, spec: Field[Any], raw: str) -> Any:
    default, least, choices = spec.default, spec.metadata["least"], spec.metadata["choices"]
    if isinstance(default, bool):
        if raw.lower() not in _ON:
            raise SettingsError("is neither on nor off", where=name, expected="on or off")
        return _ON[raw.lower()]
    if isinstance(default, (int, float)):
        try:
            value = type(default)(raw)
        except ValueError:
            kind = "a whole number" if isinstance(default, int) else "a number"
            raise SettingsError("is no number", where=name, expected=kind) from None
        if not (value >= least and value < float("inf")):
            raise SettingsError("is too small or no number", where=name, expected=f"{least} or more")
        return value
    if isinstance(default, tuple):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if choices and raw not in choices:
        raise SettingsError("unknown value", where=name, expected="one of " + ", ".join(choices))
    return raw


def table() -> str:
    """Return the settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for spec in fields(Settings):
        default = spec.default if spec.default is not MISSING else ""
        shown = {True: "on", False: "off", (): "", "": ""}.get(default, default) if not isinstance(default, float) else f"{default:g}"
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            shown = f"{default:g}" if isinstance(default, float) else default
        lines.append(f"| `{_PREFIX}{spec.name.upper()}` | {f'`{shown}`' if shown != '' else ''} | {spec.metadata['doc']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
