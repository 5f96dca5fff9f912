"""Equal wall time: a probe turns seconds into epochs once, and the study's record holds it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import write_pairs

from p2pbench.config.schema import RunConfig
from p2pbench.errors import ConfigError
from p2pbench.runs.store import Store
from p2pbench.study.plan import Study, build_study
from p2pbench.study.study_file import recorded_alike
from p2pbench.study.wall_time import in_seconds


@pytest.fixture
def study_of(pairs_folder: Path, tmp_path: Path) -> Callable[..., Study]:
    """Builds a study of two objectives on six pairs, to train for a minute."""
    (tmp_path / "two.yaml").write_text(
        "question: Does D matter?\nbaseline: {objective: l1}\nfactors: {objective: [l1, l1+cgan]}\n"
        "data: {load_size: 18, crop_size: 16}\ndiscriminator: patch16\n"
    )

    def build(*seeds: int, seconds: int = 60) -> Study:
        settings = {"training.seconds": seconds, "data.source": str(pairs_folder)}
        return build_study(str(tmp_path / "two.yaml"), None, settings, seeds)

    return build


class Probe:
    """Steps take a second, with D two."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.timed = factor, list[str]()

    def __call__(self, config: RunConfig, _: float) -> float:
        self.timed.append(config.objective.name)
        return self.factor * (2.0 if config.objective.has_discriminator else 1.0)


def test_seconds_become_epochs_once(study_of: Callable[..., Study], tmp_path: Path) -> None:
    store, probe = Store(tmp_path / "runs"), Probe()
    found = in_seconds(study_of(0), store, probe)
    assert found.name == "two,source=pairs,seconds=60"
    assert probe.timed == ["l1", "l1+cgan"]
    assert [(c.config.training.epochs, c.steps, c.config.training.seconds) for c in found.cells] == [
        (10, 60, None), (5, 30, None),
    ]  # fmt: skip
    # More seeds, and a machine that is slower now: the variants are what they were.
    slower = Probe(3.0)
    more = in_seconds(study_of(0, 1), store, slower)
    assert slower.timed == []
    assert [cell.config.training.epochs for cell in more.cells] == [10, 5, 10, 5]
    assert [cell.run_id for cell in more.cells[:2]] == [cell.run_id for cell in found.cells]
    assert recorded_alike(more, store) is not None
    assert store.read_study(found.name).fits["l1+cgan"].seconds_per_step == 2.0


def test_the_run_is_that_of_as_many_epochs(study_of: Callable[..., Study], tmp_path: Path) -> None:
    settings = {"training.epochs": 10, "data.source": study_of(0).cells[0].config.data.source}
    plain = build_study(str(tmp_path / "two.yaml"), None, settings, [0])
    found = in_seconds(study_of(0), Store(tmp_path / "runs"), Probe())
    assert found.cells[0].run_id == plain.cells[0].run_id
    assert found.cells[1].run_id != plain.cells[1].run_id


def test_other_seconds_are_another_study_and_a_plan_records_nothing(
    study_of: Callable[..., Study], tmp_path: Path
) -> None:
    store = Store(tmp_path / "runs")
    shown = in_seconds(study_of(0, seconds=6), store, Probe(), record=False)
    assert [cell.config.training.epochs for cell in shown.cells] == [1, 1]  # at least one
    assert not store.root.exists()
    assert shown.name != in_seconds(study_of(0), store, Probe()).name
    with pytest.raises(ConfigError, match="use ablate"):
        in_seconds(study_of(0, seconds=6), store, None)


def test_a_level_that_comes_later_has_the_time_of_the_steps_that_are_its_own(
    study_of: Callable[..., Study], tmp_path: Path
) -> None:
    """Steps of one cost have one time, whatever the machine does now, or equal time would be unequal epochs."""
    store, grid = Store(tmp_path / "runs"), tmp_path / "two.yaml"
    before = grid.read_text()
    epochs = []
    for lambdas, probe in (("[10, 100]", Probe()), ("[10, 100, 1000]", slower := Probe(3.0))):
        grid.write_text(before.replace("objective: [l1, l1+cgan]", f"objective.lambda_l1: {lambdas}").replace(
            "baseline: {objective: l1}", "baseline: {objective.lambda_l1: 100}\nobjective: l1+cgan"
        ))  # fmt: skip
        epochs.append([cell.config.training.epochs for cell in in_seconds(study_of(0), store, probe).cells])
    assert slower.timed == []
    assert epochs == [[5, 5], [5, 5, 5]]


def test_only_whole_epochs_that_fit_are_trained_and_other_data_have_their_own(
    study_of: Callable[..., Study], tmp_path: Path
) -> None:
    store = Store(tmp_path / "runs")
    found = in_seconds(study_of(0), store, Probe(1.15))  # 8.7 and 4.3 epochs of six steps
    assert [cell.config.training.epochs for cell in found.cells] == [8, 4]
    shutil.rmtree(tmp_path / "pairs")
    write_pairs(tmp_path / "pairs", {"train": 12, "test": 3})  # epochs of twelve steps now
    found = in_seconds(study_of(0), store, Probe(9.0), replace_other=True)
    assert [cell.config.training.epochs for cell in found.cells] == [4, 2]
