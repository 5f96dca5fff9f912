"""The folder of what p2pbench can make or fetch again: decoded images, weights, downloaded data sets."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder named by ``P2PBENCH_HOME``, else the user's cache folder. It need not exist yet."""
    named = os.environ.get("P2PBENCH_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("p2pbench"))
