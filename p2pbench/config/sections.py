"""The sections of a run's configuration but its data: networks, objective, training and scoring. Imports no torch."""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from p2pbench.config.metrics import METRICS, QUICK_METRICS
from p2pbench.config.plugins import is_reference
from p2pbench.errors import unknown

MOST_THREADS = 1024
"""Maximum CPU threads per cell."""

GENERATOR_NAMES = ("unet", "encoder_decoder", "resnet6", "resnet9", "nafnet", "convnext_unet")
HALVINGS = {"resnet6": 2, "resnet9": 2, "nafnet": 4, "convnext_unet": 4}
"""How many times a generator halves its input, where ``generator.depth`` does not say it."""
LAYER_NORMED = ("nafnet", "convnext_unet")
"""Generators with a layer norm of their own."""
DISCRIMINATOR_STRIDES = {"pixel": 0, "patch16": 1, "patch34": 2, "patch70": 3, "image286": 5}
"""Named discriminators and the number of their stride-2 layers (pix2pix §6.1.2)."""
DISCRIMINATOR_NAMES = (*DISCRIMINATOR_STRIDES, "unet", "oasis", "projected")
PROJECTED = "squeeze"
"""The pretrained network through which a projected discriminator sees."""
PerceptualName = Literal["squeeze", "vgg"]
PERCEPTUAL: tuple[str, ...] = get_args(PerceptualName)
"""The pretrained networks that a perceptual loss can look through."""
TRANSPORT_NAMES = ("flow", "condition-flow", "bridge")
OBJECTIVE_NAMES = ("l1", "l2", "charbonnier", "gan", "cgan", "l1+gan", "l1+cgan", *TRANSPORT_NAMES)

EMA_RAMP = 0.05
"""A moving average's half-life is at most this share of the images seen: initial weights are soon forgotten (edm)."""
SELECTIONS = ("last", *QUICK_METRICS)
"""What ``training.select`` may say."""


InferenceMode = Literal["paper", "instance-stats", "eval", "euler-1", "euler-4", "euler-8", "euler-16"]
"""How a generator runs after training; ``inference/modes.py`` says what each does."""
INFERENCE_MODES: tuple[InferenceMode, ...] = get_args(InferenceMode)


def passes_of(mode: str) -> int:
    """How often an inference mode runs the generator for one image."""
    return int(mode.removeprefix("euler-")) if mode.startswith("euler-") else 1


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


PositiveInt = Annotated[int, Field(gt=0)]


def _one_of(kind: str, names: Iterable[str], *, own: bool = False) -> AfterValidator:
    """A text that is one of ``names``; ``own``: or a ``module:function``."""

    def check(value: str) -> str:
        if value in names or (own and is_reference(value)):
            return value
        raise ValueError(unknown(kind, value, names) + ("; or module:function for your own" if own else ""))

    return AfterValidator(check)


def _no_terms_beside(value: str) -> str:
    """An objective that is not a sum of others with a flow, or with a regression that is complete as it is."""
    for name in value.split("+"):
        if name != value and name in ("l2", "charbonnier", *TRANSPORT_NAMES):
            raise ValueError(
                f"objective is {value!r}: {name} has one loss of its own, and no discriminator or other term beside "
                f"it; use {name}, or one of gan, cgan, l1+gan, l1+cgan"
            )
    return value


