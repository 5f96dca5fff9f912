"""What users meet when something is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import ProgressColumn

from p2pbench import errors
from p2pbench.system import console
from p2pbench.system.progress import progress_bar


def test_exit_codes_are_the_documented_ones() -> None:
    assert issubclass(errors.RunBusy, errors.StorageError)
    codes = {kind.__name__: kind.exit_code for kind in errors.P2PBenchError.__subclasses__()}
    assert codes == {
        "ConfigError": 2, "DataError": 3, "WeightsError": 3, "StorageError": 3, "TrainingError": 4, "Interrupted": 130,
    }  # fmt: skip


def test_unknown_names_come_with_the_nearest_and_all_valid() -> None:
    assert errors.unknown("level", "l1+cgn", ["l1", "l1+cgan"]) == (
        "unknown level 'l1+cgn'; did you mean 'l1+cgan' or 'l1'? (valid: l1, l1+cgan)"
    )
    assert "did you mean" not in errors.unknown("level", "zzz", ["l1"])
    assert "did you mean 'b3', 'b2' or 'b1'? (" in errors.unknown("level", "b", ["b1", "b2", "b3"])
    assert errors.unknown("variant", "x", ["unet, l1", "y"]).endswith("(valid: unet, l1; y)")


def test_an_error_without_a_message_is_called_by_its_type() -> None:
    for error in (ValueError(), ValueError(""), ValueError(" \n")):
        assert errors.first_line(error) == "ValueError"
        assert errors.type_and_line(error) == "ValueError"
    assert errors.first_line(ValueError("\nfirst\nsecond")) == "first"
    assert errors.type_and_line(ValueError("first\nsecond")) == "ValueError: first"


def test_no_error_handler_takes_the_first_line_of_an_empty_message() -> None:
    sources = Path(errors.__file__).parent.rglob("*.py")
    assert [str(source) for source in sources if "splitlines()[0]" in source.read_text()] == []


def test_names_between_colons_stay_what_they_are() -> None:
    for stream in (console.out, console.err):
        with stream.capture() as captured:
            stream.print(":warning: [bold]:smile:[/bold]")
        assert captured.get() == ":warning: :smile:\n"
    bar = progress_bar(Console(file=io.StringIO()))
    bar.add_task(":smile:")
    column = bar.columns[0]
    assert isinstance(column, ProgressColumn)
    assert str(column.render(bar.tasks[0])) == ":smile:"


@pytest.mark.parametrize(
    ("width", "digits"), [(0.0123, 3), (0.9, 2), (1.2, 1), (15.0, 0), (1500.0, 0), (0.0, 4), (float("inf"), 4)]
)
def test_decimals_follow_the_uncertainty(width: float, digits: int) -> None:
    assert console.decimals(width) == digits


def test_durations_and_sizes_read_well() -> None:
    assert [console.duration(s) for s in (42, 330, 7200)] == ["42 s", "5.5 min", "2.0 h"]
    assert [console.bytes_text(n) for n in (54 * 2**20, 3 * 2**29)] == ["54 MiB", "1.5 GiB"]
