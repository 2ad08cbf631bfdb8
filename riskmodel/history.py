"""Repeated complaints: how often a customer complained about the same matter within the policy's window.

The first complaint opens a window of a year (or as the policy says); complaints inside it count.
Urging a shipment or asking again is no complaint.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from .assessment import Assessment
from .conversation import Conversation
from .policy import Policy

__all__ = ["History", "complaints_in_window", "is_complaint", "window_end"]

_MATTERS = ("matter", "order_id", "product")


def window_end(first: date, days: int) -> date:
    """Return the last day that still belongs to the window a complaint of day `first` opens.

    A window of 365 days is a year of the calendar: it ends on the day before the same date of the
    next year, and one opened on 29 February ends on 28 February.
    """
    if days != 365:
        return first + timedelta(days=days - 1)
    try:
        return first.replace(year=first.year + 1) - timedelta(days=1)
    except ValueError:  # 29 February
        return date(first.year + 1, 2, 28)


def complaints_in_window(days_of_complaints: Iterable[date], today: date, days: int) -> int:
    """Return how many earlier complaints share the window of today's.

    The first complaint opens a window; the first one after its end opens the next.
    """
    count, end = 0, None
    for day in sorted(d for d in days_of_complaints if d <= today):
        if end is None or day > end:
            count, end = 0, window_end(day, days)
        count += 1
    return count if end is not None and today <= end else 0


class History:
    """Complaints seen so far, by customer and matter, in the order of the batch."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seen: dict[tuple[str, str], list[date]] = {}

    def count(self, conversation: Conversation, assessment: Assessment) -> int:
        """Return the complaints before this contact, and remember it when it is one itself.

        A contact is a complaint when it reaches the policy's level and one of the customer's signals
        stands. The matter is what the source names (``meta`` keys ``matter``, ``order_id``,
        ``product``), else the topic.
        """
        day = _day(conversation)
        if not conversation.customer_id or day is None or not is_complaint(assessment, self._policy):
            return 0
        matter = next((str(conversation.meta[k]) for k in _MATTERS if conversation.meta.get(k)), assessment.topic.value)
        days = self._seen.setdefault((conversation.customer_id, matter), [])
        earlier = complaints_in_window(days, day, self._policy.window_days)
        days.append(day)
        return earlier


def is_complaint(assessment: Assessment, policy: Policy) -> bool:
    """Whether a contact counts as a complaint."""
    return assessment.level >= policy.counts_from and any(
        f.standing and not f.signal.by_agent for f in assessment.findings
    )


def _day(conversation: Conversation) -> date | None:
    for text in (conversation.opened_at, next((t.time for t in conversation.turns if t.time), None)):
        if text:
            try:
                return datetime.fromisoformat(text).date()
            except ValueError:
                continue
    return None
