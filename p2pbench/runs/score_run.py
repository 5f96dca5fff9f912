"""The scores of a trained generator, and the record of them: values, values of each image, what reports show."""

import contextlib
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from p2pbench.config.metrics import FCN_SCORES
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, as_tested
from p2pbench.data.images import as_rgb8, as_scored
from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
from p2pbench.errors import ConfigError, NotFinite
from p2pbench.inference.generator import translate
from p2pbench.inference.samples import save_png, spread
from p2pbench.runs import records
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.profile import Profile
from p2pbench.scoring.evaluate import NO_LABELS, Scores, evaluate
from p2pbench.scoring.images import LazyImages, digest
from p2pbench.scoring.jackknife import jackknife_table, pseudo_values_in
from p2pbench.scoring.segmentation import ClassReader, NoReader, find_reader
from p2pbench.system.files import write_json, write_text
from p2pbench.system.hardware import describe_machine, let_go
from p2pbench.system.progress import Count, no_progress
from p2pbench.training.engine import Engine

log = logging.getLogger(__name__)

N_REDRAWN, REDRAWS = 4, 3
"""Test pairs whose outputs with other noise are kept, and how many outputs of each."""


def score_run(
    config: RunConfig,
    generator: nn.Module,
    dataset: DataSet,
    run: RunFolder,
    engine: Engine,
    weights_dir: Path | None,
    fetch: bool,
    progress: Count,
) -> None:
    """Measure the scores that the run lacks, and add them to those it has; record what reports show of its outputs.

    Args:
        generator: the run's trained generator, on the engine's device.
    """
    wanted = run.missing_scores(config, weights_dir)
    profile = Profile(run, len(dataset.names["test"])) if not run.profile() else None
    if not wanted and profile is None:
        return
    log.info("scoring: %s", ", ".join(wanted) or "what reports show")
    paces: list[float] = []
    scores = score_generator(
        config, generator, dataset, wanted, engine, weights_dir, progress,
        learned=progress, fetch=fetch, watchers=[] if profile is None else [profile.add], paces=paces,
    )  # fmt: skip
    _record_pace(run, paces, engine)
    if profile is not None:
        _profile(config, generator, dataset, run, profile)
    if wanted:
        record_scores(run, scores)


def _record_pace(run: RunFolder, paces: Sequence[float], engine: Engine) -> None:
    """Record the median of ``paces``, which a first batch that warms up does not move, where the run lacks it.

    A record has one machine, and so another one's pace does not belong in it.
    """
    status = run.status()
    if status is None or not paces or run.inference in status.seconds_per_image:
        return
    if status.machine == describe_machine(engine.device):
        pace = {**status.seconds_per_image, run.inference: statistics.median(paces)}
        run.set_status(status.state, status.reason, seconds_per_image=pace)


def _profile(config: RunConfig, generator: nn.Module, dataset: DataSet, run: RunFolder, profile: Profile) -> None:
    """Record what reports show of the outputs besides their scores, and pictures of the conditions."""
    test = decoded(dataset, "test")
    for position in profile.kept:
        condition = as_displayed(conditions_of(test[position : position + 1], config.data), config.data)[0]
        save_png(run.sample_file("condition", position), as_rgb8(condition))
    noisy = config.scoring.inference == "paper" or config.objective.is_transport  # other modes draw no noise
    redrawn = spread(len(test), N_REDRAWN) if noisy else []
    with contextlib.suppress(NotFinite):  # the scores say that outputs are not finite
        for draw in range(1, REDRAWS + 1) if redrawn else ():
            outputs = _outputs(config, generator, test[redrawn], keys=[draw * len(test) + p for p in redrawn])
            for position, output in zip(redrawn, outputs, strict=True):
                save_png(run.sample_file(f"draw{draw}", position), as_rgb8(output))
    write_json(run.profile_file, profile.to_json(dataset.names["test"], redrawn), indent=None)


