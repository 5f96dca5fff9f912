"""A clock that waits for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from p2pbench.bench import clock
from p2pbench.bench.clock import Contestant, Timing


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """No contestant is started. Each takes the seconds per step given here under its name; else the first takes 1 and
    the others take 0.5."""
    found: dict[str, float] = {}

    def race(contestants: Sequence[Contestant], **_: Any) -> dict[str, Timing]:
        usual = [1.0] + [0.5] * (len(contestants) - 1)
        return {
            one.name: Timing([found.get(one.name, default)] * 2, 1, 2**20)
            for one, default in zip(contestants, usual, strict=True)
        }

    monkeypatch.setattr(clock, "race", race)
    return found
