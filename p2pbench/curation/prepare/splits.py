"""The split of an image: by a hash of its name, or as a table says."""

import csv
import hashlib
import unicodedata
from fractions import Fraction
from pathlib import Path

from p2pbench.data.pairs import SPLITS, SUFFIXES
from p2pbench.errors import ConfigError, unknown

Shares = tuple[Fraction, ...]
"""The shares of train, val and test; exact, so that 0.8, 0.1 and 0.1 make a whole."""


def parse_shares(text: str) -> Shares:
    """The shares in ``text``, as in ``0.8,0.1,0.1``.

    Raises:
        ConfigError: they are not three, or do not sum to 1.
    """
    try:
        shares = tuple(Fraction(part.strip()) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        shares = ()
    if len(shares) != len(SPLITS) or min(shares) < 0 or sum(shares) != 1:
        raise ConfigError(f"--split is {text!r}: give the shares of train,val,test, which sum to 1, as in 0.8,0.1,0.1")
    return shares


def split_of(name: str, shares: Shares, seed: int) -> str:
    """The split of ``name``. It depends on it and on ``seed`` alone, so that adding images moves no other."""
    digest = hashlib.sha256(f"split:{seed}:{name}".encode()).digest()
    position = Fraction(int.from_bytes(digest[:8]), 2**64)  # uniform in [0, 1)
    return SPLITS[0] if position < shares[0] else SPLITS[1] if position < shares[0] + shares[1] else SPLITS[2]


def name_of(relative: Path) -> str:
    """The name of the pair made from an image at ``relative``: ``a/x.jpg`` becomes ``a-x``."""
    stem = relative.stem if relative.suffix.lower() in SUFFIXES else relative.name
    return unicodedata.normalize("NFC", "-".join((*relative.parts[:-1], stem)))


def read_table(path: Path) -> dict[str, str]:
    """The split of every name in a CSV with the columns ``name`` and ``split``; a name may be an image's path.

    Raises:
        ConfigError: it cannot be read, lacks a column, or names a split that there is none of, or one name twice.
    """
    table: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"name", "split"} <= set(rows.fieldnames or ()):
                raise ConfigError(f"{path}: its first line names the columns name,split; got {rows.fieldnames}")
            for row in rows:
                where, split = f"{path}, line {rows.line_num}", (row["split"] or "").strip()
                if split not in SPLITS:
                    raise ConfigError(f"{where}: {unknown('split', split, SPLITS)}")
                name = name_of(Path((row["name"] or "").strip()))
                if table.setdefault(name, split) != split:
                    raise ConfigError(f"{where}: {row['name']} is in {table[name]} and in {split}; keep one line")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"--split-file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return table
