import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.evaluation import Summary


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_summary_agrees_with_numpy_and_scipy(values):
    summary = Summary(tuple(values))
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.standard_error == pytest.approx(scipy.stats.sem(values), abs=1e-12)
    assert (summary.worst, summary.best) == (np.min(values), np.max(values))
    assert list(summary.histogram(10)) == np.histogram(values, np.linspace(0, 1, 11))[0].tolist()


def test_one_network_has_no_standard_error():
    assert math.isnan(Summary((0.5,)).standard_error)
    written = json.loads(json.dumps(Summary((0.5,)).to_dict(), allow_nan=False))
    assert written["standard_error"] is None
    assert written["mean"] == written["best"] == 0.5


def test_no_networks_are_refused():
    with pytest.raises(ValueError, match="one network"):
        Summary(())


def test_networks_that_failed_are_counted_and_left_out():
    summary = Summary((0.5, math.nan, 0.25))
    assert (summary.mean, summary.best, summary.worst, summary.failed) == (0.375, 0.5, 0.25, 1)
    assert sum(summary.histogram()) == 2
    assert summary.to_dict()["accuracies"] == [0.5, None, 0.25]
    assert json.loads(json.dumps(Summary((math.nan,)).to_dict(), allow_nan=False))["mean"] is None
