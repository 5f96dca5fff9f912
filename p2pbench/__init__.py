"""p2pbench: benchmark and ablation toolkit for paired image-to-image translation (pix2pix).

The functions for use from Python are those of :mod:`p2pbench.api`; torch is imported when one of them is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from p2pbench.api import load, run_study, score, translate

__all__ = ["load", "run_study", "score", "translate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from p2pbench import api

    return getattr(api, name)
