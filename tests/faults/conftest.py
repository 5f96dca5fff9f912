from __future__ import annotations

from faults.bad_inputs import write_tally


def pytest_sessionfinish() -> None:
    write_tally()
