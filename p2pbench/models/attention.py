"""Self-attention over the positions of a map (SAGAN: Zhang et al. 2019, §3)."""

from torch import Tensor, nn, zeros


class SelfAttention(nn.Module):
    """h + γ W_o[g(h) softmax(θ(h)ᵀ φ(h))ᵀ], γ a scalar that starts at 0; maps (N, C, h, w) to the same.

    θ, φ, g and W_o are 1x1 convolutions to C/8, C/8, C/2 and back to C channels, without biases and with spectral norm
    (``build.py`` applies it); the softmax is over the positions that are read, without 1/√d. The paper's formula, not
    its code, which also pools φ and g. Time and memory grow with (h w)².
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.output = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(zeros(1))

    def forward(self, h: Tensor) -> Tensor:
        read: Tensor = self.value(h).flatten(2) @ self.weights(h).transpose(1, 2)  # (N, C/2, h w)
        attended: Tensor = self.output(read.unflatten(2, h.shape[2:]))
        return h + self.gamma * attended

    def weights(self, h: Tensor) -> Tensor:
        """How much each position reads of each other one, (N, h w, h w); rows sum to 1."""
        query: Tensor = self.query(h).flatten(2)  # (N, C/8, h w)
        key: Tensor = self.key(h).flatten(2)
        return (query.transpose(1, 2) @ key).softmax(dim=-1)
