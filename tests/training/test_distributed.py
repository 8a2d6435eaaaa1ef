import torch

from ghn_init.deepnets import Classic
from ghn_init.hypernet import GHN, GHNConfig
from ghn_init.training.config import TrainConfig
from ghn_init.training.data import Images
from ghn_init.training.launch import run_processes
from ghn_init.training.pool import make_entry
from ghn_init.training.trainer import Trainer


def work(folder):
    torch.manual_seed(0)
    ghn = GHN(GHNConfig(max_shape=(8, 8, 3, 3), hid=16, layers=1, heads=2))
    pool = [make_entry(Classic("plain", (1, 1), 8), 8), make_entry(Classic("basic", (1,), 8), 8)]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=generator)
    images = Images(pixels, torch.arange(32) % 10)
    config = TrainConfig(steps=2, meta_batch=4, batch_size=8, warmup=1, pad=0, ema=0.5)
    Trainer(ghn, pool, images, config, folder).run()


def test_two_processes_train_as_one_does(tmp_path):
    states = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        run_processes(count, work, folder)
        states.append(torch.load(folder / "state.pt", weights_only=True)["ghn"])
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-5)
