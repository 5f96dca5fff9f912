"""The sections of a run's configuration but its data: networks, objective, training and scoring. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from p2pbench.config.metrics import METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.errors import unknown

MOST_THREADS = 1024
"""Of a cell; more than any machine has cores for."""

GENERATOR_NAMES = ("unet", "encoder_decoder", "resnet6", "resnet9")
DISCRIMINATOR_STRIDES = {"pixel": 0, "patch16": 1, "patch34": 2, "patch70": 3, "image286": 5}
"""Named discriminators and the number of their stride-2 layers (pix2pix §6.1.2)."""
OBJECTIVE_NAMES = ("l1", "gan", "cgan", "l1+gan", "l1+cgan")


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


PositiveInt = Annotated[int, Field(gt=0)]


def _check_component(key: str, value: str, names: Iterable[str]) -> str:
    if value in names or is_reference(value):
        return value
    raise ValueError(f"{unknown(key, value, names)}; or module:function for your own")


class GeneratorConfig(Section):
    name: str = "unet"
    """``unet``, ``encoder_decoder``, ``resnet6``, ``resnet9``, or ``module:function`` for one of your own."""
    ngf: PositiveInt = 64
    """Channels after the first convolution."""
    depth: Annotated[int, Field(ge=2, le=10)] | None = None
    """How often the U-Net and the encoder-decoder halve their input; unless given, as often as the shorter side allows
    (8 times for 256, and for 300; at most 10). Sides that are no multiple of 2**depth are padded and cropped back, 300
    to 512: a smaller depth pads less."""
    dropout: Literal["first-three", "middle", "none"] = "first-three"
    """Decoder levels with dropout 0.5. Preset: the first three in Lua's release; in the port the levels between the
    innermost and the four outermost. The ResNets have it in every block, unless ``none``."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Statistics of the batch, of each image alone (both with scale and shift), or no normalisation."""
    upsampling: Literal["transposed", "nearest", "bilinear", "pixel-shuffle"] = "transposed"
    """How the decoder doubles its map: the paper's transposed convolution, a resize before a 3x3 convolution (Odena
    et al. 2016), or a 3x3 convolution to four times the channels, shuffled into pixels (Shi et al. 2016)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        return _check_component("generator.name", value, GENERATOR_NAMES)


class DiscriminatorConfig(Section):
    name: str = "patch70"
    """``pixel``, ``patch16``, ``patch34``, ``patch70``, ``image286``, or ``module:function``."""
    ndf: PositiveInt = 64
    """Channels after the first convolution."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """As the generator's."""
    spectral_norm: bool = False
    """Divide each convolution's weight by its largest singular value (Miyato et al. 2018)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        return _check_component("discriminator.name", value, DISCRIMINATOR_STRIDES)


class ObjectiveConfig(Section):
    name: str = "l1+cgan"
    """``l1`` (no discriminator), ``gan`` (D sees the image alone), ``cgan`` (D sees the pair), and their sums."""
    adversarial: Literal["bce", "lsgan", "hinge", "wgan-gp"] = "bce"
    """The loss on D's logits: the paper's cross-entropy (non-saturating for G), least squares (Mao et al. 2017),
    hinge (Lim and Ye 2017), or Wasserstein with gradient penalty (Gulrajani et al. 2017)."""
    lambda_l1: Annotated[float, Field(ge=0)] = 100.0
    """λ of Eq. 4, the weight of the L1 term."""
    discriminator_loss: Literal["sum", "mean"] = "sum"
    """D's two halves summed (Lua) or averaged (port). Under Adam only the effect of eps differs."""
    generator_gradient: Literal["stale", "fresh"] = "stale"
    """G's adversarial gradient through D as it was before its update (Lua) or run again after it (port)."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in OBJECTIVE_NAMES:
            raise ValueError(unknown("objective", value, OBJECTIVE_NAMES))
        return value

    @property
    def has_l1(self) -> bool:
        return self.name.startswith("l1")

    @property
    def has_discriminator(self) -> bool:
        return self.name.endswith("gan")

    @property
    def conditional(self) -> bool:
        """Whether the discriminator sees the condition beside the image."""
        return self.name.endswith("cgan")


class TrainingConfig(Section):
    preset: Literal["paper", "pytorch"] = "paper"
    """Whose training it is: the authors' Lua release, or the PyTorch port."""
    epochs: Annotated[int, Field(gt=0, le=10**9)] = 200
    batch_size: PositiveInt = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    schedule: Literal["constant", "linear-decay"] = "constant"
    """Preset: constant in Lua's release; in the port constant for the first half, then linear to zero."""
    bias_rule: Literal["zeroed", "by-norm"] = "zeroed"
    """Preset: a bias in every convolution, zeroed before each update (Lua), or none before a batch norm (port)."""
    select: Literal["last", "best-on-val"] = "last"
    """Which generator is kept: that of the last epoch, or of the epoch with the least L1 on the validation split
    (100 of its pairs at most), which the data must have beside their test split."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """fp32; tf32 (CUDA only); or bf16 autocast over fp32 master weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    engine: Literal["auto", "eager", "compile", "graph"] = "auto"
    """How a step is run: ``eager``; ``compile``, by torch.compile (CPU or CUDA, needs a C++ compiler); ``graph``, the
    whole step as one CUDA graph; ``auto``, graph on CUDA and eager elsewhere. Their losses agree to rounding. Recorded.
    """
    batch_norm: Literal["local", "synchronised"] = "local"
    """Where several processes share each batch (torchrun): statistics of each one's share, or of all of it (CUDA)."""
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)] = 0
    """CPU threads of a cell; 0 divides the cores among the jobs. Recorded, because the last bits depend on it."""
    log_every: PositiveInt = 50
    """Steps between two readings of the losses from the device; a row of losses.csv is their mean."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """Least time between two checkpoints."""
    checkpoints: PositiveInt = 2
    """How many are kept while training, the newest: an older one serves where a newer one is damaged."""
    sample_every: PositiveInt = 25
    """Epochs between two sample sheets."""
    keep_checkpoints: bool = False
    """Keep a finished run's checkpoint (three times the size of its networks)."""


def _metric_names(value: object) -> object:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError("is a list of metrics such as [l1, ssim, lpips]")
    for name in value:
        if not isinstance(name, str) or not (name in METRICS or is_reference(name)):
            raise ValueError(f"{unknown('metric', name, METRICS)}; or module:function for your own")
    return tuple(dict.fromkeys(value))


MetricNames = Annotated[tuple[str, ...], BeforeValidator(_metric_names)]


class ScoringConfig(Section):
    inference: Literal["paper", "instance-stats", "eval"] = "paper"
    """How test images are translated: ``paper``, dropout on and each image normalised by its own statistics (§3.3);
    ``instance-stats``, the same without dropout; ``eval``, running statistics, no dropout."""
    metrics: Annotated[MetricNames, Field(min_length=1)] = ("l1", "psnr", "ssim", "lpips", "fid", "kid")
    """Names, or ``module:function`` for one of your own."""
    extra_metrics: MetricNames = ()
    """Metrics that a grid's question needs beside those of the protocol."""
    palette: Literal["facades", "cityscapes"] | None = None
    """The colours of the data's label maps, for the FCN-scores; unless given, known from the name of the data set."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """``metrics`` and ``extra_metrics``, each once."""
        return tuple(dict.fromkeys((*self.metrics, *self.extra_metrics)))
