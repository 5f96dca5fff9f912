"""PyTorch's Adam to the bit, and what it spares each process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_runs import TINY, write_pairs

from p2pbench.training.adam import Adam

TRAIN = """
import sys
from p2pbench.cli.app import app
try:
    app(["train", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code
print([name for name in ("torch", "torch._dynamo") if name in sys.modules])
"""


@pytest.mark.parametrize("fused", [False, True])
def test_updates_and_state_are_those_of_pytorchs_adam(fused: bool) -> None:
    both = []
    for kind in (Adam, torch.optim.Adam):
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        optimiser = kind(layer.parameters(), lr=0.01, betas=(0.5, 0.999), fused=fused)
        for _ in range(3):
            optimiser.zero_grad()
            layer(torch.randn(4, 5)).square().mean().backward()
            optimiser.step()
        again = kind(layer.parameters(), lr=0.5, fused=fused)
        again.load_state_dict(optimiser.state_dict())
        again.step()
        both.append([layer.weight.detach(), *(moment for one in again.state.values() for moment in one.values())])
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=0)


def test_a_training_does_not_load_what_compiles(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", {"train": 6, "val": 2, "test": 2})
    settings = {**TINY, "data.source": "pairs"}
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    program = [sys.executable, "-c", TRAIN, *options]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['torch']"
