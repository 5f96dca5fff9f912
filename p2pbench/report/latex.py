"""Tables for a paper (booktabs, siunitx), without anything that scales them: scores, a few to a table, and costs."""

import re
from collections.abc import Sequence

import pandas as pd

from p2pbench.report.comparisons import best, comparisons, with_baseline
from p2pbench.report.figures.names import shortened
from p2pbench.report.markup import latex_escape
from p2pbench.report.published import published_note, published_rows, published_table
from p2pbench.report.records import StudyRecord
from p2pbench.report.score_table import shown_metrics
from p2pbench.report.summaries import Summary, digits_of, interval_text, reference_summary, sd_text, summarise
from p2pbench.report.tables import row_name
from p2pbench.report.training_cost import cost_table
from p2pbench.report.verdict import means_over
from p2pbench.system.console import number

MOST_SCORES = 3
"""The most scores of a table, which fit a page of one column; more than two take both columns of two."""
LONG_NAME = 16
"""Names of more letters than these break into lines."""
MOST_LINES = 36
"""The most lines of a table, which fit a page; longer ones go on in another table."""
NEEDS = """\
% Needs \\usepackage{booktabs,siunitx,array}. Accented Latin and Greek letters are set by every engine; pdfLaTeX needs
% \\usepackage[T2A,T1]{fontenc} for Cyrillic, and other scripts need LuaLaTeX or XeLaTeX with a font that has them
% (\\usepackage{fontspec}\\setmainfont{...}).
"""


def to_latex(study: StudyRecord) -> str:
    """The tables of ``study``: its scores, the primary one first, what trainings cost, and the published rows."""
    metrics = shown_metrics(study)
    short = shortened(study.variants)[0]
    most = MOST_SCORES if max(map(len, short.values())) <= 2 * LONG_NAME else MOST_SCORES - 1
    groups = [metrics[k : k + most] for k in range(0, len(metrics), most)]
    parts = [part for k, group in enumerate(groups) for part in _scores(study, group, k)]
    costs = cost_table(study).drop(columns=["s/image", "training", "images/s"], errors="ignore")  # busy machines
    if len(costs) and costs.shape[1] > 1:
        costs["variant"] = costs["variant"].map(short)
        parts += _plain(costs, "What each variant cost.", _label(study, "costs"))
    table = published_table(study)
    if table is not None:
        caption = f"Published: {table.title}. {published_note(table)}"
        parts += _plain(published_rows(table), caption, _label(study, "published"))
    return "\n".join([NEEDS, *parts])


def _scores(study: StudyRecord, metrics: Sequence[str], position: int) -> list[str]:
    """The tables of ``metrics``, whose numbers stand by their points; the first ones at ``position`` 0."""
    short, common = shortened(study.variants)
    rows = [_row(study, variant, short[variant], metrics) for variant in study.chosen_variants]
    for k, row in enumerate(study.chosen_references):
        found = [_cell(reference_summary(row, m), digits_of(study, m)) for m in metrics]
        rule = "" if k else "\\midrule\n"
        rows.append(f"{rule}{latex_escape(row.name)} & {' & '.join(found)} \\\\")
    columns = [_column(study, metric) for metric in metrics]
    heads = [rf"\multicolumn{{2}}{{c}}{{{latex_escape(study.metric(m).heading)}}}" for m in metrics]
    names = [row_name(study, v, short[v]) for v in study.chosen_variants]
    names += [row.name for row in study.chosen_references]
    caption = " ".join([
        study.about.question, "Further scores." if position else "", means_over(study, metrics),
        f"Names of variants: {common}." if common else "", _left_out(study),
    ])  # fmt: skip
    head = f" & {' & '.join(heads)} \\\\"
    label = _label(study, str(position + 1) if position else "")
    return _tables(names, "".join(columns), head, rows, caption, label, _footnote(study, metrics))


def _row(study: StudyRecord, variant: str, name: str, metrics: Sequence[str]) -> str:
    cells = []
    for metric in metrics:
        compared = with_baseline(study, variant, metric)
        summary, digits = summarise(study, variant, metric), digits_of(study, metric)
        cells.append(_cell(summary, digits, compared.mark if compared else "", bold=variant == best(study, metric)))
    return f"{latex_escape(row_name(study, variant, name))} & {' & '.join(cells)} \\\\"


def _cell(summary: Summary, digits: int, mark: str = "", *, bold: bool = False) -> str:
    """The mean in a column of numbers; beside it its spread over seeds, or with one seed its interval; and its mark."""
    if summary.value is None:
        return "{--} &"
    mean = number(summary.value, digits).replace("−", "-")
    spread = sd_text(summary, digits) or interval_text(summary, digits)
    sign = {"*": "$^{*}$", "†": r"$^{\dagger}$"}.get(mark, "")
    return rf"\bfseries {mean} & {latex_escape(spread)}{sign}" if bold else f"{mean} & {latex_escape(spread)}{sign}"


