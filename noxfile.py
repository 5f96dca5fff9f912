"""How p2pbench is installed, tried and tested: ``nox --list`` names the sessions, each in an environment of its own."""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"  # uv where it is there: minutes become seconds
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"

LIST_INSTALLED = """
import sys
from importlib.metadata import distributions
from pathlib import Path

lines = {f"{d.name}=={d.version.split('+')[0]}\\n" for d in distributions() if d.name != "p2pbench"}
Path(sys.argv[1]).write_text("".join(sorted(lines)))
"""

PROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str) -> None:
    """Install p2pbench from this checkout, with the dependency groups of pyproject.toml."""
    needed = [package for group in groups for package in nox.project.dependency_groups(PROJECT, group)]
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # worker processes start twice as fast from compiled modules
    session.install("-e", ".[ray,tensorboard,onnx,openvino]" if "test" in groups else ".", *needed)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Train, score and report the loss ablation: a few minutes on a laptop, no download."""
    install(session)
    session.run("p2pbench", "ablate", "--grid", "ablations/loss.yaml", *session.posargs)
    session.run("p2pbench", "report")
    session.log(f"look at reports/loss/index.html; p2pbench is {shutil.which('p2pbench', path=session.bin)}")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, offline; those that need ../shared or a GPU skip where it is not."""
    install(session, "test")
    # Each core has tests of its own: threads of torch that wait for one another on it take several times as long.
    session.env["OMP_NUM_THREADS"] = "1"
    # In their order: by default the files of the fewest tests, which train whole studies, would be the last.
    in_order = ["--dist", "loadfile", "--no-loadscope-reorder"]
    session.run("pytest", "-n", "auto", "--durations=30", *in_order, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and ruff's rules, those of security among them."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict."""
    install(session, "test", "types")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """pytest-benchmark over tests/benchmarks, then the training step beside a plain loop; ``-- --short`` for CI."""
    install(session, "test")
    arguments = list(session.posargs)
    short = "--short" in arguments
    if short:
        arguments.remove("--short")
        session.env["P2PBENCH_SHORT_BENCH"] = "1"
    session.run("pytest", "tests/benchmarks", "--benchmark-only", "--override-ini=addopts=--strict-markers", *arguments)
    if not short:
        session.run("pytest", "tests/training/test_engine.py", "-k", "compiled", env={"P2PBENCH_COMPILE": "1"})
    session.run("p2pbench", "bench", "step", *(["--grid", "tests/benchmarks/small.yaml"] if short else []))


@nox.session(venv_backend="none")
def gpu(session: nox.Session) -> None:
    """tests/benchmarks/gpu.py: parts that share the time, each of which leaves its result at once."""
    session.run("python", "tests/benchmarks/gpu.py", *session.posargs, external=True)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill studies, end runs at every write, inject faults; prints a table. ``-- --kills 20 --every 20`` is short."""
    install(session, "test")
    session.run("pytest", "-m", "long", "tests")
    session.chdir("tests")
    session.run("python", "-m", "faults.campaign", *session.posargs, env={"P2PBENCH_HYPOTHESIS": "explore"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """The property-based tests of what comes from outside, with a hundred times the examples."""
    install(session, "test")
    session.run("pytest", "tests/faults/test_fuzz.py", "--timeout=0", *session.posargs,
                env={"P2PBENCH_HYPOTHESIS": "fuzz"})  # fmt: skip


@nox.session
def load(session: nox.Session) -> None:
    """Many cells and records: seconds, memory, processes, open files. ``-- --cells 20 --records 500 --reported 40``."""
    install(session, "test")
    session.chdir("tests")
    session.run("python", "-m", "load.measure", *session.posargs)


@nox.session
def figures(session: nox.Session) -> None:
    """Draw 2 to 40 variants x 1 to 10 seeds x 1 to 106 images, short and long names; ``-- OUT`` is for the sheets."""
    install(session, "test")
    session.run("python", "tests/drawn_studies.py", *(session.posargs or [str(Path(session.create_tmp()) / "sheets")]))


@nox.session
def calibration(session: nox.Session) -> None:
    """Train two recipes with sixteen seeds each and print the tables of reports/README.md; resumable."""
    install(session, "test")
    session.chdir("tests")
    session.run("python", "-m", "calibration.run", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look up all that is installed in the advisory database, over the network; one not found there fails it."""
    install(session, "test", "audit")
    installed = Path(session.create_tmp()) / "installed.txt"
    session.run("python", "-c", LIST_INSTALLED, str(installed))
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", str(installed),
                *session.posargs)  # fmt: skip


@nox.session
def scale(session: nox.Session) -> None:
    """200 tiny cells under both executors, in turns; then a plan beside what it planned."""
    install(session, "test")
    session.run("python", "tests/benchmarks/executors.py", *session.posargs)
