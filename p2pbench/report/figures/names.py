"""Names of variants as figures and papers have room for: without what all have in common, and in lines."""

import re
import unicodedata
from collections.abc import Sequence

PIECES = r"[^ ,;+_=/:×-]*[ ,;+_=/:×-]?"
"""Between two of these a line may break."""
LEAST_COMMON = 6
"""The fewest letters in common that are worth leaving out."""


def shortened(names: Sequence[str]) -> tuple[dict[str, str], str]:
    """Each name without what all have in common, and that, as in ``lambda_l1=…``; empty where nothing was left out.

    Names with as many levels (``unet, lambda_l1=10``) are shortened level by level; no two become one.
    """
    parts = [name.split(", ") for name in names]
    if len({len(part) for part in parts}) > 1:
        parts = [[name] for name in names]
    columns = [_without_common(column) for column in zip(*parts, strict=True)]
    common = ", ".join(pattern for _, pattern in columns)
    if len(names) < 2 or len(re.sub(r"[…, ]", "", common)) < LEAST_COMMON:
        return {name: name for name in names}, ""
    short = [", ".join(filter(None, rests)) for rests in zip(*(rests for rests, _ in columns), strict=True)]
    return dict(zip(names, short, strict=True)), common


def _without_common(words: Sequence[str]) -> tuple[list[str], str]:
    """What is left of each word, which is nothing where all are the same, and what they share around ``…``."""
    if len(set(words)) == 1:
        return [""] * len(words), words[0]
    rests = [re.findall(r"\w+|\W", word) for word in words]
    ends = []
    for first in (True, False):
        end = ""
        while min(map(len, rests)) > 1 and len({rest[0 if first else -1] for rest in rests}) == 1:
            end = end + rests[0][0] if first else rests[0][-1] + end
            rests = [rest[1:] if first else rest[:-1] for rest in rests]
        ends.append(end)
    return ["".join(rest) for rest in rests], f"{ends[0]}…{ends[1]}"


def wrapped(text: str, width: int) -> str:
    """``text`` in lines of at most ``width`` letters, broken after a space or a sign where there is one; none is cut.

    A letter of an East Asian script is as wide as two.
    """
    lines, line = [], ""
    for piece in re.findall(PIECES, text):
        for part in [piece] if _width(piece.rstrip()) <= width else piece:
            if line and _width((line + part).rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += part
    return "\n".join([*lines, line.rstrip()])


def evenly_wrapped(text: str, width: int) -> str:
    """As :func:`wrapped`, in as many lines, which are as short as they can be, but break no more words."""
    lines = wrapped(text, width)
    longest = max(_width(piece.rstrip()) for piece in re.findall(PIECES, text))
    least = max(1, -(-_width(text) // (lines.count("\n") + 1)), longest if longest <= width else 1)
    tried = (wrapped(text, narrower) for narrower in range(least, width))
    return next((even for even in tried if even.count("\n") == lines.count("\n")), lines)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def ordered(names: Sequence[str]) -> bool:
    """Whether names are three steps or more of one quantity: their numbers rise or fall.

    One at either end may have none, as ``pixel`` before ``patch16`` and ``all`` after ``200``; two kinds of words may
    stand beside the numbers.
    """
    numbers = [re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", name)[-1:] for name in names]
    inner = numbers[bool(numbers and not numbers[0]) : len(numbers) - bool(len(numbers) > 1 and not numbers[-1])]
    kinds = {re.sub(r"\d+(\.\d+)?", "#", name) for name in names if re.search(r"\d", name)}
    if len(names) < 3 or len(inner) < max(2, len(names) - 1) or not all(inner) or len(kinds) > 2:
        return False
    values = [float(number) for (number,) in inner]
    return sorted(set(values)) in (values, values[::-1])
