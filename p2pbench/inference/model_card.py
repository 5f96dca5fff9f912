"""The model card of an exported generator: Markdown that says what it was trained on, how good it is, what it is for
(Mitchell et al. 2019, Model Cards for Model Reporting). Its text is ``templates/model_card.md``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.config.schema import size_text
from p2pbench.data.catalogue import PAPER_SETS
from p2pbench.data.facades import drawn
from p2pbench.errors import DataError
from p2pbench.inference.generator import Model
from p2pbench.system.console import duration, value_and_interval

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"


@dataclass(frozen=True)
class Background:
    """What is known of the run that a model came from; nothing of weights alone."""

    run_id: str | None = None
    steps: int | None = None
    """Steps of the training, and the seconds that they took."""
    seconds: float | None = None
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """For each inference mode that was scored the scores by name, in the documented JSON."""


def model_card(model: Model, background: Background, exported: Mapping[str, Any]) -> str:
    """The card of ``model``; ``exported`` is what :func:`p2pbench.inference.export.export` gives."""
    config, source = model.config, model.config.data.source
    scored = [mode for mode in (exported["inference"], config.scoring.inference) if mode in background.scores]
    # Markdown, not HTML: nothing is to be escaped.
    environment = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)  # noqa: S701
    is_drawn = _is_drawn(source)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=config, background=background, exported=exported, mode=scored[0] if scored else None,
        kind="known" if source in PAPER_SETS else "drawn" if is_drawn else source if source == "photos" else "folder",
        # Without the path of whoever trained on it.
        source=source if is_drawn else source.replace("\\", "/").rstrip("/").rpartition("/")[2],
        trained_here=model.folder is not None, own_network=is_reference(config.generator.name),
        trained_size=size_text(config.data.crop_size), metrics=METRICS, paper_sets=PAPER_SETS,
        duration=duration, value_and_interval=value_and_interval,
    )  # fmt: skip


def _is_drawn(source: str) -> bool:
    try:
        return drawn.parse(source) is not None
    except DataError:
        return False
