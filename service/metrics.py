"""What Prometheus is told. Every app has a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from riskmodel import Assessment

__all__ = ["Metrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counters of one app."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(f"riskmodel_{name}", doc, labels, registry=self.registry)

        def gauge(name: str, doc: str, *labels: str) -> Gauge:
            return Gauge(f"riskmodel_{name}", doc, labels, registry=self.registry)

        self.requests = counter("requests", "Answered requests", "route", "method", "status")
        self.seconds = Histogram(
            "riskmodel_request_seconds", "Time to answer", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self.levels = counter("assessments", "Assessments by level", "level", "door")
        self.signals = counter("signals", "Standing signals of assessments", "signal")
        self.not_analysed = counter("not_analysed", "Turns that could not be judged", "reason")
        self.guards = counter("guard_decisions", "Decisions about agents' messages", "decision")
        self.refused = counter("refused", "Requests refused before scoring", "why")
        self.feedback = counter("feedback", "Corrections received")
        self.reloads = counter("model_reloads", "Reloads of the model", "result")
        self.alerts = counter("alerts", "Alerts by what became of them", "result")
        self.store_errors = counter("store_errors", "Failed writes to the store")
        self.waiting = gauge("waiting", "Conversations that wait for scoring")
        self.sockets = gauge("live_sockets", "Open WebSockets")
        self.model = gauge("model_info", "The model in use", "name", "version", "digest")

    def assessed(self, assessment: Assessment, door: str) -> None:
        """Count one assessment."""
        self.levels.labels(assessment.level.label, door).inc()
        for finding in assessment.findings:
            if finding.standing:
                self.signals.labels(finding.signal.value).inc()
        for item in assessment.not_analysed:
            self.not_analysed.labels(item.reason).inc()

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self.registry)