def _column(study: StudyRecord, metric: str) -> str:
    """A column of numbers as wide as its widest, and one of their spreads."""
    digits = digits_of(study, metric)
    found = [summarise(study, variant, metric) for variant in study.chosen_variants]
    found += [reference_summary(row, metric) for row in study.chosen_references]
    texts = [number(s.value, digits).replace("−", "-") for s in found if s.value is not None] or ["0"]
    whole = max(len(text.partition(".")[0].lstrip("-")) for text in texts)
    sign = "-" if any(text.startswith("-") for text in texts) else ""
    return rf"S[table-format={sign}{whole}.{digits},detect-weight]@{{\,}}l"


def _left_out(study: StudyRecord) -> str:
    """How many variants are shown, where a choice left some out."""
    shown, every = len(study.chosen_variants), len(study.variants)
    return "" if shown == every else f"{shown} of {every} variants; tests are corrected over all contrasts."


def _footnote(study: StudyRecord, metrics: Sequence[str]) -> str:
    """What the signs mean, in two lines at the most."""
    marks = {c.mark for metric in metrics for c in comparisons(study, metric) if c.variant in study.chosen_variants}
    against = shortened(study.variants)[0].get(study.baseline, study.baseline)
    of = latex_escape(against) if study.about.contrasts == "baseline" and len(against) <= LONG_NAME else "its contrast"
    found = [summarise(study, v, m) for v in study.chosen_variants for m in metrics]
    said = [r"$\pm$: s.d.\ over seeds." if any(s.seed_sd is not None for s in found) else ""]
    rows = [reference_summary(row, metric) for row in study.chosen_references for metric in metrics]
    if any(s.n_seeds == 1 and s.low is not None for s in found):
        said += ["Brackets: 95\\,\\% over images."]
    elif any(s.low is not None for s in rows):
        said += ["Brackets of reference rows: 95\\,\\% over images."]
    said += [rf"$^{{*}}$: differs from {of}, $p<0.05$ (Holm)." if "*" in marks else ""]
    said += [rf"$^{{\dagger}}$: from {of} on these images alone." if "†" in marks else ""]
    said += ["Bold: ahead of all others." if any(best(study, m) in study.chosen_variants for m in metrics) else ""]
    return " ".join(filter(None, said))


def _plain(frame: pd.DataFrame, caption: str, label: str) -> list[str]:
    """Tables of texts."""
    head = " & ".join(map(latex_escape, ["", *frame.columns[1:]])) + r" \\"
    rows = [" & ".join(map(latex_escape, row)) + r" \\" for row in frame.astype(str).to_numpy().tolist()]
    return _tables(list(frame.iloc[:, 0]), "r" * (frame.shape[1] - 1), head, rows, caption, label, "")


def _tables(
    names: Sequence[str], columns: str, head: str, rows: Sequence[str], caption: str, label: str, footnote: str
) -> list[str]:
    """The table of ``rows``, which begin with ``names``: as many tables as it takes for each to fit a page."""
    pages, lines = list[list[str]]([[]]), 0
    of_line = LONG_NAME if max(map(len, names), default=0) <= 2 * LONG_NAME else 28
    for name, row in zip(names, rows, strict=True):
        high = -(-len(name) // of_line)
        if pages[-1] and lines + high > MOST_LINES:
            pages.append([])
            lines = 0
        pages[-1].append(row)
        lines += high
    columns = _names(names) + columns
    return [
        _table(columns, head, page, f"{caption} Continued." if k else caption, f"{label}-{k + 1}" if k else label,
               footnote)
        for k, page in enumerate(pages)
    ]  # fmt: skip


def _table(columns: str, head: str, rows: Sequence[str], caption: str, label: str, footnote: str) -> str:
    kind = "table*" if len(re.findall(r"S\[|r", columns)) > 2 else "table"
    note = f"\n\n\\smallskip\n{{\\footnotesize {footnote}}}" if footnote else ""
    body = "\n".join([r"\toprule", head, r"\midrule", *rows, r"\bottomrule"])
    return (
        f"\\begin{{{kind}}}\n\\centering\n\\caption{{{latex_escape(' '.join(caption.split()))}}}\n\\label{{{label}}}\n"
        f"\\small\\setlength{{\\tabcolsep}}{{4pt}}\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n{body}\n"
        f"\\end{{tabular}}{note}\n\\end{{{kind}}}\n"
    )


def _names(names: Sequence[str]) -> str:
    """The column of names, in lines where one is long."""
    longest = max(map(len, names), default=0)
    if longest <= LONG_NAME:
        return "l"
    share = 0.26 if longest <= 2 * LONG_NAME else 0.4
    return rf">{{\raggedright\arraybackslash\hangindent=1em}}p{{{share}\linewidth}}"


def _label(study: StudyRecord, of: str) -> str:
    """As in ``tab:loss-facades-128``."""
    return "tab:" + re.sub(r"[^A-Za-z0-9]+", "-", f"{study.about.name} {of}").strip("-")
