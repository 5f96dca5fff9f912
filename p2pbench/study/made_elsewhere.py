"""Images that another program made of a study's test pairs: scored as the cells are, and recorded as a variant.

    runs/cells/<id>/    status.json scores.json per_image.csv jackknife.csv profile.json samples/ images.json

The id is a hash of the images and of what they are compared with: the same images are never two variants.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from p2pbench.config.resolve import from_mapping
from p2pbench.config.run_id import run_id
from p2pbench.config.schema import RunConfig
from p2pbench.data.dataset import DataSet, open_dataset, wanted_by_role
from p2pbench.data.images import Wanted
from p2pbench.data.outputs import outputs_for
from p2pbench.errors import ConfigError, DataError
from p2pbench.runs import records
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.records import SCHEMA_VERSION, StudyCell, StudyFile
from p2pbench.runs.store import Store
from p2pbench.study.study_file import check_label
from p2pbench.system.files import locked, sha256_of, write_json
from p2pbench.system.progress import stages

if TYPE_CHECKING:
    from p2pbench.scoring.images import LazyImages


def add_images(
    store: Store, name: str, label: str, folder: Path, seed: int, weights_dir: Path | None, console: Console
) -> dict[str, Any]:
    """Score the images in ``folder`` as outputs of the study's test pairs, and record them as the variant ``label``.

    The same images again get the scores that they lack.

    Raises:
        ConfigError: the study has other images, or a variant of its grid, of that label.
        DataError: images are missing, belong to no pair, have another size, are the targets themselves, or are there
            under another label or seed; or the study's data have changed.
    """
    record = store.read_study(name)
    config, dataset = _test_of(record, name)
    names = dataset.names["test"]
    files, matched = outputs_for(folder, names)
    hashes = [sha256_of(file) for file in files]
    cell = _cell(config, dataset, label, seed, hashes, record.asked)
    check_label(record, cell)

    from p2pbench.training.engine import prepare_engine

    engine = prepare_engine(config.training)
    run = store.run(cell.run_id, cell.inference)
    with run.lock():
        _score(config, dataset, run, files, engine, weights_dir, console)
        images = [
            {"image": image, "file": file.name, "sha256": sha256}
            for image, file, sha256 in zip(names, files, hashes, strict=True)
        ]
        about = {"label": label, "folder": folder.name, "matched": matched}
        write_json(run.images_file, {"schema_version": SCHEMA_VERSION, **about, "images": images})
        run.set_status(
            "finished", run_id=cell.run_id, data_key=dataset.key, files=run.record_hashes(),
            finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
    _record(store, name, cell)
    scores = {metric: score.to_json() for metric, score in run.scores().items()}
    return {"study": name, "variant": label, "seed": seed, "run_id": cell.run_id, "n": len(files), "matched": matched,
            "scores": scores}  # fmt: skip


def _test_of(record: StudyFile, name: str) -> tuple[RunConfig, DataSet]:
    """How the study's baseline is scored, and on which pairs. Raises :class:`DataError` where these have changed."""
    first = min((cell for cell in record.cells if cell.variant == record.baseline), key=lambda cell: cell.seed)
    config = from_mapping(first.config, f"study {name}")
    dataset = open_dataset(config.data)
    if run_id(config, dataset.key) != first.run_id:
        raise DataError(
            f"{config.data.source} is not what study {name!r} was trained on (its data, or the code of a network, have "
            "changed since): images are compared on the same pairs alone"
        )
    scoring = config.scoring.model_copy(update={"metrics": tuple(record.asked), "extra_metrics": ()})
    return config.model_copy(update={"scoring": scoring}), dataset


