"""What goes into a paper: what a user chooses to show, the paragraph on methods, BibTeX, and tables that compile."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn_studies import drawn_study
from PIL import ImageDraw
from report_records import fill, loss_study, study_of
from typer.testing import CliRunner

from p2pbench.cli.app import app
from p2pbench.config.metrics import METRICS
from p2pbench.config.schema import RunConfig
from p2pbench.data.catalogue import PAPER_SETS
from p2pbench.errors import ConfigError
from p2pbench.report import methods
from p2pbench.report.chosen import choose
from p2pbench.report.comparisons import best, comparisons
from p2pbench.report.effects import effects_table, printed_effects
from p2pbench.report.figures.all import DRAW
from p2pbench.report.figures.sheets import write_sheets
from p2pbench.report.forest import forest
from p2pbench.report.latex import to_latex
from p2pbench.report.markup import latex_escape
from p2pbench.report.methods import paper_texts, used
from p2pbench.report.notes import missing_scores, notes
from p2pbench.report.page import write_report
from p2pbench.report.records import StudyRecord, read_study
from p2pbench.report.samples import choose as choose_pairs
from p2pbench.report.score_table import score_table
from p2pbench.report.tables import to_markdown
from p2pbench.report.verdict import answer
from p2pbench.runs.store import Store
from p2pbench.study.plan import build_study
from p2pbench.study.study_file import write_study
from p2pbench.system.figure_style import COLUMN, PAPER, settings


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("store") / "runs")
    loss_study(made, [0, 1, 2])
    return made


@pytest.fixture(autouse=True)
def _few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without the figures that no test here looks at."""
    monkeypatch.setattr("p2pbench.report.figures.all.DRAW", {"answer": DRAW["answer"]})


def test_what_is_chosen_is_shown_and_changes_no_verdict(store: Store, tmp_path: Path) -> None:
    def some(study: StudyRecord) -> StudyRecord:
        return choose(study, "fid, l1", "l1+gan,l1", "3,017", references=False)

    report = write_report(store, "loss", tmp_path, show=some)
    study, whole = report.record, replace(report.record, chosen=type(report.record.chosen)())
    table = score_table(study)
    assert [column.label for column in table.columns] == ["FID", "L1"]
    assert [row.name for row in table.rows] == ["l1+gan", "l1"]
    pairs = choose_pairs(study)
    assert pairs is not None
    assert [sample.name for sample in pairs.samples] == ["003", "017"]
    assert [cell.variant for cell in pairs.shown] == ["l1+gan", "l1"]
    assert answer(study) == answer(whole)
    for metric in ("l1", "fid"):
        of_some, of_whole = ([asdict(one) for one in comparisons(of, metric)] for of in (study, whole))
        np.testing.assert_equal(of_some, of_whole)
        assert best(study, metric) == best(whole, metric)
    page = (report.folder / "index.html").read_text(encoding="utf-8")
    said = "Shown by choice: 2 of 3 scores, 2 of 5 variants. Verdicts, corrections and bold type are of the whole study"
    for text in (page, to_markdown(study)):
        assert said in text
    assert "--metrics fid,l1 --variants l1+gan,l1 --images 3,017 --no-references" in page
    tex = to_latex(study)
    assert "2 of 5 variants; tests are corrected over all contrasts." in tex
    assert re.findall(r"^(\S+) &", tex.split("\\bottomrule")[0], re.MULTILINE) == ["l1+gan", "l1"]
    assert len((report.folder / "scores.csv").read_text().splitlines()) == 6  # numbers are never left out


