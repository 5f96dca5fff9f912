"""The scores: their names, units, directions and needs, and the form of one that was measured. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from p2pbench.config.plugins import is_reference
from p2pbench.errors import ConfigError, unknown


@dataclass(frozen=True)
class Metric:
    label: str
    """The name in tables and figures."""
    unit: str
    better: Literal["lower", "higher", "closer to 1"]
    net: str | None = None
    """The pretrained network that it needs, a key of ``scoring.weights.NETS``."""
    per_image: bool = True
    """Whether it has a value, and so an interval, for each image, or one for the whole set."""
    least_side: int = 1
    """The smallest side of an image that it takes, in pixels: its window, or the least that its network can pool."""
    any_channels: bool = False
    """Whether it takes images with a number of channels other than three."""
    margin: float | None = None
    """The smallest difference that matters, in the score's unit, unless a grid sets another; None: nobody has said."""
    marked: bool = True
    """Whether a report may mark a difference in it. Not where its marks were not shown to hold for other trainings:
    such a score has its value, and its pseudo-values, alone."""

    least: float | None = 0.0
    """The least that the score can be, where there is one, to which intervals are cut."""
    most: float | None = None

    def possible(self, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        """An interval cut to what the score can be."""
        low = low if low is None or self.least is None else max(low, self.least)
        return low, high if high is None or self.most is None else min(high, self.most)

    @property
    def heading(self) -> str:
        """The label with an arrow that says which way is better."""
        return f"{self.label} {ARROWS[self.better]}"


ARROWS = {"lower": "↓", "higher": "↑", "closer to 1": "→1"}


METRICS: dict[str, Metric] = {
    # Margins are ours, no paper's: about 1 % of the way from useless to perfect. L1: 1.3 of 255 grey levels, as large
    # a part of usual errors as 0.2 dB. SSIM, LPIPS, shares and class scores: a hundredth. Frechet distances: 2 where
    # generators of facades lie between 40 and 200; SWD alike. KID by AlexNet: 0.03, where blurs and label maps have 2
    # to 4. Precision and recall, shares of as few as 100 images, and sharpness, compared by its distance from 1: 0.02.
    # Diversity, which is small throughout: a quarter of a grey level.
    "l1": Metric("L1", "fraction of full range", "lower", any_channels=True, margin=0.005),
    "psnr": Metric("PSNR", "dB", "higher", any_channels=True, margin=0.2),
    "ssim": Metric("SSIM", "", "higher", least_side=11, any_channels=True, margin=0.01, least=-1.0, most=1.0),
    "ms-ssim": Metric("MS-SSIM", "", "higher", least_side=161, any_channels=True, margin=0.01, most=1.0),
    "lpips": Metric("LPIPS (alex)", "", "lower", net="alex", least_side=31, margin=0.01),
    "lpips-squeeze": Metric("LPIPS (squeeze)", "", "lower", net="squeeze", least_side=17, margin=0.01),
    "lpips-vgg": Metric("LPIPS (vgg)", "", "lower", net="vgg", least_side=16, margin=0.01),
    "sharpness": Metric("sharpness", "times the target's", "closer to 1", least_side=2, margin=0.02),
    "hist-l": Metric("L overlap", "share", "higher", margin=0.01, most=1.0),
    "hist-a": Metric("a overlap", "share", "higher", margin=0.01, most=1.0),
    "hist-b": Metric("b overlap", "share", "higher", margin=0.01, most=1.0),
    "hist-l-set": Metric("L overlap of the set", "share", "higher", per_image=False, margin=0.01, most=1.0),
    "hist-a-set": Metric("a overlap of the set", "share", "higher", per_image=False, margin=0.01, most=1.0),
    "hist-b-set": Metric("b overlap of the set", "share", "higher", per_image=False, margin=0.01, most=1.0),
    "diversity": Metric("diversity", "fraction of full range", "higher", any_channels=True, margin=0.001),
    "kid-paired": Metric("paired KID", "", "lower", net="inception", per_image=False, margin=0.002, least=None),
    "kid-paired-alexnet": Metric(
        "paired KID (AlexNet)", "", "lower", net="alex", per_image=False, least_side=31, margin=0.03, least=None
    ),
    "fid": Metric("FID", "", "lower", net="inception", per_image=False, margin=2.0),
    "kid": Metric("KID", "", "lower", net="inception", per_image=False, margin=0.002, least=None, marked=False),
    "precision": Metric(
        "precision (Inception)", "share of outputs", "higher", "inception", False, margin=0.02, most=1.0, marked=False
    ),
    "recall": Metric(
        "recall (Inception)", "share of targets", "higher", "inception", False, margin=0.02, most=1.0, marked=False
    ),
    "density": Metric(
        "density (Inception)", "outputs", "higher", "inception", per_image=False, margin=0.02, marked=False
    ),
    "coverage": Metric(
        "coverage (Inception)", "share of targets", "higher", "inception", False, margin=0.02, most=1.0, marked=False
    ),
    "mind": Metric("MIND", "", "lower", "inception", per_image=False, marked=False),
    "mind-alexnet": Metric("MIND (AlexNet)", "", "lower", "alex", per_image=False, least_side=31, marked=False),
    "fd-alexnet": Metric("FD (AlexNet)", "", "lower", net="alex", per_image=False, least_side=31, margin=2.0),
    "swd": Metric("SWD", "thousandths of a std. dev.", "lower", per_image=False, least_side=16, margin=2.0),
    "fcn-pixel": Metric("per-pixel acc.", "fraction", "higher", least_side=16, margin=0.01, most=1.0),
    "fcn-class": Metric("per-class acc.", "fraction", "higher", per_image=False, least_side=16, margin=0.01, most=1.0),
    "fcn-iou": Metric("class IoU", "fraction", "higher", per_image=False, least_side=16, margin=0.01, most=1.0),
}

DEFAULT_PRIMARY = ("lpips", "lpips-vgg", "lpips-squeeze")
"""The scores that answer a question whose grid names none: L1, PSNR and SSIM favour what minimises them."""
FCN_SCORES = ("fcn-pixel", "fcn-class", "fcn-iou")
"""The scores that compare classes; one side of the data must be label maps (:mod:`p2pbench.scoring.segmentation`)."""


QUICK_METRICS = tuple(
    name for name, metric in METRICS.items() if metric.per_image and name not in ("diversity", *FCN_SCORES)
)
"""The scores that are made while a run trains: of single images. Classes and outputs with other noise take longer."""

FCN_RECIPE = 2
"""How the network that reads classes from photographs is trained: raised when it is trained otherwise, because scores
by another network are not comparable. A cached one is then not taken for it, and runs are scored again."""


def asked_metrics(scoring: Mapping[str, Any] | None) -> list[str]:
    """The metrics that a recorded section ``scoring`` asks for; version 0.1 called the second list ``also``."""
    keys = ("metrics", "extra_metrics", "also")
    return list(dict.fromkeys(name for key in keys for name in (scoring or {}).get(key) or ()))


def checked_metrics(names: Sequence[str], what: str) -> list[str]:
    """``names``, or a single one, each once.

    Raises:
        ConfigError: one is not known; the message begins with ``what``.
    """
    names = [names] if isinstance(names, str) else names
    for name in names:
        if name not in METRICS and not is_reference(name):
            raise ConfigError(f"{what}: {unknown('metric', name, METRICS)}")
    return list(dict.fromkeys(names))


def caution_of(selection: str) -> str | None:
    """What to know of a ``training.select`` before its variants are compared; None where there is nothing."""
    if selection not in ("l1", "psnr"):
        return None
    return (
        f"training.select is {selection}: the epoch is kept that is nearest to the targets pixel by pixel, which "
        "favours variants with an L1 term; use last, or a score that no variant is trained on"
    )


@dataclass(frozen=True)
class Score:
    """One score of one set of images; ``to_json`` gives the documented form."""

    metric: str
    n: int
    value: float | None = None
    low: float | None = None
    """The ends of the 95 % interval over images; None where there is no honest one, and ``reason`` says why."""
    high: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    """Why there is no value, or no interval."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read the value correctly."""
    about: Metric | None = None
    """The description of a metric of the user's own, which is not in ``METRICS``."""

    @property
    def state(self) -> str:
        return "not measured" if self.value is None else "measured"

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        metric = self.about or METRICS[self.metric]
        values["low"], values["high"] = metric.possible(self.low, self.high)
        del values["metric"], values["about"]
        return {**values, "notes": list(self.notes), "unit": metric.unit, "better": metric.better, "state": self.state}
