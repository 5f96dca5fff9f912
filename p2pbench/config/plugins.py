"""The user's own ``module:function``: it is found, identified by its source, and only then imported."""

import contextlib
import hashlib
import importlib
import importlib.util
import re
import symtable
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2pbench.errors import ConfigError, type_and_line, unknown


def is_reference(value: str) -> bool:
    """Whether ``value`` has the form ``module:function``."""
    module, colon, function = value.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def locate(reference: str) -> Path:
    """The source file of a ``module:function``, found without running it (but for the packages that it is in).

    Modules are looked for as Python does, the current folder first.

    Raises:
        ConfigError: there is no such module, or it is not a Python file.
    """
    module = reference.partition(":")[0]
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    except Exception as error:  # of a package, __init__.py is run to find the module in it
        raise ConfigError(f"{reference!r}: its package failed: {type_and_line(error)}") from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(
            f"{reference!r}: there is no Python module {module!r} here or on PYTHONPATH; run where {module}.py lies, "
            "or name its folder in PYTHONPATH"
        )
    source = Path(spec.origin)
    _check_defines(source, reference)
    return source


def code_hash(reference: str) -> str:
    """The SHA-256 of the source file of a ``module:function``."""
    return hashlib.sha256(locate(reference).read_bytes()).hexdigest()


@contextlib.contextmanager
def running(reference: str) -> Iterator[Any]:
    """The function that ``reference`` names, to be called in the block.

    Raises:
        ConfigError: it cannot be imported, or the block raised; the user's own exception is its cause.
    """
    locate(reference)
    module, function = reference.split(":")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # --json has standard output for itself
            yield getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{reference!r} failed: {type_and_line(error)}") from error


def _check_defines(source: Path, reference: str) -> None:
    """Raise :class:`ConfigError` unless ``source`` parses and has the function's name at its top level."""
    function = reference.partition(":")[2]
    try:
        content = importlib.util.decode_source(source.read_bytes())
        symbols = symtable.symtable(content, str(source), "exec").get_symbols()
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(f"{reference!r}: {source}, line {line}: {getattr(error, 'msg', error)}") from None
    names = {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}
    if function not in names and not re.search(r"import\s*\*", content):
        defined = [symbol.get_name() for symbol in symbols if symbol.is_namespace()]
        raise ConfigError(f"{source}: {unknown('function', function, defined)}")
