"""The program in this process, through its command line: a process for each command would take most of the time.

:mod:`study_workplace` starts it in processes of its own, where that is what is tested.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from p2pbench.cli.app import app


def invoke(*arguments: str | Path, code: int = 0) -> Any:
    """What the command prints, once it has ended with exit code ``code``; a defect's exception is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def error_of(*arguments: str | Path, code: int) -> str:
    """The message of a command that fails: one line on standard error, nothing on standard output."""
    result = invoke(*arguments, code=code)
    assert result.stdout == ""
    lines: list[str] = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def document(*arguments: str | Path) -> Any:
    """The JSON document that the command prints."""
    return json.loads(invoke(*arguments, "--json").stdout)
