"""The behaviour suite: what share of the functionalities' cases pass, held against what was reached."""

from __future__ import annotations

import riskmodel

from .suite import by_functionality, load, run

# Reached by the model that is shipped; only ever raised. The goal is 0.95, and 0.80 for each.
REACHED = 0.75


def test_the_suite_is_large() -> None:
    cases = load()
    assert len(cases) >= 900
    assert len({c["functionality"] for c in cases}) >= 60
    assert len({c["id"] for c in cases}) == len(cases)


def test_the_suite(model: riskmodel.RiskModel) -> None:
    outcomes = run(model)
    share = sum(not o.failed for o in outcomes) / len(outcomes)
    weakest = sorted(by_functionality(outcomes).items(), key=lambda kv: kv[1])[:10]
    assert share >= REACHED, f"{share:.1%} of the cases pass; the weakest: {weakest}"
