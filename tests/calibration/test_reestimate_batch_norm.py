"""`reestimate_batch_norm` against means and variances computed directly."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ghn_init.calibration import CalibrationError, reestimate_batch_norm


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, momentum=0.3), nn.Dropout(0.5))


def expected(model, batches):
    """Averages over the batches of each batch's mean and unbiased variance."""
    means, variances = [], []
    for batch in batches:
        values = model[0](batch).detach().numpy().transpose(1, 0, 2, 3).reshape(6, -1).astype(np.float64)
        means.append(values.mean(axis=1))
        variances.append(values.var(axis=1, ddof=1))
    return np.mean(means, axis=0), np.mean(variances, axis=0)


@pytest.mark.parametrize("kind", ["tensors", "pairs", "dicts", "dataloader"])
def test_statistics_are_those_of_the_data(kind):
    model = network().train()
    model[2].eval()
    images = torch.randn(6, 3, 8, 8) * 2 + 1
    parts = list(images.split(2))
    loader = {
        "tensors": parts,
        "pairs": ((part, torch.zeros(2)) for part in parts),
        "dicts": [{"input": part, "label": 0} for part in parts],
        "dataloader": DataLoader(TensorDataset(images, torch.zeros(6)), batch_size=2),
    }[kind]
    assert reestimate_batch_norm(model, loader) == 3
    mean, variance = expected(model, parts)
    np.testing.assert_allclose(model[1].running_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model[1].running_var, variance, rtol=1e-4)
    assert model[1].momentum == 0.3
    assert [part.training for part in model.modules()] == [True, True, True, False]


def test_not_more_batches_than_asked_for():
    model = network().eval()
    parts = list(torch.randn(6, 3, 8, 8).split(2))
    assert reestimate_batch_norm(model, iter(parts), batches=2) == 2
    np.testing.assert_allclose(model[1].running_mean, expected(model, parts[:2])[0], rtol=1e-4, atol=1e-5)
    assert not any(part.training for part in model.modules())


def test_evaluation_then_equals_training_on_the_same_batch():
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=5)
    batch = torch.randn(8, 3, 64, 64)
    before = model.eval()(batch)
    reestimate_batch_norm(model, [batch])
    with torch.no_grad():
        by_batch = model.train()(batch)
        # running variances are unbiased ones, those of the batch are not
        torch.testing.assert_close(model.eval()(batch), by_batch, rtol=0.1, atol=0.1)
        assert float((before - by_batch).abs().mean()) > 0.2


def test_errors_leave_the_statistics_alone():
    with pytest.raises(CalibrationError, match="no batch norm"):
        reestimate_batch_norm(nn.Linear(3, 3), [torch.randn(2, 3)])
    with pytest.raises(CalibrationError, match="no batch norm"):
        reestimate_batch_norm(nn.BatchNorm1d(3, track_running_stats=False), [torch.randn(2, 3)])

    def broken():
        yield torch.randn(2, 3, 8, 8)
        raise OSError("disk")

    model = network().train()
    with torch.no_grad():
        model[1].running_mean.fill_(3.0)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    failures = ((OSError, broken()), (CalibrationError, []), (CalibrationError, [torch.full((2, 3, 8, 8), torch.nan)]))
    for error, loader in failures:
        with pytest.raises(error):
            reestimate_batch_norm(model, loader)
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
        assert model[1].momentum == 0.3
        assert all(part.training for part in model.modules())
