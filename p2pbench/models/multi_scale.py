"""Several discriminators, each on the images at half the size of the one before (pix2pixHD: Wang et al. 2018, §3.2)."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from p2pbench.models.judgement import Judgement, judgement


class MultiScale(nn.Module):
    """``scales`` of one architecture, with weights of their own; maps (N, C, H, W) to a map of logits a scale.

    The second sees the images shrunk once, the third twice, by means of 3x3 pixels at stride 2, of fewer at borders.
    """

    def __init__(self, scales: Iterable[nn.Module]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)

    def forward(self, images: Tensor, features: bool = False) -> Judgement:
        said = []
        for index, discriminator in enumerate(self.scales):
            if index:
                images = avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            said.append(judgement(discriminator, images, features=features))
        logits = tuple(one for scale in said for one in scale.logits)
        return Judgement(logits, tuple(one for scale in said for one in scale.features), said[0].weight)
