"""What a plan says of what its seeds can show."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_records import ASKED, loss_study

from p2pbench.report import planning
from p2pbench.report.comparisons import Comparison, comparisons
from p2pbench.report.planning import Detectable
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store
from p2pbench.statistics.trainings import OverTrainings, Spread, smallest_difference
from p2pbench.study.plan import Study, build_study


def detectable(study: Study, store: Store) -> Detectable | None:
    """As ``--plan`` asks."""
    config = study.cells[0].config
    return planning.detectable(
        store, study.grid.primary, config.scoring.wanted, config.data.model_dump(mode="json"), study.grid.margins,
        seeds=len({cell.seed for cell in study.cells}), images=study.cells[0].test_images,
        contrasts=len(study.contrasts()),
    )  # fmt: skip


def test_without_records_it_stands_on_the_table(tmp_path: Path) -> None:
    study = build_study("loss", None, {"scoring.metrics": ["l1", "lpips"]}, [0, 1, 2])
    found = detectable(study, Store(tmp_path))
    assert found is not None
    assert (found.score, found.seeds, found.images, found.contrasts) == ("lpips", 3, 30, 4)
    assert found.difference is not None and found.difference > 0
    assert found.spread_of.startswith("facades")
    assert "chance 80 %" in found.sentence
    more = detectable(build_study("loss", None, {"scoring.metrics": ["l1", "lpips"]}, range(9)), Store(tmp_path))
    assert more is not None and more.difference is not None
    assert more.difference < found.difference


@pytest.mark.parametrize("grid", ["loss", "families", "upsampling", "ladder"])
def test_a_first_study_of_the_default_protocol_is_told_what_it_can_show(grid: str, tmp_path: Path) -> None:
    found = detectable(build_study(grid, None, {}, [0, 1, 2]), Store(tmp_path))
    assert found is not None and found.difference is not None


@pytest.mark.parametrize(("seeds", "said"), [([0], "1 seed says nothing"), ([0, 1], "2 seeds say nothing")])
def test_too_few_seeds_are_told_before_anything_is_trained(seeds: list[int], said: str, tmp_path: Path) -> None:
    found = detectable(build_study("loss", None, {"scoring.metrics": ["lpips"]}, seeds), Store(tmp_path))
    assert found is not None
    assert found.difference is None
    assert found.sentence.startswith(said)


def test_records_of_the_same_data_count_before_the_table(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    study = loss_study(store, [0, 1, 2])
    asked = {**ASKED, "scoring.metrics": ["l1"]}
    planned = build_study("loss", None, asked, [0, 1, 2, 3])
    object.__setattr__(planned.grid, "primary", ("l1",))
    found = detectable(planned, store)
    assert found is not None
    assert found.spread_of == "study loss"
    spreads = [c.found.spread() for c in comparisons(read_study(store, study.name), "l1") if c.found is not None]
    mean = Spread(*(sum(part) / len(spreads) for part in zip(*(s for s in spreads if s), strict=True)))
    assert found.difference == pytest.approx(smallest_difference(mean, 4, 30, 0.05 / 4))


def test_no_known_spread_is_no_promise(tmp_path: Path) -> None:
    assert detectable(build_study("loss", None, {"scoring.metrics": ["psnr"]}, [0]), Store(tmp_path)) is None


def test_a_score_of_the_users_own_is_planned_by_its_records_and_has_no_margin(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    study = loss_study(store, [0, 1, 2])
    for cell in study.cells:
        run = store.run(str(cell.run_id))
        for file in (run.scores_file, run.per_image_file):
            file.write_text(file.read_text().replace('"l1"', '"mine:brightness"').replace(",l1", ",mine:brightness"))
    recorded = store.study_file(study.name)
    recorded.write_text(re.sub(r'^( +)"l1",$', r'\1"mine:brightness",', recorded.read_text(), flags=re.MULTILINE))
    found = planning.detectable(
        store, ("mine:brightness",), ["mine:brightness"], study.cells[0].config.data.model_dump(mode="json"), {},
        seeds=3, images=30, contrasts=4,
    )  # fmt: skip
    assert found is not None and found.difference is not None
    assert found.sentence.startswith("in brightness differences from ")
    assert found.sentence.endswith("spread of study loss)")


def test_groups_of_images_are_planned_with_as_images() -> None:
    """A mean of ten groups of ten images varies as one of a hundred images does."""
    of_images = Spread(0.0, 1.0, 2.0)
    squares = np.array([0.2, 0.1 * 5 + 0.2, 0.2])  # of groups: a tenth of the variances
    found = OverTrainings(0.0, 5, 10, squares, None)
    compared = Comparison("b", "a", "cannot tell", found, n_images=100)
    assert planning.spread_over_images(compared) == pytest.approx(of_images)
    assert planning.spread_over_images(replace(compared, found=None)) is None


def test_a_plan_says_where_images_limit_what_seeds_can_show() -> None:
    about: dict[str, Any] = {
        "score": "lpips", "margin": 0.01, "seeds": 5, "images": 30, "contrasts": 1, "difference": 0.05, "spread_of": "x"
    }  # fmt: skip
    said = Detectable(seeds_for_margin=None, limited_by_images=True, **about).sentence
    assert said.endswith("; a difference of the margin, 0.01, no number of seeds shows on 30 test images")
    assert "takes more than 100 seeds" in Detectable(seeds_for_margin=None, limited_by_images=False, **about).sentence
