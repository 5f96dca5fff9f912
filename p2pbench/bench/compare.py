"""Two benchmarks of one machine: what became slower or faster beyond noise."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from p2pbench.errors import ConfigError

KEY = ("workload", "name", "size", "batch_size", "precision", "engine")
MACHINE = ("processor", "cores", "gpu", "device", "threads")
FLOOR = 0.05
"""What two runs of the same code may differ by, whatever the spread within each says."""
SPREADS = 2.0
"""How many standard errors a difference has to exceed besides."""


def read_baseline(path: Path) -> dict[str, Any]:
    """The document that ``bench --out`` left. Raises :class:`ConfigError` if it is none."""
    try:
        document = json.loads(path.read_text())
        assert isinstance(document["rows"], list) and isinstance(document["machine"], dict)
    except OSError as error:
        raise ConfigError(f"--compare {path}: it cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise ConfigError(f"--compare {path}: it is not what bench --out writes") from None
    return dict(document)


def check_machine(old: dict[str, Any], machine: dict[str, Any], path: Path) -> None:
    """Refuse a baseline from another machine: nothing can be said of speed then. Raises :class:`ConfigError`."""
    for key in MACHINE:
        before, now = old["machine"].get(key), machine.get(key)
        if before != now:
            raise ConfigError(
                f"--compare {path}: a baseline from another machine ({key} was {before}, here it is {now}); "
                "measure one here with --out"
            )


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """A verdict for every row that both have: ``slower``, ``faster`` or ``same``.

    Rows are compared by their ratio to the plain loop of their own run, which a machine that is busier than the other
    time changes little; the plain rows, which have none, are left out. A difference counts where it exceeds ``FLOOR``
    and ``SPREADS`` standard errors of the two medians, taken from their quartiles.
    """
    before = {_key(row): row for row in old["rows"]}
    verdicts = []
    for row in new["rows"]:
        base = before.get(_key(row))
        if base is None or (row["ratio_to_plain"] == 1.0 and base["ratio_to_plain"] == 1.0):
            continue
        change = row["ratio_to_plain"] / base["ratio_to_plain"]
        noise = max(FLOOR, SPREADS * math.hypot(_error(row), _error(base)))
        verdict = "slower" if change < 1 / (1 + noise) else "faster" if change > 1 + noise else "same"
        verdicts.append({**{key: row[key] for key in KEY}, "change": change, "noise": noise, "verdict": verdict})
    return verdicts


def _key(row: dict[str, Any]) -> str:
    return json.dumps([row.get(key) for key in KEY])


def _error(row: dict[str, Any]) -> float:
    """Standard error of the median ratio, as a share of it: 1.253 times that of a mean of normal values."""
    low, high = row.get("ratio_quartiles", (row["ratio_to_plain"],) * 2)
    deviation = (high - low) / 1.349 / row["ratio_to_plain"]
    return float(1.253 * deviation / math.sqrt(max(1, row.get("repeats", 1))))
