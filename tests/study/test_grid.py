"""Grids and protocols: the product of levels, what they resolve to, what is refused."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_weights import write_squeezenet
from tiny_runs import write_pairs

from p2pbench.config import renamed
from p2pbench.config.metrics import FCN_SCORES, METRICS
from p2pbench.config.schema import PRESETS
from p2pbench.config.shipped import published_name, published_tables, shipped_files
from p2pbench.errors import ConfigError, DataError
from p2pbench.report.latex import to_latex
from p2pbench.report.records import read_study
from p2pbench.report.tables import printed, to_markdown
from p2pbench.runs.cell import Watcher, run_cell
from p2pbench.runs.store import Store
from p2pbench.study.grid import label_of, read_grid, read_protocol
from p2pbench.study.naming import recipe_of
from p2pbench.study.plan import Cell, build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.cache_dir import home

SHIPPED_GRIDS = sorted(shipped_files(""))
SHIPPED_PROTOCOLS = sorted(shipped_files("protocols"))


def write(tmp_path: Path, text: str, name: str = "own") -> str:
    (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path / f"{name}.yaml")


def test_there_are_grids_and_protocols_to_ship() -> None:
    assert set(SHIPPED_GRIDS) == {
        "loss", "generator", "receptive_field", "colour", "photo_to_labels", "colorization", "lambda", "adversarial",
        "normalization", "inference", "upsampling", "generator_family", "batch_size", "augmentation", "noise",
        "spectral_norm", "preset", "train_size", "maps", "spade", "anti_aliasing", "attention", "backbone",
        "ema", "two_rates", "perceptual",
        "feature_matching", "gradient_penalty", "augment_gan", "regression", "families", "oasis", "multiscale",
        "projected", "ladder", "ladder_without", "short_ladder", "convergence", "resizing",
    }  # fmt: skip
    assert set(SHIPPED_PROTOCOLS) == {
        "quick", "quick-labels", "facades-64", "facades-128", "paper-facades", "paper-maps", "paper-cityscapes",
        "paper-edges2shoes", "paper-edges2handbags", "paper-night2day",
    }  # fmt: skip


LABELLED = {"quick-labels", "facades-64", "facades-128", "paper-facades", "paper-cityscapes"}
"""The protocols whose conditions are label maps of known colours."""


@pytest.mark.parametrize("protocol", SHIPPED_PROTOCOLS)
@pytest.mark.parametrize("grid", SHIPPED_GRIDS)
def test_every_shipped_grid_resolves_under_every_protocol(grid: str, protocol: str) -> None:
    if (grid, protocol) == ("receptive_field", "facades-64"):
        with pytest.raises(ConfigError, match="needs at least 96; use a larger size or a smaller receptive field"):
            build_study(grid, protocol, {}, None, plan=True)
        return
    if grid == "oasis" and protocol not in LABELLED:
        with pytest.raises(ConfigError, match="are not known; name them by scoring"):
            build_study(grid, protocol, {}, None, plan=True)
        return
    study = build_study(grid, protocol, {}, None, plan=True)
    assert study.cells
    assert study.baseline in {cell.variant for cell in study.cells}


SMALL = {
    # 96x96, which every receptive field takes, with two channels.
    "data.load_size": 98, "data.crop_size": 96, "generator.ngf": 2, "discriminator.ndf": 2,
    "training.epochs": 2, "training.threads": 1, "scoring.metrics": ["l1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def pairs_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Makes a folder with as many training pairs as one batch: an epoch is a step."""

    @functools.cache
    def make(batch_size: int) -> str:
        return str(write_pairs(tmp_path_factory.mktemp("pairs") / "of", {"train": batch_size, "test": 2}, size=96))

    return make


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all grids: what several of them train is trained once."""
    return tmp_path_factory.mktemp("runs")


def end_to_end(cell: Cell, runs: Path) -> None:
    """Two steps, the scores, the record."""
    config, mode = cell.config, cell.config.scoring.inference
    run = Store(runs).run(str(cell.run_id), mode)
    watcher = Watcher(lambda _: None, lambda *_: None, lambda: False)
    run_cell(config, run, watcher, modes=[mode], wait=False, threads=1, weights_dir=None, fetch=False)
    training = run.training()
    assert training is not None
    assert training.steps >= 2
    scores = run.scores()  # of another grid, too, which shares the run
    assert scores.keys() >= {*config.scoring.wanted}
    for name, score in ((name, scores[name]) for name in config.scoring.wanted):  # random pairs hold no label maps
        assert score.state == ("not measured" if name in FCN_SCORES else "measured"), score


@pytest.mark.parametrize("grid", [grid for grid in SHIPPED_GRIDS if grid != "train_size"])  # that one wants 200 pairs
def test_every_variant_of_every_shipped_grid_trains_is_scored_and_reported(
    grid: str, pairs_for: Callable[[int], str], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_squeezenet(home() / "weights", monkeypatch)  # for the perceptual loss
    planned = build_study(grid, None, SMALL, [0], plan=True).cells
    # Random pairs are no label maps, which OASIS needs.
    source = "drawn:2" if grid == "oasis" else pairs_for(max(cell.config.training.batch_size for cell in planned))
    study, store = build_study(grid, None, {**SMALL, "data.source": source}, [0]), Store(runs)
    for cell in study.cells:
        end_to_end(cell, runs)
    write_study(study, store)
    recorded = read_study(store, study.name)
    table = printed(recorded)
    assert len(table) == len({cell.variant for cell in study.cells})
    assert (table["s/image"].astype(float) > 0).all()  # in each one's own inference mode
    assert study.grid.question in to_markdown(recorded)
    assert to_latex(recorded).count("\\begin{table") >= 2


@pytest.mark.parametrize("protocol", SHIPPED_PROTOCOLS)
def test_every_shipped_protocol_trains_and_is_scored(
    protocol: str, pairs_for: Callable[[int], str], runs: Path
) -> None:
    batch_size = build_study("loss", protocol, SMALL, [0], plan=True).cells[0].config.training.batch_size
    settings = {**SMALL, "data.source": pairs_for(batch_size)}
    end_to_end(build_study("loss", protocol, settings, [0]).cells[-1], runs)


REFERENCE_ROWS = {"ground truth", "L2 regression (Zhang et al. 2016)", "Zhang et al. 2016"}


@pytest.mark.parametrize("grid", SHIPPED_GRIDS)
def test_published_rows_name_variants_of_their_grid(grid: str) -> None:
    study = build_study(grid, None, {}, [0], plan=True)
    if study.grid.published:
        rows = set(published_tables()[study.grid.published].rows) - REFERENCE_ROWS
        assert rows <= {cell.variant for cell in study.cells}
        assert len(rows) > 1 or study.grid.published == "pix2pix-table5"


def test_published_tables_are_whole() -> None:
    assert set(published_tables()) == {*(f"pix2pix-table{number}" for number in range(1, 7)), "pix2pix-figure7"}
    for table in published_tables().values():
        assert {len(row) for row in table.rows.values()} == {len(table.columns)}
        assert "1611.07004v3" in table.source
        if table.plus_minus is not None:
            assert {label: len(row) for label, row in table.plus_minus.items()} == {
                label: len(row) for label, row in table.rows.items()
            }


@pytest.mark.parametrize("old", ["table1", "figure7"])
def test_the_key_of_published_tables_in_grids_of_version_01_is_read(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(renamed, "_announced", set())
    grid = read_grid(write(tmp_path, f"factors: {{objective: [l1]}}\npaper: {old}"))
    assert grid.published == f"pix2pix-{old}" == published_name(old)
    assert "paper is now called published" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="give it once"):
        read_grid(write(tmp_path, f"factors: {{objective: [l1]}}\npaper: {old}\npublished: {old}"))


def test_the_loss_grid_is_the_papers_table() -> None:
    study = build_study("loss", None, {}, None)
    assert [cell.variant for cell in study.cells] == ["l1", "gan", "cgan", "l1+gan", "l1+cgan"]
    assert study.name == "loss"
    assert study.baseline == "l1+cgan"
    assert len({cell.run_id for cell in study.cells}) == 5
    assert build_study("loss", "paper-facades", {}, None, plan=True).name == "loss@paper-facades"


def test_a_plan_is_made_without_the_data_and_a_run_is_not() -> None:
    study = build_study("loss", "paper-facades", {}, [0], plan=True)
    assert {cell.run_id for cell in study.cells} == {None}
    assert "facades" in str(study.missing_data)
    with pytest.raises(DataError, match=r"data source"):
        build_study("loss", "paper-facades", {}, [0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    objectives=st.lists(st.sampled_from(["l1", "gan", "cgan"]), min_size=1, max_size=3, unique=True),
    lambdas=st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_cells_are_the_product_of_levels_and_seeds(
    objectives: list[str], lambdas: list[int], seeds: list[int], tmp_path: Path
) -> None:
    grid = write(tmp_path, f"factors: {{objective: {objectives}, objective.lambda_l1: {lambdas}}}")
    study = build_study(grid, None, {}, seeds)
    assert len(study.cells) == len(objectives) * len(lambdas) * len(seeds)
    assert len({(cell.variant, cell.seed) for cell in study.cells}) == len(study.cells)


def test_include_adds_and_exclude_takes_away(tmp_path: Path) -> None:
    grid = read_grid(
        write(
            tmp_path,
            """
            factors: {generator: [unet, encoder_decoder], objective: [l1, l1+cgan]}
            include: [{generator: unet, objective: cgan}]
            exclude: [{generator: [encoder_decoder], objective: [l1]}]
            """,
        )
    )
    assert [label_of(v) for v in grid.variants()] == [
        "unet, l1", "unet, l1+cgan", "encoder_decoder, l1+cgan", "unet, cgan",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "include",
    [
        "[{width: {label: small, generator.ngf: 16}}]",
        "[{width: {label: tiny, generator.ngf: 4}}, {width: {label: tiny, generator.ngf: 2}}]",
    ],
)
def test_an_included_level_may_not_have_the_name_of_another(include: str, tmp_path: Path) -> None:
    factors = "factors: {width: [{label: small, generator.ngf: 32}]}\n"
    with pytest.raises(ConfigError, match=r"factor 'width' has another level that is called '(small|tiny)'"):
        read_grid(write(tmp_path, f"{factors}include: {include}"))
    grid = read_grid(write(tmp_path, f"{factors}include: [{{width: {{label: small, generator.ngf: 32}}}}]"))
    assert [label_of(variant) for variant in grid.variants()] == ["small"]


def test_a_word_of_ones_own_has_labelled_levels(tmp_path: Path) -> None:
    grid = write(
        tmp_path,
        """
        factors:
          capacity:
            - {label: small, generator.ngf: 8}
            - {label: large, generator: {ngf: 16}}
        baseline: {capacity: large}
        """,
    )
    study = build_study(grid, None, {}, None)
    assert {cell.variant: cell.config.generator.ngf for cell in study.cells} == {"small": 8, "large": 16}
    assert study.baseline == "large"
    assert study.cells[0].origin["generator.ngf"] == "level capacity: small"


def test_settings_of_a_dotted_factor_and_boolean_levels(tmp_path: Path) -> None:
    grid = write(tmp_path, "factors: {data.mirror: [true, false]}\nbaseline: {data.mirror: false}")
    study = build_study(grid, None, {}, None)
    assert [cell.variant for cell in study.cells] == ["mirror=true", "mirror=false"]
    assert study.baseline == "mirror=false"


def test_layers_in_their_order(tmp_path: Path) -> None:
    protocol = write(
        tmp_path, "about: test\ntraining: {epochs: 3, batch_size: 2}\ndata: {load_size: 20, crop_size: 16}", "p"
    )
    grid = write(tmp_path, "factors: {objective: [l1]}\ntraining: {batch_size: 4}")
    study = build_study(grid, protocol, {"data.mirror": False}, None)
    cell = study.cells[0]
    assert (cell.config.training.epochs, cell.config.training.batch_size, cell.config.data.mirror) == (3, 4, False)
    assert cell.origin["training.epochs"] == "protocol p"
    assert cell.origin["training.batch_size"] == "grid own"
    assert cell.origin["data.mirror"] == "--set"
    assert study.name == "own@p,mirror=false"
    assert study.command == f"p2pbench ablate --grid {grid} --protocol {protocol} --set data.mirror=false --seeds 0"


def test_the_recorded_command_writes_null_as_yaml_does(tmp_path: Path) -> None:
    grid = write(tmp_path, "factors: {objective: [l1]}")
    study = build_study(grid, None, {"data.background": None}, [0])
    assert "--set data.background=null " in study.command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("factors: {objective: [l1, l1+cgn]}", "did you mean 'l1+cgan'"),
        ("factors: {objective: []}", "no levels"),
        ("factors: {objective: l1}", "no levels"),
        ("factors: {objective: [l1, l1]}", "twice"),
        ("factors: {}", "at least one"),
        ("question: none", "factors"),
        ("factors: {objective: [true]}", "a boolean"),
        ("factors: {generator: [1]}", "a number"),
        ("factors: {training.epoch: [1]}", "did you mean 'training.epochs'"),
        ("factors: {speed: [fast]}", "label"),
        ("factors: {speed: [{generator.ngf: 1}]}", "label"),
        ("factors: {objective: [l1]}\nbaseline: {objective: gan}", "unknown level"),
        ("factors: {objective: [l1]}\nbaseline: {generator: unet}", "unknown factor"),
        ("factors: {objective: [l1]}\nexclude: [{objective: l1}]", "nothing to run"),
        ("factors: {objective: [l1]}\ninclude: [{generator: unet}]", "each factor"),
        ("factors: {objective: [l1]}\nfoo: 1", "unknown key 'foo'"),
        ("factors: {objective: [l1]}\npaper: table9", "table1"),
        ("factors: {objective: [l1]}\nseeds: [a]", "whole numbers"),
        ("factors: {objective: [l1]}\nfactors: {objective: [gan]}", "duplicate"),
        ("- a list", "expected keys"),
        ("factors: {data.crop_size: [64], discriminator: [image286]}", "needs at least 96"),
        ("factors: {generator: ['no_such_module:f']}", "no Python module"),
        ("factors: {1: [l1]}", "a number"),
        ("factors: {objective: [l1]}\npaper: [table1]", "table1"),
        ("factors: {objective: [l1]}\ntraining: {preset: [paper]}", "training.preset"),
        ("factors: {objective: [l1]}\nscoring: {metrics: [{a: b}]}", "unknown metric"),
        ("factors: {training.seed: [1, 2]}", "seeds: [0, 1, 2]"),
        ("factors: {objective: [l1]}\ntraining: {seed: 5}", "seeds: [0, 1, 2]"),
        ("factors: {x: [{label: a, training.seed: 5}]}", "seeds: [0, 1, 2]"),
        ("factors: {objective: [l1]}\ntraining: {batch_size: 1000}", "only 400 training pairs"),
    ],
)
def test_bad_grids_are_refused_with_the_file(text: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        build_study(file, None, {}, None)
    assert message in str(caught.value)
    assert file in str(caught.value) or "training.preset" in message


def test_what_a_grid_varies_cannot_be_set() -> None:
    with pytest.raises(ConfigError, match=r"the grid loss varies it \(factor 'objective'\)"):
        build_study("loss", None, {"objective.name": "l1"}, None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(config: return", "line 1"),
        ("def bild(config): ...", "did you mean 'bild'"),
    ],
)
def test_a_network_that_cannot_be_there_is_refused_before_anything_runs(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_grid_module.py").write_text(source)
    file = write(tmp_path, "factors: {generator: ['own_grid_module:build']}")
    with pytest.raises(ConfigError, match=message):
        build_study(file, None, {}, None)


def test_a_grid_that_is_no_file_gets_the_files_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "factors: {objective: [l1]}", "skips")
    Path("loss").mkdir()  # where reports are, there is a folder for each study
    assert read_grid("loss").name == "loss"
    for name, message in {
        "skipz.yaml": "there is no such file; did you mean 'skips.yaml'? (p2pbench grids lists the shipped ones)",
        "skips": "or a file, as in --grid skips.yaml",
        "skips.yam": "or a file, as in --grid skips.yaml",
        "my skip": "or a file, as in --grid 'my/my skip.yaml'",
        ".": "grid '.' is a folder; name the file in it, as in --grid grid.yaml",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(message) + "$"):
            read_grid(name)


def test_a_grids_protocol_is_found_beside_it_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "protocol: mine.yaml\nfactors: {objective: [l1]}")
    (tmp_path / "mine.yaml").write_text("training: {epochs: 7}\n")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    study = build_study(file, None, {}, None)
    assert (study.protocol.name, study.cells[0].config.training.epochs) == ("mine", 7)
    Path("mine.yaml").write_text("training: {epochs: 9}\n")  # where one works goes first, as for --protocol
    assert build_study(file, None, {}, None).cells[0].config.training.epochs == 9


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'loss'"):
        read_grid("los")
    with pytest.raises(ConfigError, match=r"no such file \(p2pbench grids lists"):
        read_grid("no/such/grid.yaml")
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        read_protocol("quik")
    with pytest.raises(ConfigError, match="--seeds"):
        build_study("loss", None, {"training.seed": 1}, None)


COMPARED = "factors: {objective.lambda_l1: [1, 10, 100]}\n"


@pytest.mark.parametrize(
    ("contrasts", "pairs"),
    [
        ("", [("lambda_l1=1", "lambda_l1=10"), ("lambda_l1=100", "lambda_l1=10")]),
        ("contrasts: previous", [("lambda_l1=10", "lambda_l1=1"), ("lambda_l1=100", "lambda_l1=10")]),
        ("contrasts: [[lambda_l1=1, lambda_l1=100]]", [("lambda_l1=1", "lambda_l1=100")]),
    ],
)
def test_a_study_records_what_is_compared_and_by_which_score(
    contrasts: str, pairs: list[tuple[str, str]], tmp_path: Path
) -> None:
    asked = "primary: [lpips, l1]\nmargins: {l1: 0.01, psnr: 1}\nbaseline: {objective.lambda_l1: 10}\n"
    text = COMPARED + asked + contrasts
    study, store = build_study(write(tmp_path, text), None, {}, [0, 1]), Store(tmp_path / "runs")
    write_study(study, store)
    found = read_study(store, "own")
    assert found.contrasts == pairs
    assert found.primary == ["lpips", "l1"]
    assert (found.margin("l1"), found.margin("psnr"), found.margin("ssim")) == (0.01, 1.0, 0.01)


def test_comparisons_are_no_part_of_a_run(tmp_path: Path) -> None:
    plain = build_study(write(tmp_path, COMPARED), None, {}, [0])
    compared = build_study(write(tmp_path, f"{COMPARED}primary: [fid]\ncontrasts: previous"), None, {}, [0])
    assert [cell.run_id for cell in plain.cells] == [cell.run_id for cell in compared.cells]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("primary: [lpip]", "primary: unknown score 'lpip'; did you mean 'lpips' or 'lpips-vgg'?"),
        ("primary: [l1, l1]", "each once"),
        ("margins: {l1: 0}", "margins: l1: 0 is no smallest difference; give a number above 0"),
        ("margins: {l1: .nan}", "give a number above 0"),
        ("margins: {l2: 1}", "margins: unknown score 'l2'; did you mean 'l1'"),
        ("margins: [l1]", "give a number a score"),
        ("contrasts: next", "contrasts is 'next': give baseline or previous, or pairs"),
        (
            "contrasts: [[lambda_l1=1, lambda_l1=2]]",
            "contrasts: unknown variant 'lambda_l1=2'; did you mean 'lambda_l1=1'",
        ),
        ("contrasts: [[lambda_l1=1, lambda_l1=1]]", "a pair is of two variants"),
        ("contrasts: [[lambda_l1=1, lambda_l1=10], [lambda_l1=10, lambda_l1=1]]", "each pair is named once"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_grid(write(tmp_path, COMPARED + text))
    assert "own.yaml: " in str(caught.value)


def test_every_score_has_a_margin() -> None:
    assert [name for name, metric in METRICS.items() if metric.marked and not metric.margin] == []


@pytest.mark.parametrize("grid", SHIPPED_GRIDS)
def test_every_shipped_grid_names_a_primary_score_that_its_own_protocol_measures(grid: str) -> None:
    study = build_study(grid, None, {}, [0], plan=True)
    assert set(study.grid.primary) & set(study.cells[0].config.scoring.wanted)


def test_levels_of_equal_steps_take_as_many_under_every_protocol_and_after_set() -> None:
    for protocol, asked in (("quick", {}), ("quick-labels", {}), ("quick", {"training.epochs": 3})):
        for grid in ("batch_size", "train_size"):
            steps = {
                cell.variant: cell.steps for cell in build_study(grid, protocol, asked, [0]).cells
                if "equal" in cell.variant or "batch 1," in cell.variant or grid == "train_size"
            }  # fmt: skip
            assert set(steps.values()) == {400 * asked.get("training.epochs", 2)}, steps


@pytest.mark.parametrize("grid", ["batch_size", "train_size"])
def test_levels_of_equal_steps_have_as_many_readings_while_training(grid: str) -> None:
    cells = build_study(grid, "facades-64", {}, [0], plan=True).cells
    assert {cell.config.training.epochs / cell.config.scoring.every for cell in cells} == {10}


def test_the_grid_of_presets_has_each_difference_alone_and_all_together() -> None:
    configs = {cell.variant: cell.config for cell in build_study("preset", "quick", {}, [0]).cells}

    def settings_of(variant: str) -> dict[str, object]:
        dump = configs[variant].model_dump()
        return {key: dump[key.split(".")[0]][key.split(".")[1]] for key in PRESETS["paper"]}

    images = {"data.resize_filter": "bilinear"}  # of another filter outputs would be scored on other targets
    trained = PRESETS["pytorch"] | images
    assert settings_of("paper") == PRESETS["paper"] == PRESETS["paper"] | images
    assert settings_of("pytorch") == trained
    alone = [settings_of(variant).items() - PRESETS["paper"].items() for variant in configs]
    n = len(trained) - 1
    assert sorted(map(len, alone)) == [0, *[1] * n, n]
    assert set().union(*alone) == trained.items() - images.items()
    filters = {cell.config.data.resize_filter for cell in build_study("resizing", None, {}, [0], plan=True).cells}
    assert filters == {PRESETS[preset]["data.resize_filter"] for preset in PRESETS}


def recipes_of(grid: str) -> dict[str, dict[str, object]]:
    return {cell.variant: recipe_of(cell.config) for cell in build_study(grid, "facades-64", {}, [0], plan=True).cells}


def changed(one: dict[str, object], other: dict[str, object]) -> set[str]:
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def test_each_rung_of_the_ladder_adds_its_own_settings_and_has_a_source() -> None:
    grid = read_grid("ladder")
    levels = grid.factors["rung"]
    assert [level.label[0] for level in levels] == list("0123456789")
    assert all(level.source for level in levels)
    assert grid.contrasts == "previous"
    for before, after in itertools.pairwise(levels):
        assert before.settings.items() <= after.settings.items() or after.label.startswith("8")
    found = recipes_of("ladder")
    assert len({str(recipe) for recipe in found.values()}) == 10


def test_without_each_idea_the_top_of_the_ladder_differs_in_that_alone() -> None:
    ladder, without = recipes_of("ladder"), recipes_of("ladder_without")
    top = without.pop("nothing")
    assert top == ladder["9 SPADE"]
    rungs = [changed(before, after) for before, after in itertools.pairwise(ladder.values())]
    assert len(without) == len(rungs) == 9
    for taken_out, rung in zip(without.values(), rungs, strict=True):
        # The hinge of rung 2 gives way to rung 8; a rate of D's own that is G's is the same run under either spelling.
        assert changed(taken_out, top) | {"objective.adversarial"} == rung | {"objective.adversarial"}


def test_the_short_ladder_has_the_rungs_of_the_ladder_without_low_pass_filters_and_attention() -> None:
    whole, short = list(recipes_of("ladder").values()), list(recipes_of("short_ladder").values())
    assert short[0] == recipes_of("loss")["l1+cgan"]
    assert short[1:4] == whole[:3]
    filters = {"generator.downsampling", "generator.upsampling", "discriminator.downsampling"}
    assert changed(short[4], whole[4]) == changed(short[5], whole[6]) == filters
    assert len(short) == 6


def test_convergence_has_the_trainings_of_the_objectives_and_the_same_ones_five_times_as_long() -> None:
    cells = {cell.variant: cell for cell in build_study("convergence", "quick", {}, [1]).cells}
    usual = {cell.variant: cell for cell in build_study("loss", "quick", {}, [1]).cells}
    for objective in ("l1", "l1+gan", "l1+cgan"):
        once, long = cells[f"{objective}, 1x epochs"], cells[f"{objective}, 5x epochs"]
        assert once.run_id == usual[objective].run_id
        assert changed(recipe_of(once.config), recipe_of(long.config)) == {"training.epochs"}
        assert long.config.training.epochs == 5 * once.config.training.epochs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cumulative: yes please\nfactors: {rung: [{label: a}]}", "say true, and each level has"),
        ("cumulative: true\nfactors: {objective: [l1, l1+cgan]}", "which cannot be added up"),
        ("factors: {rung: [{label: a, source: [b]}]}", "say in words, on one line, whose idea it is"),
    ],
)
def test_what_no_ladder_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_grid(write(tmp_path, text))


def test_cumulative_levels_have_what_those_before_them_have(tmp_path: Path) -> None:
    text = (
        "cumulative: true\nfactors: {rung: [{label: a, generator.ngf: 8}, {label: b, source: 'B 2020, §1', "
        "objective: l1}, {label: c, generator.ngf: 4}]}"
    )
    levels = read_grid(write(tmp_path, text)).factors["rung"]
    first = {"generator.ngf": 8}
    second = {**first, "objective.name": "l1"}
    assert [level.settings for level in levels] == [first, second, {**second, "generator.ngf": 4}]
    assert [level.source for level in levels] == ["", "B 2020, §1", ""]
