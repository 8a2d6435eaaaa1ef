"""What modules keep from one call for the next is not what a trace saw."""

import pytest
import timm
import torch
from torch import fx, nn

from ghn_init import trace


def test_convit_runs_after_a_trace():
    """ConViT replaces a buffer with a table of positions for the shape that it sees."""
    torch.manual_seed(0)
    model = timm.create_model("convit_tiny", num_classes=2, depth=2, embed_dim=16).eval()
    images = torch.randn(1, 3, 224, 224)
    graph = trace(model)
    assert graph.traced == "shapes"
    assert model.blocks[0].attn.rel_indices.shape == (1, 1, 1, 3)
    with torch.no_grad():
        expected = model(images)
        trace(model)
        torch.testing.assert_close(model(images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["efficientvit_m0", "levit_128s"])
def test_biases_kept_for_evaluation_are_not_those_of_a_trace(name):
    """These keep the biases of attention in a dict while they are evaluated."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=2).eval()
    trace(model)
    caches = [part.attention_bias_cache for part in model.modules() if hasattr(part, "attention_bias_cache")]
    assert caches
    assert not any(caches)


class Caching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.last = None

    def forward(self, data):
        self.last, self.new = self.layer(data), data.shape
        return self.last


def test_attributes_are_as_before():
    model = Caching()
    trace(model)
    assert model.last is None
    assert not hasattr(model, "new")
    model(torch.randn(2, 4))
    kept = model.last
    trace(model)
    assert model.last is kept
    assert not isinstance(model.new[0], fx.Proxy)
