"""A trained generator as an ONNX file, checked against torch on real images, with a model card beside it."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2pbench.config.plugins import is_reference
from p2pbench.config.renamed import current_value
from p2pbench.config.schema import RunConfig
from p2pbench.config.sections import passes_of
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import open_dataset
from p2pbench.data.transforms import condition_to_model, conditions_of
from p2pbench.errors import ConfigError, WeightsError, type_and_line
from p2pbench.inference.generator import Model
from p2pbench.inference.model_card import Background, model_card
from p2pbench.inference.modes import inference
from p2pbench.inference.onnx import METADATA, MODES, OnnxGenerator, runtime
from p2pbench.inference.rewriting import rewritten
from p2pbench.inference.samples import spread
from p2pbench.models.layers import pad_to_multiple
from p2pbench.models.timed import TimedGenerator
from p2pbench.system.files import atomic, sha256_of, write_text
from p2pbench.system.hardware import available_cores

OPSET = 18
TOLERANCE = 1e-3
"""The most that torch and onnxruntime may differ in [-1, 1] by default: an eighth of a grey level."""
N_CHECKED = 4


def export(
    model: Model, out: Path, background: Background, tolerance: float = TOLERANCE, mode: str | None = None
) -> dict[str, Any]:
    """Write ``model`` to ``out`` (``.onnx``), its dropout off, and its card beside it (``.md``).

    The file maps ``condition`` (N, C, H, W), float32 in [-1, 1], to ``image`` (N, C', H, W), the same; N is free, and
    so are H and W as far as the network can halve them.

    Args:
        background: what is known of the model's run, for the file's metadata and the card.
        tolerance: the most that onnxruntime's and torch's outputs may differ, in [-1, 1].
        mode: one of :data:`MODES`, by default the first; of a flow or a bridge one that draws no noise.
    Returns:
        The documented JSON: the files, the ``sizes`` at which ``images`` test images were checked, the largest
        difference of outputs in [-1, 1], and ``size_multiple``, which both sides of what the file takes are multiples
        of (0 where only the size trained at is taken).
    Raises:
        ConfigError: ``out`` is no ``.onnx``, the extra is not installed, or torch cannot export the network.
        DataError: there are no test images to check with.
        WeightsError: onnxruntime's outputs differ from torch's by more than ``tolerance``; nothing is left then.
    """
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"--out {out}: an ONNX file is named .onnx")
    if isinstance(model.generator, OnnxGenerator):
        raise ConfigError(f"{model.name} is an ONNX file already; export the run that it came from")
    modes = exported_modes(model)
    mode = current_value("scoring.inference", mode, "--inference") or modes[0]
    if mode not in modes:
        raise ConfigError(f"--inference {mode}: a file is exported in {' or '.join(modes)}, which draw no noise")
    runtime()
    images, multiple = some_conditions(model.config, "test", N_CHECKED), size_multiple(model.config)
    with inference(model.generator.cpu(), mode) as (network, _), atomic(out) as part:
        write_onnx(model, network, mode, padded(images[:1], multiple), part, run_id=background.run_id)
        # The size trained at and, where the file takes others, one image repeated at another shape.
        batches = [images, padded(images[:1].repeat(1, 1, 1, 2), multiple)] if multiple else [images]
        written = OnnxGenerator(part, available_cores())
        difference = max(float((network(batch) - written(batch)).abs().max()) for batch in batches)
        if not difference <= tolerance:  # not even where it is NaN
            raise WeightsError(
                f"{out} was not written: onnxruntime's outputs differ from torch's by {difference:.2g} on "
                f"{len(images)} test images, tolerance {tolerance:g}; --tolerance allows more"
            )
    card = out.with_suffix(".md")
    done = {
        "file": str(out), "model_card": str(card), "opset": OPSET, "inference": mode, "size_multiple": multiple,
        "max_difference": difference, "images": len(images), "sizes": [list(batch.shape[2:]) for batch in batches],
        "sha256": sha256_of(out),
    }  # fmt: skip
    write_text(card, model_card(model, background, done))
    return done


def exported_modes(model: Model) -> tuple[str, ...]:
    """The inference modes of ``model`` that draw no noise. Raises :class:`ConfigError` where all of a flow's do."""
    if not isinstance(model.generator, TimedGenerator):
        return MODES
    path = model.generator.transport
    if found := tuple(mode for mode in model.modes if not path.draws(passes_of(mode))):
        return found
    raise ConfigError(
        f"{model.name} is a {model.config.objective.name} with noise, and an ONNX file that draws its own would answer "
        "differently everywhere; use translate"
    )


def some_conditions(config: RunConfig, split: str, n: int) -> Tensor:
    """At most ``n`` conditions of ``split``, evenly spread, as the network is given them: (N, C, H, W)."""
    pairs = decoded(open_dataset(config.data), split)
    chosen = np.array(conditions_of(pairs[spread(len(pairs), n)], config.data))
    return condition_to_model(torch.from_numpy(chosen).permute(0, 3, 1, 2), config.data).contiguous()


def padded(images: Tensor, multiple: int) -> Tensor:
    """``images`` as a file takes them: padded to multiples of ``multiple``, unless that is 0."""
    return pad_to_multiple(images, multiple or 1)[0].contiguous()


def size_multiple(config: RunConfig) -> int:
    """What both sides of a file's images are multiples of; 0 where it takes the size trained at alone."""
    return 2**config.depth if config.depth else 0


def write_onnx(
    model: Model, network: nn.Module, mode: str, image: Tensor, path: Path, *, run_id: str | None = None
) -> None:
    """Write ``network``, that of ``model`` in the inference mode ``mode``, as one ONNX file, rewritten to run faster.

    Args:
        image: one that it takes, (1, C, H, W), where it takes one size alone.
    Raises:
        ConfigError: torch cannot export it.
    """
    import onnx

    config, multiple = model.config, size_multiple(model.config)
    about = {
        "config": config.model_dump(mode="json"), "multiple": multiple, "inference": mode,
        "run_id": run_id, "bits": model.bits, "version": version("p2pbench"),
    }  # fmt: skip
    shapes: dict[int, Any] = {0: torch.export.Dim("N", min=1)}
    if multiple:
        shapes |= {2: multiple * torch.export.Dim("h", min=1), 3: multiple * torch.export.Dim("w", min=1)}
    # Each dimension is larger than 1, which torch would take for a constant.
    example = image[..., :multiple, :multiple].repeat(2, 1, 2, 3) if multiple else image.repeat(2, 1, 1, 1)
    faster = rewritten(network, folded=not is_reference(config.generator.name))
    try:
        with quiet(), torch.no_grad():  # inference: the library's own convolutions
            program = torch.onnx.export(
                faster, (example,), dynamo=True, opset_version=OPSET, input_names=["condition"],
                output_names=["image"], dynamic_shapes=(shapes,), verbose=False,
            )  # fmt: skip
    except Exception as error:  # the exporter raises whatever a network leads it to
        raise ConfigError(f"torch cannot export this network to ONNX: {type_and_line(error)}") from error
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {METADATA: json.dumps(about, ensure_ascii=False)})
    onnx.save(proto, path)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter, which warns of its own internals and logs what it tried; and onnxruntime's quantiser."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
