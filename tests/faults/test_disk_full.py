"""The program on a disk that fills up, or that is read-only: one clear line, nothing half-done, and then it goes on.

On a real tmpfs of some kilobytes in a mount namespace of its own; needs root, or skips.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from study_workplace import Workplace

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a small tmpfs needs Linux")

SMALL_DISK = """
mount -t tmpfs -o size=4m none "$1" || exit 77
shift
eval "$1"
"""


def on_small_disk(workplace: Workplace, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run the shell ``script`` where ``folder`` is a disk of 4 MiB; ``$P`` is the program."""
    folder.mkdir(exist_ok=True)
    program = f"{sys.executable} -m p2pbench"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SMALL_DISK, "sh", str(folder), f"P='{program}'\n{script}"],
        cwd=workplace.folder, env=workplace.environment, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("this user may not mount a tmpfs")
    return done


STUDY = "ablate --grid two.yaml --set training.checkpoint_seconds=0 --runs disk/runs"


@pytest.mark.parametrize(
    "free_kib", [pytest.param(8, marks=pytest.mark.long), 150, pytest.param(700, marks=pytest.mark.long)]
)
def test_a_store_that_fills_up_fails_its_cells_and_finishes_when_there_is_room(
    workplace: Workplace, trained: Path, free_kib: int
) -> None:
    """Room for a status, for half a checkpoint, for some of the records; then for all."""
    done = on_small_disk(
        workplace, workplace.folder / "disk",
        f"dd if=/dev/zero of=disk/ballast bs=1024 count=$((4096 - {free_kib})) 2>/dev/null\n"
        f"$P {STUDY}; echo first $?\nrm disk/ballast\n$P {STUDY}; echo second $?\n"
        "$P runs verify --runs disk/runs; echo verify $?\n"
        "for f in generator.safetensors losses.csv scores.json per_image.csv; do for r in disk/runs/cells/*; do\n"
        f"cmp $r/$f {trained}/runs/cells/$(basename $r)/$f; done; done; echo compared $?",
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert ("first 4" in done.stdout) or ("first 3" in done.stdout), done.stdout + done.stderr
    assert "No space left on device" in " ".join(done.stderr.split())
    for word in ("second 0", "verify 0", "compared 0"):
        assert word in done.stdout, done.stdout + done.stderr


def test_a_cache_that_fills_up_is_one_line(workplace: Workplace) -> None:
    workplace.environment["P2PBENCH_HOME"] = str(workplace.folder / "disk")
    done = on_small_disk(
        workplace, workplace.folder / "disk",
        "dd if=/dev/zero of=disk/ballast bs=1024 2>/dev/null\n$P ablate --grid two.yaml; echo first $?\n"
        "rm disk/ballast\n$P ablate --grid two.yaml; echo second $?",
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "second 0" in done.stdout, done.stdout + done.stderr
    if "first 0" not in done.stdout:  # it may well do without its cache
        assert "first 3" in done.stdout
        assert "cannot be written" in done.stderr


def test_a_report_that_does_not_fit_leaves_the_one_before(with_two: Workplace) -> None:
    done = on_small_disk(
        with_two, with_two.folder / "disk",
        "$P report --out disk/reports >/dev/null; echo first $?\nsha256sum disk/reports/two/scores.csv > before\n"
        "dd if=/dev/zero of=disk/ballast bs=1024 2>/dev/null\n$P report --out disk/reports; echo second $?\n"
        "sha256sum -c before; echo same $?\nfind disk -name '*.part'",
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    for word in ("first 0", "second 3", "same 0"):
        assert word in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in " ".join(done.stderr.split())
    assert ".part" not in done.stdout


def test_a_read_only_store_is_refused_by_ablate_and_read_by_the_others(with_two: Workplace) -> None:
    done = on_small_disk(
        with_two, with_two.folder / "disk",
        f"cp -r runs disk; echo first $?\nmount -o remount,ro disk\n$P {STUDY} --seeds 1; echo second $?\n"
        f"$P {STUDY}; echo finished $?\n$P report --runs disk/runs --out out >/dev/null; echo report $?\n"
        "$P runs list --runs disk/runs; echo list $?\n$P runs verify --runs disk/runs; echo verify $?",
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "second 3" in done.stdout or "second 4" in done.stdout, done.stdout + done.stderr
    assert "Read-only file system" in " ".join(done.stderr.split())
    for word in ("first 0", "report 0", "list 0", "verify 0", "2 of them whole"):
        assert word in done.stdout, done.stdout + done.stderr
