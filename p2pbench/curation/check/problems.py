"""What can be wrong with a data set: the kinds of problem, their severity, and what to do about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class Kind(NamedTuple):
    severity: Severity
    about: str
    remedy: str


KINDS: dict[str, Kind] = {
    "no-train": Kind("error", "no training pairs", "put side-by-side images, or A/ and B/, into train/"),
    "no-test": Kind("error", "no test pairs", "keep pairs that training never sees in test/"),
    "empty-split": Kind("error", "a split without a pair", "fill its folder or remove it"),
    "missing-mate": Kind("error", "images without a mate", "add the mate or remove the image"),
    "same-name": Kind("error", "two images of one name", "rename or remove one of them"),
    "dead-link": Kind("error", "links that lead nowhere", "mend or remove the link"),
    "unreadable": Kind("error", "files that cannot be decoded", "fetch or export them again, or remove the pair"),
    "unsupported": Kind("error", "images of a kind that is not read", "convert them, to 8-bit RGB say"),
    "odd-width": Kind("error", "side-by-side images that have no middle", "join A and B again, equally wide"),
    "size-mismatch": Kind("error", "A and B differ in size", "crop or resize both to one size"),
    "needs-setting": Kind("warning", "images that need a setting to be trained on", "give it with --set, as named"),
    "duplicate": Kind("error", "the same pair twice in a split", "remove one of the two"),
    "leak": Kind("error", "the same pair in two splits: leakage", "remove it from training"),
    "near-leak": Kind("warning", "nearly the same pair in two splits: leakage", "look at both; remove one if so"),
    "near-duplicate": Kind("warning", "nearly the same pair twice in a split", "look at both; remove one if so"),
    "repeated-image": Kind("warning", "one image in several pairs", "see whether a mate was mistaken for another"),
    "mispaired": Kind("warning", "A and B of different pairs, it seems", "look at them; put the right mates together"),
    "misaligned": Kind("warning", "B is shifted against A, it seems", "look at them; crop or register again"),
    "swapped": Kind("warning", "A and B exchanged, it seems", "look at them; exchange the halves"),
    "unrelated": Kind("warning", "A and B have no edges in common", "see whether the right images were paired"),
    "plain-photos": Kind(
        "warning", "plain photos taken for side-by-side pairs, it seems", "make pairs of them: p2pbench data prepare"
    ),
    "blank": Kind("warning", "images of one colour, or nearly", "remove the pair unless it is meant"),
    "unusual-size": Kind("warning", "sizes unlike most of the set", "they are resized as the others; see if meant"),
    "mode-mismatch": Kind("warning", "A and B stored in modes unlike most of the set", "store them as the others"),
}
"""The kinds in the order in which they are shown: first those that make a set unusable."""


@dataclass(frozen=True)
class Problem:
    kind: str
    file: str
    """Relative to the data set's folder; the folder of a split where it concerns that split."""
    detail: str

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity
