"""What users meet when something is wrong."""

from __future__ import annotations

import pytest

from p2pbench import errors
from p2pbench.system import console


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


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (OSError("\n\n two"), "two"),
        (MemoryError(), "MemoryError"),
        (ValueError("\n"), "ValueError"),
    ],
)
def test_an_error_that_says_nothing_is_told_by_its_type(error: Exception, line: str) -> None:
    assert errors.first_line(error) == line


@pytest.mark.parametrize(
    ("width", "digits"), [(0.0123, 3), (0.9, 2), (1.2, 1), (15.0, 0), (1500.0, 0), (0.0, 4), (float("inf"), 4)]
)
def test_decimals_follow_the_uncertainty(width: float, digits: int) -> None:
    assert console.decimals(width) == digits


def test_durations_and_sizes_read_well() -> None:
    assert [console.duration(s) for s in (42, 330, 7200)] == ["42 s", "5.5 min", "2.0 h"]
    assert [console.bytes_text(n) for n in (54 * 2**20, 3 * 2**29)] == ["54 MiB", "1.5 GiB"]
