"""The leaderboard: places as far as the tests tell variants apart, and one row for one training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from program import document, error_of, invoke
from report_records import loss_study, study_of

from p2pbench.report.board import Board, boards
from p2pbench.report.records import StudyRecord
from p2pbench.runs.records import Status
from p2pbench.runs.store import Store

IMAGES = np.random.default_rng(3).normal(0.4, 0.05, 30)


def lpips(shift: float, seeds: int, key: int) -> dict[str, np.ndarray]:
    """Trainings whose recipe is ``shift`` worse."""
    random = np.random.default_rng(key)
    return {"lpips": IMAGES + shift + random.normal(0, 0.005, (seeds, 1)) + random.normal(0, 0.01, (seeds, 30))}


def one_board(*studies: StudyRecord) -> Board:
    (found,) = boards(studies)
    return found


def test_places_are_those_that_the_tests_leave_open() -> None:
    board = one_board(study_of({"b": lpips(0.1, 5, 1), "a": lpips(0, 5, 2), "c": lpips(0.1, 5, 3)}))
    assert board.places == {"b": (2, 3), "a": (1, 1), "c": (2, 3)}
    assert board.sentence() == "By LPIPS (alex), a is ahead of every other variant."
    table = board.table()
    assert table["variant"].iloc[0] == "a"
    assert list(table["place"]) == ["1", "2–3", "2–3"]


def test_variants_that_cannot_be_told_from_the_best_may_all_be_first() -> None:
    board = one_board(study_of({"a": lpips(0, 5, 1), "b": lpips(0, 5, 2), "c": lpips(0.3, 5, 3)}))
    assert board.places == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert "a and b may be first" in board.sentence()


def test_variants_of_two_studies_are_compared_and_below_three_seeds_have_no_place() -> None:
    first = study_of({"a": lpips(0, 4, 1)}, name="first")
    second = study_of({"b": lpips(0.2, 4, 2), "late": lpips(-0.2, 2, 3)}, name="second")
    board = one_board(first, second)
    assert board.places == {"a": (1, 1), "b": (2, 2)}
    assert board.sentence() == "By LPIPS (alex), a is ahead of every other variant that has three seeds."
    tied = one_board(study_of({"a": lpips(0, 5, 1), "b": lpips(0, 5, 2), "late": lpips(-0.3, 2, 3)}))
    assert "a and b may be first of those that have three seeds: the tests do not" in tied.sentence()
    assert board.table()[["place", "variant", "studies", "seeds"]].to_numpy().tolist() == [
        ["1", "a", "first", "4"],
        ["2", "b", "second", "4"],
        ["-", "late", "second", "2"],
    ]


def test_the_same_trainings_in_two_studies_are_one_row_and_one_name_for_two_recipes_is_two() -> None:
    first = study_of({"base": lpips(0, 3, 1), "x": lpips(0.1, 3, 2)}, name="first", runs={"base": "r"})
    second = study_of({"same": lpips(0, 5, 1), "x": lpips(0.2, 5, 4)}, name="second", runs={"same": "r", "x": "y"})
    table = one_board(first, second).table().set_index("variant")
    assert list(table.index) == ["base", "x (first)", "x (second)"]
    assert table.loc["base", "studies"] == "first, second"
    assert table.loc["base", "seeds"] == "5"


def test_two_rows_that_a_later_study_shows_to_be_one_recipe_are_one() -> None:
    studies = [
        study_of({"l1": lpips(0, 5, 1)}, seeds={"l1": seeds}, name=name, runs={"l1": "r"})
        for name, seeds in (("first", [0]), ("second", [1]), ("third", [0, 1, 2]))
    ]
    for study, n in zip(studies, (1, 1, 3), strict=True):
        assert len(study.cells) == n
    table = one_board(*studies).table()
    assert table[["variant", "seeds", "studies"]].to_numpy().tolist() == [["l1", "3", "first, second, third"]]


def test_a_recipe_that_was_trained_again_elsewhere_is_a_row_of_its_own() -> None:
    first = study_of({"base": lpips(0, 3, 1)}, name="first", runs={"base": "r"})
    again = study_of({"same recipe": lpips(0, 3, 2)}, name="again", runs={"same recipe": "r"})
    trained = {"steps": 1, "seconds": 1.0, "seconds_per_step": 1.0, "peak_memory_bytes": 1}
    for study in (first, again):
        status = {
            "schema_version": 1,
            "state": "finished",
            "training": {**trained, "generator_sha256": study.about.name},
        }
        study.cells[:] = [replace(cell, status=Status.model_validate(status)) for cell in study.cells]
    board = one_board(first, again)
    table = board.table()
    assert sorted(zip(table["variant"], table["studies"], strict=True)) == [("base", "first"), ("same recipe", "again")]
    assert board.places == {"base": (1, 2), "same recipe": (1, 2)}  # they were compared


def test_studies_of_other_data_or_of_another_duration_stand_on_boards_of_their_own() -> None:
    protocol = {"name": "p", "settings": {"data.crop_size": 64, "training.epochs": 20, "training.seed": 0}}
    usual, short = (study_of({"a": lpips(0, 3, 1)}, name=name, protocol=protocol) for name in ("usual", "short"))
    for study, epochs in ((usual, 20), (short, 2)):
        for cell in study.about.cells:
            cell.config["training"] = {"epochs": epochs, "seed": 7}
    assert [board.title for board in boards([usual, short])] == ["p", "p, epochs=2"]


def test_a_board_of_trainings_that_differ_in_length_names_every_length() -> None:
    study = study_of(
        {name: lpips(0, 3, 1) for name in "abc"},
        name="lengths", protocol={"name": "p", "settings": {"training.epochs": 20}},
    )  # fmt: skip
    for cell in study.about.cells:
        cell.config["training"] = {"epochs": {"a": 100, "b": 20, "c": 20}[cell.variant]}
    assert one_board(study).title == "p, epochs=20 and 100"


@pytest.mark.parametrize(
    ("key", "values", "title"),
    [
        ("training.batch_size", (1, 16), "p, batch_size=1 and 16"),
        ("data.train_size", (None, 50), "p, train_size=50 and None"),
    ],
)
def test_a_board_names_what_any_variant_has_of_another_budget(key: str, values: tuple[int, int], title: str) -> None:
    study = study_of({variant: lpips(0, 3, 1) for variant in "ab"}, protocol={"name": "p", "settings": {}})
    section, name = key.split(".")
    for cell in study.about.cells:
        cell.config[section] = {name: values["ab".index(cell.variant)]}
    assert one_board(study).title == title


def test_scores_by_several_networks_are_said_not_to_be_compared_and_what_was_not_asked_for_is_not_missing() -> None:
    values = {"lpips": lpips(0, 3, 1)["lpips"], "fcn-pixel": lpips(0, 3, 2)["lpips"]}
    first, second, third = (study_of({name: dict(values)}, name=name) for name in ("first", "second", "third"))
    for study, network in ((first, "one"), (second, "another")):
        study.cells[:] = [
            replace(cell, scores={
                name: score.model_copy(update={"settings": {"network_sha256": network}})
                if name == "fcn-pixel" else score
                for name, score in cell.scores.items()
            })
            for cell in study.cells
        ]  # fmt: skip
    third.cells[:] = [replace(cell, scores={"lpips": cell.scores["lpips"]}) for cell in third.cells]
    board = one_board(first, second, third)
    (caution,) = board.cautions()
    assert caution.startswith("per-pixel acc. was read by several segmentation networks")
    assert caution.endswith("and is compared only where it was made alike.")
    assert board.table().set_index("variant").loc["third", "per-pixel acc. ↑"] == "not measured"


def test_outputs_for_other_test_images_are_not_ranked_together() -> None:
    """A setting that the protocol does not name counts, as does the content of the data."""
    usual, turned, others = (study_of({"a": lpips(0, 3, 1)}, name=name) for name in ("usual", "turned", "others"))
    for cell in turned.about.cells:
        cell.config["data"] = {"direction": "BtoA"}
    content = {"schema_version": 1, "state": "finished", "data_key": "0123456789abcdef"}
    cells = [replace(cell, status=Status.model_validate(content)) for cell in others.cells]
    found = boards([usual, turned, replace(others, cells=cells)])
    assert [board.title for board in found] == [
        "made, data not recorded",
        "made, data 01234567",
        "made, direction=BtoA",
    ]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"a": (1, 1), "b": (2, 3), "c": (2, 3)}, "a is ahead of every other variant."),
        ({"a": (1, 1), "b": (2, 2)}, "a is ahead of every other variant that has three seeds."),
        # a before b and b before c, but a is not told from c.
        ({"a": (1, 2), "b": (2, 2), "c": (2, 3)}, "only a may be first: every other variant is behind some other."),
    ],
)
def test_ahead_of_all_is_said_of_a_variant_that_is(places: dict[str, tuple[int, int]], said: str) -> None:
    board = one_board(study_of({name: lpips(0, 3, key) for key, name in enumerate("abc")}))
    assert replace(board, places=places).sentence() == f"By LPIPS (alex), {said}"


def test_the_command_ranks_the_records_below_reports_and_says_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loss_study(Store(Path("runs")), [0, 1, 2])
    said = error_of("board", code=2)
    assert "there is no study in reports/STUDY/records" in said
    invoke("study", "export", "loss", "--to", "reports/loss/records")  # the way out that it names
    found = document("board")
    assert [place["variant"] for place in found["boards"][0]["places"]] == ["l1", "gan", "cgan", "l1+gan", "l1+cgan"]
    assert found["boards"][0]["answer"] == "By L1, l1 is ahead of every other variant."
    table = Path("reports/board.md").read_text(encoding="utf-8")
    assert "| 1 | l1 | 3 |" in table
    assert "l1+cgan" in Path("reports/board.html").read_text(encoding="utf-8")
    invoke("board", "--runs", "runs", "--out", "elsewhere")
    assert Path("elsewhere/board.md").read_text(encoding="utf-8") == table


def test_a_study_that_cannot_be_read_is_named_and_the_others_are_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loss_study(Store(Path("runs")), [0, 1, 2])
    broken = Path("runs/studies/broken/study.yaml")
    broken.parent.mkdir()
    broken.write_text("{")
    said = invoke("board", "--runs", "runs", code=2)
    assert "skipped broken" in said.stderr
    assert "l1 is ahead" in said.stdout


def test_a_seed_that_was_trained_twice_counts_once() -> None:
    first = study_of({"base": lpips(0, 3, 1), "x": lpips(0.1, 3, 2)}, name="first", runs={"base": "r"})
    again = study_of({"same": lpips(0, 3, 3)}, seeds={"same": [0, 1, 2]}, name="again", runs={"same": "r"})
    for study in (first, again):  # weights that only one of three trainings has in common
        for cell in study.cells:
            weights = f"{cell.run.path.name} {study.about.name if cell.seed else ''}"
            training = {"steps": 1, "seconds": 1.0, "seconds_per_step": 1.0, "peak_memory_bytes": 1}
            status = {"schema_version": 1, "state": "finished", "training": {**training, "generator_sha256": weights}}
            object.__setattr__(cell, "status", Status.model_validate(status))
    board = one_board(first, again)
    assert board.table().set_index("variant")["seeds"].to_dict() == {"base": "3", "x": "3"}
    assert board.places == {"base": (1, 1), "x": (2, 2)}
