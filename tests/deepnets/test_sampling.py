import hashlib
import json
import os
import subprocess
import sys
from collections import Counter

import pytest
import torch

from ghn_init.deepnets import PRIMITIVES, SPLIT_SIZES, SPLITS, Network, count_parameters, sample
from ghn_init.deepnets.rules import GROWN_PARAMETERS, RULES
from ghn_init.deepnets.sampling import WIDTHS
from ghn_init.deepnets.streams import Choices

#: A change of these architectures would change every published number: make a new seed instead.
PINNED = {
    "train": "eeb5be27767be2ec",
    "val": "d4e47fd1f7e4e082",
    "test": "502abbc5bc893185",
    "wide": "7f8d95f5cb329614",
    "deep": "27ed4d273f566d9d",
    "dense": "bcb265de7507574d",
    "bnfree": "8437911c55178e3b",
    "search": "620130cdf3dda540",
    "predefined": "66a1dc01cbf060f0",
}


@pytest.fixture(scope="module")
def drawn():
    return [sample("train", index) for index in range(200)]


def digest(split, seed=0):
    rows = [sample(split, index, seed).to_dict() for index in range(2 if split == "predefined" else 20)]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def test_every_split_is_pinned():
    assert {split: digest(split) for split in SPLITS} == PINNED


def test_another_process_samples_the_same():
    code = "from ghn_init.deepnets import sample; import json; print(json.dumps(sample('train', 7, 1).to_dict()))"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(run.stdout) == sample("train", 7, 1).to_dict()


def test_splits_and_seeds_differ():
    assert len(set(PINNED.values())) == len(PINNED) == len(SPLITS)
    assert digest("test", seed=1) != digest("test")


def test_choices_cover_their_range_evenly():
    choices = Choices("a test")
    counts = Counter(choices.within(2, 6) for _ in range(5000))
    assert set(counts) == {2, 3, 4, 5, 6}
    assert all(abs(count - 1000) < 5 * 800**0.5 for count in counts.values())  # 5 standard deviations
    assert abs(sum(choices.coin(0.2) for _ in range(5000)) - 1000) < 5 * 800**0.5
    pairs = Counter(choices.two_below(3) for _ in range(6000))
    assert set(pairs) == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert all(abs(count - 1000) < 5 * 834**0.5 for count in pairs.values())


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        sample("dev", 0)
    with pytest.raises(ValueError, match="negative"):
        sample("test", -1)
    with pytest.raises(ValueError, match="predefined split has 2"):
        sample("predefined", 2)


def test_every_split_has_its_published_size():
    assert set(SPLIT_SIZES) == set(SPLITS)
    assert sum(size for size in SPLIT_SIZES.values() if size is not None and size < 1000) == 500 + 500 + 4 * 100 + 2


def test_the_rules_hold(drawn):
    for a in drawn:
        assert 4 <= a.n_cells <= 18
        assert a.width in WIDTHS
        assert a.normal.primitives.count("cse") <= 1
        assert a.reduction.primitives.count("cse") <= 1
        assert a.batch_norm or (a.n_cells <= 5 and len(a.normal.steps) <= 2)
        assert any("conv" in p or p == "msa" for p in a.primitives)
        assert len(a.normal.steps) > 1 or "none" not in a.primitives
        assert not a.stem_pool or a.stem == "simple"
        assert a.normal.output[-1] == len(a.normal.steps) + 1


def test_the_distribution_covers_its_choices(drawn):
    primitives = Counter(p for a in drawn for p in a.primitives)
    assert set(primitives) == set(PRIMITIVES)
    assert {len(a.normal.steps) for a in drawn} == {1, 2, 3, 4}
    assert {a.stem for a in drawn} == {"simple", "imagenet"}
    assert {a.stem_kernel for a in drawn} == {3, 5, 7}
    assert {a.width_mult for a in drawn} == {1, 2}
    assert {a.fc_layers for a in drawn} == {1, 2}
    assert {a.pool_head for a in drawn} == {a.batch_norm for a in drawn} == {True, False}
    assert 0.6 < sum(a.width == 32 for a in drawn) / len(drawn) < 0.95


def test_sizes_are_those_of_the_built_networks(drawn):
    for architecture in drawn[:12]:
        for image_size in (16, 32):
            with torch.device("meta"):
                network = Network(architecture, 7, image_size)
            built = sum(parameter.numel() for parameter in network.parameters())
            assert count_parameters(architecture, 7, image_size) == built


@pytest.mark.parametrize("split", ["val", "deep", "dense", "bnfree"])
def test_evaluation_networks_are_as_narrow_as_their_size_allows(split):
    for index in range(10):
        architecture = sample(split, index)
        assert count_parameters(architecture, dead=True) >= GROWN_PARAMETERS
        if architecture.width > 32:
            assert count_parameters(architecture.with_width(architecture.width - 16), dead=True) < GROWN_PARAMETERS


def test_wide_networks_are_those_of_the_test_split_with_more_channels():
    for index in range(5):
        wide, narrow = sample("wide", index), sample("test", index)
        assert wide.width == 4 * narrow.width
        assert wide.with_width(narrow.width) == narrow
        assert count_parameters(wide) > 10 * count_parameters(narrow)


def test_deep_networks_have_more_cells():
    cells = [sample("deep", index).n_cells for index in range(60)]
    assert min(cells) >= 10
    assert max(cells) <= 36
    assert sum(n > RULES["test"].cells[1] for n in cells) > 20


def test_dense_networks_have_more_steps():
    steps = [len(sample("dense", index).normal.steps) for index in range(60)]
    assert min(steps) >= 2
    assert max(steps) <= 10
    assert sum(n > RULES["test"].steps[1] for n in steps) > 10


def test_bnfree_networks_have_no_batch_norm():
    for index in range(20):
        types = sample("bnfree", index).graph().counts()
        assert types["bn"] == 0
        assert types["conv"]


def test_search_networks_are_a_little_larger():
    drawn = [sample("search", index) for index in range(60)]
    assert {a.n_cells for a in drawn} >= {19, 20}
    assert max(len(a.normal.steps) for a in drawn) == 6
    assert all(a.batch_norm and a.n_cells >= 6 for a in drawn)
