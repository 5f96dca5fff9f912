"""A folder with a tiny study in it, and the program run there as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROTOCOL = """
about: a protocol for tests
data: {{source: {source}, load_size: 18, crop_size: 16}}
generator: {{ngf: 4}}
discriminator: {{name: patch16, ndf: 4}}
training: {{epochs: 2, threads: 1, log_every: 2, device: cpu}}
scoring: {{metrics: [l1, psnr, ssim]}}
"""


@dataclass
class Workplace:
    """A folder with pairs, a protocol and two grids; ``run`` is the command line in it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "p2pbench", *arguments]

    def run(self, *arguments: str, code: int = 0, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """``within``: a command that runs the program as its own last arguments."""
        done = subprocess.run(
            [*within, *self.command(*arguments)], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert ("Traceback" in done.stderr) == (code == 1), done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


def records(store: Path) -> dict[str, bytes]:
    """What must be equal to the bit between two stores: weights, losses, scores."""
    names = ("generator.safetensors", "losses.csv", "scores.json", "per_image.csv", "profile.json")
    return {f"{run.name}/{name}": (run / name).read_bytes() for run in (store / "cells").iterdir() for name in names}


def make_workplace(folder: Path, pairs: Path) -> Workplace:
    (folder / "tiny.yaml").write_text(PROTOCOL.format(source=pairs))
    (folder / "two.yaml").write_text(
        "question: Does D matter?\nprotocol: tiny.yaml\nbaseline: {objective: l1+cgan}\n"
        "factors: {objective: [l1, l1+cgan]}\n"
    )
    return Workplace(folder, dict(os.environ))
