"""Errors that a user can act on.

Tree::

    RiskModelError
    ├── InputError        a file, a row or a field of the input
    │   └── LabelError    a label that the taxonomy does not know
    ├── LexiconError      a rule file
    ├── PolicyError       a policy file
    ├── ArtifactError     a saved model
    └── TrainingError     data a model cannot be learned from

No message ever holds the text of a conversation: that text is personal data.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "InputError",
    "LabelError",
    "LexiconError",
    "PolicyError",
    "RiskModelError",
    "TrainingError",
]


class RiskModelError(ValueError):
    """What was wrong, where, what was expected, and how to mend it.

    Parameters
    ----------
    what : str
        What was wrong, as a short sentence without a full stop.
    where : str, optional
        File, line, field: as exact as is known.
    expected : str, optional
        What would have been right.
    mend : str, optional
        What the reader can do about it.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.mend = mend
        super().__init__(what, where, expected, mend)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.mend:
            parts.append(self.mend)
        return "; ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.expected, self.mend))

    def at(self, where: str) -> RiskModelError:
        """Return the same error with `where` put in front of the place it names."""
        place = f"{where}, {self.where}" if self.where else where
        return type(self)(self.what, where=place, expected=self.expected, mend=self.mend)


def _rebuild(cls: type[RiskModelError], what: str, where: str, expected: str, mend: str) -> RiskModelError:
    return cls(what, where=where, expected=expected, mend=mend)


class InputError(RiskModelError):
    """A file, a row or a field of the input cannot be used."""


class LabelError(InputError):
    """A label is not one of the taxonomy's."""


class LexiconError(RiskModelError):
    """A rule file is not valid, or one of its examples fails."""


class PolicyError(RiskModelError):
    """A policy file is not valid."""


class ArtifactError(RiskModelError):
    """A saved model cannot be used: damaged, tampered with, or of another version."""


class TrainingError(RiskModelError):
    """A model cannot be learned from these cases."""
