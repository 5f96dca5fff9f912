"""Exploring a data set: every number against a known answer, the page on its own, the same bytes again."""

from __future__ import annotations

import io
import json
import math
import os
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import program
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from typer.testing import CliRunner

from p2pbench.cli.app import app
from p2pbench.curation.explore import measures
from p2pbench.curation.explore.drift import ALPHA, chance_gap, drift_of
from p2pbench.curation.explore.examples import draw_roles, thumbnail
from p2pbench.curation.explore.explore import Exploration, explore
from p2pbench.curation.explore.page import about, check_folder, striking, tables
from p2pbench.curation.explore.source import keyed_sample, open_source
from p2pbench.data.palette import Palette, count_colours, find_palette, flat_pixels
from p2pbench.errors import ConfigError

LABELS = np.array([(0, 0, 170), (0, 0, 255), (0, 85, 255), (255, 170, 0), (120, 120, 120)], np.uint8)
CMP = [
    (0, 48, 255), (0, 0, 222), (0, 128, 255), (255, 80, 0), (175, 0, 0), (192, 255, 64),
    (112, 255, 143), (32, 255, 224), (255, 160, 0), (0, 208, 255), (255, 240, 0), (255, 0, 0),
]  # fmt: skip
"""The twelve colours that pix2pix's facades have for the twelve labels of the CMP data base."""


