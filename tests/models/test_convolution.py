"""Convolutions as matrix products: the same outputs and gradients as the library's, and only where they pay."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pbench.models import convolution
from p2pbench.models.convolution import Convolution, TransposedConvolution


def passes(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of input and parameters, and of a penalty on the input's gradient."""
    images = images.clone().requires_grad_()
    output = layer(images)
    (gradient,) = torch.autograd.grad(output.square().sum(), images, create_graph=True)
    second = torch.autograd.grad(gradient.square().sum(), list(layer.parameters()), retain_graph=True)
    first = torch.autograd.grad(output.square().sum(), list(layer.parameters()))
    return [output, gradient, *first, *second]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "layer",
    [
        lambda bias: Convolution(5, 64, 4, stride=2, padding=1, bias=bias),
        lambda bias: Convolution(5, 64, 4, stride=1, padding=1, bias=bias),
        lambda bias: Convolution(5, 64, 3, padding=1, bias=bias),
        lambda bias: TransposedConvolution(64, 5, 4, stride=2, padding=1, bias=bias),
        lambda bias: TransposedConvolution(64, 5, 3, stride=2, padding=1, output_padding=1, bias=bias),
    ],
)
def test_a_product_gives_what_the_convolution_gives(
    layer: type[nn.Module], n: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    made = layer(bias).double()
    images = torch.randn(n, made.in_channels, 3, 2, dtype=torch.double)  # type: ignore[call-overload]
    asked: list[bool] = []
    rule = convolution.as_product

    def noted(*arguments: Any) -> bool:
        asked.append(rule(*arguments))
        return asked[-1]

    monkeypatch.setattr(convolution, "as_product", noted)
    ours = passes(made, images)
    assert asked == [True]
    monkeypatch.setattr(convolution, "as_product", lambda *_: False)
    theirs = passes(made, images)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_products_are_for_training_on_small_maps() -> None:
    weight, image = torch.zeros(64, 5, 4, 4), torch.zeros(1)
    assert convolution.as_product(image, weight, 32)
    assert not convolution.as_product(image, weight, 33)
    assert not convolution.as_product(image.to("meta"), weight, 1)
    with torch.no_grad():
        assert not convolution.as_product(image, weight, 1)


@pytest.mark.parametrize("layer", [Convolution(5, 64, 4, 2, 1), TransposedConvolution(64, 5, 4, 2, 1)])
def test_a_bf16_step_casts_no_weights_where_positions_are_few(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """The output and the weights' gradient are those of float32, of an input that bf16 holds."""
    side = 4 if isinstance(layer, TransposedConvolution) else 8
    few, more = (torch.randint(-8, 8, (n, layer.in_channels, side, side)).float() for n in (1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(few.bfloat16())
        assert layer(more).dtype == torch.bfloat16
    assert half.dtype == torch.float32
    single = layer(few)
    torch.testing.assert_close(half, single, rtol=0, atol=0)
    gradients = [torch.autograd.grad(output.square().sum(), layer.weight)[0] for output in (half, single)]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
