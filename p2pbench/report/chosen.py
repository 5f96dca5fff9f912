"""What a report shows where a user chooses: names that the study has, in the order in which they are given."""

from dataclasses import replace

from p2pbench.errors import ConfigError, unknown
from p2pbench.report.records import Chosen, StudyRecord
from p2pbench.report.verdict import counted


def choose(
    study: StudyRecord, metrics: str | None, variants: str | None, images: str | None, *, references: bool
) -> StudyRecord:
    """``study`` with what a report of it shows; texts are lists of names with commas, None stands for all.

    Raises:
        ConfigError: the study has no score or variant of a name; the message lists those that it has. Images are looked
            up where pictures are (:func:`p2pbench.report.samples.choose`).
    """
    chosen = Chosen(
        metrics=None if metrics is None else _names("metric", metrics, study.metrics),
        variants=None if variants is None else _names("variant", variants, study.variants),
        images=None if images is None else [name for part in images.split(",") if (name := part.strip())],
        references=references,
    )
    return replace(study, chosen=chosen)


def _names(kind: str, text: str, known: list[str]) -> list[str]:
    """The names in ``text``; one may have commas in it, as ``unet, l1`` has: the longest that there is, is meant."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    by_parts = {tuple(part.strip() for part in name.split(",")): name for name in known}
    found: list[str] = []
    while parts:
        longest = next((k for k in range(len(parts), 0, -1) if tuple(parts[:k]) in by_parts), 0)
        if not longest:
            raise ConfigError(unknown(kind, parts[0], known))
        found.append(by_parts[tuple(parts[:longest])])
        parts = parts[longest:]
    if not found:
        raise ConfigError(f"no {kind} is named: name one or more of {', '.join(known)}, or leave the option out")
    return list(dict.fromkeys(found))


def chosen_sentence(study: StudyRecord) -> str | None:
    """What is shown of how much, and that verdicts are of all; None where nothing was left out."""
    said = []
    for kind, chosen, of in (
        ("scores", study.chosen.metrics, study.metrics), ("variants", study.chosen.variants, study.variants)
    ):  # fmt: skip
        if chosen is not None and len(chosen) < len(of):
            said.append(f"{len(chosen)} of {len(of)} {kind}")
    said += ["no reference rows"] if study.references and not study.chosen.references else []
    if not said:
        return None
    contrasts = counted([len(study.contrasts)], "contrast")
    return (
        f"Shown by choice: {', '.join(said)}. Verdicts, corrections and bold type are of the whole study: all "
        f"{len(study.variants)} variants and the {contrasts} of each score."
    )