def photo(seed: int, size: int = 64) -> np.ndarray:
    """Smooth random colour, like a photograph out of focus: no two regions of one colour."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def label_map(seed: int, size: int = 64) -> np.ndarray:
    """Blocks of 16x16 pixels of ``LABELS``, some more frequent than others."""
    blocks = np.random.default_rng([7, seed]).choice(
        len(LABELS), (size // 16, size // 16), p=[0.4, 0.3, 0.15, 0.1, 0.05]
    )
    return LABELS[blocks].repeat(16, 0).repeat(16, 1)


def through_jpeg(image: np.ndarray, quality: int = 75) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def palette_of(images: list[np.ndarray]) -> tuple[Palette | None, np.ndarray]:
    whole = np.sum([count_colours(image) for image in images], axis=0)
    return find_palette(whole, np.sum([count_colours(flat_pixels(image)) for image in images], axis=0)), whole


def write_set(root: Path, counts: dict[str, int], *, layout: str = "side by side", brighter: int = 0) -> Path:
    """Photographs with label maps; ``brighter`` is added to the photographs of the test split."""
    for split, count in counts.items():
        for index in range(count):
            seed = 1000 * len(split) + index
            a, b = photo(seed) // 2 + (brighter if split == "test" else 0), label_map(seed)
            if layout == "side by side":
                (root / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.concatenate([a, b], axis=1).astype(np.uint8)).save(root / split / f"{index:03d}.png")
                continue
            for side, image in (("A", a), ("B", b)):
                (root / split / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(root / split / side / f"{index:03d}.png")
    return root


def look(folder: Path) -> Exploration:
    return explore(open_source(str(folder)))


# ---- the palette


def test_the_palette_and_its_shares_are_found_through_jpeg() -> None:
    plain = [label_map(seed) for seed in range(30)]
    true = [np.mean([(image == label).all(axis=2).mean() for image in plain]) for label in LABELS]
    palette, whole = palette_of([through_jpeg(image) for image in plain])
    assert palette is not None
    assert len(palette.colours) == len(LABELS)
    assert 0.02 < palette.noise(whole) < 0.4
    for label, share in zip(LABELS.astype(int), true, strict=True):
        distance = np.linalg.norm(palette.colours - label, axis=1)
        assert distance.min() < 5
        assert palette.shares(whole)[distance.argmin()] == pytest.approx(share, abs=0.02)


colours = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=12, unique=True)


@given(colours=colours, seed=st.integers(0, 1000))
def test_without_compression_the_palette_is_exact(colours: list[tuple[int, int, int]], seed: int) -> None:
    labels = np.array(colours, np.uint8)
    distances = np.linalg.norm(labels[:, None] - labels.astype(float), axis=2)
    assume(distances[~np.eye(len(labels), dtype=bool)].min() > 36)
    blocks = np.random.default_rng(seed).permutation(np.arange(64) % len(labels)).reshape(8, 8)
    image = labels[blocks].repeat(8, 0).repeat(8, 1)
    palette, whole = palette_of([image])
    assert palette is not None
    assert {tuple(colour) for colour in palette.colours.tolist()} == set(colours)
    assert palette.noise(whole) == 0
    assert palette.shares(whole).tolist() == sorted(np.bincount(blocks.ravel()) / 64, reverse=True)
    assert (palette.colours[palette.labels(image)] == image).all()


def test_photographs_have_no_palette() -> None:
    photographs = [photo(seed) for seed in range(20)]
    assert palette_of(photographs)[0] is None
    assert palette_of([through_jpeg(image) for image in photographs])[0] is None
    on_white = [np.full((96, 96, 3), 255, np.uint8) for _ in photographs]
    for image, photograph in zip(on_white, photographs, strict=True):
        image[16:80, 16:80] = photograph
    assert palette_of(on_white)[0] is None
    assert palette_of([np.repeat(image[..., :1], 3, axis=2) for image in photographs])[0] is None


def test_thin_lines_have_a_colour_of_their_own() -> None:
    drawing = np.full((64, 64, 3), 255, np.uint8)
    drawing[8::16] = drawing[:, 8::16] = 0
    palette, whole = palette_of([through_jpeg(drawing, 90)])
    assert palette is not None
    assert len(palette.colours) == 2
    assert (palette.colours.astype(int).max(axis=1) > 250).tolist() == [True, False]
    assert palette.shares(whole)[1] == pytest.approx((drawing == 0).mean(), abs=0.02)


# ---- the measures of an image


def test_colourfulness_is_hasler_and_suesstrunks() -> None:
    red_and_blue = np.zeros((2, 2, 3), np.uint8)
    red_and_blue[0, :, 0] = red_and_blue[1, :, 2] = 255
    # rg = (255, 0): mean 127.5, SD 127.5. yb = (127.5, -255): mean -63.75, SD 191.25.
    wanted = math.sqrt(127.5**2 + 191.25**2) + 0.3 * math.sqrt(127.5**2 + 63.75**2)
    assert wanted == pytest.approx(272.619, abs=1e-3)
    assert measures.colourfulness(red_and_blue) == pytest.approx(wanted)
    assert measures.colourfulness(np.repeat(photo(0)[..., :1], 3, axis=2)) == 0


def test_sharpness_of_a_chessboard_of_a_flat_image_and_of_a_blurred_one() -> None:
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    assert measures.sharpness(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)) == pytest.approx(4 * 255)
    assert measures.sharpness(np.full((8, 8, 3), 9, np.uint8)) == 0
    assert measures.sharpness(np.full((2, 8, 3), 9, np.uint8)) == 0
    assert measures.sharpness(label_map(0)) > 5 * measures.sharpness(photo(0))


def test_edges_are_a_tenth_of_the_pixels_and_agree_with_themselves() -> None:
    found = [measures.edges(photo(seed, measures.SIDE)) for seed in range(4)]
    for edges in found:
        assert 0 < edges.mean() <= 0.11
        assert measures.edge_agreement(edges, edges) == (1.0, 1.0, 1.0)
    unrelated = [measures.edge_agreement(a, b)[2] for a, b in pairwise(found)]
    assert max(unrelated) < 0.4
    flat = measures.edges(np.full((measures.SIDE, measures.SIDE, 3), 100, np.uint8))
    assert not flat.any()
    assert math.isnan(measures.edge_agreement(flat, found[0])[2])


def test_edge_agreement_counts_what_lies_one_pixel_beside() -> None:
    a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    a[:, 3], b[:, 4] = True, True
    assert measures.edge_agreement(a, b)[2] == 1
    b[:, 10] = True
    assert measures.edge_agreement(a, b) == pytest.approx((1, 0.5, 2 / 3))
    assert measures.edge_agreement(a, np.roll(b, 4, axis=1))[2] == 0


def test_the_borders_of_labels_are_the_pixels_on_both_sides() -> None:
    labels = np.zeros((4, 4), int)
    labels[2:, 2:] = 1
    assert measures.borders(labels).tolist() == [
        [False] * 4, [False, False, True, True], [False, True, True, True], [False, True, True, False],
    ]  # fmt: skip


# ---- drift


def table(train: np.ndarray, test: np.ndarray) -> pd.DataFrame:
    rows = [("train", value) for value in train] + [("test", value) for value in test]
    frame = pd.DataFrame(rows, columns=["split", "m"])
    per_image = pd.concat([frame.assign(side="A"), frame.assign(side="B", m=frame["m"] % 7)])
    edges = frame.assign(agreement=np.nan).drop(columns="m")
    return drift_of(per_image, ("m",), edges)


def test_a_planted_drift_is_shown_and_its_size_named() -> None:
    train = np.arange(200) % 100
    found = table(train, np.arange(100) + 30).iloc[0]
    assert (found["ks"], found["drift"]) == (pytest.approx(0.3), "moderate")
    assert found["shift"] == pytest.approx(30 / train.std())
    assert (found["median_train"], found["median_test"]) == (49.5, 79.5)
    assert table(train, np.arange(100) + 60).iloc[0]["drift"] == "large"
    assert table(train, np.arange(100)).iloc[0]["drift"] == "none shown"


def test_what_chance_gives_is_smirnovs_limit_shared_over_the_rows() -> None:
    gap = chance_gap(400, 106, 9)
    assert gap == pytest.approx(0.18741, abs=1e-5)
    assert stats.kstwobign.sf(gap * math.sqrt(400 * 106 / 506)) == pytest.approx(ALPHA / 9, rel=1e-3)
    assert table(np.arange(9.0), np.arange(3.0) + 100).iloc[0]["drift"] == "large"
    assert table(np.arange(3.0), np.arange(2.0) + 100).iloc[0]["drift"] == "none shown"  # too few to tell


def test_splits_of_one_distribution_seldom_drift() -> None:
    random = np.random.default_rng(0)
    false_alarms = sum(
        (table(random.normal(size=80), random.normal(size=40))["drift"] != "none shown").any() for _ in range(100)
    )
    assert false_alarms <= 10  # 5 are expected; 11 or more come up once in a hundred


# ---- the whole


def test_known_images_give_known_numbers(tmp_path: Path) -> None:
    for split, levels in {"train": (0, 100), "test": (40,)}.items():
        (tmp_path / split).mkdir()
        for level in levels:
            a = np.full((20, 20, 3), level, np.uint8)
            b = np.full((20, 20, 3), (200, level, 0), np.uint8)
            Image.fromarray(np.concatenate([a, b], axis=1)).save(tmp_path / split / f"{level}.png")
    found = look(tmp_path)
    images: Any = found.per_image.set_index(["side", "split", "name"]).sort_index()
    assert found.sides["A"].mean == pytest.approx(np.full((128, 128, 3), 140 / 3))
    assert found.sides["A"].spread == pytest.approx(np.full((128, 128, 3), np.std([0, 100, 40])))
    assert found.sides["B"].mean[5, 5] == pytest.approx([200, 140 / 3, 0])
    assert images.loc[("A", "train", "100"), "brightness"] == 100
    assert images.loc[("A", "train", "100"), "contrast"] == 0
    assert found.sides["A"].channels["train"][0, [0, 100, 40]].tolist() == [0.5, 0.5, 0]
    assert found.sides["A"].kind == "label map"  # of the three greys
    assert found.edges["agreement"].isna().all()


def test_labels_are_counted_by_split_image_and_place(tmp_path: Path) -> None:
    for split, height in {"train": 16, "test": 48}.items():
        (tmp_path / split).mkdir()
        for index in range(3):
            b = np.full((64, 64, 3), LABELS[0], np.uint8)
            b[:height] = LABELS[3]
            Image.fromarray(np.concatenate([photo(index), b], axis=1)).save(tmp_path / split / f"{index}.png")
    labels = look(tmp_path).sides["B"].labels
    assert labels is not None
    orange = [tuple(colour) for colour in labels.palette.colours.tolist()].index(tuple(LABELS[3].tolist()))
    assert (labels.shares["train"][orange], labels.shares["test"][orange]) == (0.25, 0.75)
    assert labels.present.tolist() == [1, 1]
    assert labels.places[orange][[8, 32, 56], 5].tolist() == [1, 0.5, 0]


def test_a_planted_drift_reaches_the_summary(tmp_path: Path) -> None:
    found = look(write_set(tmp_path, {"train": 30, "test": 20}, brighter=100))
    row = found.drift[(found.drift["side"] == "A") & (found.drift["measure"] == "brightness")].iloc[0]
    assert (row["drift"], row["ks"]) == ("large", 1.0)
    assert any("The test split differs" in sentence and "A brightness" in sentence for sentence in striking(found))
    assert "B is a label map of 5 colours." in " ".join(about(found))
    same = look(write_set(tmp_path / "same", {"train": 30, "test": 20}))
    assert any(sentence.startswith("No drift shown") for sentence in striking(same))


def test_a_sample_is_the_same_every_time_and_does_not_depend_on_order() -> None:
    keys = [("train", str(number)) for number in range(50)]
    chosen = keyed_sample(keys, 5)
    assert chosen == keyed_sample(keys[::-1], 5) == keyed_sample(keys, 50)[:5]
    assert [name for _, name in chosen] == ["15", "39", "42", "47", "32"]


# ---- through the command line


def invoke(*arguments: str | Path, code: int = 0) -> Any:
    return program.invoke("data", "explore", *arguments, code=code)


def error_of(*arguments: str | Path, code: int = 3) -> str:
    result = invoke(*arguments, code=code)
    assert result.stdout == ""
    lines: list[str] = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A set of twelve pairs side by side, explored: the folder and the document."""
    root = tmp_path_factory.mktemp("explored")
    source = write_set(root / "pairs", {"train": 8, "val": 2, "test": 2})
    return root, json.loads(invoke(source, "--out", root / "out", "--json").stdout)


