"""The records of runs and studies as typed models: a file that does not fit its model is not believed.

The JSON on disk keeps the keys of version 0.1, and keys that a later version added are kept when a record is rewritten.
Imports no torch.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import from_json

from p2pbench.config.metrics import METRICS, asked_metrics
from p2pbench.config.plugins import is_reference
from p2pbench.config.renamed import VALUES
from p2pbench.config.sections import INFERENCE_MODES, MOST_THREADS
from p2pbench.system.files import write_json

SCHEMA_VERSION: Literal[1] = 1
State = Literal["running", "interrupted", "failed", "finished"]
RUN_ID = r"[0-9a-f]{12}"
TEST_SAMPLES = "samples/test"
"""The folder with pictures of test pairs, which are hashed together."""


def of_mode(stem: str, suffix: str, mode: str) -> str:
    """The file name of a record that each inference mode has its own of, named as in version 0.1."""
    of_it = {"paper": "", "instance-stats": "-statistics"}.get(mode, f"-{mode}")
    return f"{stem}{of_it}{suffix}"


OF_MODES = tuple(
    of_mode(stem, suffix, mode)
    for stem, suffix in (("scores", ".json"), ("per_image", ".csv"), ("jackknife", ".csv"), ("profile", ".json"))
    for mode in INFERENCE_MODES
)
"""The records that scoring makes, for all inference modes."""
OF_TRAINING = {"losses.csv", "curve.csv"}
"""The records that only training makes: one that is lost stays lost."""
IMAGES = "images.json"
"""The record of images that another program made: their files and hashes. Such a run has no training."""
FLOATS = "%.9g"
"""How tables of images have their numbers: in nine significant digits, as many as single precision has."""
HASHED = {"config.yaml", IMAGES, TEST_SAMPLES, *OF_TRAINING, *OF_MODES}
"""The files whose hashes a finished run records, besides its generator's."""


class Record(BaseModel):
    """What all records share: exact types, no NaN and no infinity, and unknown keys that are kept."""

    # Validators are built when a first record is read: a plan of a new study reads none.
    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """The record as it stands in its file: what was never set is left out."""
        return self.model_dump(exclude_unset=True)


class Training(Record):
    """What the training of a run took, and what came of it. None stands for a value that was not recorded."""

    steps: int
    seconds: float
    seconds_per_step: float
    peak_memory_bytes: int
    data_wait_share: float | None = None
    """The share of the last sitting's time that the step waited for data, 0 to 1."""
    engine: str | None = None
    generator_parameters: int | None = None
    generator_flops: float | None = None
    """Operations of the generator for one image; a multiplication and an addition count as two."""
    discriminator_flops: float | None = None
    """Those of the discriminator; 0 where there is none. Not in a record of version 0.1."""
    cost_key: str | None = None
    generator_sha256: str | None = None
    perceptual: dict[str, Any] | None = None
    """The network and the weights of ``objective.perceptual``, where there is one."""
    features: dict[str, Any] | None = None
    """Those through which a projected discriminator saw, where there was one."""
    selected: dict[str, Any] | None = None
    """The selected epoch and its validation L1, where ``training.select`` chose one."""


class Status(Record):
    """``status.json``: the state of a run, and what is needed to repeat it."""

    schema_version: Literal[1]
    state: State
    reason: str | None = None
    """Why the run failed or was interrupted."""
    run_id: str | None = None
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    """CPU threads that the run began with."""
    processes: int | None = None
    goes_on_from: str | None = None
    """The finished run of fewer epochs whose last checkpoint the training began with."""
    started_in: str | None = None
    """The working directory of an unfinished run, where the paths in its settings begin."""
    data_key: str | None = None
    started: str | None = None
    finished: str | None = None
    machine: dict[str, str | int | float | None] | None = None
    """The machine that trained it, as :func:`p2pbench.system.hardware.describe_machine` has it."""
    versions: dict[str, str] | None = None
    bits: int | None = None
    """Bits of the training images, 8 or 16."""
    training: Training | None = None
    files: dict[str, str] = {}
    """The SHA-256 of each record by its name; empty while the run is not finished."""
    seconds_beside_training: float | None = None
    seconds_per_image: dict[str, float] = {}
    """The time of translating a test image on ``machine``, in batches, by inference mode; without those that an earlier
    version or another machine scored."""

    @field_validator("files")
    @classmethod
    def _lie_in_the_run(cls, files: dict[str, str]) -> dict[str, str]:
        if not files.keys() <= HASHED:
            raise ValueError("names files that are no records of a run")
        return files


class Score(Record):
    """One score as it was recorded."""

    value: float | None
    """None where the score was not measured."""
    low: float | None
    """Ends of the 95 % interval over images, where there is one."""
    high: float | None
    n: int
    unit: str
    better: Literal["lower", "higher", "closer to 1"]
    settings: dict[str, Any]
    state: Literal["measured", "not measured"]
    reason: str | None
    """Why there is no value, or no interval."""
    notes: list[str]


def before_jackknives(scores: Mapping[str, Score]) -> list[str]:
    """The scores of sets in a record of an earlier version, which wrote no pseudo-values: they are scored again.

    Each score of a set that this version measured says in its settings what ``jackknife.csv`` has of it, or why
    nothing.
    """
    return [
        name
        for name, score in scores.items()
        if name in METRICS and not METRICS[name].per_image and score.value is not None
        if "jackknife" not in score.settings
    ]


