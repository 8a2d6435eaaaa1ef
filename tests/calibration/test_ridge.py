"""The classifier in closed form against scikit-learn's ridge regression, refitted without each example."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as Reference
from torch.nn import functional as F

from ghn_init.calibration.ridge import FACTORS, PENALTIES, ridge


def problem(n, d, classes, seed, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = spread * torch.randn(classes, d, generator=generator)
    return centres[labels] + torch.randn(n, d, generator=generator) + 3, labels


def left_out(features, labels, classes, penalty, intercept):
    """Predictions for each example by a regression on all others."""
    x, y = features.double().numpy(), F.one_hot(labels, classes).double().numpy()
    if intercept:  # the penalty is on weights of features centred on all examples, as it is where none is left out
        x = x - x.mean(0)
    made = []
    for index in range(len(x)):
        rest = np.arange(len(x)) != index
        made.append(
            Reference(alpha=penalty, fit_intercept=intercept).fit(x[rest], y[rest]).predict(x[index : index + 1])
        )
    return torch.from_numpy(np.concatenate(made))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(40, 5), (12, 30)])
def test_it_is_ridge_regression_scored_by_leaving_one_out(n, d, intercept):
    features, labels = problem(n, d, 3, seed=n)
    found = ridge(features, labels, 3, intercept=intercept)
    reference = Reference(alpha=found.penalty, fit_intercept=intercept)
    reference.fit(features.double().numpy(), F.one_hot(labels, 3).double().numpy())
    np.testing.assert_allclose(found.weight.numpy(), found.factor * reference.coef_, atol=1e-9)
    np.testing.assert_allclose(found.bias.numpy(), found.factor * reference.intercept_, atol=1e-9)
    others = left_out(features, labels, 3, found.penalty, intercept)
    assert found.loss == pytest.approx(float(F.cross_entropy(found.factor * others, labels)), rel=1e-6)
    assert found.accuracy == pytest.approx(float((others.argmax(1) == labels).double().mean()))


@given(seed=st.integers(0, 2**31), spread=st.floats(0.0, 3.0), intercept=st.booleans())
@settings(max_examples=10, deadline=None)
def test_no_other_penalty_and_factor_would_do_better(seed, spread, intercept):
    features, labels = problem(15, 4, 3, seed, spread)
    found = ridge(features, labels, 3, intercept=intercept)
    x = features.double()
    largest = float(torch.linalg.svdvals(x - x.mean(0) if intercept else x)[0]) ** 2
    for share in PENALTIES.tolist():
        others = left_out(features, labels, 3, share * largest, intercept)
        for factor in FACTORS.tolist():
            assert found.loss <= float(F.cross_entropy(factor * others, labels)) + 1e-6


def test_features_that_say_nothing_give_the_frequencies_of_the_classes():
    labels = torch.tensor([0, 0, 0, 1])
    found = ridge(torch.ones(4, 6), labels, 3)
    assert torch.equal(found.weight, torch.zeros(3, 6, dtype=torch.double))
    assert (found.bias / found.factor).tolist() == pytest.approx([0.75, 0.25, 0.0])
