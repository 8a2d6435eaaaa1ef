from __future__ import annotations

import json

import pytest
import torch
from cases import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.hypernet import GHN, GHNConfig


@pytest.mark.parametrize("name", CONFIGS)
def test_survives_json(name):
    assert GHNConfig.from_dict(json.loads(json.dumps(CONFIGS[name].to_dict()))) == CONFIGS[name]


def test_keys_left_out_take_their_defaults():
    assert GHNConfig.from_dict({"hid": 32}) == GHNConfig(hid=32)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"hidden": 64}, "hidden"),
        ({"hid": "64"}, "hid"),
        ({"hid": 64.0}, "hid"),
        ({"layers": True}, "layers"),
        ({"virtual_edges": 1}, "virtual_edges"),
        ({"max_shape": 64}, "max_shape"),
        ({"max_shape": [64, 64, 11.0, 11]}, "max_shape"),
        ({"max_shape": [64, 64, 11]}, "max_shape"),
        ({"max_shape": [64, 0, 11, 11]}, "max_shape"),
        ({"max_shape": [64, 64, 11, 9]}, "max_shape"),
        ({"node_types": ["conv", 3]}, "node_types"),
        ({"node_types": []}, "node_types"),
        ({"node_types": ["conv", "conv"]}, "node_types"),
        ({"gnn": "transformer"}, "gnn"),
        ({"decoder": "linear"}, "decoder"),
        ({"decoder": "mlp", "max_shape": [64, 32, 11, 11]}, "max_shape"),
        ({"decoder": "lowrank", "max_shape": [2048, 64, 11, 11], "factor_rows": 22527}, "factor_rows"),
        ({"decoder": "lowrank", "max_shape": [64, 2048, 1, 1], "factor_rows": 4095}, "4096"),
        ({"rank": 0}, "rank"),
        ({"rank": 8.0}, "rank"),
        ({"hid": 0}, "hid"),
        ({"hid": 30, "heads": 5}, "hid"),
        ({"hid": 64, "heads": 5}, "heads"),
        ({"heads": 0}, "heads"),
        ({"layers": 0}, "layers"),
        ({"num_classes": -1}, "num_classes"),
        ({"cutoff": 0}, "cutoff"),
        ({"cutoff": 255}, "cutoff"),
    ],
)
def test_says_what_is_wrong(wrong, named):
    with pytest.raises(ValueError, match=named):
        GHNConfig.from_dict(wrong)


def test_names_all_that_is_wrong():
    with pytest.raises(ValueError, match=r"hidden.*layers|layers.*hidden"):
        GHNConfig.from_dict({"hidden": 64, "layers": "3"})


@pytest.mark.parametrize("nothing", [None, [], "hid"])
def test_wants_a_mapping(nothing):
    with pytest.raises(ValueError, match="mapping"):
        GHNConfig.from_dict(nothing)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(list(GHNConfig().to_dict())),
        st.one_of(st.none(), st.booleans(), st.integers(-3, 40), st.text(max_size=3), st.lists(st.integers(0, 9))),
        max_size=4,
    )
)
def test_either_refuses_or_can_be_built(data):
    try:
        config = GHNConfig.from_dict(data)
    except ValueError:
        return
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in GHN(config).parameters()) > 0
