"""Two benchmarks of one machine: which rows became slower or faster beyond noise."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2pbench.errors import ConfigError

KEY = ("workload", "name", "variant", "size", "batch_size", "precision", "engine")
"""What two rows must agree in to be compared."""
MACHINE = ("processor", "cores", "gpu", "device", "threads")
MIN_NOISE = 0.05
"""Two runs of the same code may differ by this share, however small the spread within each."""
STANDARD_ERRORS = 2.0
"""A difference must also exceed this many standard errors."""
MOST_SPREAD = 0.1
"""A row is called unstable where its quartiles are further apart, as a share of the median."""
PLAIN_LOOP = 2
"""Counted up when the plain loop changes: ratios to another one cannot be compared."""


def read_baseline(path: Path) -> dict[str, Any]:
    """The document that ``bench --out`` wrote. Raises :class:`ConfigError` if the file holds something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(document["rows"], list) and isinstance(document["machine"], dict)
    except OSError as error:
        raise ConfigError(f"--compare {path}: it cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AssertionError):
        raise ConfigError(f"--compare {path}: it is not what bench --out writes") from None
    return dict(document)


def check(old: dict[str, Any], machine: dict[str, Any], rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Raise :class:`ConfigError` if the baseline is from another machine or has none of ``rows``."""
    for key in MACHINE:
        before, now = old["machine"].get(key), machine.get(key)
        if before != now:
            raise ConfigError(
                f"--compare {path}: a baseline from another machine ({key} was {before}, here it is {now}); "
                "measure one here with --out"
            )
    if not common_rows(old, rows):
        raise ConfigError(
            f"--compare {path}: it has none of the rows to be measured; give it the same workloads, grid and settings"
        )


def common_rows(old: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each of ``rows`` that the baseline has too, after the baseline's own.

    A baseline of version 0.1 does not name its variants: a row that it has several times is left out.
    """
    keys = [key for key in KEY if key != "variant" or all("variant" in row for row in old["rows"])]

    def key_of(row: dict[str, Any]) -> str:
        return json.dumps([row.get(key) for key in keys])

    times = Counter(map(key_of, old["rows"]))
    before = {key_of(row): row for row in old["rows"] if times[key_of(row)] == 1}
    return [(before[key_of(row)], row) for row in rows if key_of(row) in before]


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """A verdict for every row that both have: ``slower``, ``faster`` or ``not significant``.

    Rows are compared by their ratio to the plain loop of their own run, which changes little when the machine is
    busier. Steps on a GPU, which the plain loop's processor does not keep busy, and those beside another plain loop or
    none are compared by images per second. The plain rows themselves are left out. A difference counts where it exceeds
    ``MIN_NOISE`` and ``STANDARD_ERRORS`` standard errors of the two medians, which come from their quartiles.
    """
    verdicts = []
    for base, row in common_rows(old, new["rows"]):
        if row["ratio_to_plain"] == 1.0 and base["ratio_to_plain"] == 1.0:
            continue
        another = row["workload"] == "step" and old.get("plain_loop") != new.get("plain_loop")
        alone = row["ratio_to_plain"] is None or base["ratio_to_plain"] is None
        by = "images_per_second" if another or alone or "gpu" in new["machine"] else "ratio_to_plain"
        change = row[by] / base[by]
        noise = max(MIN_NOISE, STANDARD_ERRORS * math.hypot(_error(row, by), _error(base, by)))
        found = "slower" if change < 1 / (1 + noise) else "faster" if change > 1 + noise else "not significant"
        about = {"by": by, "change": change, "noise": noise, "verdict": found}
        verdicts.append({**{key: row.get(key) for key in KEY}, **about})
    return verdicts


def geometric_mean(verdicts: Sequence[dict[str, Any]]) -> float | None:
    """The mean change of all rows, 1 for none; None without rows."""
    return statistics.geometric_mean(verdict["change"] for verdict in verdicts) if verdicts else None


def unstable(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows whose turns differ so much that another run may well say something else."""
    return [row for row in rows if _spread(row, "images_per_second") > MOST_SPREAD]


def _spread(row: dict[str, Any], by: str) -> float:
    """How far the quartiles are apart, as a share of the median."""
    low, high = row["ratio_quartiles" if by == "ratio_to_plain" else f"{by}_quartiles"]
    return float((high - low) / row[by])


def _error(row: dict[str, Any], by: str) -> float:
    """Standard error of the median, as a share of it: 1.253 times that of the mean of normal values."""
    return 1.253 * _spread(row, by) / 1.349 / math.sqrt(max(1, row["repeats"]))
