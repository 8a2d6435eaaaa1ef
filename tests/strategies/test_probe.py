"""The strategy `linear_probe`: another start, then `fit_head`."""

import copy

import pytest
import torch
from networks import Conv

import ghn_init
from ghn_init import StrategyError
from ghn_init.strategies import parse


def batches(classes):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        yield torch.randn(16, 3, 16, 16, generator=generator), torch.randint(classes, (16,), generator=generator)


@pytest.mark.parametrize("start", ["ghn", "kaiming_normal,mode=fan_out"])
def test_it_is_the_start_and_the_fit(start):
    torch.manual_seed(0)
    own = Conv()
    by_hand, probed = copy.deepcopy(own), copy.deepcopy(own)
    report = ghn_init.fit_head(ghn_init.initialise(by_hand, start, seed=3), batches(5), examples=64, seed=3)
    assert report.examples == 64
    spec = f"linear_probe:{start.replace(',', '%2C')},examples=64"
    assert parse(spec).options["start"] == start
    ghn_init.initialise(probed, spec, seed=3, batches=batches(5))
    assert all(torch.equal(*pair) for pair in zip(by_hand.parameters(), probed.parameters(), strict=True))


def test_without_batches_and_after_other_errors_the_network_is_as_it_was():
    network = Conv()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(StrategyError, match=r"call ghn_init.fit_head\(model, loader\)"):
        ghn_init.initialise(network, "linear_probe")
    with pytest.raises(ghn_init.CalibrationError, match="do not fit"):
        ghn_init.initialise(network, "linear_probe", batches=batches(5000))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