class GeneratorConfig(Section):
    name: Annotated[str, _one_of("generator.name", GENERATOR_NAMES, own=True)] = "unet"
    """The generator's architecture; ``module:function`` builds one of your own. Experimental: ``nafnet`` (Chen et al.
    2022, §4) and ``convnext_unet`` (blocks of Liu et al. 2022, §2), as wide as it takes to have the parameters of the
    U-Net of the same ``ngf`` and size."""
    ngf: PositiveInt = 64
    """Channels after the generator's first convolution."""
    depth: Annotated[int, Field(ge=2, le=10)] | None = None
    """How many times the U-Net and the encoder-decoder halve their input; with ``null`` as often as the shorter side
    allows, at most 10 times (8 times for 256 and for 300). Sides that are no multiple of 2**depth are padded, 300 to
    512, and cropped back: a smaller depth pads less."""
    dropout: Literal["first-three", "middle", "none"] = "first-three"
    """The decoder's levels with dropout 0.5: the first three, as in the authors' Lua release; or, as in the PyTorch
    port, those between the innermost and the four outermost. The ResNets have it in every block, unless ``none``."""
    norm: Literal["batch", "instance", "group", "none"] = "batch"
    """Normalisation by statistics of the batch, of each image alone, or of up to 32 groups of an image's channels (Wu
    and He 2018), all with scale and shift, or none. The time of a flow reaches the generator by ``group``."""
    upsampling: Literal["transposed", "nearest", "bilinear", "pixel-shuffle"] = "transposed"
    """How the decoder doubles its map: the paper's transposed convolution, a resize before a 3x3 convolution (Odena
    et al. 2016), or a 3x3 convolution to four times the channels, shuffled into pixels (Shi et al. 2016)."""
    downsampling: Literal["strided", "blur"] = "strided"
    """How the U-Net's encoder halves its map: the paper's convolutions of stride 2; or, experimental, convolutions of
    stride 1, whose activations a binomial filter thins, so that less aliases (Zhang 2019, §3). Such a filter on the
    way up is ``generator.upsampling: bilinear``."""
    attention: bool = False
    """Experimental: whether the U-Net has self-attention where its map is 16x16, on the way down and up (SAGAN: Zhang
    et al. 2019, §3); of other sizes, at the first map whose shorter side is at most 16."""
    spade: Literal["none", "labels", "continuous"] = "none"
    """Experimental: whether scale and shift of the decoder's norms are read from the condition at each pixel (SPADE:
    Park et al. 2019, §3). It is shrunk to each map: ``labels`` takes single pixels of a label map in colours or grey,
    ``continuous`` means over squares, for photographs and arrays."""
    noise: Annotated[int, Field(ge=0)] = 0
    """Experimental: channels of noise that the generator sees beside the condition, in the mode ``paper`` also after
    training; elsewhere they are 0 then. A vector for each image, the same at every pixel, from the normal distribution
    (OASIS: Schönfeld et al. 2021, §3, which has 64)."""


class DiscriminatorConfig(Section):
    name: Annotated[str, _one_of("discriminator.name", DISCRIMINATOR_NAMES, own=True)] = "patch70"
    """The discriminator's architecture, named by its receptive field in pixels; ``module:function`` builds your own.
    Experimental: ``unet`` judges the image and each of its pixels, a half of the loss each (Schönfeld et al. 2020,
    §3.1; its CutMix is ``objective.cutmix``); ``oasis`` says of each pixel which label the condition has there, or that
    it is fake, with LabelMix and losses of its own (OASIS: Schönfeld et al. 2021, §3; its noise in G is
    ``generator.noise``); ``projected`` is four small ones on the features of a frozen, pretrained SqueezeNet, mixed at
    random (Projected GANs: Sauer et al. 2021, §3, with an EfficientNet). They see the image alone; where D sees the
    pair, ``patch70`` judges that beside them. What a run was trained through is no evidence: it must not be scored by
    SqueezeNet, and scores by any network of ImageNet lean on it."""
    ndf: PositiveInt = 64
    """Channels after the discriminator's first convolution; of ``projected``, those of its finest map."""
    norm: Literal["batch", "instance", "none"] = "batch"
    """Normalisation by statistics of the batch or of each image alone, both with scale and shift, or none."""
    spectral_norm: bool = False
    """Whether to divide each convolution's weight by its largest singular value (Miyato et al. 2018)."""
    scales: Annotated[int, Field(ge=1, le=3)] = 1
    """Experimental: how many discriminators there are, each on the images at half the size of the one before; their
    losses are added (pix2pixHD: Wang et al. 2018, §3.2, which has 3, and 2 in its code)."""
    downsampling: Literal["strided", "blur"] = "strided"
    """How the map is halved, as ``generator.downsampling``; a receptive field of 70 becomes 84 by ``blur``."""
    attention: bool = False
    """Experimental: whether there is self-attention after the first layer whose map's shorter side is at most 32
    (SAGAN: Zhang et al. 2019, §3); each logit then depends on the whole image."""


