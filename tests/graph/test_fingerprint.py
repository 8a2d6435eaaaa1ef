"""Which changes a key notices, what it can describe, and what it keeps alive."""

import functools
import gc
import weakref

import torch
from torch import nn

from ghn_init.graph import trace
from ghn_init.graph.fingerprint import fingerprint


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.one(x)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.block_class = Block
        self.block = Block()

    def forward(self, x):
        return self.block(x)


def test_a_method_replaced_in_a_class_that_is_an_attribute_too_is_noticed(monkeypatch):
    module = Named()
    before = fingerprint(module)
    monkeypatch.setattr(Block, "forward", lambda self, x: self.two(self.one(x)))
    assert fingerprint(module) != before


def test_what_methods_close_over_is_noticed():
    layers = ["one"]

    class Closing(Block):
        def forward(self, x):
            for name in layers:
                x = getattr(self, name)(x)
            return x

    module = Closing()
    before = fingerprint(module)
    assert fingerprint(Closing()) == before
    layers.append("two")
    assert fingerprint(module) != before


def test_recurrent_layers_have_keys():
    first, second = fingerprint(nn.LSTM(4, 4)), fingerprint(nn.LSTM(4, 4))
    assert first is not None
    assert first == second != fingerprint(nn.LSTM(4, 4, bidirectional=True))


def test_cached_methods_do_not_keep_their_module_alive():
    class Caching(Block):
        def __init__(self):
            super().__init__()
            self.table = functools.lru_cache(self.make_table)

        def make_table(self, size):
            return torch.zeros(size)

    module = Caching()
    trace(module)
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None
