"""The first layer's filters as images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import ghn_init
from ghn_init.drawing import DrawingError, draw_filters
from ghn_init.drawing.filters import bank_image, filters, first_filters
from ghn_init.graph import trace


def net(channels: int, **options: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, **options), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)
    )


def unscaled(image: np.ndarray, bank: torch.Tensor) -> np.ndarray:
    """The numbers that the pixels of an image stand for."""
    return (image - 0.5) * 2 * float(bank.abs().max())


def test_three_channels_are_colours() -> None:
    bank = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    image = bank_image(bank)
    assert image.shape == (2 * 5 - 1, 3 * 5 - 1, 3)
    values = unscaled(image, bank)
    for index in range(5):
        top, left = 5 * (index // 3), 5 * (index % 3)
        tile = values[top : top + 4, left : left + 4]
        np.testing.assert_allclose(tile, bank[index].permute(1, 2, 0), atol=1e-5)
    assert (image[4] == 1).all()  # a line between filters


@pytest.mark.parametrize(("channels", "across", "gap"), [(1, 3, 1), (2, 2, 3), (4, 2, 3), (40, 1, 3)])
def test_other_channels_are_grey(channels: int, across: int, gap: int) -> None:
    bank = torch.randn(8, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    image = bank_image(bank)
    assert np.ptp(image, axis=2).max() == 0
    shown = min(channels, 16)
    values = unscaled(image, bank)[..., 0]
    for index in range(8):
        row, column = divmod(index, across)
        for channel in range(shown):
            top, left = row * (3 + gap), column * (4 * shown - 1 + gap) + 4 * channel
            np.testing.assert_allclose(values[top : top + 3, left : left + 3], bank[index, channel], atol=1e-5)


def test_a_bank_of_zeros_and_one_with_depth() -> None:
    assert (bank_image(torch.zeros(1, 1, 2, 2)) == 0.5).all()
    bank = torch.randn(2, 3, 5, 3, 3)
    np.testing.assert_array_equal(bank_image(bank), bank_image(bank[:, :, 2]))  # the middle of the depth


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_predicted_and_own_filters_are_those_of_the_network(channels: int, tmp_path: Path) -> None:
    module = net(channels)
    before = module[0].weight.detach().clone()
    prediction = ghn_init.predict(module)
    found = filters(module, prediction)
    assert found.name == "0.weight"
    np.testing.assert_array_equal(found.own, bank_image(before))
    np.testing.assert_array_equal(found.predicted, bank_image(prediction["0.weight"]))
    assert not np.array_equal(found.own, found.predicted)
    draw_filters(module, tmp_path / "filters.png", size=(500, 300))
    assert torch.equal(module[0].weight, before)
    with Image.open(tmp_path / "filters.png") as image:
        assert image.size == (500, 300)
    draw_filters(module, tmp_path / "filters.svg", prediction=prediction, most=4)
    assert "<svg" in (tmp_path / "filters.svg").read_text()


def test_the_first_filters_of_known_networks() -> None:
    with torch.device("meta"):
        names = {name: timm.create_model(name) for name in ("resnet18", "vit_tiny_patch16_224", "efficientnet_b0")}
    assert {name: first_filters(trace(module)) for name, module in names.items()} == {
        "resnet18": "conv1.weight",
        "vit_tiny_patch16_224": "patch_embed.proj.weight",
        "efficientnet_b0": "conv_stem.weight",
    }


def test_what_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 10))
    with pytest.raises(DrawingError, match="no convolution of more than one pixel"):
        draw_filters(mlp, tmp_path / "x.png", example_inputs=torch.zeros(2, 3, 2, 2))
    module = net(3)
    with pytest.raises(DrawingError, match=r"0\.weight are not predicted: excluded"):
        draw_filters(module, prediction=ghn_init.predict(module, exclude="0.weight"))
    with pytest.raises(DrawingError, match="meta device"):
        draw_filters(net(3, device="meta"))
    with pytest.raises(DrawingError, match="the suffix says"):
        draw_filters(module, tmp_path / "x.html")
    with pytest.raises(DrawingError, match="at least one filter"):
        draw_filters(module, most=0)
    assert not list(tmp_path.iterdir())
