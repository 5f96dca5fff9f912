"""Tables as Markdown and as LaTeX."""

from __future__ import annotations

import re

import pandas as pd

from p2pbench.report.notes import notes
from p2pbench.report.paper import TABLES
from p2pbench.report.records import StudyRecord
from p2pbench.report.tables import printed, printed_references, published


def to_markdown(study: StudyRecord) -> str:
    """The printed table, the paper's rows apart from it, and the notes, as Markdown."""
    parts = [f"# {study.about['question']}\n", markdown_table(printed(study), printed_references(study))]
    parts += ["\n" + "\n".join(f"- {note}" for note in notes(study))]
    paper = published(study)
    if paper is not None:
        table = TABLES[study.about["paper"]]
        parts += [f"\n## The paper's rows: {table.title}\n", markdown_table(paper), f"\n{paper_note(study)}"]
    return "\n".join(parts) + "\n"


def paper_note(study: StudyRecord) -> str:
    table = TABLES[study.about["paper"]]
    return f"{table.source}. Other scores or other data: read the order of the rows, not their distance to ours."


def markdown_table(frame: pd.DataFrame, apart: pd.DataFrame | None = None) -> str:
    """``frame`` as Markdown, with the rows of ``apart`` set apart below it."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        rows += [["*references*", *[""] * (frame.shape[1] - 1)], *apart.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def to_latex(study: StudyRecord) -> str:
    """The printed table and the paper's rows as LaTeX tables (booktabs)."""
    parts = [
        "% \\usepackage{booktabs, graphicx}",
        _latex_table(printed(study), str(study.about["question"]), " ".join(notes(study)), printed_references(study)),
    ]
    paper = published(study)
    if paper is not None:
        parts.append(_latex_table(paper, TABLES[study.about["paper"]].title, paper_note(study)))
    return "\n".join(parts) + "\n"


def _latex_table(frame: pd.DataFrame, caption: str, note: str, apart: pd.DataFrame | None = None) -> str:
    """A table (booktabs); a wide one is scaled down to the line, and what it needs said stands below it."""
    lines = [" & ".join(map(latex_escape, frame.columns)) + r" \\", r"\midrule"]
    lines += [_latex_row(row) for row in frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        lines += [r"\midrule", *map(_latex_row, apart.astype(str).to_numpy().tolist())]
    body = "\n".join(lines)
    tabular = f"\\begin{{tabular}}{{l{'r' * (frame.shape[1] - 1)}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}"
    if frame.shape[1] > MOST_COLUMNS:
        tabular = f"\\resizebox{{\\linewidth}}{{!}}{{%\n{tabular}}}"
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{latex_escape(caption)}}}\n{tabular}\n\n"
        f"\\smallskip\n\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{latex_escape(note)}\n\\end{{minipage}}\n"
        "\\end{table}\n"
    )


MOST_COLUMNS = 5
"""That fit a line at its own size of letters."""


def _latex_row(row: list[str]) -> str:
    cells = [re.fullmatch(r"\*\*(.*)\*\*", text) for text in row]
    texts = [
        rf"\textbf{{{latex_escape(bold[1])}}}" if bold else latex_escape(text)
        for bold, text in zip(cells, row, strict=True)
    ]
    return " & ".join(texts) + r" \\"


def latex_escape(text: object) -> str:
    """``text`` with LaTeX's special characters made harmless; one that its fonts may lack becomes a question mark."""
    return "".join(REPLACEMENTS.get(character, character if character < "\u0180" else "?") for character in str(text))


REPLACEMENTS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$",
    "λ": r"$\lambda$", "→": r"$\rightarrow$", "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$",
    "·": r"$\cdot$", "−": "$-$", "–": "--", "’": "'", "²": r"$^2$", "≤": r"$\leq$", "≥": r"$\geq$",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", '"': "''",
}  # fmt: skip