class ObjectiveConfig(Section):
    name: Annotated[str, AfterValidator(_no_terms_beside), _one_of("objective", OBJECTIVE_NAMES)] = "l1+cgan"
    """The terms of the loss: ``l1`` (no discriminator), ``gan`` (D sees the image alone), ``cgan`` (D sees the image
    and its condition), and their sums. Experimental: ``l2``, and ``charbonnier``, an L1 that is smooth at 0 (Lai et al.
    2017, §3.2), without discriminator or λ; a ``flow`` from noise to the target (Lipman et al. 2023, §4.1), a
    ``condition-flow`` and a Brownian ``bridge`` (BBDM: Li et al. 2023, §3.2) from the condition to it."""
    adversarial: Literal["bce", "lsgan", "hinge", "wgan-gp"] = "bce"
    """The loss on D's logits: the paper's cross-entropy (non-saturating for G), least squares (Mao et al. 2017),
    hinge (Lim and Ye 2017), or Wasserstein with gradient penalty (Gulrajani et al. 2017)."""
    lambda_l1: Annotated[float, Field(ge=0)] = 100.0
    """The weight of the L1 term, λ of pix2pix's Eq. 4."""
    discriminator_loss: Literal["sum", "mean"] = "sum"
    """Whether the discriminator's losses on real and fake pairs are summed, as in the Lua release, or averaged, as in
    the port, and penalties with them. Under Adam only the effect of eps differs."""
    generator_gradient: Literal["stale", "fresh"] = "stale"
    """Whether the generator's adversarial gradient goes through the discriminator as it was before its own update, as
    in the Lua release (``stale``), or after it, as in the port (``fresh``)."""

    pairing: Literal["absolute", "relativistic"] = "absolute"
    """Experimental (Jolicoeur-Martineau 2018, §4.2; R3GAN: Huang et al. 2024, §2). Whether D and G judge each patch by
    itself, or by how much more real it is than the patch of its pair: D's loss is then one term, that of a real patch
    at the difference of the two logits, and ``objective.discriminator_loss`` does not concern it."""
    r1: Annotated[float, Field(ge=0)] = 0.0
    """Experimental (Mescheder et al. 2018, §4.1). γ of R1, γ/2 times the squared gradient of D at real images, in every
    step; 0 for none. It is of the mean logit of an image, and published γ are of images of other sizes: try decades."""
    r2: Annotated[float, Field(ge=0)] = 0.0
    """Experimental (R3GAN: Huang et al. 2024, §2.2). γ of R2, the same at the generator's outputs; 0 for none."""
    lambda_features: Annotated[float, Field(ge=0)] = 0.0
    """Experimental (pix2pixHD: Wang et al. 2018, §3.2, Eq. 4, where it is 10, without an L1 term). The weight of
    feature matching, the L1 distance of what D's layers make of target and output; 0 for none."""
    perceptual: PerceptualName | None = None
    """Experimental (Zhang et al. 2018, §3; pix2pixHD's VGG loss: Wang et al. 2018, §4). The pretrained network,
    SqueezeNet or VGG-16, by whose LPIPS the output is brought near the target; with ``null`` there is none. What a run
    was trained on is no evidence: it must not be scored by the same network, and LPIPS by any network leans on it."""
    lambda_perceptual: Annotated[float, Field(ge=0)] = 10.0
    """Experimental, as above. The weight of the perceptual loss, where there is one."""

    cutmix: Annotated[float, Field(gt=0)] | None = None
    """Experimental (Schönfeld et al. 2020, §3.2), for the discriminator ``unet``: the images in which the share of
    steps rises from 0 to 1/2 that train D on mixtures, real in a box and fake around it, or the other way round, whose
    pixels it tells apart, and of which it says what it says of the two. With ``null`` there are none."""

    noise: Annotated[float, Field(ge=0)] = 1.0
    """Experimental. The standard deviation of the noise that a ``condition-flow`` adds to the condition, and the factor
    of that of a ``bridge``, whose variance is 2t(1-t) with 1. Without any, both come to the regression's mean."""
    prediction: Literal["difference", "target"] = "difference"
    """Experimental. What the network of a flow or a bridge says: a difference, as published (the velocity of a flow;
    of a bridge, the target less the point where it is), for which all noise of the point has to pass through the
    network; or the ``target``, from which that is computed (Li and He 2025, §3), as narrow networks want it."""

    @property
    def is_transport(self) -> bool:
        """Whether the generator moves an image along a path, a step at a time."""
        return self.name in TRANSPORT_NAMES

    @property
    def inference_modes(self) -> tuple[InferenceMode, ...]:
        """The inference modes that its generator can run in."""
        return tuple(mode for mode in INFERENCE_MODES if mode.startswith("euler-") == self.is_transport)

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
    """The implementation whose training is followed where the two published ones differ: the authors' Lua release
    (``paper``) or the PyTorch port (``pytorch``)."""
    epochs: Annotated[int, Field(gt=0, le=10**9)] = 200
    """Passes over the training split."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """How long the steps of a training take, for studies at equal time, whose variants then have ``training.epochs`` of
    their own: ``ablate`` times the steps of each alone, once, and records the whole epochs that fit. Scores, samples
    and checkpoints come on top. With ``null`` the epochs are as they are given."""
    batch_size: PositiveInt = 1
    """Pairs in a batch, and so in an update."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The seed of the initial weights, the order of the pairs, their jitter and the dropout."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Adam's learning rate, for both networks."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Adam's decay rate of the mean of the gradient."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Adam's decay rate of the mean of its square."""
    discriminator_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Experimental (two time-scale update rule: Heusel et al. 2017, §2; SPADE's settings are 1e-4 for G and 4e-4 for
    D). The discriminator's own learning rate; with ``null`` it is ``training.learning_rate``. The schedule multiplies
    both."""
    discriminator_beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Experimental, as above. The discriminator's own beta1; with ``null`` it is ``training.beta1``."""
    discriminator_beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Experimental, as above. The discriminator's own beta2; with ``null`` it is ``training.beta2``."""
    augment: Literal["none", "translation", "translation+cutout", "diffaugment", "ada"] = "none"
    """Experimental (DiffAugment: Zhao et al. 2020, §3). How the images that D sees, real and fake, are transformed:
    moved by up to an eighth of their sides; half a side squared cut out, too; and, as ``diffaugment``, colours changed,
    too. Condition and image are moved and cut alike; G's input, L1 and the scores see nothing of it. With ``ada`` each
    of the three is applied with a probability that rises from 0 while D is too sure of real images (Karras et al. 2020,
    §3, with other transforms)."""
    ada_images: Annotated[float, Field(gt=0)] = 100_000.0
    """Experimental, as above: the images in which that probability rises by 1. The paper has 500,000, and 100,000 to
    fine-tune; facades have 80,000 in all, and shorter trainings want fewer."""
    ema: Annotated[float, Field(gt=0)] | None = None
    """Experimental (Karras et al. 2018, appendix A.1, and 2020). The half-life, in images, of a moving average of the
    generator's weights; with ``null`` there is none. Where there is one, it is what is sampled, selected, scored and
    exported. The half-life is at most a twentieth of the images seen so far, which forgets the initial weights."""
    schedule: Literal["constant", "linear-decay"] = "constant"
    """The learning rate over the epochs: constant, as in the Lua release; or, as in the port, constant for the first
    half and then linear to zero."""
    bias_rule: Literal["zeroed", "by-norm"] = "zeroed"
    """Whether every convolution has a bias, zeroed before each update, as in the Lua release; or only those without
    batch norm after them, as in the port."""
    select: Annotated[str, _one_of("selection", SELECTIONS)] = "last"
    """Which generator is kept: that of the last epoch, or of the epoch that is best by a score on the validation split
    (on at most 100 of its pairs), which the data must have beside their test split. To select by L1 favours variants
    with an L1 term."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """The arithmetic of a step: fp32; tf32 (CUDA only); or bf16 autocast over fp32 weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where networks run; ``auto`` is the fastest device that is there."""
    engine: Literal["auto", "eager", "compile", "graph"] = "auto"
    """How a step is run: ``eager``; ``compile``, by torch.compile (CPU or CUDA, needs a C++ compiler); ``graph``, the
    whole step as one CUDA graph; ``auto``, graph on CUDA and eager elsewhere. Their losses agree to rounding. Recorded.
    """
    deterministic: bool = False
    """On CUDA, whether only algorithms are used that give the same bits each time; else a resumed or repeated training
    is the same to rounding. It is slower. A CPU gives the same bits in any case."""
    batch_norm: Literal["local", "synchronised"] = "local"
    """Where several processes share each batch (torchrun): statistics of each one's share, or of the batch (CUDA)."""
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)] = 0
    """CPU threads per cell; 0 divides the cores among the jobs. Recorded, because the last bits depend on it."""
    log_every: PositiveInt = 50
    """Steps between two readings of the losses from the device; a row of losses.csv is their mean."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """The least time between two checkpoints, in seconds."""
    checkpoints: PositiveInt = 2
    """How many checkpoints are kept while training, the newest: an older one serves where a newer one is damaged."""
    sample_every: PositiveInt = 25
    """Epochs between two sheets of sample outputs."""
    keep_checkpoints: bool = False
    """Whether a finished run keeps its checkpoint, which is three times the size of its networks. A run beside it that
    differs in more epochs alone goes on from there, at a constant learning rate and with the same ``scoring.every``."""


def _metric_names(value: object) -> object:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if not isinstance(value, list | tuple):
        raise ValueError(f"is {value!r}: give a list of metrics such as [l1, ssim, lpips]")
    for name in value:
        if not isinstance(name, str) or not (name in METRICS or is_reference(name)):
            raise ValueError(f"{unknown('metric', name, METRICS)}; or module:function for your own")
    return tuple(dict.fromkeys(value))


def _not_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("is []: name at least one metric, as in [l1]")
    return names


MetricNames = Annotated[tuple[str, ...], BeforeValidator(_metric_names)]


class ScoringConfig(Section):
    inference: InferenceMode = "paper"
    """How test images are translated: ``paper``, with dropout, each image normalised by its own statistics (§3.3);
    ``instance-stats``, the same without dropout; ``eval``, with running statistics and without dropout; for flows and
    bridges ``euler-N``, without dropout, in N passes from the start to the image."""
    metrics: Annotated[MetricNames, AfterValidator(_not_empty)] = ("l1", "psnr", "ssim", "lpips", "fid", "kid")
    """The metrics that every variant is scored with; ``module:function`` is one of your own."""
    extra_metrics: MetricNames = ()
    """Metrics that a grid's question needs beside those of the protocol."""
    every: Annotated[int, Field(ge=0)] = 0
    """Epochs between two rows of curve.csv, the scores of the validation split (of at most 100 of its pairs) while a
    run trains; 0 for none. Of the metrics it has those of single images, but not diversity nor classes."""
    palette: Literal["facades", "cityscapes"] | None = None
    """The colours of the data's label maps, for the FCN-scores; with ``null``, known from the data set's name."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """``metrics`` and ``extra_metrics``, each once."""
        return tuple(dict.fromkeys((*self.metrics, *self.extra_metrics)))
