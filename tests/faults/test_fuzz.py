"""Files from outside, cut, changed and made up: read as they are meant, or refused in one line; never anything else.

``nox -s fuzz`` tries thousands where these try thirty.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from faults.bad_inputs import tried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from reading import read_array
from study_workplace import PROTOCOL
from trained_run import train_run

from p2pbench.config.resolve import Layer, resolve
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.cache import folder as cache_folder
from p2pbench.data.dataset import open_dataset
from p2pbench.data.image_files import preview
from p2pbench.data.pairs import find_pairs
from p2pbench.errors import DataError, P2PBenchError
from p2pbench.models.build import build_discriminator, build_generator
from p2pbench.runs.folder import RunFolder
from p2pbench.runs.housekeeping import all_runs, find_waste, read_studies, verify
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.training import checkpoint
from p2pbench.training.engine import build_optimisers, place_networks, prepare_engine
from p2pbench.training.step import Networks, Optimisers, train_step

reused = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""Examples share a folder, and leave it as they found it."""
slow = settings(reused, max_examples=settings().max_examples // 3)
"""For what takes ten times as long as the others."""


@contextmanager
def instead(path: Path, content: bytes) -> Iterator[None]:
    """``path`` holds ``content`` while the block runs."""
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        yield
    finally:
        path.write_bytes(whole)


@st.composite
def changed(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` cut at any byte, with some bytes changed, or with bytes put in."""
    how = draw(st.sampled_from(["cut", "change", "insert"]))
    place = draw(st.integers(0, len(whole) - 1))
    if how == "cut":
        return whole[:place]
    some = draw(st.binary(min_size=1, max_size=8))
    return whole[:place] + some + whole[place + (len(some) if how == "change" else 0) :]


# --- images -------------------------------------------------------------------------------------------------------


def _images() -> dict[str, bytes]:
    """A small file of every kind that is read."""
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (9, 14, 3), dtype=np.uint8)
    kinds: dict[str, bytes] = {}
    for suffix, kind in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP"), ("tif", "TIFF")):
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, kind)
        kinds[f"rgb.{suffix}"] = stream.getvalue()
    stream = io.BytesIO()
    Image.fromarray(rgb).convert("P").save(stream, "PNG", transparency=3)
    kinds["palette.png"] = stream.getvalue()
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, random.integers(0, 65536, (9, 14, 5), dtype=np.uint16), photometric="minisblack",
                     planarconfig="contig")  # fmt: skip
    kinds["deep.tif"] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, rgb.astype(np.float32))
    kinds["floats.npy"] = stream.getvalue()
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        import png

        png.from_array(random.integers(0, 65536, (9, 14 * 3), dtype=np.uint16), "RGB;16").save(file.name)
        kinds["deep.png"] = Path(file.name).read_bytes()
    return kinds


IMAGES = _images()


@pytest.mark.parametrize("kind", IMAGES)
@reused
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow and tifffile warn of much in damaged files
def test_an_image_is_read_or_refused_by_name(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / kind
    path.write_bytes(data.draw(changed(IMAGES[kind])))
    tried["images"] += 1
    for read in (partial(read_array, background="white"), preview):
        try:
            pixels = read(path)
        except DataError as error:
            message = str(error)
            assert str(path) in message
        else:
            assert pixels.ndim == 3


# --- pairs --------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a.png", "b.jpg", "a.jpg", "A.PNG", ".png", "x.npy", "note.txt", "ü.png", "a b.webp"])
PLACES = st.sampled_from(
    ["train", "val", "test", "train/A", "train/B", "A/train", "B/train", "test/A", "test/B", "A", "B"]
)
KINDS = st.sampled_from(["file", "empty", "folder", "link", "loop", "outside"])


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (9, 14, 3), \0",  # found by nox -s fuzz: numpy tokenizes it
        b"[" * 5000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3)}",
        b"{'descr': {}, 'fortran_order': False, 'shape': (1, 1)}",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}",
    ],
)
def test_an_array_of_any_header_is_refused_by_name(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(DataError, match=r"x\.npy"):
        read_array(path, None)


@given(st.lists(st.tuples(PLACES, NAMES, KINDS), max_size=12))
def test_any_tree_of_files_is_pairs_or_one_line(tree: list[tuple[str, str, str]]) -> None:
    tried["trees of pairs"] += 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for place, name, kind in tree:
            path = root / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() or path.is_symlink():
                continue
            if kind == "folder":
                path.mkdir()
            elif kind in ("link", "loop", "outside"):
                path.symlink_to({"link": "nowhere", "loop": name, "outside": "/dev/null"}[kind])
            else:
                path.write_bytes(IMAGES["rgb.png"] if kind == "file" else b"")
        try:
            found = find_pairs(root)
        except DataError as error:
            message = str(error)
            assert str(root) in message
        else:
            assert {"train", "test"} <= found.keys()
            for pair in (pair for pairs in found.values() for pair in pairs):
                assert all(file.is_relative_to(root) and file.suffix.lower() != ".txt" for file in pair.files)


# --- grids --------------------------------------------------------------------------------------------------------

GRID = """question: Does D matter?
protocol: tiny.yaml
seeds: [0, 1]
baseline: {objective: l1+cgan}
factors:
  objective: [l1, l1+cgan]
  size: [{label: small, generator.ngf: 2}, {label: large, generator.ngf: 4}]
exclude: [{objective: l1, size: small}]
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["l1", "unet", "os:system", "../../x", "patch70", "<script>", "generator.ngf", "=", "{}", "on"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12) | st.sampled_from(
        ["label", "objective", "generator.ngf", "training.seed", "factors"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(["question", "paper", "published", "baseline", "factors", "include", "exclude", "protocol",
                        "seeds", "data", "training", "scoring", "generator"])  # fmt: skip


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("grids")
    (folder / "tiny.yaml").write_text(PROTOCOL.format(source="photos"))
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def _cells_or_one_line(grid: Path) -> None:
    tried["grids"] += 1
    try:
        study = build_study(str(grid), None, {}, None)
    except P2PBenchError as error:
        message = str(error)
        assert message
    else:
        assert study.cells
        assert all(cell.run_id for cell in study.cells)


@slow
@given(data=st.data())
def test_a_grid_cut_or_changed_at_any_byte_is_cells_or_one_line(grids: Path, data: st.DataObject) -> None:
    path = grids / "cut.yaml"
    path.write_bytes(data.draw(changed(GRID.encode())))
    _cells_or_one_line(path)


@slow
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_grid_of_any_values_is_cells_or_one_line(grids: Path, changes: dict[str, Any]) -> None:
    path = grids / "values.yaml"
    base = {"protocol": "tiny.yaml", "factors": {"objective": ["l1"]}}
    path.write_text(json.dumps({**base, **changes}))  # which is YAML
    _cells_or_one_line(path)


@reused
@given(st.text(max_size=60) | st.text("[]{}:,-&*!?|>%@`\"'#\n \t<=ab01", max_size=60))
def test_any_text_is_no_grid(grids: Path, text: str) -> None:
    path = grids / "text.yaml"
    path.write_text(text, encoding="utf-8")
    _cells_or_one_line(path)


