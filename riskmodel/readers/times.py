"""Times as exports write them → ISO 8601, Chinese time.

A time without a zone is taken as +08:00. What cannot be read for certain (5/6/2026, 05-05 without a
year) stays unread: a wrong time is worse than none.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata

__all__ = ["Clock", "parse_time"]

CHINA = dt.timezone(dt.timedelta(hours=8))
_FULL = re.compile(
    r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?"
    r"(?:[\s,T]*(?:(?:星期|周)[一二三四五六日天])?[\s,T]*(?P<clock>.*\S))?"
)
_DAY_LAST = re.compile(r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<year>\d{4})(?:[\s,T]+(?P<clock>.*\S))?")
_CLOCK = re.compile(
    r"(?P<before>凌晨|早上|上午|中午|下午|傍晚|晚上|[ap]m)?\s*(?P<hour>\d{1,2})\s*[:时点]\s*(?:(?P<minute>\d{1,2})"
    r"\s*分?(?:\s*:?\s*(?P<second>\d{1,2})(?:[.,](?P<fraction>\d{1,9}))?\s*秒?)?)?\s*(?P<after>[ap]m)?"
    r"\s*(?P<zone>z|utc|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_SECONDS = (631_152_000, 4_102_444_800)  # 1990 to 2100
_SERIALS = (32_874, 73_051)  # the same, in Excel's days since 1899-12-30
_ROLLOVER = 6 * 3600  # a clock that goes back further has passed midnight


def parse_time(value: object) -> str | None:
    """Return a date and time as ISO 8601 with its offset, or None when it cannot be told.

    Reads ISO 8601, ``2026/5/5 10:03``, ``2026年5月5日 下午3点05分``, digits only (``20260505100300``),
    seconds, milliseconds, microseconds and nanoseconds since 1970, Excel's serial days, and
    date objects.
    """
    if isinstance(value, str):
        text = value.strip()
        if len(text) == 19 and text[4] == "-" and text[10] in " T":
            try:
                dt.datetime.fromisoformat(text)
            except ValueError:
                return None
            if not "1990" <= text < "2100":
                return None
            return f"{text[:10]}T{text[11:]}+08:00"
        return _from_text(text)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return _from_number(value)
    if isinstance(value, dt.datetime):
        return _iso(value)
    if isinstance(value, dt.date):
        return _iso(dt.datetime(value.year, value.month, value.day))
    return None


class Clock:
    """Reads the times of one conversation in their order.

    ``HH:MM`` gets its date from the last full time, from `opened_at` or from `day`; past midnight
    the date moves on.

    Parameters
    ----------
    opened_at : str, optional
        ISO 8601, as `parse_time` returns it.
    """

    def __init__(self, opened_at: str | None = None) -> None:
        self._last: str | None = None
        if opened_at is not None:
            self.day(opened_at)

    def day(self, value: object) -> None:
        """Set the date that following clock times belong to."""
        full = parse_time(value)
        if full is not None and (self._last is None or full[:10] != self._last[:10]):
            self._last = full[:10] + "T00:00:00+08:00"

    def read(self, value: object) -> str | None:
        """Return the time in full, or None."""
        full = parse_time(value)
        if full is not None:
            self._last = full
            return full
        clock = value if isinstance(value, dt.time) else _clock(value) if isinstance(value, str) else None
        if clock is None or self._last is None:
            return None
        last = dt.datetime.fromisoformat(self._last)
        now = last.replace(
            hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=clock.microsecond
        )
        if (last - now).total_seconds() > _ROLLOVER:
            now += dt.timedelta(days=1)
        self._last = _iso(now)
        return self._last

    @staticmethod
    def is_clock(value: object) -> bool:
        """Whether a value is a time of day without a date."""
        return isinstance(value, dt.time) or (isinstance(value, str) and _clock(value) is not None)


def _from_text(text: str) -> str | None:
    if not text or len(text) > 60:
        return None
    text = unicodedata.normalize("NFKC", text)
    if text.isdigit():
        if len(text) == 14 or len(text) == 8:
            try:
                return _iso(dt.datetime.strptime(text, "%Y%m%d%H%M%S" if len(text) == 14 else "%Y%m%d"))
            except ValueError:
                return None
        return _from_number(int(text))
    found = _FULL.fullmatch(text)
    if found is not None:
        return _dated(found, int(found["month"]), int(found["day"]))
    found = _DAY_LAST.fullmatch(text)
    if found is not None:
        a, b = int(found["a"]), int(found["b"])
        if a == b or b > 12:
            return _dated(found, a, b)
        return _dated(found, b, a) if a > 12 else None
    if re.fullmatch(r"\d{8} \d{6}", text):
        return _from_text(text.replace(" ", ""))
    try:
        return _from_number(float(text))
    except ValueError:
        return None


def _dated(found: re.Match[str], month: int, day: int) -> str | None:
    clock: dt.time | None = dt.time(0)
    if found["clock"]:
        clock = _clock(found["clock"])
    if clock is None:
        return None
    try:
        return _iso(dt.datetime.combine(dt.date(int(found["year"]), month, day), clock))
    except ValueError:
        return None


def _clock(text: str) -> dt.time | None:
    if len(text) > 40:
        return None
    found = _CLOCK.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        return None
    hour = int(found["hour"])
    half = (found["before"] or found["after"] or "").lower()
    if half in ("pm", "下午", "傍晚", "晚上", "中午") and hour < 12 and not (half == "中午" and hour > 3):
        hour += 12
    elif half in ("am", "凌晨") and hour == 12:
        hour = 0
    zone = (found["zone"] or "").lower()
    offset: dt.timezone | None = None
    if zone in ("z", "utc"):
        offset = dt.UTC
    elif zone:
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        if minutes >= 24 * 60:
            return None
        offset = dt.timezone(dt.timedelta(minutes=-minutes if zone[0] == "-" else minutes))
    try:
        return dt.time(
            hour,
            int(found["minute"] or 0),
            int(found["second"] or 0),
            int((found["fraction"] or "0")[:6].ljust(6, "0")),
            offset,
        )
    except ValueError:
        return None


def _from_number(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    if _SERIALS[0] <= value <= _SERIALS[1]:
        return _iso(dt.datetime(1899, 12, 30) + dt.timedelta(seconds=round(value * 86_400)))
    for unit in (1, 1_000, 1_000_000, 1_000_000_000):
        if _SECONDS[0] * unit <= value <= _SECONDS[1] * unit:
            whole, rest = divmod(value, unit)
            moment = dt.datetime.fromtimestamp(whole, CHINA)
            return _iso(moment.replace(microsecond=int(rest * 1_000_000 // unit)))
    return None


def _iso(moment: dt.datetime) -> str | None:
    try:
        local = moment.replace(tzinfo=CHINA) if moment.tzinfo is None else moment.astimezone(CHINA)
    except (OverflowError, ValueError):
        return None
    if not 1990 <= local.year < 2100:
        return None
    if local.microsecond % 1000:
        return local.isoformat(timespec="microseconds")
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
