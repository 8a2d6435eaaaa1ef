import dataclasses
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.deepnets import sample, timm_architecture
from ghn_init.errors import TrainingError
from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.config import ArchitectureConfig, TrainConfig


@given(st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 5))
def test_a_draw_depends_on_step_place_and_seed_alone(step, place, seed):
    config = ArchitectureConfig(classic=0.3, cost_power=0.5)
    first = ArchitectureStream(config, 1000, seed)
    first.draw(step + 1, place)
    assert first.draw(step, place) == ArchitectureStream(config, 1000, seed).draw(step, place)


def test_other_seeds_draw_others():
    config = ArchitectureConfig()
    draws = {ArchitectureStream(config, 100, seed).draw(0, 0).name for seed in range(20)}
    assert len(draws) == 20


def test_the_published_train_split_is_drawn_unchanged():
    for place in range(10):
        drawn = ArchitectureStream(ArchitectureConfig(), 100, 0).draw(3, place)
        source, index = drawn.name.split("/")
        assert source == "deepnets"
        assert drawn.architecture == sample("train", int(index))
        assert drawn.image_size == 32


def test_widths_cells_and_sizes_are_as_asked():
    config = ArchitectureConfig(widths=(8, 24), max_cells=6, image_size=16, fixed_image_size=24)
    drawn = [ArchitectureStream(config, 100, 0).draw(0, place) for place in range(60)]
    assert {one.architecture.width for one in drawn} == {8, 24}
    assert max(one.architecture.n_cells for one in drawn) <= 6
    assert {one.image_size for one in drawn} == {16, 24}
    assert all((one.image_size == 24) == one.architecture.fixed_resolution for one in drawn)


def test_shares_of_the_sources():
    stream = ArchitectureStream(ArchitectureConfig(classic=0.25, timm=0.25), 100, 0)
    sources = [stream.draw(step, 0).name.split("/")[0] for step in range(400)]
    for source, share in (("deepnets", 0.5), ("classic", 0.25), ("timm", 0.25)):
        assert sources.count(source) / 400 == pytest.approx(share, abs=0.1)


def test_families_of_timm_are_drawn_by_how_often_they_are_named():
    stream = ArchitectureStream(ArchitectureConfig(timm=1.0, timm_families=("vit", "mixer", "mixer")), 100, 0)
    drawn = [stream.draw(step, 0) for step in range(200)]
    families = [one.architecture.family for one in drawn]
    assert set(families) == {"vit", "mixer"}
    assert families.count("mixer") / 200 == pytest.approx(2 / 3, abs=0.12)
    assert all(one.architecture == timm_architecture(int(one.name.removeprefix("timm/"))) for one in drawn)


def test_cheap_networks_come_first():
    stream = ArchitectureStream(ArchitectureConfig(cost_power=1.0, curriculum=0.5), 100, 0)
    plain = ArchitectureStream(ArchitectureConfig(), 100, 0)

    def median(source, step):
        return statistics.median(source.draw(step, place).cost for place in range(60))

    assert [stream.power(step) for step in (0, 25, 50, 100)] == [1.0, 0.5, 0.0, 0.0]
    assert median(stream, 0) < 0.75 * median(plain, 0)
    assert stream.draw(50, 3) == plain.draw(50, 3)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="lr=0"):
        TrainConfig(steps=1, lr=0)
    for name in ("lr", "clip", "network_clip", "decoder_gain", "matrix_lr", "weight_decay", "penalty", "ema"):
        for value in (math.nan, math.inf):
            with pytest.raises(ValueError, match=f"{name}={value}"):
                TrainConfig(steps=1, **{name: value})
    for name in ("classic", "timm", "cost_power", "curriculum"):
        with pytest.raises(ValueError, match=f"{name}=nan"):
            ArchitectureConfig(**{name: math.nan})
    with pytest.raises(ValueError, match="ema=1"):
        TrainConfig(steps=1, ema=1)
    with pytest.raises(ValueError, match="schedule='linear' is unknown; known are cosine, wsd"):
        TrainConfig(steps=1, schedule="linear")
    with pytest.raises(ValueError, match="sum to at most 1"):
        ArchitectureConfig(classic=0.6, timm=0.6)
    with pytest.raises(ValueError, match="multiples of 8"):
        ArchitectureConfig(widths=(12,))
    with pytest.raises(ValueError, match=r"timm_families=\['vits'\] are unknown; known are resnet, "):
        ArchitectureConfig(timm=1.0, timm_families=("vit", "vits"))
    with pytest.raises(ValueError, match="timm_families needs a share"):
        ArchitectureConfig(timm_families=("vit",))
    with pytest.raises(ValueError, match=r"augment='mixup' is unknown; known are none, .*standard"):
        TrainConfig(steps=1, augment="mixup")
    with pytest.raises(ValueError, match="validation=0"):
        TrainConfig(steps=1, validation=0)


def test_limits_that_nothing_keeps_to_are_an_error():
    stream = ArchitectureStream(ArchitectureConfig(max_cells=2), 100, 0)
    with pytest.raises(TrainingError, match="none has at most 2 cells"):
        stream.draw(0, 0)
    stream = ArchitectureStream(ArchitectureConfig(count=1, timm=1.0, timm_families=("vit",)), 100, 0)
    assert timm_architecture(0).family != "vit"
    with pytest.raises(TrainingError, match="none is of the family vit"):
        stream.draw(0, 0)


def test_settings_survive_json():
    config = TrainConfig(steps=5, architectures=ArchitectureConfig(widths=(8, 16), timm=0.5, timm_families=("vit",)))
    assert TrainConfig.from_dict(config.to_dict()) == config
    assert TrainConfig.from_dict(dataclasses.replace(config, lr=0.5).to_dict()) != config
