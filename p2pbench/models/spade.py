"""Spatially-adaptive normalisation: scale and shift of a norm, read from the condition at each pixel (SPADE:
Park et al. 2019, §3)."""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d


class Spade(nn.Module):
    """norm(h) (1 + γ(x)) + β(x): h is a map (N, C, h, w), x the condition (N, C', H, W), H = ``shrink`` h.

    γ and β are 3x3 convolutions of the ReLU of a 3x3 convolution of x, shrunk to the size of h.

    Args:
        norm: without scale and shift of its own.
        kind: ``labels``, of which every ``shrink``-th pixel is taken, as in the paper; or ``continuous``, of which the
            mean over each square is, since thinned photographs alias.
        hidden: channels between the convolutions; the paper has 128 at ngf 64.
    """

    keeps_biases = True
    """Under ``training.bias_rule: zeroed`` too: they stand for the scale and shift of a norm."""

    def __init__(
        self, norm: nn.Module, condition_channels: int, channels: int, *, shrink: int, kind: str, hidden: int
    ) -> None:
        super().__init__()
        self.norm, self.shrink, self.kind = norm, shrink, kind
        self.shared = nn.Sequential(nn.Conv2d(condition_channels, hidden, 3, padding=1), nn.ReLU())
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        k = self.shrink
        x = condition[..., ::k, ::k] if self.kind == "labels" else avg_pool2d(condition, k)
        hidden = self.shared(x)
        modulated: Tensor = self.norm(h) * (1 + self.gamma(hidden)) + self.beta(hidden)
        return modulated
