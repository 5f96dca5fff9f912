"""Figures of any study: no text touches another, no two variants look alike, and each says what it stands on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn_studies import drawn_study, names, overlaps
from report_records import study_of

from p2pbench.report.figures.all import DRAW, files_of, write_figures
from p2pbench.report.figures.names import evenly_wrapped, ordered, shortened, wrapped
from p2pbench.report.figures.panels import looks
from p2pbench.report.figures.scores import draw_differences
from p2pbench.system.figure_style import COLUMN, DARK, PAPER, TEXT, settings


@pytest.mark.parametrize("width", [COLUMN, TEXT])
@pytest.mark.parametrize(
    ("kind", "n", "n_seeds", "n_images"),
    [("short", 2, 1, 1), ("long", 12, 3, 30), ("unbroken", 24, 1, 3), ("factors", 40, 3, 30), ("strange", 5, 10, 106)],
)
def test_no_text_touches_another(kind: str, n: int, n_seeds: int, n_images: int, width: float) -> None:
    study = drawn_study(kind, n, n_seeds, n_images)
    with settings({**PAPER, "figure.dpi": 100}):
        for name, draw in DRAW.items():
            figure = draw(study, width)
            if figure is None:
                assert name in {"effects", "answer", "differences", "distributions"}, name
                continue
            assert figure.get_figwidth() == width
            assert overlaps(figure) == [], name
            said = " ".join(" ".join(text.get_text() for text in figure.texts).split())
            assert re.search(rf"\b{n_seeds} seeds?\b", said), name
            assert re.search(r"\b\d+ (test|training|validation) (image|pair)s?\b", said), name
            if n > 12 and name != "effects":
                assert f"12 of {n} variants shown" in said, name
            plt.close(figure)


def test_a_figure_of_contrasts_says_what_its_thin_lines_are() -> None:
    """The baseline has no row where each variant is set against the one before, and is not left out."""
    rng = np.random.default_rng(0)
    scores = {name: {"lpips": rng.normal(0.4, 0.1, (n, 20))} for name, n in (("a", 3), ("b", 3), ("c", 1))}
    figure = draw_differences(study_of(scores, contrasts="previous"))
    assert figure is not None
    said = " ".join(figure.texts[-1].get_text().split())
    assert said.endswith("lines: 95 % over trainings and images; thin: over images of these trainings")
    assert "variants shown" not in said
    plt.close(figure)


def test_a_text_over_another_is_found() -> None:
    figure = plt.figure(figsize=(2, 1))
    figure.text(0.1, 0.5, "one name")
    figure.text(0.2, 0.5, "another")
    figure.text(0.9, 0.1, "far too long")
    assert overlaps(figure) == ["'far too long' leaves the figure", "'one name' and 'another' touch"]
    plt.close(figure)


@pytest.mark.parametrize("kind", ["short", "long", "ordered", "factors", "strange"])
def test_no_two_variants_look_alike(kind: str) -> None:
    found = list(looks(drawn_study(kind, 40, 1, 3)).values())
    assert len({(look.colour, look.marker, look.dash) for look in found}) == len(found) == 12
    assert len({(look.colour, str(look.dash)) for look in found}) == 12  # lines alone tell them apart
    assert len({look.name for look in found}) == 12


def test_levels_of_a_quantity_go_from_dark_to_light() -> None:
    def lightness(colour: str) -> float:
        return sum(int(colour[k : k + 2], 16) * share for k, share in ((1, 0.2), (3, 0.7), (5, 0.1)))

    steps = [lightness(look.colour) for look in looks(drawn_study("ordered", 5, 1, 3)).values()]
    assert steps == sorted(steps)
    assert ordered(["pixel", "patch16", "patch34", "patch70", "image286"])
    assert ordered(["50 pairs", "100 pairs", "200 pairs", "all pairs"])
    assert not ordered(["l1", "gan", "cgan", "l1+gan", "l1+cgan"])
    assert not ordered(["unet", "encoder_decoder", "resnet6", "resnet9"])
    assert not ordered(["x=1", "x=3", "x=2"])


def test_what_all_names_share_is_left_out_and_said() -> None:
    assert shortened(["lambda_l1=1", "lambda_l1=10"]) == ({"lambda_l1=1": "1", "lambda_l1=10": "10"}, "lambda_l1=…")
    short, common = shortened(["generator=unet, ngf=64, a", "generator=resnet, ngf=64, b"])
    assert (list(short.values()), common) == (["unet, a", "resnet, b"], "generator=…, ngf=64, …")
    for alone in (["l1", "l1+gan", "l1+cgan"], ["one name alone"], ["a+b", "a+c"], ["same=x", "other=x, y"]):
        assert shortened(alone) == ({name: name for name in alone}, "")


@pytest.mark.parametrize("kind", ["short", "long", "unbroken", "strange"])
def test_names_are_wrapped_and_never_cut(kind: str) -> None:
    for name in names(kind, 40):
        lines = wrapped(name, 22).split("\n")
        assert max(map(len, lines)) <= 22
        assert "".join("".join(lines).split()) == "".join(name.split())
        even = evenly_wrapped(name, 22)
        assert even.count("\n") == len(lines) - 1
        assert max(map(len, even.split("\n"))) <= max(map(len, lines))
        assert "".join(even.split()) == "".join(name.split())
    assert wrapped("建物の正面写真", 6) == "建物の\n正面写\n真"
    assert wrapped("precision (Inception) ↑", 21) == "precision (Inception)\n↑"
    assert evenly_wrapped("precision (Inception) ↑", 21) == "precision\n(Inception) ↑"
    assert evenly_wrapped("LPIPS (squeeze) ↓", 16) == "LPIPS\n(squeeze) ↓"
    assert wrapped("LPIPS (squeeze) ↓", 9) == "LPIPS\n(squeeze)\n↓"


@pytest.mark.parametrize("width", [COLUMN, TEXT])
def test_each_cost_is_named_at_its_axis(width: float) -> None:
    figure = DRAW["pareto"](drawn_study("short", 5, 1, 3), width)
    assert figure is not None
    found = [axis.xaxis.label for axis in figure.axes if axis.xaxis.label.get_visible()]
    assert [label.get_text() for label in found] == ["training, PFLOPs", "generator, GFLOPs an image"]
    plt.close(figure)


def test_a_note_names_no_line_and_no_test_that_is_not_there() -> None:
    for n, there in ((1, False), (30, True)):
        study = drawn_study("short", 3, 1, n)
        for name in ("scores", "differences", "pareto"):
            figure = DRAW[name](study, COLUMN)
            assert figure is not None
            said = " ".join(text.get_text() for text in figure.texts)
            assert ("95 %" in said) == there, name
            assert ("Holm" in said) == (there and name == "differences"), name
            plt.close(figure)


def test_rows_of_panels_are_as_full_as_they_can_be() -> None:
    figure = DRAW["scores"](drawn_study("short", 2, 1, 3), TEXT)
    assert figure is not None
    assert len(figure.axes) == 6
    assert len({axis.get_position().x0 for axis in figure.axes}) == 3  # and not four, and two below them
    plt.close(figure)


def test_few_images_have_no_boxes() -> None:
    few, many = (DRAW["distributions"](drawn_study("short", 2, 1, n), COLUMN) for n in (9, 10))
    assert few is not None
    assert many is not None
    n_lines = [len(figure.axes[0].lines) for figure in (few, many)]
    assert n_lines == [2, 2 + 2 * 6]  # dots; and of a box its outline, median, whiskers and caps
    plt.close("all")


def test_files_for_a_paper_hold_their_fonts_and_stand_on_any_page(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("p2pbench.report.figures.all.DRAW", {"answer": DRAW["answer"]})
    study = drawn_study("strange", 3, 3, 10)
    (png,) = write_figures(study, tmp_path, paper=True).values()
    screen, column, page = files_of(png)
    for (pdf, svg), width in ((column, COLUMN), (page, TEXT)):
        content = pdf.read_bytes()
        assert b"/FontFile2" in content  # TrueType, embedded
        assert b"/Type3" not in content
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", content)
        assert box is not None
        assert float(box[1]) == pytest.approx(width * 72, abs=0.1)
        assert "<text" not in svg.read_text()  # letters are outlines
    drawing = screen[1].read_text()
    assert "prefers-color-scheme: dark" in drawing
    for light in set(re.findall(r"(?:fill|stroke): (#\w{6})", drawing.split("</style>", 1)[1])) - {"#ffffff"}:
        assert light in DARK or light in {look.colour for look in looks(study).values()}, light
    assert write_figures(study, tmp_path / "again", paper=True)
    again = {file.name: file.read_bytes() for file in (tmp_path / "again").rglob("*.*") if file.is_file()}
    assert again == {file.name: file.read_bytes() for kind in (screen, column, page) for file in kind}
