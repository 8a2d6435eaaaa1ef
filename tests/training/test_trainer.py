import csv
import dataclasses

import pytest
import torch

from ghn_init.training import network_step as network_step_module
from ghn_init.training.checkpoint import load_state, save_state
from ghn_init.training.config import TrainConfig
from ghn_init.training.trainer import Trainer


def weights(ghn):
    return torch.cat([p.detach().flatten() for p in ghn.parameters()])


def test_loss_falls_on_an_easy_problem(make_ghn, pool, images):
    config = TrainConfig(steps=60, meta_batch=3, batch_size=16, lr=5e-3, warmup=5, pad=0, ema=0.5)
    records = Trainer(make_ghn(), pool, images, config).run(log_every=20)
    assert records[-1].loss < 0.6 * records[0].loss
    assert records[-1].accuracy > 0.8
    assert records[-1].architecture_steps == 180


@pytest.mark.parametrize("matrix_lr", [None, 1e-3])
def test_a_resumed_run_ends_with_the_same_weights(make_ghn, pool, images, config, tmp_path, matrix_lr):
    config = dataclasses.replace(config, matrix_lr=matrix_lr)
    whole = Trainer(make_ghn(), pool, images, config)
    whole.run()

    first = Trainer(make_ghn(), pool, images, config, tmp_path)
    first.run(3)
    second = Trainer(make_ghn(seed=5), pool, images, config, tmp_path)
    second.resume(tmp_path / "state.pt")
    assert second.step == 3
    second.run()
    assert torch.equal(weights(second.ghn), weights(whole.ghn))
    assert torch.equal(weights(second.averaged), weights(whole.averaged))
    assert not torch.equal(weights(second.averaged), weights(second.ghn))


def test_a_state_of_another_ghn_is_refused(make_ghn, pool, images, config, tmp_path):
    trainer = Trainer(make_ghn(), pool, images, config, tmp_path)
    trainer.save()
    state = load_state(tmp_path / "state.pt")
    state["ghn_config"]["hid"] = 32
    save_state(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another configuration"):
        trainer.resume(tmp_path / "state.pt")


def test_start_from_takes_the_averaged_weights(make_ghn, pool, images, config, tmp_path):
    first = Trainer(make_ghn(), pool, images, config, tmp_path)
    first.run(2)
    second = Trainer(make_ghn(seed=3), pool, images, config)
    second.start_from(tmp_path / "state.pt")
    assert torch.equal(weights(second.ghn), weights(first.averaged))
    assert second.step == 0


def test_a_network_that_is_not_finite_is_skipped_and_counted(make_ghn, pool, images, config, monkeypatch, caplog):
    real = network_step_module.F.cross_entropy
    calls = []

    def broken(logits, labels, **options):
        calls.append(1)
        return real(logits, labels, **options) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(network_step_module.F, "cross_entropy", broken)
    trainer = Trainer(make_ghn(), pool, images, config)
    record = trainer.run(2)[-1]
    assert record.skipped == 1
    assert "1 networks skipped" in caplog.text
    assert torch.isfinite(weights(trainer.ghn)).all()
    assert record.loss == record.loss


def test_log_has_a_line_for_each_interval(make_ghn, pool, images, config, tmp_path):
    Trainer(make_ghn(), pool, images, config, tmp_path).run(log_every=2)
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "6"]


def test_a_failed_save_keeps_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    save_state({"step": 1}, path)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_state({"step": 2}, path)
    assert load_state(path) == {"step": 1}


def test_shares_cover_the_meta_batch(make_ghn, pool, images, config):
    trainer = Trainer(make_ghn(), pool, images, config)
    trainer.world = 2
    chosen = [0, 1, 2, 0, 1]
    shares = []
    for rank in range(2):
        trainer.rank = rank
        shares.append(trainer.share(chosen))
    assert sorted(shares[0] + shares[1]) == [0, 1, 2, 3, 4]
    assert all(shares)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="lr=0"):
        TrainConfig(steps=1, lr=0)
    with pytest.raises(ValueError, match="ema=1"):
        TrainConfig(steps=1, ema=1)


def test_an_empty_pool_is_refused(make_ghn, images, config):
    with pytest.raises(ValueError, match="empty"):
        Trainer(make_ghn(), [], images, config)
