"""Tables as Markdown, and texts as LaTeX takes them."""

import pandas as pd

LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$",
    "λ": r"$\lambda$", "→": r"$\rightarrow$", "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$",
    "·": r"$\cdot$", "−": "$-$", "–": "--", "’": "'", "²": r"$^2$", "≤": r"$\leq$", "≥": r"$\geq$",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", '"': "''",
})  # fmt: skip
"""What LaTeX needs in place of a character: its own specials, and signs that its older engines lack."""


def markdown_table(frame: pd.DataFrame, apart: pd.DataFrame | None = None) -> str:
    """``frame`` as Markdown, with the rows of ``apart`` set apart below it."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        rows += [["*references*", *[""] * (frame.shape[1] - 1)], *apart.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def latex_escape(text: object) -> str:
    """``text`` with what TeX reads as a command made harmless; every other character stays as it is, in UTF-8."""
    return str(text).translate(LATEX)
