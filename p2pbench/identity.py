"""What decides a run's weights, and the id made of it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from p2pbench.config import DiscriminatorConfig, GeneratorConfig, RunConfig, is_reference
from p2pbench.errors import ConfigError, unknown

RECIPE = 1
"""Counted up when the code changes what a configuration trains to, so that old runs are not taken for new ones."""


def identity(config: RunConfig, data_key: str) -> dict[str, Any]:
    """What decides a run's weights, as plain values: the settings that matter and the data by content.

    Left out: scoring, cadence, device, threads, paths; the discriminator where the objective has none; λ where it has
    no L1 term.
    """
    unused = set() if config.data.jitter else {"load_size"}
    data = config.data.model_dump(exclude={"source", "condition"} | unused)
    training = config.training.model_dump(
        include={
            "epochs", "batch_size", "seed", "learning_rate", "beta1", "beta2", "schedule", "bias_rule", "precision",
        }
    )  # fmt: skip
    objective = config.objective.model_dump()
    generator = _component(config.generator) | {"depth": config.depth}
    whole: dict[str, Any] = {
        "recipe": RECIPE,
        "data": {**data, "content": data_key},
        "generator": generator,
        "training": training,
        "objective": objective,
    }
    if config.objective.has_discriminator:
        whole["discriminator"] = _component(config.discriminator)
    else:
        del objective["discriminator_loss"], objective["generator_gradient"], objective["adversarial"]
    if not config.objective.has_l1:
        del objective["lambda_l1"]
    return whole


def run_id(config: RunConfig, data_key: str) -> str:
    """Twelve hexadecimal digits: the hash of :func:`identity`."""
    text = json.dumps(identity(config, data_key), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _component(section: GeneratorConfig | DiscriminatorConfig) -> dict[str, Any]:
    values = section.model_dump()
    if is_reference(section.name):
        values["code"] = hashlib.sha256(locate_reference(section.name).read_bytes()).hexdigest()
    return values


def locate_reference(reference: str) -> Path:
    """The source file of a ``module:function``, found without running it.

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
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(f"{reference!r}: there is no Python module {module!r} here or on PYTHONPATH")
    source = Path(spec.origin)
    _check_defines(source, reference)
    return source


def _check_defines(source: Path, reference: str) -> None:
    """Raise :class:`ConfigError` unless ``source`` parses and has the function's name at its top level."""
    function = reference.partition(":")[2]
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(f"{reference!r}: {source}, line {line}: {getattr(error, 'msg', error)}") from None
    names = {
        name
        for node in tree.body
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [alias.asname or alias.name for alias in node.names]
            if isinstance(node, ast.Import | ast.ImportFrom)
            else [leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)]
        )
    }
    if function not in names and "*" not in names:
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        raise ConfigError(f"{source}: {unknown('function', function, defined)}")