def test_reference_rows_may_be_left_out() -> None:
    scores = {name: {"l1": np.full((1, 4), value)} for name, value in (("a", 0.1), ("b", 0.2))}
    study = study_of(scores, references={"mean image": {"l1": 0.3}})
    without = choose(study, None, None, None, references=False)
    assert [row.name for row in score_table(study).references] == ["mean image"]
    assert score_table(without).references == []
    for text in (to_markdown(without), to_latex(without)):
        assert "mean image" not in text
    assert answer(without) == answer(study)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--metrics", "l1,fidd"], "unknown metric 'fidd'; did you mean 'fid'? (valid: fid, l1, lpips)"),
        (["--variants", "pix"], "unknown variant 'pix' (valid: cgan, gan, l1, l1+cgan, l1+gan)"),
        (["--images", "3,99"], "unknown image '99' (valid: 000, 001,"),
        (["--metrics", ","], "no metric is named: name one or more of l1, lpips, fid"),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(
    store: Store, tmp_path: Path, options: list[str], told: str
) -> None:
    done = CliRunner().invoke(app, ["report", "--runs", str(store.root), "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_choice_may_leave_out_the_baseline_and_the_primary_score() -> None:
    study = drawn_study("short", 4, 3, 12)
    some = choose(study, "ssim", ",".join(study.variants[2:]), None, references=True)
    with settings({**PAPER, "figure.dpi": 50}):
        for name, draw in DRAW.items():
            figure = draw(some, COLUMN)
            assert (figure is None) == (name == "effects")
            if figure is not None:
                said = " ".join(" ".join(text.get_text() for text in figure.texts).split())
                shown = 3 if name in ("answer", "differences") else 2  # with the one that both differ from
                assert f"{shown} of 4 variants shown" in said
                titles = {axis.get_title() for axis in figure.axes}
                assert not any("LPIPS" in title for title in titles)
                plt.close(figure)
    found = forest(some, "ssim")
    assert found is not None
    assert [row.variant for row in found.rows] == study.variants[2:]


def test_images_are_refused_where_no_run_left_pictures() -> None:
    study = study_of({"a": {"l1": np.full((1, 4), 0.1)}})
    with pytest.raises(ConfigError, match="no variant that is shown left pictures: leave --images out"):
        choose_pairs(choose(study, None, None, "3", references=True))


def test_names_with_commas_are_chosen_as_they_are() -> None:
    study = drawn_study("factors", 4, 1, 2)
    names = study.variants
    assert choose(study, None, f"{names[2]},{names[0]}", None, references=True).chosen_variants == [names[2], names[0]]


def test_effects_of_one_score_have_one_precision() -> None:
    study = drawn_study("factors", 20, 3, 12)
    rows = printed_effects(study, effects_table(study))
    for _, of_score in rows.groupby("score"):
        numbers = re.findall(r"\d+\.?\d*", " ".join(of_score["effect"]))
        assert len({len(number.partition(".")[2]) for number in numbers if number != "0"}) == 1
    assert all(re.fullmatch(r"|<0\.001|[01]\.\d{3}", p) for p in rows["p (Holm)"])


def test_the_reason_of_what_was_not_measured_stands_once(store: Store, tmp_path: Path) -> None:
    report = write_report(store, "loss", tmp_path)
    (reason,) = {reason for _, reason in missing_scores(report.record)}
    assert not any(reason in note for note in notes(report.record))
    assert to_markdown(report.record).count(reason) == 1
    assert (report.folder / "index.html").read_text(encoding="utf-8").count(reason) == 1


def test_methods_and_bibtex_are_of_what_the_study_used(store: Store, tmp_path: Path) -> None:
    report = write_report(store, "loss", tmp_path, paper=True)
    text, tex, bib = ((report.folder / "paper" / name).read_text(encoding="utf-8")
                      for name in ("methods.txt", "methods.tex", "references.bib"))  # fmt: skip
    entries = re.findall(r"^@\w+\{(\w+),", bib, re.MULTILINE)
    assert entries == ["isola2017", "heusel2017", "vanderwalt2014", "holm1979", "satterthwaite1946", "schuirmann1987"]
    assert set(re.findall(r"\\cite\{(\w+)\}", tex)) == set(entries)
    for said in (
        "5 variants of paired image-to-image translation (Isola et al. 2017): l1; gan; cgan; l1+gan; l1+cgan",
        "photos (van der Walt et al. 2014) at 128 pixels a side", "3 trainings of each variant (seeds 0, 1 and 2)",
        "2 epochs in batches of 1", "20 test images", "L1 and FID (Heusel et al. 2017); the primary score is L1",
        "Holm's method (Holm 1979) over the 4 contrasts", "torch 0", "processor: test",
    ):  # fmt: skip
        assert said in text
    assert "LPIPS" not in text  # it was asked for, and not measured
    assert {"methods.txt", "methods.tex", "references.bib"} <= {file.name for file in report.files}
    few = choose(report.record, "l1", None, None, references=True)
    assert "heusel2017" not in used(few)


def with_settings(study: StudyRecord, **sections: Any) -> StudyRecord:
    """``study`` whose cells have these settings."""
    return replace(study, cells=[replace(cell, config={**cell.config, **sections}) for cell in study.cells])


def test_later_ideas_are_cited_where_they_count() -> None:
    study = study_of({"a": {"ssim": np.full((1, 4), 0.5)}})
    plain: dict[str, Any] = {
        "generator": {"name": "unet", "norm": "batch"},
        "data": {"source": "facades"},
        "training": {"ema": None},
    }
    sharp: dict[str, Any] = {"discriminator": {"name": "patch70", "spectral_norm": True, "norm": "batch", "scales": 1}}
    hinge = {"name": "l1+cgan", "adversarial": "hinge", "r1": 0.0}
    assert used(with_settings(study, **plain)) == ["isola2017", "wang2004", "tylecek2013"]
    later = with_settings(study, **plain, **sharp, objective=hinge)
    assert set(used(later)) == {"isola2017", "wang2004", "tylecek2013", "lim2017", "miyato2018"}
    text = paper_texts(later)["methods.txt"]
    assert "objective.adversarial=hinge (Lim and Ye 2017)" in text
    assert "speak of these trainings, not of others" in text
    without = with_settings(
        study, **plain, **sharp, objective=hinge | {"name": "l1"}
    )  # no discriminator: no loss of it
    assert used(without) == ["isola2017", "wang2004", "tylecek2013"]


def test_what_citations_name_is_there() -> None:
    """Each entry is whole and has its own key, and what makes it count is a score, data or a setting that there is."""
    path = Path(methods.__file__).with_name("citations.toml")
    default = RunConfig()
    for key, about in tomllib.loads(path.read_text(encoding="utf-8")).items():
        assert re.match(rf"\s*@\w+\{{{key},", about["bibtex"])
        for field in ("author", "title", "year"):
            assert f"  {field} = {{" in about["bibtex"]
        assert about["bibtex"].count("{") == about["bibtex"].count("}")
        assert re.search(r"year = \{(\d{4})\}", about["bibtex"]).group(1) in about["cite"]  # type: ignore[union-attr]
        assert set(about.get("scores", ())) <= set(METRICS)
        assert set(about.get("data", ())) <= {*PAPER_SETS, "photos"}
        for setting, values in about.get("settings", {}).items():
            section, name = setting.split(".")
            field = type(getattr(default, section)).model_fields[name]
            for value in values if values != "any" else ():
                type(getattr(default, section)).model_validate({name: value})
            assert values != "any" or not field.default


def accented_study() -> StudyRecord:
    """A study with names that LaTeX might trip over: accents, Greek, signs of TeX, one long; failures, references."""
    names = ["encoder-decoder λ=10, naïve", "Čapek's U-Net & 100% ά_1", "β₂², größer {x}~^$#", "x+1"]
    names.append("a very long name of a variant, which has to be broken into lines, with ß")
    rng = np.random.default_rng(0)
    images = rng.normal(0, 0.05, 30)
    scores = {
        name: {m: 0.4 + 0.01 * k + images + rng.normal(0, 0.004, (3, 30)) for m in ("lpips", "ssim", "l1")}
        for k, name in enumerate(names)
    }
    references = {"mean image": {"lpips": 0.7, "ssim": 0.2, "l1": 0.2}}
    return study_of(scores, failed={names[1]: [7]}, references=references, question="Ist λ₁ größer? Σ & 100 %")


DOCUMENT = r"""\documentclass[twocolumn]{article}
%s
\usepackage{booktabs,siunitx,array}
\begin{document}
%s
\end{document}
"""
LINES = r"\setbox0=\vbox{\hsize=\linewidth\footnotesize %s\par\typeout{lines of footnote: \the\prevgraf}}"


@pytest.mark.parametrize(
    ("engine", "fonts"),
    [("pdflatex", r"\usepackage[T1]{fontenc}"), ("lualatex", r"\usepackage{fontspec}\setmainfont{DejaVu Serif}")],
)
def test_tables_and_methods_compile(engine: str, fonts: str, tmp_path: Path) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"needs {engine}")
    present = subprocess.run(
        ["kpsewhich", "siunitx.sty", "booktabs.sty", "fontspec.sty"], capture_output=True, text=True, check=False
    )
    if len(present.stdout.split()) < 3:
        pytest.skip("needs the LaTeX packages siunitx, booktabs and fontspec")
    study = accented_study()
    tables = [to_latex(study), to_latex(drawn_study("long", 40, 3, 12)), to_latex(drawn_study("factors", 12, 1, 3))]
    notes = [note for table in tables for note in re.findall(r"^\{\\footnotesize (.*)\}$", table, re.MULTILINE)]
    texts = paper_texts(study)
    if "DejaVu" in fonts:
        if "DejaVuSerif.ttf" not in subprocess.run(["fc-list"], capture_output=True, text=True, check=True).stdout:
            pytest.skip("needs the font DejaVu Serif")
        tables += [to_latex(study_of({"ландшафт": {"l1": np.full((1, 4), 0.1)}, "ώ": {"l1": np.full((1, 4), 0.2)}}))]
    (tmp_path / "references.bib").write_text(texts["references.bib"], encoding="utf-8")
    body = "\n".join([*tables, *(LINES % note for note in notes), texts["methods.tex"]])
    (tmp_path / "paper.tex").write_text(DOCUMENT % (fonts, body), encoding="utf-8")
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert (tmp_path / "paper.pdf").is_file()
    for trouble in ("Overfull", "too large for page", "Missing character"):
        assert trouble not in log
    assert max(int(lines) for lines in re.findall(r"lines of footnote: (\d+)", log)) <= 2


def test_letters_that_engines_lack_become_signs_of_formulas() -> None:
    assert latex_escape("λ₁² άΩ Ä") == r"$\lambda$$_{1}$$^{2}$ $\acute{\alpha}$$\Omega$ Ä"
    assert latex_escape("ж 建") == "ж 建"


def test_no_name_is_cut_on_a_sheet(tmp_path: Path) -> None:
    labels = [
        "encoder-decoder without skips, of kind one",
        "U-Net with skips, least squares and spectral norm, kind two",
    ]
    levels = ", ".join(f"{{label: '{label}', generator.ngf: {4 + k}}}" for k, label in enumerate(labels))
    (tmp_path / "long.yaml").write_text(f"factors: {{word: [{levels}]}}\nscoring: {{metrics: [l1]}}\n")
    made = Store(tmp_path / "runs")
    study = build_study(str(tmp_path / "long.yaml"), None, {}, [0])
    write_study(study, made)
    for k, cell in enumerate(study.cells):
        fill(made, str(cell.run_id), k, 0)
    record = read_study(made, "long")
    written: list[str] = []
    draw = ImageDraw.ImageDraw.multiline_text

    def note(self: ImageDraw.ImageDraw, xy: Any, text: str, *how: Any, **more: Any) -> None:
        written.append("".join(text.split()))
        draw(self, xy, text, *how, **more)

    with mock.patch.object(ImageDraw.ImageDraw, "multiline_text", note):
        write_sheets(record, choose_pairs(record), tmp_path)
    for label in labels:
        assert written.count("".join(label.split())) >= 2  # of the samples and of the differences
