import dataclasses
import math

import numpy as np
import pytest
import torch
from small_runs import SMALL, small_config, weights

from ghn_init.errors import TrainingError
from ghn_init.training import meta_step as meta_step_module
from ghn_init.training.checkpoint import load_state, save_state
from ghn_init.training.optim import make_optimisers, make_schedules
from ghn_init.training.trainer import MAX_FAILURES, Trainer


def run(trainer, steps=None, log_every=50):
    """The records of training up to `steps`."""
    records = []

    def after(trainer, record):
        if record is not None:
            records.append(record)
        return False

    trainer.run(steps, log_every=log_every, after=after)
    return records


def out_of_memory():
    return torch.OutOfMemoryError("CUDA out of memory")


def test_loss_falls_on_an_easy_problem(make_ghn, images):
    config = small_config(steps=60, batch_size=16, lr=2e-3, warmup=5)
    records = run(Trainer(make_ghn(), images, config), log_every=20)
    assert records[0].median_loss > 1
    assert records[-1].median_loss < 0.1  # 0.00 from four seeds; the mean is that of a few outliers
    assert records[-1].accuracy > 0.8
    assert records[-1].architecture_steps == 180
    assert records[-1].rate > 0


@pytest.mark.parametrize("changes", [{}, {"matrix_lr": 1e-3}, {"augment": "standard", "precision": "bfloat16"}])
def test_a_resumed_run_ends_with_the_same_weights(make_ghn, images, tmp_path, changes):
    config = small_config(**changes)
    whole = Trainer(make_ghn(), images, config)
    run(whole)

    first = Trainer(make_ghn(), images, config)
    run(first, 3)
    save_state(first.state(), tmp_path / "state.pt")
    second = Trainer(make_ghn(seed=5), images, config)
    second.resume(load_state(tmp_path / "state.pt"))
    assert second.step == 3
    run(second)
    assert torch.equal(weights(second.ghn), weights(whole.ghn))
    assert torch.equal(weights(second.averaged), weights(whole.averaged))
    assert not torch.equal(weights(second.averaged), weights(second.ghn))


def test_a_state_of_another_ghn_is_refused(make_ghn, images, config):
    trainer = Trainer(make_ghn(), images, config)
    state = trainer.state()
    state["ghn_config"]["hid"] = 32
    with pytest.raises(TrainingError, match="another configuration"):
        trainer.resume(state)


def test_a_network_that_is_not_finite_is_skipped_and_counted(make_ghn, images, config, monkeypatch, caplog):
    real = meta_step_module.network_step
    calls = []

    def broken(entry, predicted, pixels, labels, **options):
        calls.append(entry.name)
        spoilt = pixels * (float("nan") if len(calls) == 2 else 1.0)
        return real(entry, predicted, spoilt, labels, **options)

    monkeypatch.setattr(meta_step_module, "network_step", broken)
    trainer = Trainer(make_ghn(), images, config)
    record = run(trainer, 2)[-1]
    assert (record.not_finite, record.out_of_memory) == (1, 0)
    assert "1 networks skipped" in caplog.text
    assert torch.isfinite(weights(trainer.ghn)).all()
    assert math.isfinite(record.loss)


def test_a_network_that_does_not_fit_into_memory_is_skipped_counted_and_named(
    make_ghn, images, config, monkeypatch, caplog
):
    real = meta_step_module.network_step
    calls = []

    def scarce(entry, *arguments, **options):
        calls.append(entry.name)
        if len(calls) == 2:
            raise out_of_memory()
        return real(entry, *arguments, **options)

    monkeypatch.setattr(meta_step_module, "network_step", scarce)
    trainer = Trainer(make_ghn(), images, config)
    record = run(trainer, 2)[-1]
    assert (record.not_finite, record.out_of_memory) == (0, 1)
    assert calls[1] in caplog.text


def test_a_meta_batch_that_does_not_fit_loses_its_costliest_network(make_ghn, images, config, monkeypatch, caplog):
    ghn = make_ghn()
    real = ghn.forward

    def scarce(graphs):
        if len(graphs) == config.meta_batch and trainer.step == 1:
            raise out_of_memory()
        return real(graphs)

    monkeypatch.setattr(ghn, "forward", scarce)
    trainer = Trainer(ghn, images, config)
    costliest = max(trainer.batches[1], key=lambda one: one[1].cost)[1].name
    assert run(trainer, 3)[-1].out_of_memory == 1
    assert costliest in caplog.text


