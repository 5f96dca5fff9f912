"""The id of a run: a hash of all that decides its weights."""

import hashlib
import json
from typing import Any, Literal

from p2pbench.config.plugins import code_hash, is_reference
from p2pbench.config.schema import RunConfig
from p2pbench.config.sections import LAYER_NORMED, Section

RECIPE = 1
"""It is counted up when the code changes what a configuration trains to: old runs are not taken for new ones then."""


LATER: dict[str, tuple[str, ...]] = {
    "generator": ("downsampling", "attention", "spade", "noise"),
    "discriminator": ("scales", "downsampling", "attention"),
    "objective": (
        "pairing",
        "r1",
        "r2",
        "lambda_features",
        "perceptual",
        "lambda_perceptual",
        "cutmix",
        "noise",
        "prediction",
    ),
    "training": (
        "augment",
        "ada_images",
        "ema",
        "discriminator_learning_rate",
        "discriminator_beta1",
        "discriminator_beta2",
    ),
}
"""Settings that version 0.1 did not have, by section. They are hashed only where they are not at their defaults, with
which a run is what it was before there were any: old runs stay known."""


OF_DISCRIMINATORS = {
    "discriminator_loss", "generator_gradient", "adversarial", "pairing", "r1", "r2", "lambda_features", "cutmix",
}  # fmt: skip
"""Settings of the objective that mean nothing where it has no discriminator."""


def identity(config: RunConfig, data_key: str, processes: int = 1) -> dict[str, Any]:
    """What decides a run's weights, as plain values: the settings that matter and the data by content.

    Settings of scoring, cadence, device, threads and paths are left out, and so are the discriminator where the
    objective has none and λ where it has no L1 term. ``processes`` share each batch; their number decides the weights
    only where batch norm sees the share of one process.
    """
    unused = set() if config.data.jitter else {"load_size"}
    if config.data.train_size is None:  # as it was before there was this setting
        unused.add("train_size")
    data = config.data.model_dump(exclude={"source", "condition"} | unused)
    training = config.training.model_dump(
        include={
            "epochs", "batch_size", "seed", "learning_rate", "beta1", "beta2", "schedule", "bias_rule", "precision",
        }
    )  # fmt: skip
    training |= {key: value for key, value in _settings(config, "training").items() if key in LATER["training"]}
    if config.training.augment != "ada":
        training.pop("ada_images", None)
    if config.training.select != "last":
        training["select"] = {"l1": "best-on-val"}.get(config.training.select, config.training.select)  # its old name
    objective = _settings(config, "objective")
    generator = _component(config, "generator") | {"depth": config.depth}
    if config.generator.name in ("resnet6", "resnet9"):  # they have dropout in every block, or nowhere
        generator["dropout"] = config.generator.dropout != "none"
    if config.generator.name in LAYER_NORMED:  # they have none
        del generator["dropout"], generator["norm"], generator["upsampling"]
    whole: dict[str, Any] = {
        "recipe": RECIPE,
        "data": {**data, "content": data_key},
        "generator": generator,
        "training": training,
        "objective": objective,
    }
    if config.objective.has_discriminator:
        whole["discriminator"] = _component(config, "discriminator")
        if config.discriminator.name == "oasis" and config.scoring.palette:
            whole["discriminator"]["palette"] = config.scoring.palette
        if config.discriminator.spectral_norm and config.training.precision == "bf16":
            whole["discriminator"]["power_iteration"] = "fp32"  # it was bf16 in 0.1
    else:
        objective = {key: value for key, value in objective.items() if key not in OF_DISCRIMINATORS}
        whole["objective"] = objective
        training = {
            key: value
            for key, value in training.items()
            if key not in ("augment", "ada_images") and not key.startswith("discriminator_")
        }
        whole["training"] = training
    if not config.objective.has_l1:
        del objective["lambda_l1"]
    if config.objective.perceptual is None:
        objective.pop("lambda_perceptual", None)
    if config.objective.name not in ("condition-flow", "bridge"):
        objective.pop("noise", None)
    if not config.objective.is_transport:
        objective.pop("prediction", None)
    if config.objective.pairing == "relativistic":
        objective.pop("discriminator_loss", None)
    in_d = config.objective.has_discriminator and config.discriminator.downsampling == "blur"
    if in_d or config.generator.downsampling == "blur":
        whole["blur"] = "centred"  # it stood half a pixel aside in 0.1
    if objective.get("discriminator_loss") == "mean" and _penalised(config):  # it has none where nothing is halved
        objective["penalties"] = "halved"  # they were not in 0.1
    norms = {generator.get("norm")} | ({config.discriminator.norm} if config.objective.has_discriminator else set())
    if processes > 1 and "batch" in norms and config.training.batch_norm == "local":
        whole["processes"] = processes
    return whole


def _penalised(config: RunConfig) -> bool:
    """Whether D's loss has terms beside those of real and fake that ``discriminator_loss`` halves with them."""
    objective = config.objective
    terms = objective.r1, objective.r2, objective.cutmix, objective.adversarial == "wgan-gp"
    return any(terms) or config.discriminator.name == "oasis"


def run_id(config: RunConfig, data_key: str, processes: int = 1) -> str:
    """Twelve hexadecimal digits: the hash of :func:`identity`."""
    text = json.dumps(identity(config, data_key, processes), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _settings(config: RunConfig, name: str) -> dict[str, Any]:
    """The settings of a section, without later ones that are at their defaults."""
    section: Section = getattr(config, name)
    fields = type(section).model_fields
    added = {key for key in LATER[name] if getattr(section, key) == fields[key].default}
    return section.model_dump(exclude=added)


def _component(config: RunConfig, name: Literal["generator", "discriminator"]) -> dict[str, Any]:
    values = _settings(config, name)
    if is_reference(values["name"]):
        values["code"] = code_hash(values["name"])
    return values


def cost_key(config: RunConfig) -> str:
    """A hash of what decides the time of a step; runs record it, so that plans can look for runs like theirs."""
    training = config.training
    engine: list[str] = [] if training.engine == "auto" else [training.engine]
    engine += ["deterministic"] if training.deterministic else []
    engine += ["ema"] if training.ema is not None else []  # whatever its half-life
    engine += [training.augment] if config.objective.has_discriminator and training.augment != "none" else []
    parts: dict[str, Any] = {
        "generator": _settings(config, "generator"),
        "discriminator": _settings(config, "discriminator") if config.objective.has_discriminator else None,
        "objective": {key: value for key, value in _settings(config, "objective").items() if key != "lambda_l1"},
        "training": [training.batch_size, training.precision, training.bias_rule, training.device, *engine],
        "size": [config.data.crop_size, config.data.channels, config.depth],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
