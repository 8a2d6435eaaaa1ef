import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn_init.deepnets import Architecture, CellGenotype, Classic, from_dict, sample
from ghn_init.deepnets.liveness import live_cells, output_alive

POOL = CellGenotype(steps=((("max_pool_3x3", 0), ("skip", 1)),), output=(2,))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_json_round_trip(index):
    architecture = sample("val", index)
    assert from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def test_classic_round_trip():
    classic = Classic("bottleneck", (1, 2, 3), 16)
    assert from_dict(json.loads(json.dumps(classic.to_dict()))) == classic


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="unknown kind of architecture 'dense'; known are cells, classic, timm"):
        from_dict({"kind": "dense"})
    with pytest.raises(ValueError, match="kind 'classic'; Architecture reads 'cells'"):
        Architecture.from_dict(Classic("plain", (1,), 8).to_dict())


@pytest.mark.parametrize(
    ("steps", "output", "message"),
    [
        (((("conv_9x9", 0), ("skip", 1)),), (2,), "conv_9x9"),
        (((("skip", 0), ("skip", 2)),), (2,), "reads state 2"),
        (((("skip", 0), ("skip", 1)),), (3,), "output"),
        (((("skip", 0), ("skip", 1)),), (), "output"),
        (((("skip", 0),),), (2,), "sums two"),
    ],
)
def test_bad_cells_are_refused(steps, output, message):
    with pytest.raises(ValueError, match=message):
        CellGenotype(steps=steps, output=output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"n_cells": 0}, "at least 1"),
        ({"preprocess": False}, "preprocess=True"),
        ({"depth": 3}, "unknown keys of an architecture: depth"),
    ],
)
def test_bad_architectures_are_refused(change, message):
    data = Architecture(POOL, POOL, n_cells=4, width=16).to_dict()
    with pytest.raises(ValueError, match=message):
        Architecture.from_dict({**data, **change})


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match="missing keys of an architecture: n_cells, normal"):
        Architecture.from_dict({"width": 16, "reduction": {}})


def test_unread_cells_are_not_live():
    # every cell reads only the cell two before it
    two_back = CellGenotype(steps=((("conv_3x3", 0), ("max_pool_3x3", 0)),), output=(2,))
    architecture = Architecture(two_back, two_back, n_cells=7, width=16)
    assert list(live_cells(architecture)) == [0, 2, 4, 6]


def test_none_cuts_states_off():
    cell = CellGenotype(
        steps=((("none", 0), ("none", 1)), (("conv_1x1", 2), ("skip", 1))),
        output=(2, 3),
    )
    live = live_cells(Architecture(cell, cell, n_cells=4, width=16))[3]
    assert live.output == (3,)
    assert live.edges == {3: ((1, 1),)}
    assert live.inputs == {1}


def test_an_output_cut_off_is_not_alive():
    cell = CellGenotype(steps=((("none", 0), ("none", 1)),), output=(2,))
    assert not output_alive(Architecture(cell, POOL, n_cells=4, width=16))
