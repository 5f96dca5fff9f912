"""How many bad inputs were tried, by kind: written to the file that ``P2PBENCH_BAD_INPUTS`` names, if it does."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

tried: Counter[str] = Counter()


def write_tally() -> None:
    if path := os.environ.get("P2PBENCH_BAD_INPUTS"):
        Path(path).write_text(json.dumps(tried))
