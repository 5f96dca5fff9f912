"""Numbers as people read them: durations, sizes, values with an uncertainty."""

from __future__ import annotations

import math


def decimals(width: float) -> int:
    """Decimals that show an interval of this width with two digits, and no more."""
    if width <= 0 or not math.isfinite(width):
        return 4
    return max(0, min(6, 1 - math.floor(math.log10(width))))


def value_and_interval(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A score as people read it, and ``[low, high]``, both with the decimals that the interval leaves meaning; four,
    and no text, without one."""
    if low is None or high is None:
        return f"{value:.4f}", ""
    digits = decimals(high - low)
    return f"{value:.{digits}f}", f"[{low:.{digits}f}, {high:.{digits}f}]"


def duration(seconds: float) -> str:
    """``42 s``, ``5.3 min``, ``7.1 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def bytes_text(n: int) -> str:
    """``54 MiB``, ``1.3 GiB``."""
    return f"{n / 2**20:.0f} MiB" if n < 2**30 else f"{n / 2**30:.1f} GiB"