FILES = {
    "index.html", "per_image.csv", "sizes.csv", "measures.csv", "channels.csv", "edges.csv", "drift.csv", "palette.csv",
    "pairs.png", "roles.png", "extremes.png", "mean.png", "channels.png", "measures.png", "edges.png", "drift.png",
    "palette_B.png", "places_B.png",
}  # fmt: skip


def test_the_command_writes_what_it_says(explored: tuple[Path, Any]) -> None:
    root, found = explored
    assert found["splits"] == {"train": 8, "val": 2, "test": 2}
    assert {Path(file).name for file in found["files"]} == FILES == {path.name for path in (root / "out").iterdir()}
    assert (found["sides"]["A"]["kind"], found["sides"]["B"]["kind"]) == ("colour images", "label map")
    assert {row["colour"] for row in found["sides"]["B"]["palette"]} <= {
        "#" + bytes(label.tolist()).hex() for label in LABELS
    }
    assert found["reads"] == "condition: A (left half) -> target: B (right half)"
    assert "condition: A (left half) -&gt; target: B (right half)" in (root / "out/index.html").read_text()
    images = pd.read_csv(root / "out/per_image.csv", dtype={"name": str})
    assert images.groupby(["split", "side"]).size().to_dict() == {
        (split, side): n for split, n in found["splits"].items() for side in "AB"
    }
    first = images.iloc[0]
    assert (first["file"], first["type"], first["width"], first["height"]) == ("000.png", "png", 64, 64)
    assert first["colourfulness"] == pytest.approx(measures.colourfulness(photo(5000) // 2), rel=1e-5)
    channels = pd.read_csv(root / "out/channels.csv")
    assert channels.groupby(["side", "split", "channel"])["share"].sum().to_numpy() == pytest.approx(1)
    palette = pd.read_csv(root / "out/palette.csv")
    assert palette["share"].sum() == pytest.approx(1)


def test_the_same_images_give_the_same_bytes_in_either_layout(explored: tuple[Path, Any], tmp_path: Path) -> None:
    root, _ = explored
    other = write_set(tmp_path / "pairs", {"train": 8, "val": 2, "test": 2}, layout="two folders")
    text = invoke(other, "--out", tmp_path / "out").stdout
    assert "12 pairs: 8 train, 2 val, 2 test." in text
    assert max(map(len, text.splitlines()[:8])) <= 80
    assert "condition: A (folder A) -> target: B (folder B)" in text
    for name in FILES - {"per_image.csv", "roles.png", "index.html"}:  # these say halves or folders
        assert (tmp_path / "out" / name).read_bytes() == (root / "out" / name).read_bytes(), name
    ours, theirs = (pd.read_csv(folder / "out/per_image.csv") for folder in (root, tmp_path))
    assert (ours.pop("bytes") != theirs.pop("bytes")).all()  # a file for each image, not for both
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_same_source_gives_the_same_numbers_to_the_last_digit(explored: tuple[Path, Any]) -> None:
    root, _ = explored
    again = tables(look(root / "pairs"))
    assert again["per_image"].to_csv(index=False, float_format="%.6g") == (root / "out/per_image.csv").read_text()


class Resources(HTMLParser):
    """Everything a page would load."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_needs_nothing_beside_it(explored: tuple[Path, Any]) -> None:
    page = explored[0] / "out/index.html"
    parser = Resources(page)
    assert parser.tags.count("img") == 10
    assert all(resource.startswith(("data:image/png;base64,", "#")) for resource in parser.found)
    text = page.read_text()
    for forbidden in ("http", "url(", "@import", "<script", str(explored[0])):
        assert forbidden not in text
    assert "prefers-color-scheme: dark" in text
    anchors = {resource for resource in parser.found if resource.startswith("#")}
    assert anchors and all(f'id="{anchor[1:]}"' in text for anchor in anchors)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be")
def test_hostile_names_become_neither_markup_nor_formulas_nor_a_traceback(tmp_path: Path) -> None:
    source = write_set(tmp_path / "<img src=x onerror=alert(1)>", {"train": 3, "test": 2})
    names = ("<script>alert(2)</script>".replace("/", "_"), "$x^$ [red]", os.fsdecode(b"\xff\xe9 \n"))
    for path, name in zip(sorted((source / "train").iterdir()), names, strict=True):
        path.rename(path.with_name(name + ".png"))
    invoke(source, "--out", tmp_path / "out")
    parser = Resources(tmp_path / "out/index.html")
    assert "script" not in parser.tags
    assert "x" not in parser.found
    assert set(names[:2]) <= set(pd.read_csv(tmp_path / "out/per_image.csv")["name"])


def test_mistakes_are_one_line_with_the_way_out(tmp_path: Path) -> None:
    assert "'nowhere' is neither a built-in" in error_of("nowhere", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    source = write_set(tmp_path / "pairs", {"train": 2, "test": 1})
    (tmp_path / "blocked").write_text("")
    assert "blocked cannot be written" in error_of(source, "--out", tmp_path / "blocked")
    assert "figures would become pairs" in error_of(source, "--out", source / "train", code=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("my own page")
    assert "holds other files than those of an exploration" in error_of(source, "--out", tmp_path / "mine", code=2)
    assert (tmp_path / "mine" / "index.html").read_text() == "my own page"
    again, pairs = tmp_path / "again", open_source(str(source))
    again.mkdir()
    for name in (".DS_Store", "per_image.csv", "palette_A.svg", "index.html"):  # in the order of writing: the page last
        (again / name).touch()
        check_folder(pairs, again)  # it may be made anew, one that was killed too
    (again / "notes.txt").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        check_folder(pairs, again)
    (source / "train/001.png").write_bytes(b"\x89PNG broken")
    assert "001.png cannot be read as an image" in error_of(source, "--out", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert CliRunner().invoke(app, ["data", "explore", str(source)]).exit_code == 2


@pytest.mark.parametrize("size", [(1, 2), (700, 40)])
def test_odd_sizes_and_flat_images_are_explored(size: tuple[int, int], tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.new("RGB", (size[1], size[0]), (9, 9, 9)).save(tmp_path / split / "x.png")
    found = json.loads(invoke(tmp_path, "--out", tmp_path / "out", "--json").stdout)
    assert found["sizes"][0] == {
        "split": "test", "width": size[1] // 2, "height": size[0], "type": "png", "n": 1
    }  # fmt: skip
    assert found["edges"] == {"n": 0, "median": None, "median_by_chance": None, "sample": 1000}
    assert "No sampled pair has edges on both sides" in (tmp_path / "out/index.html").read_text()


def test_one_pair_is_shown_as_it_is_read(tmp_path: Path) -> None:
    """A is a photograph here, B a label map of few colours."""
    write_set(tmp_path / "pairs", {"train": 1, "test": 1})
    turned = open_source(str(tmp_path / "pairs"), "BtoA")
    assert turned.reads == "condition: B (right half) -> target: A (left half)"
    (pair,) = turned.read({turned.keys[0]}).values()
    figure = draw_roles(pair, turned.roles, turned.reads)
    condition, target = figure.axes
    assert (condition.get_title(), target.get_title()) == ("condition: B (right half)", "target: A (left half)")
    for axis, image in ((condition, pair[1]), (target, pair[0])):
        assert np.array_equal(np.asarray(axis.images[0].get_array()), thumbnail(image))
    assert "--direction" in error_of(tmp_path / "pairs", "--out", tmp_path / "out", "--direction", "BtoC", code=2)


@pytest.mark.parametrize(("source", "reads"), [
    ("photos", "condition: A (gray) -> target: B (photo)"), ("drawn:4", "condition: A (photo) -> target: B (labels)"),
])  # fmt: skip
def test_what_a_built_in_side_is_called_is_what_it_shows(source: str, reads: str) -> None:
    found = open_source(source)
    assert found.reads == reads
    (images,) = found.read({found.keys[0]}).values()
    n_colours = [len(np.unique(image.reshape(-1, 3), axis=0)) for image in images]
    assert (n_colours[1] < 20) == ("labels" in reads)
    assert n_colours[0] > 100


def test_the_built_in_photos_are_grey_and_colour() -> None:
    source = open_source("photos")
    few = {split: names[:10] for split, names in source.names.items()}
    wanted = {(split, name) for split, names in few.items() for name in names}
    images = source.read(wanted)
    assert set(images) == wanted
    for a, b in images.values():
        assert measures.colourfulness(a) == 0 < measures.colourfulness(b)
    assert source.files()["type"].unique().tolist() == ["built in"]


# ---- the real data


@pytest.mark.shared
def test_facades_have_the_twelve_colours_of_the_cmp_labels(shared: Path, tmp_path: Path) -> None:
    for split, count in {"train": 30, "test": 10}.items():
        (tmp_path / split).mkdir()
        for path in sorted((shared / "data/facades" / split).iterdir())[:count]:
            (tmp_path / split / path.name).symlink_to(path)
    found = look(tmp_path)
    assert found.sides["A"].kind == "colour images"
    labels = found.sides["B"].labels
    assert labels is not None
    assert len(labels.palette.colours) == len(CMP)
    for colour in CMP:
        assert np.linalg.norm(labels.palette.colours.astype(int) - colour, axis=1).min() < 8
    assert labels.palette.colours[:2].argmax(axis=1).tolist() == [2, 2]  # wall and background, both blue
    assert labels.shares["all"][:2] == pytest.approx([0.36, 0.22], abs=0.08)
    assert found.edges["agreement"].median() > found.edges["by_chance"].median() + 0.04
