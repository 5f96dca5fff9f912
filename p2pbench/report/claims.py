"""What papers claim of the study's contrasts, and whether its trainings show the same."""

import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from p2pbench.config.shipped import Claim, claims
from p2pbench.report.comparisons import Comparison, comparisons
from p2pbench.report.primary import saturated
from p2pbench.report.records import StudyRecord
from p2pbench.report.verdict import needed

NOTE = (
    "A paper's own network, data and score are others than ours: what may be reproduced is the direction of its "
    "effect. The claims are data, in ablations/claims.yaml."
)


@dataclass(frozen=True)
class Judged:
    """A claim, and what the study says of it."""

    claim: Claim
    outcome: str
    """``reproduced`` or ``opposite``, each perhaps ``, by less than the margin``; ``equal within the margin``; or
    ``cannot tell``."""
    metric: str | None
    """The score that decided; None where none of the claim's was compared."""
    reason: str
    """Why it cannot be told, if it cannot."""

    def to_json(self) -> dict[str, Any]:
        """The documented JSON of ``report``."""
        about = self.claim.model_dump(mode="json", exclude={"grid", "scores"})
        return {**about, "outcome": self.outcome, "score": self.metric, "reason": self.reason or None}


def judged_claims(study: StudyRecord) -> list[Judged]:
    """The claims on contrasts of the study's grid whose variants it has, each with what its trainings show."""
    grid, present = _grid_of(study), set(study.variants)
    return [_judged(study, c) for c in claims() if c.grid == grid and {c.variant, c.against} <= present]


def claims_table(judged: list[Judged]) -> pd.DataFrame:
    """A row a claim, all of it text."""
    rows = [
        {
            "claim": f"{j.claim.variant} is {j.claim.direction} than {j.claim.against}",
            "in the paper": f"{j.claim.size} ({j.claim.data})",
            "source": j.claim.source,
            "here": j.outcome + (f": {j.reason}" if j.reason else ""),
            "by": j.metric or "-",
        }
        for j in judged
    ]
    return pd.DataFrame(rows)


def _judged(study: StudyRecord, claim: Claim) -> Judged:
    reason = "none of its scores was asked for"
    for metric in (metric for metric in claim.scores if metric in study.metrics):
        if (useless := saturated(study, metric)) is not None:
            reason = useless
            continue
        reason = "the study does not compare the two"
        for compared in comparisons(study, metric):
            if {compared.variant, compared.against} != {claim.variant, claim.against}:
                continue
            if compared.verdict not in ("too few trainings", "not compared", "one run"):
                outcome = outcome_of(compared, claim)
                return Judged(claim, outcome, metric, _why(compared) if outcome == "cannot tell" else "")
            reason = compared.reason or compared.verdict
    return Judged(claim, "cannot tell", None, reason)


def outcome_of(compared: Comparison, claim: Claim) -> str:
    """What a verdict says of a claim on the same two variants, named in either order."""
    if compared.verdict in ("equal within the margin", "cannot tell"):
        return compared.verdict
    # In the other order the claim's variant is better where the verdict is worse.
    asked = "better" if compared.variant == claim.variant else "worse"
    found = "better" if compared.verdict.split()[0].rstrip(",") == asked else "worse"
    little = ", by less than the margin" if compared.verdict.endswith("by less than the margin") else ""
    return ("reproduced" if found == claim.direction else "opposite") + little


def _why(compared: Comparison) -> str:
    return needed([compared])


def _grid_of(study: StudyRecord) -> str | None:
    """The name of the grid that the study was carried out with, from its command."""
    words = shlex.split(study.about.command)
    return next((Path(after).stem for word, after in pairwise(words) if word == "--grid"), None)
