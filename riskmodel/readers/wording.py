"""What exports call their columns and speakers: ``resources/columns.toml`` and the user's ``--map``."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from ..conversation import Speaker
from ..errors import InputError

__all__ = ["FIELDS", "Names", "Wording", "default_wording", "key"]

#: What a column can be mapped to; the names of the speakers can be, too.
FIELDS = (
    "id",
    "message_id",
    "speaker",
    "text",
    "time",
    "date",
    "customer_id",
    "agent_id",
    "channel",
    "opened_at",
    "recalled",
    "message_type",
)
_NOISE = re.compile(r"[\s_\-—–·.:：,，()（）\[\]【】<>《》「」\"'“”‘’*#/\\|@=+]+")
_BRACKETED = re.compile(r"[(（\[【].*?[)）\]】]")
_PARTS = re.compile(r"[\-—–_:：()（）\[\]【】<>《》|/·@#]+")
_CACHED = 20_000


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of ``columns.toml``, in the form in which they are compared."""

    columns: Mapping[str, Mapping[str, int]]
    speakers: Mapping[str, Speaker]
    shop_endings: tuple[str, ...]
    recalled: frozenset[str]
    placeholders: Mapping[str, str]
    headers: frozenset[str]
    frequent: frozenset[str]


@lru_cache(maxsize=1)
def default_wording() -> Wording:
    """Read ``resources/columns.toml`` once."""
    data = tomllib.loads((files("riskmodel") / "resources" / "columns.toml").read_text("utf-8"))
    return Wording(
        {field: _ranked(names) for field, names in data["columns"].items()},
        {key(name): Speaker(role) for role, names in data["speakers"].items() for name in names},
        tuple(key(e) for e in data["speaker_endings"]["agent"]),
        frozenset(key(w) for w in data["recalled"]["yes"]),
        {key(k): v for k, v in data["placeholders"].items()},
        frozenset(key(w) for w in data["text"]["headers"]),
        frozenset(data["encoding"]["frequent"]),
    )


@lru_cache(maxsize=4096)
def key(name: str) -> str:
    """Return a name as it is compared: half-width, small letters, no spaces or punctuation."""
    return _NOISE.sub("", unicodedata.normalize("NFKC", name).casefold())


class Names:
    """Finds columns and speakers; what the user maps comes first.

    Parameters
    ----------
    columns : mapping, optional
        Name in the export → one of `FIELDS`, or → ``customer``, ``agent``, ``system`` or ``unknown``.

    Raises
    ------
    InputError
        When a name is mapped to something else.
    """

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        self.wording = default_wording()
        self._mapped: dict[str, str] = {}
        self._speakers: dict[str, Speaker] = {}
        for name, target in (columns or {}).items():
            if target in FIELDS:
                self._mapped[name] = target
            elif target in set(Speaker):
                self._speakers[key(name)] = Speaker(target)
            else:
                raise InputError(
                    f"a column cannot be mapped to {target[:30]!r}",
                    where="--map",
                    expected="one of " + ", ".join((*FIELDS, *Speaker)),
                    mend="write the export's own name first: 会话ID=id,内容=text,发送方=speaker",
                )
        self._cache: dict[str, Speaker | None] = {}
        self._headers: dict[tuple[str, ...], dict[str, int]] = {}

    def columns(self, header: Sequence[object]) -> dict[str, int]:
        """Return for each field found the index of its column."""
        names = tuple("" if h is None else str(h) for h in header)
        known = self._headers.get(names)
        if known is None:
            if len(self._headers) >= _CACHED:
                self._headers.clear()
            known = self._headers[names] = self._find_columns(names)
        return dict(known)

    def _find_columns(self, names: tuple[str, ...]) -> dict[str, int]:
        found = {f: i for i, n in enumerate(names) if (f := self._mapped.get(n.strip())) is not None}
        taken = set(found.values())
        keys = [key(n) for n in names]
        bare = [key(_BRACKETED.sub("", n)) for n in names]
        for field in FIELDS:
            if field in found:
                continue
            ranks = self.wording.columns[field]
            best = min(
                ((rank, i) for i, k in enumerate(keys) if i not in taken and (rank := ranks.get(k, -1)) >= 0),
                default=None,
            ) or min(
                ((rank, i) for i, k in enumerate(bare) if i not in taken and (rank := ranks.get(k, -1)) >= 0),
                default=None,
            )
            if best is not None:
                found[field] = best[1]
                taken.add(best[1])
        return found

    def missing(self, header: Sequence[object]) -> list[str]:
        """Return the mapped names that the header lacks."""
        names = {str(h).strip() for h in header}
        return [n for n in self._mapped if n not in names]

    @property
    def maps_columns(self) -> bool:
        """Whether the user mapped any column."""
        return bool(self._mapped)

    def speaker(self, name: str) -> Speaker | None:
        """Return who a name stands for, or None when it tells nothing."""
        try:
            return self._cache[name]
        except KeyError:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            found = self._cache[name] = self._find(name)
            return found

    def _find(self, name: str) -> Speaker | None:
        if len(name) > 60:
            return None
        whole = key(name)
        if not whole and not name.strip():
            return None
        direct = self._speakers.get(whole) or self.wording.speakers.get(whole) or self._numbered(whole)
        if direct is not None:
            return direct
        roles = set()
        for part in map(key, _PARTS.split(name)):
            role = self._speakers.get(part) or self.wording.speakers.get(part) or self._numbered(part)
            if role is not None and (not part.isascii() or part in set(Speaker)):
                roles.add(role)
            elif part.endswith(self.wording.shop_endings):
                roles.add(Speaker.AGENT)
        return roles.pop() if len(roles) == 1 else None

    def _numbered(self, name: str) -> Speaker | None:
        """客服01, 坐席A1001, agent2."""
        base = name.rstrip("0123456789")
        if not base.isascii():
            base = base.rstrip("abcdefghijklmnopqrstuvwxyz")
        elif len(base) < 2:
            return None
        return None if base == name else self._speakers.get(base) or self.wording.speakers.get(base)

    def placeholder(self, kind: object) -> str:
        """Return what stands for a message of this type that has no text."""
        return self.wording.placeholders.get(key(str(kind)), "") if kind is not None else ""

    def is_recalled(self, cell: object) -> bool:
        """Whether a cell says that the message was withdrawn."""
        return cell is True or (cell is not None and key(str(cell)) in self.wording.recalled)


def _ranked(names: Sequence[str]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for rank, name in enumerate(names):
        ranks.setdefault(key(name), rank)
    return ranks