def _cell(
    config: RunConfig, dataset: DataSet, label: str, seed: int, hashes: Sequence[str], asked: Sequence[str]
) -> StudyCell:
    if not label.strip() or not label.isprintable():
        raise ConfigError(f"--label is {label!r}: give words, on one line")
    compared_with = config.data.model_dump(mode="json", exclude={"source"})
    text = json.dumps([dataset.key, compared_with, list(hashes)], sort_keys=True)
    scoring = {**config.scoring.model_dump(mode="json"), "metrics": list(asked), "extra_metrics": []}
    return StudyCell(
        run_id=hashlib.sha256(text.encode()).hexdigest()[:12], variant=label, seed=seed, made_elsewhere=True,
        config={"data": config.data.model_dump(mode="json"), "scoring": scoring},
    )  # fmt: skip


def _score(
    config: RunConfig, dataset: DataSet, run: RunFolder, files: Sequence[Path], engine: Any, weights_dir: Path | None,
    console: Console,
) -> None:  # fmt: skip
    """Measure the scores that the run lacks, and record what reports show of the images."""
    from p2pbench.data.cache import decoded
    from p2pbench.data.images import as_rgb8, as_scored
    from p2pbench.data.transforms import as_displayed, conditions_of, targets_of
    from p2pbench.inference.samples import save_png
    from p2pbench.runs.profile import Profile
    from p2pbench.runs.score_run import class_reader, inference_settings, record_scores
    from p2pbench.scoring.evaluate import evaluate
    from p2pbench.scoring.images import LazyImages, digest

    names = dataset.names["test"]
    pairs = decoded(dataset, "test")
    shape = (len(names), *as_scored(targets_of(pairs[:1], config.data)).shape[1:])
    targets = LazyImages(shape, lambda start, stop: as_scored(targets_of(np.array(pairs[start:stop]), config.data)))
    fakes = _images(files, targets, wanted_by_role(config.data)[1])
    wanted = run.missing_scores(config, weights_dir)
    profile = Profile(run, len(names)) if not run.profile() else None
    if not wanted and profile is None:
        return
    before = run.status()
    run.set_status("running" if before is None else before.state, files={})  # no hash holds until all is written
    made = {**inference_settings(config), "inference": "made elsewhere", "noise_seed": None}
    made["targets_sha256"] = digest(targets)
    with stages(console) as stage:
        scores = evaluate(
            fakes, targets, names, wanted, weights_dir=weights_dir, device=str(engine.device), settings=made,
            classes=class_reader(config, dataset, wanted, engine, stage("segmentation network", "steps")),
            watchers=[] if profile is None else [profile.add], progress=stage("scoring", "images"),
        )  # fmt: skip
    if profile is not None:
        for position in profile.kept:
            condition = as_displayed(conditions_of(np.array(pairs[position : position + 1]), config.data), config.data)
            save_png(run.sample_file("condition", position), as_rgb8(condition[0]))
        write_json(run.profile_file, profile.to_json(names, []), indent=None)
    record_scores(run, scores)


def _images(files: Sequence[Path], targets: LazyImages, wanted: Wanted) -> LazyImages:
    """The images in ``files``, of the kind that the study's targets are: each is looked at before any is scored.

    Raises:
        DataError: one cannot be read or has another size than its target, or all are the targets themselves.
    """
    from p2pbench.scoring.images import of_files, scored

    differ = False
    for position, file in enumerate(files):
        image, target = scored(file, wanted), targets[position : position + 1][0]
        if image.shape != target.shape:
            raise DataError(
                f"{file} is {image.shape[1]}x{image.shape[0]} with {image.shape[2]} channels, and the study scores "
                f"{target.shape[1]}x{target.shape[0]} with {target.shape[2]}: bring the outputs to that size first"
            )
        differ = differ or not np.array_equal(image, target)
    if not differ:
        raise DataError(f"the images in {files[0].parent} are the targets themselves: there is nothing to compare")
    return of_files(files, targets.shape[1:], wanted)


def _record(store: Store, name: str, cell: StudyCell) -> None:
    """Add ``cell`` to the record of the study, as other processes left it."""
    path = store.study_file(name)
    with locked(path.with_name("study.lock")):
        record = store.read_study(name)
        check_label(record, cell)
        others = [c for c in record.cells if (c.variant, c.seed) != (cell.variant, cell.seed)]
        records.write(path, record.model_copy(update={"cells": [*others, cell]}))
