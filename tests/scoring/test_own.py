"""A score of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pbench.scoring.evaluate import evaluate

A = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
B = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder: Path, name: str, body: str) -> str:
    (folder / f"{name}.py").write_text(body)
    return f"{name}:score"


def test_it_is_measured_with_an_interval_and_says_what_it_is(module: Path) -> None:
    reference = write(
        module, "own_score_good",
        "def score(fakes, targets):\n    fakes[:] = 0\n    return [1.0, 2.0, 4.0]\n"
        "score.better = 'lower'\nscore.unit = 'bits'\n",
    )  # fmt: skip
    before = A.copy()
    found = evaluate(A, B, list("abc"), ["l1", reference], fetch=False)
    score = found.scores[reference].to_json()
    assert (score["value"], score["unit"], score["better"], score["n"]) == (pytest.approx(7 / 3), "bits", "lower", 3)
    assert score["low"] < score["value"] < score["high"]
    assert len(score["settings"]["code"]) == 64
    assert found.to_frame()[reference].tolist() == [1.0, 2.0, 4.0]
    assert np.array_equal(A, before)  # it works on a copy


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("own_score_mute", "def score(fakes, targets):\n    return [0, 0, 0]\n", "which way is better"),
        ("own_score_short", "def score(f, t):\n    return [0]\nscore.better = 'lower'\n", "not one number each"),
        ("own_score_raises", "def score(f, t):\n    1 / 0\nscore.better = 'lower'\n", "ZeroDivisionError"),
        ("own_score_exits", "def score(f, t):\n    raise SystemExit(3)\nscore.better = 'lower'\n", "SystemExit"),
        ("own_score_nan", "def score(f, t):\n    return [0, float('nan'), 1]\nscore.better = 'lower'\n", "no finite"),
        ("own_score_absent", "def other(f, t):\n    return [0]\n", "score"),
    ],
)
def test_what_is_wrong_with_it_is_the_reason_and_the_rest_goes_on(
    module: Path, name: str, body: str, message: str
) -> None:
    reference = write(module, name, body)
    found = evaluate(A, B, list("abc"), [reference, "l1"], fetch=False)
    assert found.scores["l1"].state == "measured"
    assert found.scores[reference].state == "not measured"
    assert message in str(found.scores[reference].reason)