class Scores(Record):
    """``scores.json``: the scores of a run in one inference mode, by name."""

    schema_version: Literal[1]
    n: int
    scores: dict[str, Score]

    @field_validator("scores")
    @classmethod
    def _are_known(cls, scores: dict[str, Score]) -> dict[str, Score]:
        for name in scores:
            if name not in METRICS and not is_reference(name):
                raise ValueError(f"{name!r} is no score")
        return scores


class StudyCell(Record):
    """A variant with a seed, as its study recorded it."""

    run_id: Annotated[str, Field(pattern=f"^{RUN_ID}$")]
    variant: str
    seed: int
    config: dict[str, dict[str, Any]]
    levels: dict[str, str] = {}
    """For each factor the label of the variant's level; empty where ``made_elsewhere``."""
    made_elsewhere: bool = False
    """Whether another program made its images, which ``study add`` scored: no training of ours is behind them."""

    @field_validator("config")
    @classmethod
    def _has_a_mode(cls, config: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if _mode(config) not in INFERENCE_MODES:
            raise ValueError("has no inference mode")
        return config

    @property
    def inference(self) -> str:
        """The inference mode that the cell is scored in, by its name of today."""
        return _mode(self.config)

    @property
    def asked(self) -> list[str]:
        """The scores that the cell is asked for."""
        return asked_metrics(self.config["scoring"])


def _mode(config: dict[str, dict[str, Any]]) -> str:
    recorded = str(config.get("scoring", {}).get("inference"))
    return VALUES["scoring.inference"].get(recorded, recorded)


Contrasts = Literal["baseline", "previous"] | list[Annotated[list[str], Field(min_length=2, max_length=2)]]
"""Which variants are compared: each with the baseline, each with the one before, or the first of each pair with the
second."""


def pairs_of(contrasts: Contrasts, variants: Sequence[str], baseline: str) -> list[tuple[str, str]]:
    """Contrasts among ``variants`` as (variant, what it is compared with)."""
    if contrasts == "baseline":
        return [(variant, baseline) for variant in variants if variant != baseline]
    if contrasts == "previous":
        return [(variant, before) for before, variant in pairwise(variants)]
    return [(variant, against) for variant, against in contrasts]


class Change(Record):
    """That a study's way of answering was changed while it was there: the value before, and when it changed."""

    key: Literal["primary", "margins", "contrasts"]
    before: Any
    changed: str


class Fit(Record):
    """How ``training.seconds`` of a variant became epochs: steps were timed once, and the result stays."""

    seconds: float
    seconds_per_step: float
    epochs: int
    cost_key: str
    steps_per_epoch: int | None = None
    """None in older records."""


class StudyFile(Record):
    """``study.yaml``: a question, its protocol, and the resolved cells."""

    schema_version: Literal[1]
    name: str
    question: str
    published: str | None = Field(validation_alias=AliasChoices("published", "paper"))
    """The published table that reports show beside this study's; version 0.1 called the key ``paper``."""
    protocol: dict[str, Any]
    baseline: str
    command: str
    cells: list[StudyCell]
    factors: dict[str, list[str]] = {}
    primary: list[str] = []
    """The scores of which the first that can decide answers the question; none in a record of version 0.1."""
    contrasts: Contrasts = "baseline"
    margins: dict[str, float] = {}
    """The smallest differences that matter, by score, where the grid sets them."""
    reads: list[str] = []
    """Which way the pairs are read: which side is the condition, which the target; not in a record of version 0.1."""
    fits: dict[str, Fit] = {}
    """By variant, where the study is one at equal wall time."""
    changes: list[Change] = []
    """What was changed of these three since the study began, in order."""

    def pairs(self) -> list[tuple[str, str]]:
        """The contrasts as (variant, what it is compared with); what was made elsewhere, with the baseline."""
        elsewhere = dict.fromkeys(cell.variant for cell in self.cells if cell.made_elsewhere)
        trained = dict.fromkeys(cell.variant for cell in self.cells if not cell.made_elsewhere)
        of_grid = pairs_of(self.contrasts, list(trained), self.baseline)
        return [*of_grid, *((variant, self.baseline) for variant in elsewhere)]

    @property
    def asked(self) -> list[str]:
        """The scores that any cell is asked for, each once."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.asked))


class ReferenceRow(Record):
    """One reference row: an output that no training made, and its scores."""

    name: str
    about: str
    n: int
    reason: str | None
    """Why the row has no scores."""
    scores: dict[str, Score]
    """The scores that make sense of it: paired scores of real images do not."""


class References(Record):
    """``references.json``: the reference rows of a study."""

    schema_version: Literal[1]
    key: str | None
    """A hash of all that decides the rows but for the pretrained networks."""
    state: Literal["made", "failed"]
    reason: str | None
    rows: list[ReferenceRow]
    run_id: str | None = None
    """The run whose configuration and data the rows were made with."""
    without: list[str] = []
    """Pretrained networks that were not at hand."""
    versions: dict[str, str] | None = None


R = TypeVar("R", bound=Record)


def read(model: type[R], path: Path) -> R | None:
    """The record in ``path``; None where there is none, or where it does not fit ``model``."""
    content = read_json(path)
    try:
        return model.model_validate(content) if content else None
    except ValueError:
        return None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty where there is none of this version."""
    try:
        content = from_json(path.read_bytes(), allow_inf_nan=False)
    except (OSError, ValueError):
        return {}
    whole = isinstance(content, dict) and content.get("schema_version") == SCHEMA_VERSION
    return content if whole else {}


def write(path: Path, record: Record) -> None:
    """Write ``record`` to ``path``, whole or not at all."""
    write_json(path, record.to_json())
