"""How many cells run at once, and which of them are a shard's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from rich.console import Console
from study_workplace import Workplace

from p2pbench.errors import ConfigError
from p2pbench.runs.events import Event, Job
from p2pbench.runs.store import Store
from p2pbench.study import runner
from p2pbench.study.execution import Execution, Shard, cells_on_gpus
from p2pbench.study.plan import build_study


def test_five_cells_of_a_fifth_fit_on_a_gpu() -> None:
    assert cells_on_gpus(2, 0.2) == 10
    assert cells_on_gpus(1, 0.3) == 3
    assert cells_on_gpus(3, 2) == 1


def test_a_plan_is_for_what_its_gpus_have_room_for() -> None:
    assert Execution().planned_at_once() == 1
    assert Execution(jobs=3).planned_at_once() == 3
    assert Execution(plan_gpus=2, gpus_per_cell=0.2).planned_at_once() == 10
    with pytest.raises(ConfigError, match="no room for a single cell"):
        Execution(plan_gpus=1, gpus_per_cell=2).planned_at_once()


def test_shards_share_every_training_out_once(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace.folder)
    study = build_study("two.yaml", None, {}, [0, 1, 2])
    shares = [Shard(number, 4).run_ids(study) for number in (1, 2, 3, 4)]
    assert sorted(len(share) for share in shares) == [1, 1, 2, 2]
    assert set().union(*shares) == Shard().run_ids(study) == {cell.run_id for cell in study.cells}
    for number, of in ((0, 4), (5, 4)):
        with pytest.raises(ConfigError, match=f"--shard is '{number}/{of}': give I/N with I from 1 to N"):
            Shard(number, of)


class Noted:
    """An executor that carries nothing out, and knows in which order the cells came."""

    stopping = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        self.came = [job.label for job in jobs if job.kind == "cell"]
        yield from (Event(job, "finished") for job in jobs)


def test_cells_run_in_blocks_of_a_seed(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that is stopped, and one whose shards get on at the same pace, has as many seeds of each variant."""
    monkeypatch.chdir(workplace.folder)
    study = build_study("two.yaml", None, {}, [1, 0])
    store, came = Store(workplace.folder / "runs"), []
    for shard in (Shard(), Shard(1, 2), Shard(2, 2)):
        noted = Noted()
        runner.carry_out(study, store, Execution(shard=shard), console=Console(quiet=True), executor=noted)  # type: ignore[arg-type]
        came.append(noted.came)
    everything = ["l1 seed 1", "l1+cgan seed 1", "l1 seed 0", "l1+cgan seed 0"]
    assert came == [everything, ["l1 seed 1", "l1+cgan seed 0"], ["l1+cgan seed 1", "l1 seed 0"]]
