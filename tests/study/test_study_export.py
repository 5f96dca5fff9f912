"""Records without weights and pictures: they make the same tables, and a copy of them grows as a store does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from program import document, error_of
from report_records import fill, loss_study
from study_workplace import Workplace

from p2pbench.report import latex, tables
from p2pbench.report.page import write_report
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store
from p2pbench.study.export import fewer_losses
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.files import write_json


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def store_of(folder: str, *seeds: int) -> Store:
    """A store with the loss grid of ``seeds``, and rows that say of which seed they were made."""
    store = Store(Path(folder))
    study = loss_study(store, seeds)
    first = next(cell for cell in study.cells if cell.variant == study.baseline)
    rows = [{"name": f"of seed {seeds[0]}", "about": "x", "n": 20, "reason": None, "scores": {}}]
    about = {"schema_version": 1, "key": "k", "state": "made", "reason": None}
    write_json(store.references_file("loss"), {**about, "rows": rows, "run_id": first.run_id})
    return store


def tables_of(store: Store) -> list[str]:
    study = read_study(store, "loss")
    return [tables.wide(study).to_csv(), tables.long(study).to_csv(), tables.to_markdown(study), latex.to_latex(study)]


def export(runs: str, to: str, *more: str) -> dict[str, object]:
    found: dict[str, object] = document("study", "export", "loss", "--runs", runs, "--to", to, *more)
    return found


def test_records_make_the_tables_of_the_store_to_the_byte_and_say_what_they_cannot_show() -> None:
    store = store_of("runs", 0, 1)
    store.run(str(store.read_study("loss").cells[7].run_id)).set_status("failed", "made to")
    (store.run(str(store.read_study("loss").cells[0].run_id)).generator_file).write_bytes(b"weights")
    found = document("study", "export", "loss")
    records = Path("reports/loss/records")
    assert (found["to"], len(found["copied"]), found["left_out"]) == (str(records), 10, {})
    assert {path.suffix for path in records.rglob("*") if path.is_file()} == {".json", ".csv", ".yaml", ".lock"}
    assert tables_of(Store(records)) == tables_of(store)
    for of, out in ((Store(records), "a"), (store, "b")):
        write_report(of, "loss", Path(out))
    here, there = ({path.name: path.read_bytes() for path in Path(out, "loss").iterdir()} for out in "ba")
    assert here.keys() - there.keys() == {"samples.jpg", "errors.jpg", "redraws.jpg"}
    assert {name for name, content in there.items() if content != here[name]} == {"index.html"}
    assert "records without pictures of outputs" in Path("a/loss/index.html").read_text()
    assert "records without pictures of outputs" not in Path("b/loss/index.html").read_text()
    again = document("study", "export", "loss")
    assert (again["copied"], len(again["same"])) == ([], 10)


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_folder_of_records_grows_by_seeds_of_other_stores(order: tuple[str, str]) -> None:
    store_of("first", 0, 1)
    store_of("second", 2)
    for runs in order:
        export(runs, "records")
    together = Store(Path("records"))
    assert tables_of(together) == tables_of(store_of("whole", 0, 1, 2))
    assert together.references("loss") == Store(Path("first")).references("loss")
    assert together.read_study("loss").command.endswith("--seeds 0,1,2")
    export("records", "copy")  # of records too
    assert tables_of(Store(Path("copy"))) == tables_of(together)


def test_levels_are_joined_and_another_definition_is_refused() -> None:
    grid = "baseline: {objective: l1}\nfactors: {objective: [l1, %s]}\n"
    for number, (level, more) in enumerate([("gan", ""), ("cgan", ""), ("gan", "training: {epochs: 1}\n"),
                                            ("cgan", "discriminator: {ndf: 4}\n")]):  # fmt: skip
        Path("loss.yaml").write_text(grid % level + more)
        write_study(build_study("loss.yaml", None, {"scoring.metrics": ["l1"]}, [number]), Store(Path(f"runs{number}")))
    export("runs0", "records")
    export("runs1", "records")
    recorded = Store(Path("records")).read_study("loss")
    assert [(c.variant, c.seed) for c in recorded.cells] == [("l1", 0), ("gan", 0), ("l1", 1), ("cgan", 1)]
    before = Store(Path("records")).study_file("loss").read_bytes()
    for runs, differs in (("runs2", "training.epochs is 1, was 2"), ("runs3", "discriminator.ndf is 4, was 32")):
        message = error_of("study", "export", "loss", "--runs", runs, "--to", "records", code=2)
        assert f"study 'loss' is another one in records: {differs}" in message
        assert "--to" in message
    assert "the store itself" in error_of("study", "export", "loss", "--runs", "runs0", "--to", "runs0", code=2)
    assert Store(Path("records")).study_file("loss").read_bytes() == before


def test_reference_rows_that_another_machine_made_alike_stay() -> None:
    path = store_of("runs", 0, 1).references_file("loss")
    export("runs", "records")
    before = Store(Path("records")).references("loss")
    assert before is not None
    path.write_text(path.read_text().replace("of seed 0", "of seed 0 elsewhere"))
    export("runs", "records")
    assert Store(Path("records")).references("loss") == before
    path.write_text(path.read_text().replace('"key": "k"', '"key": "of a newer recipe"'))
    export("runs", "records")
    assert Store(Path("records")).references("loss") == Store(Path("runs")).references("loss") != before


def test_what_is_finished_in_the_records_stays() -> None:
    store = store_of("runs", 0)
    export("runs", "records")
    kept = Store(Path("records"))
    before = tables_of(kept)
    l1, gan, cgan, *_ = (store.run(str(cell.run_id)) for cell in store.read_study("loss").cells)
    l1.set_status("failed", "made to")
    training = gan.training()
    assert training is not None
    gan.set_status("finished", training={**training.to_json(), "seconds": 1.0})
    cgan.per_image_file.write_text("cut")
    cgan.set_status("finished", files={"per_image.csv": "0" * 64})
    reasons = export("runs", "records")["left_out"]
    assert isinstance(reasons, dict)
    for run, why in (
        (l1, "is failed here, and finished there"),
        (gan, "trained once more"),
        (cgan, "per_image.csv is"),
    ):
        assert why in reasons[run.path.name]
    assert tables_of(kept) == before
    shutil.rmtree(store.root)
    study = loss_study(store, [0])
    scores = store.run(str(study.cells[0].run_id)).scores_file
    scores.write_text(scores.read_text().replace('"value": 10', '"value": null, "was": 10'))
    assert "lacks scores that are there, which stay: fid" in str(export("runs", "records")["left_out"])


def test_scores_that_were_added_reach_the_records() -> None:
    store = store_of("runs", 0)
    export("runs", "records")
    run = store.run(str(store.read_study("loss").cells[0].run_id))
    scores = json.loads(run.scores_file.read_text())
    write_json(run.scores_file, {**scores, "scores": {**scores["scores"], "psnr": scores["scores"]["l1"]}})
    assert export("runs", "records")["copied"] == [run.path.name]
    assert "psnr" in Store(Path("records")).run(run.path.name).scores()


def test_ablate_trains_what_only_records_are_left_of(workplace: Workplace) -> None:
    store = Store(Path("runs"))
    study = build_study("two.yaml", None, {}, [0])
    write_study(study, store)
    for cell in study.cells:
        fill(store, str(cell.run_id), 0, 0)
        store.run(str(cell.run_id)).set_status("finished", run_id=cell.run_id)
        store.run(str(cell.run_id)).generator_file.write_bytes(b"weights")
    document("study", "export", "two", "--to", "records")
    plan = ("ablate", "--grid", "two.yaml", "--plan")
    assert [document(*plan, "--runs", runs)["skipped"] for runs in ("runs", "records")] == [2, 0]
    trained = workplace.json("ablate", "--grid", "two.yaml", "--runs", "records")
    assert (trained["trained"], trained["skipped"]) == (2, 0)
    assert document(*plan, "--runs", "records")["skipped"] == 2


def test_a_run_whose_pictures_are_gone_has_its_records() -> None:
    """As where a machine that trained for another sent a few of them."""
    store = store_of("runs", 0)
    for run in store.runs():
        run.set_status("finished", files=run.record_hashes())
        shutil.rmtree(run.test_samples)
    assert export("runs", "records")["left_out"] == {}


def test_records_have_a_hundred_rows_of_losses_each_the_mean_since_the_one_before() -> None:
    """Of 5 rows for each of 100; the last row of the training has fewer steps than the others."""
    steps = [*range(50, 25000, 50), 24990]
    rows = [f"{step},{step / 400:.4f},{k},{k % 5},,{k}" for k, step in enumerate(steps)]
    whole = "\n".join(["step,epoch,d_loss,g_loss,g_adversarial,g_l1", *rows]) + "\n"
    few = fewer_losses(whole).splitlines()
    assert len(few) == 1 + 100
    assert few[1] == "250,0.6250,2,2,,2"
    d_loss, g_loss = (50 * (495 + 496 + 497 + 498) + 40 * 499) / 240, (50 * 6 + 40 * 4) / 240
    assert few[-1] == f"24990,62.4750,{d_loss:.6g},{g_loss:.6g},,{d_loss:.6g}"
    assert fewer_losses(fewer_losses(whole)) == fewer_losses(whole)


def test_a_record_that_cannot_be_read_leaves_its_run_out_and_not_the_others() -> None:
    store = Store(Path("runs"))
    loss_study(store, [0])
    first = store.run(store.read_study("loss").cells[0].run_id)
    first.profile_file.write_text('{"cut sho')
    first.set_status("finished", files={})  # no hash tells that it is damaged
    found = export("runs", "records")
    assert found["left_out"] == {
        first.path.name: "has a profile.json that cannot be read; p2pbench ablate makes it anew"
    }
    assert found["copied"] == [cell.run_id for cell in store.read_study("loss").cells[1:]]
