"""A trace leaves nothing in the caches of a model's own code."""

import functools

import pytest
import torch
from torch import nn

from ghn_init.graph import trace


@functools.lru_cache
def module_level(side):
    return torch.arange(side * side).flip(0)


def wrapped(function):
    cached = functools.lru_cache(maxsize=4)(function)

    @functools.wraps(function)
    def call(*arguments):
        return cached(*arguments)

    return call


class Indexed(nn.Module):
    """Looks a table up by indices that are computed once for each size."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.table = nn.Parameter(torch.randn(64, 4))

    @staticmethod
    @wrapped
    def static(side):
        return torch.arange(side * side).flip(0)

    @classmethod
    @functools.lru_cache
    def of_class(cls, side):
        return torch.arange(side * side).flip(0)

    def forward(self, x):
        x = self.conv(x)
        side = int(x.shape[-1])
        index = {"module": module_level, "static": self.static, "class": self.of_class}[self.how](side)
        return x + self.table[index].mT.reshape(1, 4, side, side)


@pytest.mark.parametrize("how", ["module", "static", "class"])
def test_cached_indices_have_values_after_a_trace(how):
    network = Indexed(how).eval()
    x = torch.randn(1, 3, 8, 8)
    trace(network, example_inputs=torch.zeros(1, 3, 8, 8))
    expected = network.conv(x) + network.table.flip(0).mT.reshape(1, 4, 8, 8)
    torch.testing.assert_close(network(x), expected)


def test_caches_that_a_trace_does_not_use_stay(monkeypatch):
    module_level.cache_clear()
    kept = module_level(3)
    trace(nn.Sequential(Indexed("static")), example_inputs=torch.zeros(1, 3, 8, 8))
    assert module_level(3) is kept


def test_beit_of_transformers_computes_the_same_after_a_trace():
    transformers = pytest.importorskip("transformers")
    config = transformers.BeitConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        use_relative_position_bias=True,
    )
    torch.manual_seed(0)
    model = transformers.BeitModel(config).eval()
    nn.init.normal_(model.layers[0].relative_position_bias.relative_position_bias_table)
    x = torch.randn(1, 3, 32, 32)
    trace(model)
    with torch.no_grad():
        after = model(x).last_hidden_state
        fresh = transformers.BeitModel(config).eval()
        fresh.load_state_dict(model.state_dict())
        for cell in type(model.layers[0].relative_position_bias).generate_relative_position_index.__closure__:
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()
        torch.testing.assert_close(after, fresh(x).last_hidden_state)
