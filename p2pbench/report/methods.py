"""For a paper: a paragraph on how the study was made, to paste, and BibTeX of exactly what it used."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from p2pbench.config.run_id import OF_DISCRIMINATORS
from p2pbench.config.sections import LAYER_NORMED
from p2pbench.report.chosen import chosen_sentence
from p2pbench.report.comparisons import comparisons
from p2pbench.report.markup import TEMPLATES, latex_escape
from p2pbench.report.primary import listed, primary_metric
from p2pbench.report.records import CellRecord, StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.training_cost import training_images
from p2pbench.report.verdict import counted
from p2pbench.statistics.trainings import LEAST_SEEDS
from p2pbench.system import html

MOST_LISTED = 12
"""The most variants, and values of a setting, that the paragraph names; of more it gives the number."""
CITED = "\x02{}\x03"
"""How a citation stands in the text before it is written for a kind of file: no name has these signs."""


@cache
def _citations() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("citations.toml").read_text(encoding="utf-8"))


def paper_texts(study: StudyRecord) -> dict[str, str]:
    """By file name: the paragraph on methods as plain text and as LaTeX, and the BibTeX of what it cites."""
    text = _methods(study)
    plain, tex = text, latex_escape(text)
    for key, about in _citations().items():
        plain = plain.replace(CITED.format(key), f" ({about['cite']})")
        tex = tex.replace(CITED.format(key), rf"~\cite{{{key}}}")
    entries = [_citations()[key]["bibtex"] for key in used(study)]
    return {"methods.txt": plain + "\n", "methods.tex": tex + "\n", "references.bib": "\n".join(entries)}


def used(study: StudyRecord) -> list[str]:
    """The keys of what finished cells of the study used, of the variants and scores that are shown."""
    finished = [cell for variant in study.chosen_variants for cell in study.of(variant)]
    return [key for key, about in _citations().items() if _is_used(study, about, finished)]


def _is_used(study: StudyRecord, about: dict[str, Any], cells: list[CellRecord]) -> bool:
    return (
        about.get("always", False)
        or (about.get("tests", False) and _over_trainings(study))
        or not set(about.get("scores", ())).isdisjoint(shown_metrics(study))
        or any(setting(cell, "data.source") in about.get("data", ()) for cell in cells)
        or bool(_of_settings(about, cells))
    )


def _of_settings(about: dict[str, Any], cells: Iterable[CellRecord]) -> list[str]:
    """The settings, with their values, by which ``cells`` use what ``about`` cites, as ``objective.r1=10``."""
    wanted: dict[str, Any] = about.get("settings", {})
    return list(dict.fromkeys(
        f"{key}={value}"
        for cell in cells for key, values in wanted.items()
        if (value := setting(cell, key)) and (values == "any" or value in values)
    ))  # fmt: skip


def setting(cell: CellRecord, key: str) -> Any:
    """The value of a dotted setting; None where the cell has none, or where it means nothing to the cell's networks."""
    section, name = key.split(".")
    objective = cell.config.get("objective", {})
    of_discriminator = (
        section == "discriminator"
        or name in OF_DISCRIMINATORS
        or name == "augment"
        or name.startswith("discriminator_")
    )
    if of_discriminator and not str(objective.get("name")).endswith("gan"):
        return None
    network = cell.config.get("generator", {}).get("name")
    if key in ("generator.norm", "generator.upsampling", "generator.dropout") and network in LAYER_NORMED:
        return None
    return cell.config.get(section, {}).get(name)


def _over_trainings(study: StudyRecord) -> bool:
    """Whether any verdict that is shown speaks of other trainings."""
    return any(
        c.found is not None and c.found.n_seeds >= LEAST_SEEDS
        for metric in shown_metrics(study)
        for c in comparisons(study, metric)
    )


def _methods(study: StudyRecord) -> str:
    """The paragraph, with its citations as ``CITED``."""
    cells = [cell for variant in study.chosen_variants for cell in study.of(variant)]
    here = used(study)

    def cite(*keys: str) -> str:
        return "".join(CITED.format(key) for key in keys if key in here)

    def values(key: str) -> str:
        given = [v for cell in cells if (v := setting(cell, key)) is not None]
        found = list(dict.fromkeys(f"{v:g}" if isinstance(v, float) else str(v) for v in given))
        return listed(found) if 0 < len(found) <= MOST_LISTED else f"{len(found)} values" if found else "none"

    citations = _citations()
    metrics = shown_metrics(study)
    scores = [
        study.metric(m).label + cite(*(key for key, about in citations.items() if m in about.get("scores", ())))
        for m in metrics
    ]
    primary = primary_metric(study)
    ideas = {key: found for key, about in citations.items() if (found := _of_settings(about, cells))}
    by_idea = _grouped((what, key) for key, found in ideas.items() for what in found)
    images = sorted({cell.scores[m].n for cell in cells for m in metrics if m in cell.scores})
    failed = [cell for cell in study.cells if cell.state == "failed" and cell.variant in study.chosen_variants]
    text = html.render(
        TEMPLATES / "methods.txt",
        about=study.about,
        cite=cite,
        values=values,
        names=study.chosen_variants if len(study.chosen_variants) <= MOST_LISTED else [],
        listed=listed,
        n_variants=len(study.chosen_variants),
        data_cited=cite(*(key for key, about in citations.items() if "data" in about)),
        ideas=[what + cite(*keys) for what, keys in by_idea.items()],
        trainings=counted(sorted({len(study.of(v)) for v in study.chosen_variants}), "training"),
        seeds=listed([str(seed) for seed in sorted({cell.seed for cell in cells})]) if cells else "",
        n_failed=len(failed),
        n_cells=sum(cell.variant in study.chosen_variants for cell in study.cells),
        train_images=training_images(cells),
        test_images=counted(images, "test image") if images else "",
        scores=scores,
        primary=study.metric(primary).label if primary else "",
        margins=[f"{study.margin(m):g} in {study.metric(m).label}" for m in metrics if study.margin(m)],
        over_trainings=_over_trainings(study),
        of_sets=any(not study.metric(m).per_image for m in metrics),
        contrasts=counted([len(study.contrasts)], "contrast"),
        versions=_each(cell.status.versions for cell in cells if cell.status and cell.status.versions),
        machines=list(dict.fromkeys(cell.machine.replace(" · ", ", ") for cell in cells if cell.machine)),
        chosen=chosen_sentence(study),
    )  # fmt: skip
    return " ".join(text.split())


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for what, key in pairs:
        found.setdefault(what, []).append(key)
    return found


def _each(records: Iterable[dict[str, str]]) -> list[str]:
    """``torch 2.15.0``: each package with its version, or with all that cells had, where they differ."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in record.items():
            found.setdefault(name, {})[version] = None
    return [f"{name} {' and '.join(versions)}" for name, versions in found.items()]
