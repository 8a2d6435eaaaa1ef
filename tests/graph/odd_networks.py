"""Little networks of kinds that the vision zoos have few of, each with the nodes that its paper would draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class LSTMClassifier(nn.Module):
    """Two bidirectional layers of LSTM over words."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, tokens):
        states, _ = self.lstm(self.words(tokens))
        return self.head(states.mean(1))


class GRUTagger(nn.Module):
    """A GRU whose last state is the output."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 8, bias=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.gru(x)[1][-1])


class AudioNet(nn.Module):
    """Separable 1-d convolutions with batch norm and squeeze-and-excitation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(1, 8, 9, stride=4)
        self.depthwise = nn.Conv1d(8, 8, 5, padding=2, groups=8, bias=False)
        self.dilated = nn.Conv1d(8, 8, 5, padding=4, dilation=2, groups=8, bias=False)
        self.pointwise = nn.Conv1d(8, 8, 1, bias=False)
        self.norm = nn.BatchNorm1d(8)
        self.squeeze, self.excite = nn.Linear(8, 2), nn.Linear(2, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.stem(x)), 2)
        y = self.norm(self.pointwise(self.dilated(self.depthwise(x))))
        y = y * torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean(-1))))).unsqueeze(-1)
        return self.head(F.adaptive_avg_pool1d(x + y, 1).flatten(1))


class VideoNet(nn.Module):
    """A residual block of convolutions in space, then in time."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 8, 3, padding=1, bias=False)
        self.space = nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.time = nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.norm1, self.norm2 = nn.GroupNorm(2, 8), nn.InstanceNorm3d(8, affine=True)
        self.pool = nn.AvgPool3d(2)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = x + self.norm2(self.time(F.relu(self.norm1(self.space(x)))))
        return self.head(self.pool(x).mean((2, 3, 4)))


class LlamaBlock(nn.Module):
    """RMS norms, rotary positions, grouped queries and a SwiGLU, without biases."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(16), nn.RMSNorm(16)
        self.q, self.k, self.v = (nn.Linear(16, width, bias=False) for width in (16, 8, 8))
        self.o = nn.Linear(16, 16, bias=False)
        self.gate, self.up = nn.Linear(16, 32, bias=False), nn.Linear(16, 32, bias=False)
        self.down = nn.Linear(32, 16, bias=False)

    def _rotated(self, x, cos, sin):
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat((-second, first), -1) * sin

    def forward(self, x, cos, sin):
        h = self.norm1(x)
        q, k, v = (f(h).unflatten(-1, (-1, 4)).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = self._rotated(q, cos, sin), self._rotated(k, cos, sin)
        k, v = (t.repeat_interleave(2, dim=1) for t in (k, v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    """Two such blocks; the head is tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.blocks = nn.ModuleList(LlamaBlock() for _ in range(2))
        self.norm = nn.RMSNorm(16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.words.weight
        angles = torch.outer(torch.arange(16.0), 10.0 ** -torch.arange(2.0)).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens):
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x))


class PackedGLU(nn.Module):
    """A gated MLP whose gate and value are halves of one projection."""

    def __init__(self):
        super().__init__()
        self.stem, self.both, self.down = nn.Linear(8, 8), nn.Linear(8, 32), nn.Linear(16, 8)

    def forward(self, x):
        x = self.stem(x)
        gate, value = self.both(x).chunk(2, dim=-1)
        return x + self.down(F.gelu(gate) * value)


class StandardisedConv(nn.Conv2d):
    """A convolution whose filters are standardised on the fly (Qiao et al., 2019)."""

    def forward(self, x):
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        deviation = self.weight.std((1, 2, 3), keepdim=True) + 1e-5
        return F.conv2d(x, (self.weight - mean) / deviation, self.bias, self.stride, self.padding)


class StandardisedResNet(nn.Module):
    """A residual block of standardised convolutions and group norms."""

    def __init__(self):
        super().__init__()
        self.stem = StandardisedConv(3, 8, 3, bias=False)
        self.conv1, self.conv2 = (StandardisedConv(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.GroupNorm(2, 8), nn.GroupNorm(2, 8)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return self.head(F.relu(x).mean((2, 3)))


class Perceiver(nn.Module):
    """Latents that look at the data, then at each other, and are averaged."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(6, 16)
        self.positions = nn.Parameter(torch.zeros(1, 16, 16))
        self.latents = nn.Parameter(torch.zeros(1, 4, 16))
        self.cross = nn.MultiheadAttention(16, 2, batch_first=True)
        self.own = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.project(x) + self.positions
        latents = self.latents.expand(x.shape[0], -1, -1)
        latents = latents + self.cross(latents, x, x, need_weights=False)[0]
        h = self.norm(latents)
        latents = latents + self.own(h, h, h, need_weights=False)[0]
        return self.head(latents.mean(1))


_LINEAR = {"conv": 1, "bias": 1}
_ATTENTION = {"conv": 2, "bias": 2, "msa": 1}


def _nodes(*parts: dict[str, int]) -> Counter[str]:
    total = Counter({"input": 1})
    for part in parts:
        total.update(part)
    return total


_LLAMA_BLOCK = {"ln": 2, "conv": 7, "msa": 1, "mul": 1, "sum": 2}

#: Each network with its nodes and the shape and type of its input.
ODD: dict[Callable[[], nn.Module], tuple[Counter[str], torch.Tensor]] = {
    LSTMClassifier: (
        _nodes({"embedding": 1, "rnn": 8, "glob_avg": 1}, _LINEAR),
        torch.zeros(2, 16, dtype=torch.long),
    ),
    GRUTagger: (_nodes({"rnn": 2}, _LINEAR), torch.zeros(5, 2, 4)),
    AudioNet: (
        _nodes(_LINEAR, _LINEAR, _LINEAR, _LINEAR, {"max_pool": 1, "sep_conv": 1, "dil_conv": 1, "conv": 1, "bn": 1})
        + Counter({"cse": 1, "sum": 1, "glob_avg": 1}),
        torch.zeros(2, 1, 256),
    ),
    VideoNet: (
        _nodes({"conv": 3, "ln": 1, "bn": 1, "sum": 1, "avg_pool": 1, "glob_avg": 1}, _LINEAR),
        torch.zeros(2, 3, 8, 16, 16),
    ),
    # the tied head has a node without a parameter
    Llama: (
        _nodes({"embedding": 1, "ln": 1, "conv": 1}, _LLAMA_BLOCK, _LLAMA_BLOCK),
        torch.zeros(2, 16, dtype=torch.long),
    ),
    PackedGLU: (_nodes(_LINEAR, _LINEAR, _LINEAR, {"mul": 1, "sum": 1}), torch.zeros(2, 8)),
    StandardisedResNet: (
        _nodes({"conv": 3, "ln": 2, "sum": 1, "glob_avg": 1}, _LINEAR),
        torch.zeros(2, 3, 16, 16),
    ),
    Perceiver: (
        _nodes(_LINEAR, {"pos_enc": 1, "token": 1, "ln": 1, "sum": 3, "glob_avg": 1}, _ATTENTION, _ATTENTION, _LINEAR),
        torch.zeros(2, 16, 6),
    ),
}
