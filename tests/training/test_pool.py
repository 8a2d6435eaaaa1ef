import dataclasses

from ghn_init.deepnets import Architecture, sample
from ghn_init.training.pool import load_pool, save_pool, training_architectures


def test_pools_survive_the_disk(pool, tmp_path):
    path = tmp_path / "pool.jsonl"
    save_pool(pool, path)
    for before, after in zip(pool, load_pool(path), strict=True):
        assert after.architecture == before.architecture
        assert after.graph == before.graph
        assert after.image_size == 16
        assert after.size == before.size


def test_training_architectures_follow_the_train_split():
    made = training_architectures(40, [16, 24], max_cells=8, classics=0.5)
    cells = [a for a in made if isinstance(a, Architecture)]
    assert 8 < len(cells) < 32
    assert {a.width for a in made} == {16, 24}
    assert max(a.n_cells for a in cells) <= 8
    first = next(a for a in (sample("train", i) for i in range(50)) if a.n_cells <= 8)
    assert dataclasses.replace(first, width=cells[0].width) == cells[0]
    assert made == training_architectures(40, [16, 24], max_cells=8, classics=0.5)
