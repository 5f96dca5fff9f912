"""Images that some program made of a test split: which one belongs to which pair. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from p2pbench.data.pairs import images_by_name
from p2pbench.errors import DataError

FAKE, REAL = "_fake_B", "_real_B"
"""The PyTorch port's results folder has ``x_real_A.png``, ``x_fake_B.png`` and ``x_real_B.png`` for the pair ``x``."""
OF_PORT = (FAKE, REAL, "_real_A")


def outputs_in(folder: Path) -> dict[str, Path]:
    """The outputs in ``folder`` by the names of their pairs; of the port's results those that end in ``_fake_B``.

    Raises:
        DataError: there are none, or other images beside the port's.
        StorageError: the folder cannot be read.
    """
    return _of_port(folder, FAKE) or _images(folder)


def targets_in(folder: Path) -> dict[str, Path]:
    """The targets in ``folder``, as :func:`outputs_in`; of the port's results those that end in ``_real_B``."""
    return _of_port(folder, REAL) or _images(folder)


def is_of_port(folder: Path) -> bool:
    """Whether ``folder`` is one of the port's results, which holds outputs and targets."""
    return any(name.endswith(FAKE) for name in images_by_name(folder))


def outputs_for(folder: Path, names: Sequence[str]) -> tuple[list[Path], str]:
    """The outputs for the pairs ``names``, in their order, and how they were matched: ``by name`` or ``by order``.

    They are matched by order where not one of them has the name of a pair and there are as many.

    Raises:
        DataError: an output is missing, or belongs to no pair.
    """
    found = outputs_in(folder)
    if not found.keys() & set(names) and len(found) == len(names):
        return list(found.values()), "by order"
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{folder} lacks the output of {len(missing)} of {len(names)} test pairs, the first {missing[0]!r}: "
            "images are matched by name, or by order where there are as many and no name is a pair's"
        )
    if extra := sorted(found.keys() - set(names)):
        raise DataError(
            f"{found[extra[0]]} belongs to no test pair ({len(extra)} such images): take it out, so that nothing is "
            "left out silently"
        )
    return [found[name] for name in names], "by name"


def _images(folder: Path) -> dict[str, Path]:
    if not (found := images_by_name(folder)):
        raise DataError(f"{folder} holds no images")
    return found


def _of_port(folder: Path, ending: str) -> dict[str, Path]:
    """The images of the port's results folder with one ending, by the names of their pairs; none of any other folder.

    Raises:
        DataError: there is no such folder, or there are images with no ending of the port's.
    """
    if not folder.is_dir():
        wrong = "a file: give the folder of images" if folder.exists() else "no folder: there is nothing of that name"
        raise DataError(f"{folder} is {wrong}")
    found = images_by_name(folder)
    if not any(name.endswith(FAKE) for name in found):
        return {}
    for name, path in found.items():
        if not name.endswith(OF_PORT):
            raise DataError(f"{path} lies among the port's results and is none (x{FAKE}.png beside x{REAL}.png)")
    return {name.removesuffix(ending): path for name, path in found.items() if name.endswith(ending)}
