"""The model in use, and the one place where conversations wait for it.

Single conversations are scored on the event loop: what waits is taken together (a batch of eight
costs about three times a batch of one), and nobody waits for company. Batches and very long
conversations go to a small pool, so that they do not hold the others up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

import orjson

from riskmodel import Assessment, Conversation, Level, RiskModel, RiskModelError, load_model, load_policy

from . import logs
from .errors import Problem, busy
from .metrics import Metrics
from .settings import Settings

__all__ = ["Engine", "SelfCheckError", "self_check"]

_TOGETHER = 24  # conversations scored in one go on the event loop …
_TOGETHER_CHARS = 20_000  # … or as many characters; one that is longer alone goes to the pool
_PER_THREAD = 8  # pool jobs that may wait for each thread


class SelfCheckError(RiskModelError):
    """A model loads but does not judge as it must."""


@dataclass(slots=True)
class _Job:
    conversation: Conversation
    past: int
    explain: bool
    answer: asyncio.Future[Assessment]


class Engine:
    """Holds the model and scores with it.

    Parameters
    ----------
    model : RiskModel, optional
        In place of the one that the settings name.
    """

    def __init__(self, settings: Settings, metrics: Metrics, model: RiskModel | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._zone = settings.zone()
        self._waiting: deque[_Job] = deque()
        self._scheduled: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._in_pool = 0
        self._reloading = asyncio.Lock()
        self.model = model if model is not None else self._load()
        if model is not None:
            self_check(model)
        self._announce()

    # -- scoring ----------------------------------------------------------------------------

    def now(self) -> datetime | None:
        """Local time for the policy's off-hours route, or None when it is not set."""
        return datetime.now(self._zone) if self._zone else None

    async def assess(self, conversation: Conversation, past: int = 0, explain: bool = False) -> Assessment:
        """Judge one conversation.

        Raises
        ------
        Problem
            503 when too many wait already.
        """
        if sum(len(t.text) for t in conversation.turns) > _TOGETHER_CHARS:
            return (await self.assess_batch([conversation], [past], explain))[0]
        if len(self._waiting) >= self._settings.max_waiting:
            self._metrics.refused.labels("busy").inc()
            raise busy("too many conversations wait to be scored; try again in a second")
        loop = asyncio.get_running_loop()
        job = _Job(conversation, past, explain, loop.create_future())
        self._waiting.append(job)
        if self._scheduled is not loop:
            self._scheduled = loop
            loop.call_soon(self._flush, loop)
        return await job.answer

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Score what waits, up to a bound, and let the loop breathe before the rest."""
        self._metrics.waiting.set(len(self._waiting))
        jobs: list[_Job] = []
        chars = 0
        while self._waiting and len(jobs) < _TOGETHER and chars < _TOGETHER_CHARS:
            job = self._waiting.popleft()
            if not job.answer.done():  # its client may have gone
                jobs.append(job)
                chars += sum(len(t.text) for t in job.conversation.turns)
        for explain in (False, True):
            self._score([job for job in jobs if job.explain is explain], explain)
        self._scheduled = loop if self._waiting else None
        if self._waiting:
            loop.call_soon(self._flush, loop)

    def _score(self, jobs: Sequence[_Job], explain: bool) -> None:
        if not jobs:
            return
        try:
            found = self.model.assess_many(
                [j.conversation for j in jobs], past_complaints=[j.past for j in jobs], now=self.now(), explain=explain
            )
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
                return
            for job in jobs:  # one that fails must not fail its neighbours
                self._score([job], explain)
            return
        for job, assessment in zip(jobs, found, strict=True):
            job.answer.set_result(assessment)

    async def assess_batch(
        self, conversations: Sequence[Conversation], past: Sequence[int], explain: bool = False
    ) -> list[Assessment]:
        """Judge several conversations in the pool."""
        model, now = self.model, self.now()
        found: list[Assessment] = await self.run(
            lambda: model.assess_many(conversations, past_complaints=past, now=now, explain=explain)
        )
        return found

    async def run(self, work: Any) -> Any:
        """Run work in the pool; 503 when too much waits there."""
        threads = self._settings.batch_threads
        if self._in_pool >= threads * (1 + _PER_THREAD):
            self._metrics.refused.labels("busy").inc()
            raise busy("too many batches wait to be scored; try again in a few seconds", 3)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(threads, "riskmodel-batch")
        self._in_pool += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._in_pool -= 1

    def close(self) -> None:
        """Finish what was taken."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    # -- the model --------------------------------------------------------------------------

    async def reload(self) -> RiskModel:
        """Load the model again and swap it in when it passes its checks; else keep the old one.

        Raises
        ------
        Problem
            409 naming what is wrong with the new one, or that a reload is under way.
        """
        if self._reloading.locked():
            raise Problem(409, "a reload is under way; ask GET /v1/model in a moment")
        async with self._reloading:
            old = self.model.ref
            try:
                # A thread of its own: a reload must not wait behind batches.
                self.model = await asyncio.to_thread(self._load, fresh=True)
            except RiskModelError as error:
                self._metrics.reloads.labels("refused").inc()
                logs.event("model_refused", reason=str(error), keeps=old.digest)
                raise Problem(409, f"the new model was refused, the old one keeps serving: {error}") from None
            except Exception as error:
                self._metrics.reloads.labels("refused").inc()
                logs.failure("model_refused", error, keeps=old.digest)
                kind = type(error).__name__
                raise Problem(409, f"the new model was refused ({kind}), the old one keeps serving") from None
            self._metrics.reloads.labels("done").inc()
            self._announce()
            return self.model

    def _load(self, fresh: bool = False) -> RiskModel:
        policy = load_policy(self._settings.policy) if self._settings.policy else None
        path: Any = self._settings.model or None
        if path is None and fresh:
            path = files("riskmodel") / "resources/model"
        model = load_model(path, policy=policy)
        self_check(model)
        return model

    def _announce(self) -> None:
        ref = self.model.ref
        self._metrics.model.clear()
        self._metrics.model.labels(ref.name, ref.version, ref.digest).set(1)
        logs.event("model_in_use", name=ref.name, version=ref.version, digest=ref.digest, policy=self.model.policy.digest)


def self_check(model: RiskModel) -> None:
    """Score a tiny built-in set, which also warms the model up.

    Raises
    ------
    SelfCheckError
        When a plain danger is missed, a plain enquiry is called high, or an answer is not sound.
    """
    cases = orjson.loads((files("service") / "resources/selfcheck.json").read_bytes())
    conversations = [Conversation.from_dict(case["conversation"]) for case in cases]
    # A model learned from a label of two values says none or high, and never more.
    two_valued = model.card.get("labels", {}).get("kind") == "binary"
    for case, conversation, found in zip(cases, conversations, model.assess_many(conversations), strict=True):
        where = f"self-check {conversation.id}"
        mend = "train it again, or compare it with riskmodel evaluate"
        least = min(Level.parse(case["least"]), Level.HIGH) if two_valued else Level.parse(case["least"])
        if not least <= found.level <= Level.parse(case["most"]):
            raise SelfCheckError(
                f"is judged {found.level.label}", where=where, expected=f"{least.label} to {case['most']}", mend=mend
            )
        sound = 0 <= found.risk <= 1 and abs(sum(found.levels) - 1) < 1e-3
        if not sound or any(conversation.turns[e.turn].text[e.start : e.end] != e.text for e in found.evidence):
            raise SelfCheckError("the answer is not sound", where=where, expected="shares that add up and evidence in place", mend=mend)
