"""``uvicorn --factory service.app:create_app``: the service, made from the environment.

>>> from service.app import create_app
>>> app = create_app()
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from fastapi import FastAPI

import riskmodel
from riskmodel import RiskModel

from . import live_socket, logs, operate, pages, scoring
from .access import Gatekeeper
from .alerts import Alerts
from .context import Context
from .engine import Engine
from .errors import Problem, add_handlers
from .metrics import Metrics
from .middleware import BoundedBody, Gate, RequestLog
from .openapi import describe
from .settings import Settings
from .store import Store, load_mask

__all__ = ["create_app"]


def create_app(settings: Settings | None = None, *, model: RiskModel | None = None) -> FastAPI:
    """Return the service as an ASGI app, its model loaded and checked.

    Parameters
    ----------
    settings : Settings, optional
        By default those of the environment (see docs/http.md).
    model : RiskModel, optional
        In place of the one that the settings name.

    Raises
    ------
    RiskModelError
        When a setting is wrong, or the model cannot be loaded or does not pass its self-check.
    """
    settings = Settings.from_env() if settings is None else settings
    logs.set_up_logs(settings.log)
    context = _context(settings, model)
    app = FastAPI(
        title="riskmodel",
        version=riskmodel.__version__,
        summary="Complaint risk of Chinese customer-service conversations",
        description="Send a conversation, get its risk level, the words that say so, and what to do by when.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.context = context
    for router in (scoring.router, operate.router, live_socket.router):
        app.include_router(router)
    if settings.page:
        app.include_router(pages.router)
    add_handlers(app)
    describe(app)
    # The last one added is the outermost.
    app.add_middleware(
        BoundedBody, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s, metrics=context.metrics
    )
    app.add_middleware(Gate, gatekeeper=lambda: context.gatekeeper, metrics=context.metrics)
    app.add_middleware(RequestLog, metrics=context.metrics)
    return app


def _context(settings: Settings, model: RiskModel | None) -> Context:
    metrics = Metrics()
    gatekeeper = Gatekeeper(settings)
    store = None
    if settings.store:
        mask = load_mask(settings.store_mask)
        store = Store(settings.store, mask=mask, keep_text=settings.store_text, days=settings.store_days, metrics=metrics)
    alerts = Alerts(settings, metrics) if settings.alert_url else None
    return Context(settings, metrics, Engine(settings, metrics, model), gatekeeper, store, alerts)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.context
    context.closing = False
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def on_hangup() -> None:
        task = loop.create_task(_reload(context))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread: tests
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    if context.alerts is not None:
        context.alerts.start()
    logs.event("ready", model=context.engine.model.ref.digest, keys=not context.gatekeeper.open)
    try:
        yield
    finally:
        context.closing = True
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGHUP)
        # What was taken is finished: the pool first, then what it wrote to.
        await asyncio.to_thread(_close, context)
        logs.event("stopped")


def _close(context: Context) -> None:
    context.engine.close()
    if context.store is not None:
        context.store.close()
    if context.alerts is not None:
        context.alerts.close()


async def _reload(context: Context) -> None:
    with contextlib.suppress(Problem):  # logged and counted where it arose
        await context.engine.reload()
