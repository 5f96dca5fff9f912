"""What the records of runs and studies must be to be believed: a file that was cut short or written by hand is not.

Imports no torch.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import RunConfig

SCHEMA_VERSION = 1
STATES = ("running", "interrupted", "failed", "finished")
SCORE_KEYS = {"value", "low", "high", "n", "unit", "better", "settings", "state", "reason", "notes"}
REFERENCE_KEYS = {"name", "about", "n", "reason", "scores"}
STUDY_KEYS = {"name", "question", "paper", "protocol", "baseline", "command", "cells"}
CELL_KEYS = {"run_id", "variant", "seed", "config"}
RUN_ID = r"[0-9a-f]{12}"
INFERENCE_MODES = ("paper", "statistics", "eval")
TRAINING_KEYS = ("steps", "seconds", "seconds_per_step", "peak_memory_bytes")
TEST_SAMPLES = "samples/test"
"""Pictures of test pairs, which have one hash together."""


def of_mode(stem: str, suffix: str, mode: str) -> str:
    """The name of a record that each inference mode has its own of."""
    return f"{stem}{'' if mode == 'paper' else f'-{mode}'}{suffix}"


OF_MODES = tuple(
    of_mode(stem, suffix, mode)
    for stem, suffix in (("scores", ".json"), ("per_image", ".csv"), ("profile", ".json"))
    for mode in INFERENCE_MODES
)
"""The records that scoring makes, of all inference modes."""
HASHED = {"config.yaml", "losses.csv", TEST_SAMPLES, *OF_MODES}
"""What a finished run records the hashes of, beside its generator's."""


def read_json(path: Path) -> dict[str, Any]:
    """A record of this version; empty where there is none that can be believed."""
    try:
        if not path.is_file():  # a named pipe would be waited for
            return {}
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_float)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        return {}
    return content


def _int(digits: str) -> int:
    """No record holds more than a machine counts; what is larger would be no finite float."""
    value = int(digits)
    if abs(value) >= 2**64:
        raise ValueError(f"{digits} is too large")
    return value


def _float(text: str) -> float:
    """JSON has no NaN and no infinity, but Python's reader takes them, and makes 1e999 one."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def plain(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values, for YAML and JSON."""
    return config.model_dump(mode="json")


def status_is_whole(status: Any) -> bool:
    """Whether ``status`` is a run's, with values of the kinds that are read of it and files in the run's folder."""
    kinds: dict[str, tuple[type, ...]] = {
        "state": (str,), "reason": (str, type(None)), "run_id": (str,), "training": (dict,), "machine": (dict,),
        "versions": (dict,), "files": (dict,),
    }  # fmt: skip
    return (
        isinstance(status, dict)
        and status.get("state") in STATES
        and all(isinstance(status[key], kind) for key, kind in kinds.items() if key in status)
        and all(_is_number(status.get("training", {}).get(key, 0)) for key in TRAINING_KEYS)
        and status.get("files", {}).keys() <= HASHED
    )


def scores_are_whole(scores: Any) -> bool:
    """Whether ``scores`` are scores by name, as the documented JSON has them."""
    return isinstance(scores, dict) and all(
        (name in METRICS or is_reference(name)) and _is_score(score) for name, score in scores.items()
    )


def references_are_whole(rows: Any) -> bool:
    """Whether ``rows`` are a study's reference rows."""
    return isinstance(rows, list) and all(
        isinstance(row, dict) and row.keys() >= REFERENCE_KEYS and scores_are_whole(row["scores"]) for row in rows
    )


def study_is_whole(content: Any) -> bool:
    """Whether ``content`` is a study of this version."""
    return (
        isinstance(content, dict)
        and content.get("schema_version") == SCHEMA_VERSION
        and content.keys() >= STUDY_KEYS
        and isinstance(content["cells"], list)
        and isinstance(content["protocol"], dict)
        and all(isinstance(content[key], str) for key in ("name", "question", "baseline", "command"))
        and isinstance(content["paper"], str | None)
        and all(map(_is_cell, content["cells"]))
    )


def _is_cell(cell: Any) -> bool:
    """Whether ``cell`` is one of a study's, and its id an id: it names a folder, which is not to lie elsewhere."""
    return (
        isinstance(cell, dict)
        and cell.keys() >= CELL_KEYS
        and isinstance(cell["run_id"], str)
        and re.fullmatch(RUN_ID, cell["run_id"]) is not None
        and isinstance(cell["variant"], str)
        and type(cell["seed"]) is int
        and isinstance(cell["config"], dict)
        and all(isinstance(section, dict) for section in cell["config"].values())
        and cell["config"].get("scoring", {}).get("inference") in INFERENCE_MODES
        and isinstance(cell.get("levels", {}), dict)
        and all(isinstance(level, str) for level in cell.get("levels", {}).values())
    )


def _is_score(score: Any) -> bool:
    return (
        isinstance(score, dict)
        and score.keys() >= SCORE_KEYS
        and all(score[key] is None or _is_number(score[key]) for key in ("value", "low", "high"))
        and _is_number(score["n"])
        and isinstance(score["settings"], dict)
        and isinstance(score["notes"], list)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