def score_generator(
    config: RunConfig,
    generator: nn.Module,
    dataset: DataSet,
    metrics: Sequence[str],
    engine: Engine,
    weights_dir: Path | None,
    progress: Count = no_progress,
    *,
    learned: Count = no_progress,
    fetch: bool = True,
    split: str = "test",
    watchers: Sequence[Callable[[np.ndarray, np.ndarray], None]] = (),
    paces: list[float] | None = None,
) -> Scores:
    """The scores of ``generator`` on a split, at ``crop_size``; translated, and read, batch by batch.

    Args:
        progress: called with (images scored, in all).
        learned: called with the steps of the segmentation network, where FCN-scores need one that is not there yet.
        watchers: as :func:`evaluate` takes them.
        paces: gets the seconds an image that each batch took to translate.

    Raises:
        ConfigError: the data have no such split.
    """
    if split not in dataset.names:
        raise ConfigError(f"{config.data.source} has no split {split!r}; it has {', '.join(dataset.names)}")
    # Training pairs are scored as test pairs are, not at the larger size that they are cropped from.
    pairs, n = decoded(as_tested(dataset), split), len(dataset.names[split])
    shape = (n, *as_scored(targets_of(pairs[:1], config.data)).shape[1:])

    def rows(start: int, stop: int) -> np.ndarray:
        found = np.array(pairs[start:stop])
        let_go(pairs)
        return found

    def draw(k: int) -> LazyImages:
        """The outputs with the k-th noise; those with the 0th are scored."""

        def outputs(start: int, stop: int) -> np.ndarray:
            chunk = rows(start, stop)
            begin = time.perf_counter()
            translated = _outputs(config, generator, chunk, keys=range(k * n + start, k * n + stop))
            if paces is not None:
                paces.append((time.perf_counter() - begin) / len(chunk))
            return as_scored(translated)

        return LazyImages(shape, outputs)

    targets = LazyImages(shape, lambda start, stop: as_scored(targets_of(rows(start, stop), config.data)))
    return evaluate(
        draw(0), targets, dataset.names[split], metrics,
        weights_dir=weights_dir, fetch=fetch, device=str(engine.device),
        settings=inference_settings(config, split) | {"targets_sha256": digest(targets)}, redraw=lambda k: draw(k + 1),
        classes=class_reader(config, dataset, metrics, engine, learned, split), watchers=watchers, progress=progress,
    )  # fmt: skip


def class_reader(
    config: RunConfig, dataset: DataSet, metrics: Sequence[str], engine: Engine, learned: Count, split: str = "test"
) -> ClassReader | NoReader:
    """What reads classes from outputs, where any of ``metrics`` is an FCN-score; or why nothing can."""
    if not set(FCN_SCORES) & set(metrics):
        return NO_LABELS
    if split != "test":
        return NoReader("is taken of the test split alone, where it stands beside what the real photos score")
    return find_reader(dataset, config.scoring.palette, engine.device, learned)


def _outputs(config: RunConfig, generator: nn.Module, pairs: np.ndarray, keys: Sequence[int]) -> np.ndarray:
    """What ``generator`` makes of the conditions of ``pairs``, as scoring has it: (N, H, W, C'), uint8 or uint16."""
    return translate(
        generator, conditions_of(pairs, config.data), config.data,
        seed=config.training.seed, mode=config.scoring.inference, keys=keys,
    )  # fmt: skip


def inference_settings(config: RunConfig, split: str = "test") -> dict[str, Any]:
    """How a run's outputs are made for scoring, and of which split: recorded with every score."""
    settings = {
        "split": split,
        "inference": config.scoring.inference,
        "noise_seed": config.training.seed,
        "size": config.data.crop_size,
    }
    if config.training.ema is not None:
        settings["ema"] = config.training.ema
    return settings | ({"padded_to": config.padded_shape} if config.padded_shape != config.data.crop_shape else {})


def record_scores(run: RunFolder, new: Scores) -> None:
    """Add ``new`` to the run's scores.json, per_image.csv and jackknife.csv."""
    import pandas as pd

    added = records.Scores.model_validate(new.to_json())
    merged = added.model_copy(update={"scores": {**run.scores(), **added.scores}})
    table = new.to_frame()
    if run.per_image_file.is_file():
        try:
            before = pd.read_csv(run.per_image_file, dtype={"image": str})
        except ValueError:  # it is damaged and made anew
            before = pd.DataFrame({"image": []})
        if len(before) == len(table):  # they are the same images in the same order, or the run would be another
            # Of a score that is measured anew nothing old stays, also where it is not measured this time.
            kept = before.drop(columns=["image", *new.scores], errors="ignore")
            table = pd.concat([table[["image"]], kept, table.drop(columns="image")], axis=1)
    write_text(run.per_image_file, table.to_csv(index=False, float_format=records.FLOATS))
    pseudo = {score: values for score, values in _recorded_pseudo_values(run, new.n).items() if score not in new.scores}
    pseudo |= new.pseudo_values
    if pseudo or run.jackknife_file.is_file():
        write_text(
            run.jackknife_file, jackknife_table(new.names, pseudo).to_csv(index=False, float_format=records.FLOATS)
        )
    records.write(run.scores_file, merged)  # it is written last: a run with scores.json has all its records


def _recorded_pseudo_values(run: RunFolder, n: int) -> dict[str, np.ndarray]:
    """Those of ``n`` images by score; empty where there are none, or where the file is damaged."""
    import pandas as pd

    try:
        return pseudo_values_in(pd.read_csv(run.jackknife_file, dtype={"unit": str}), n)
    except (OSError, ValueError):
        return {}