def test_a_backward_step_that_does_not_fit_skips_the_meta_batch(make_ghn, images, config, monkeypatch):
    trainer = Trainer(make_ghn(), images, config)
    run(trainer, 1)
    before = weights(trainer.ghn)

    def scarce(*_):
        raise out_of_memory()

    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "backward", scarce)
        result = trainer.train_step(trainer.batches[1])
    assert (result.trained, result.out_of_memory) == (0, 3)
    assert torch.equal(weights(trainer.ghn), before)
    run(trainer, 3)
    assert not torch.equal(weights(trainer.ghn), before)


def test_other_errors_are_not_swallowed(make_ghn, images, config, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(meta_step_module, "network_step", broken)
    trainer = Trainer(make_ghn(), images, config)
    name = trainer.batches[0][0][1].name
    with pytest.raises(TrainingError, match=f"step 0: {name}, .*cannot be trained: shapes do not match"):
        run(trainer)


def test_a_run_in_which_nothing_can_be_trained_ends(make_ghn, images):
    ghn = make_ghn()
    torch.nn.init.constant_(ghn.norm.weight, float("nan"))
    trainer = Trainer(ghn, images, small_config(steps=100, architectures=dataclasses.replace(SMALL, classic=1.0)))
    with pytest.raises(TrainingError, match=f"in {MAX_FAILURES} steps in a row"):
        run(trainer)
    assert trainer.step == MAX_FAILURES
    assert trainer.not_finite == 3 * MAX_FAILURES


def test_the_median_loss_is_over_networks_and_one_bad_one_does_not_move_it(make_ghn, images, config, monkeypatch):
    real = meta_step_module.network_step
    seen = []

    def exploding(*arguments, **options):
        result = real(*arguments, **options)
        factor = 1e6 if len(seen) == 4 else 1.0
        seen.append(factor * result.loss.item())
        return dataclasses.replace(result, loss=factor * result.loss)

    monkeypatch.setattr(meta_step_module, "network_step", exploding)
    record = run(Trainer(make_ghn(), images, config), 3)[-1]
    assert len(seen) == 9
    assert record.loss == pytest.approx(np.mean(seen), rel=1e-5)
    assert record.median_loss == pytest.approx(np.median(seen), abs=1e-3)
    assert record.median_loss < 10 < record.loss


@pytest.mark.filterwarnings("error:Detected call of")
@pytest.mark.parametrize("matrix_lr", [0.0, 1e-3])
def test_a_first_step_that_is_skipped_moves_nothing_and_the_schedule_goes_on(make_ghn, images, monkeypatch, matrix_lr):
    trainer = Trainer(make_ghn(), images, small_config(matrix_lr=matrix_lr))
    before, rate = weights(trainer.ghn), trainer.schedules[0].get_last_lr()[0]

    def scarce(*_, **__):
        raise out_of_memory()

    with monkeypatch.context() as patch:
        patch.setattr(meta_step_module, "network_step", scarce)
        record = run(trainer, 1)[-1]
    assert torch.equal(weights(trainer.ghn), before)
    assert torch.equal(weights(trainer.averaged), before)
    assert trainer.schedules[0].get_last_lr()[0] == pytest.approx(2 * rate)
    assert (record.out_of_memory, math.isnan(record.loss), math.isnan(record.median_loss)) == (3, True, True)
    run(trainer, 2)
    assert not torch.equal(weights(trainer.ghn), before)


def rates(make_ghn, **changes):
    config = small_config(steps=100, lr=1.0, warmup=10, **changes)
    optimisers = make_optimisers(make_ghn(), config)
    schedules = make_schedules(optimisers, config)
    found = []
    for _ in range(100):
        found.append(schedules[0].get_last_lr()[0])
        optimisers[0].step()
        schedules[0].step()
    return found


def test_cosine_is_torchs(make_ghn):
    found = rates(make_ghn, schedule="cosine", final_lr=0.1)
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 90, eta_min=0.1)
    for value in found[10:]:
        assert value == pytest.approx(reference.get_last_lr()[0])
        optimiser.step()
        reference.step()


def test_wsd_is_constant_until_its_cooldown(make_ghn):
    found = rates(make_ghn, schedule="wsd", final_lr=0.1, cooldown=0.2)
    assert set(found[10:81]) == {1.0}
    assert found[90] == pytest.approx(0.55)
    assert found[99] == pytest.approx(0.145)
    longer = rates(make_ghn, schedule="wsd", final_lr=0.1, cooldown=0.1)
    assert longer[:81] == found[:81]


@pytest.mark.parametrize("matrix_lr", [0.0, 1e-3])
def test_every_parameter_has_one_optimiser(make_ghn, matrix_lr):
    ghn = make_ghn()
    optimisers = make_optimisers(ghn, small_config(matrix_lr=matrix_lr))
    held = [id(p) for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in ghn.parameters())
    assert len(optimisers) == (2 if matrix_lr else 1)
