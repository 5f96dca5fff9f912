"""How p2pbench is installed, tried and tested; each session makes its own environment.

nox -s quickstart    the main job: the loss ablation and its report, on built-in photographs
nox -s tests         the tests
nox -s lint types    ruff, mypy
nox -s bench         speed, in turns with a plain loop
nox -s scale         what Ray costs beside local processes, and how well a plan predicts: half an hour
"""

import shutil

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"  # uv where it is there: minutes become seconds
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str) -> None:
    """Install p2pbench from this checkout, with the dependency groups of pyproject.toml."""
    needed = [package for group in groups for package in nox.project.dependency_groups(PROJECT, group)]
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # worker processes start twice as fast from compiled modules
    session.install("-e", ".[ray,tensorboard,onnx]" if "test" in groups else ".", *needed)


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
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting and ruff's rules."""
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
    """pytest-benchmark over tests/benchmarks, then the training step beside a plain loop."""
    install(session, "test")
    session.run(
        "pytest", "tests/benchmarks", "--benchmark-only", "--override-ini=addopts=--strict-markers", *session.posargs
    )
    session.run("p2pbench", "bench", "step")


@nox.session
def scale(session: nox.Session) -> None:
    """200 tiny cells under both executors, in turns; then a plan beside what it planned."""
    install(session, "test")
    session.run("python", "tests/benchmarks/executors.py", *session.posargs)
