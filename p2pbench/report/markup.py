"""Tables as Markdown, texts as LaTeX takes them, and where the templates of pages and texts lie."""

import unicodedata
from pathlib import Path

import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"
LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$",
    "→": r"$\rightarrow$", "<": r"\textless{}", ">": r"\textgreater{}", "×": r"$\times$",
    "·": r"$\cdot$", "−": "$-$", "–": "--", "’": "'", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$",
    "[": "{[}", "]": "{]}", "|": r"\textbar{}", '"': "''",
})  # fmt: skip
"""What LaTeX needs in place of a character: its own specials, and signs that its older engines lack."""
GREEK = {
    "ALPHA": r"\alpha A", "BETA": r"\beta B", "GAMMA": r"\gamma \Gamma", "DELTA": r"\delta \Delta",
    "EPSILON": r"\varepsilon E", "ZETA": r"\zeta Z", "ETA": r"\eta H", "THETA": r"\theta \Theta", "IOTA": r"\iota I",
    "KAPPA": r"\kappa K", "LAMDA": r"\lambda \Lambda", "MU": r"\mu M", "NU": r"\nu N", "XI": r"\xi \Xi",
    "OMICRON": "o O", "PI": r"\pi \Pi", "RHO": r"\rho P", "FINAL SIGMA": r"\varsigma", "SIGMA": r"\sigma \Sigma",
    "TAU": r"\tau T", "UPSILON": r"\upsilon \Upsilon", "PHI": r"\varphi \Phi", "CHI": r"\chi X",
    "PSI": r"\psi \Psi", "OMEGA": r"\omega \Omega",
}  # fmt: skip
"""Small and capital Greek letters as signs of formulas, which every engine has, by the letter's name in Unicode."""
ACCENTS = {"\u0301": r"\acute", "\u0308": r"\ddot"}


def markdown_table(frame: pd.DataFrame, apart: pd.DataFrame | None = None) -> str:
    """``frame`` as Markdown, with the rows of ``apart`` set apart below it."""
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    if apart is not None and len(apart):
        rows += [["*references*", *[""] * (frame.shape[1] - 1)], *apart.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def latex_escape(text: object) -> str:
    """``text`` with what TeX reads as a command made harmless, and Greek as signs of formulas, which all engines have.

    Every other character stays as it is, in UTF-8.
    """
    return "".join(_letter(letter) for letter in unicodedata.normalize("NFC", str(text)))


def _letter(letter: str) -> str:
    kind, _, plain = unicodedata.decomposition(letter).partition(" ")
    if kind in ("<sub>", "<super>"):
        return f"${'_' if kind == '<sub>' else '^'}{{{latex_escape(chr(int(plain, 16)))}}}$"
    base, accents = (apart := unicodedata.normalize("NFD", letter))[0], apart[1:]
    kind, _, name = unicodedata.name(base, "").partition(" LETTER ")
    if name not in GREEK or kind not in ("GREEK SMALL", "GREEK CAPITAL") or not set(accents) <= set(ACCENTS):
        return letter.translate(LATEX)
    sign = GREEK[name].split()[kind == "GREEK CAPITAL"]
    for accent in accents:
        sign = f"{ACCENTS[accent]}{{{sign}}}"
    return f"${sign}$"
