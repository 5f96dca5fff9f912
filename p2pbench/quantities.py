"""Numbers as people read them: durations, sizes, values with an uncertainty."""

from __future__ import annotations

import math


def decimals(width: float) -> int:
    """Decimals that show an interval of this width with two digits, and no more."""
    if width <= 0 or not math.isfinite(width):
        return 4
    return max(0, min(6, 1 - math.floor(math.log10(width))))


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