def test_yaml_bombs_and_python_objects_are_refused(grids: Path) -> None:
    path = grids / "bomb.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 12)]
    objects = ["question: !!python/object/apply:os.system [id]", "question: !!python/name:os.system"]
    bombs = ["\n".join([*lines, "question: *a11"]), "a: " + "[" * 1500, "factors: &f {objective: *f}"]
    for text in (*bombs, *objects):
        path.write_text(text)
        with pytest.raises(P2PBenchError) as caught:
            build_study(str(path), None, {}, None)
        assert len(str(caught.value)) < 2000


# --- records ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study of one finished cell, as ``ablate`` records it."""
    folder = tmp_path_factory.mktemp("store")
    run = RunFolder(train_run(folder, generator__ngf=2, scoring__metrics="[l1]"))
    (folder / "one.yaml").write_text("protocol: tiny.yaml\nfactors: {generator.ngf: [2]}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("P2PBENCH_HOME", str(folder / "home"))
        study = build_study(
            "one.yaml", None, {"data.mirror": False, "training.epochs": 1, "scoring.metrics": ["l1"]}, [0],
            name="one",
        )  # fmt: skip
    found = Store(folder / "runs")
    write_study(study, found)
    (cell,) = study.cells
    shutil.copytree(run.path, found.run(str(cell.run_id)).path)
    assert cell.run_id == run.recorded_id()
    return found


RECORDS = ("status.json", "scores.json", "per_image.csv", "losses.csv", "config.yaml", "study.yaml")
OTHER: st.SearchStrategy[Any] = st.sampled_from(
    [None, [], {}, "", "x", "../../../etc/passwd", 0, -1, 1.5, True, "<script>", [None], {"a": {}}]
)


@st.composite
def replaced(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with something in it, at any depth, replaced or gone."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.booleans()) and not isinstance(value[key], dict | list):
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: draw(replaced(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(replaced(value[place])), *value[place + 1 :]]
    return draw(OTHER)


@pytest.mark.parametrize("name", RECORDS)
@slow
@given(data=st.data())
def test_records_of_any_content_are_read_or_told(name: str, store: Store, data: st.DataObject) -> None:
    """By everything that reads them: ``runs list``, ``verify`` and ``prune``, ``ablate`` and ``report``."""
    tried["records"] += 1
    (run,) = (RunFolder(path) for path in (store.root / "cells").iterdir())
    path = store.study_file("one") if name == "study.yaml" else run.path / name
    whole = path.read_bytes()
    if name.endswith(".csv") or name == "config.yaml" or data.draw(st.booleans()):
        content = data.draw(changed(whole))
    else:
        content = json.dumps(data.draw(replaced(json.loads(whole)))).encode()
    with instead(path, content):
        facts = all_runs(store, read_studies(store))
        find_waste(facts, failed=True, unused=True, older_days=None)
        for found in facts:
            list(verify(found.run))
            found.to_json()
            json.dumps([score.to_json() for score in found.run.scores().values()])
        run.finished()
        run.damaged_records()
        config = resolve([Layer("test", {"scoring.metrics": ["l1"]})]).config
        run.missing_scores(config)
        try:
            about = store.read_study("one")
        except P2PBenchError as error:
            message = str(error)
            assert str(path) in message
        else:
            assert all(store.run(cell.run_id).path.parent == store.root / "cells" for cell in about.cells)


# --- checkpoints and caches -----------------------------------------------------------------------------------------


Trained = tuple[Networks, Optimisers, Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two checkpoints of one training, of its first step and its second."""
    from tiny_runs import TINY

    config = resolve([Layer("tiny", {**TINY, "generator.ngf": 2, "discriminator.ndf": 2})]).config
    folder = tmp_path_factory.mktemp("checkpoint")
    engine = prepare_engine(config.training, threads=1)
    networks = place_networks(Networks(build_generator(config), build_discriminator(config)), engine)
    optimisers = build_optimisers(networks, config)
    for step in (1, 2):
        x = torch.rand(1, 3, 16, 16) * 2 - 1
        train_step(networks, optimisers, x, -x, config)
        progress = checkpoint.Progress(step, [], torch.zeros(0, 4), 0.0)
        checkpoint.write(folder, "id", progress, checkpoint.state_of(networks, optimisers, progress), keep=2)
    return networks, optimisers, folder


@reused
@given(data=st.data())
def test_a_checkpoint_cut_at_any_byte_is_never_believed(trained: Trained, data: st.DataObject) -> None:
    tried["checkpoints"] += 1
    networks, optimisers, folder = trained
    newest = folder / "step-00000002.safetensors"
    whole = newest.read_bytes()
    with instead(newest, whole[: data.draw(st.integers(0, len(whole) - 1))]):
        done = checkpoint.load(folder, "id", networks, optimisers, steps=9)
        assert done is not None
        assert done.step == 1  # the older one serves


@reused
@given(data=st.data())
def test_a_checkpoint_changed_anywhere_is_not_believed_either(trained: Trained, data: st.DataObject) -> None:
    tried["checkpoints"] += 1
    networks, optimisers, folder = trained
    newest = folder / "step-00000002.safetensors"
    whole = newest.read_bytes()
    content = data.draw(changed(whole))
    checkpoint.load(folder, "id", networks, optimisers, steps=9)
    weights = [parameter.detach().clone() for parameter in networks.generator.parameters()]
    with instead(newest, content):
        done = checkpoint.load(folder, "id", networks, optimisers, steps=9)
        assert done is not None
        if done.step == 2:  # white space in its header
            assert (done.rows, done.seconds) == ([], 0.0)
            assert all(map(torch.equal, weights, networks.generator.parameters()))


@slow
@given(data=st.data())
def test_a_cache_cut_at_any_byte_is_made_anew(
    tiny: Callable[..., RunConfig], pairs_folder: Path, data: st.DataObject
) -> None:
    tried["caches"] += 1
    dataset = open_dataset(tiny(data__source=str(pairs_folder)).data)
    pixels = np.array(decoded(dataset, "test"))
    (path,) = cache_folder().glob("*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert np.array_equal(decoded(dataset, "test"), pixels)
    assert path.read_bytes() == whole
