"""``nox -s calibration``: what stands behind the marks of a report, from real trainings and from simulation.

Trains two recipes with sixteen seeds each (skipped where finished), then prints tables as Markdown.
"""

import argparse
import os
from pathlib import Path

import pandas as pd
from calibration import same_recipe, simulations

from p2pbench.cli.app import app
from p2pbench.report.records import read_study
from p2pbench.runs.store import Store

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--studies", type=int, default=2000, help="How many studies each simulation has.")
    options = parser.parse_args()
    shared = Path(os.environ.get("P2PBENCH_SHARED", HERE.parents[2] / "shared"))
    command = ["ablate", "--grid", str(HERE / "recipes.yaml"), "--protocol", str(HERE / "protocol.yaml")]
    command += ["--runs", str(options.runs)]
    if (shared / "data" / "facades").is_dir():
        command += ["--set", f"data.source={shared / 'data' / 'facades'}", "--weights-dir", str(shared / "weights")]
    app(command, standalone_mode=False)
    study = read_study(Store(options.runs), "recipes@protocol")
    print(f"\n## One recipe against itself\n\n{markdown(same_recipe.rates(study))}")
    print(f"\n## Known effects, {options.studies} studies each\n\n{markdown(simulations.table(options.studies))}")


def markdown(table: pd.DataFrame) -> str:
    texts = table.map(lambda value: f"{100 * value:.1f} %" if isinstance(value, float) else str(value))
    lines = texts.to_numpy().tolist()
    rows = [list(table.columns), ["---"] * table.shape[1], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
