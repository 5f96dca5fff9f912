"""Tables as Markdown and as LaTeX."""

import re

import pandas as pd

LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$",
    "λ": r"$\lambda$", "→": r"$\rightarrow$", "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$",
    "·": r"$\cdot$", "−": "$-$", "–": "--", "’": "'", "²": r"$^2$", "≤": r"$\leq$", "≥": r"$\geq$",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", '"': "''",
})  # fmt: skip
"""What LaTeX needs in place of a character: its own specials, and signs that its older engines lack."""


MOST_COLUMNS = 5
"""The most columns that fit a line at the letters' own size."""


def markdown_table(frame: pd.DataFrame, apart: pd.DataFrame | None = None) -> str:
    """``frame`` as Markdown, with the rows of ``apart`` set apart below it."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        rows += [["*references*", *[""] * (frame.shape[1] - 1)], *apart.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def latex_table(frame: pd.DataFrame, caption: str, note: str, apart: pd.DataFrame | None = None) -> str:
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


def _latex_row(row: list[str]) -> str:
    cells = [re.fullmatch(r"\*\*(.*)\*\*", text) for text in row]
    texts = [
        rf"\textbf{{{latex_escape(bold[1])}}}" if bold else latex_escape(text)
        for bold, text in zip(cells, row, strict=True)
    ]
    return " & ".join(texts) + r" \\"


def latex_escape(text: object) -> str:
    """``text`` with what TeX reads as a command made harmless; every other character stays as it is, in UTF-8."""
    return str(text).translate(LATEX)
