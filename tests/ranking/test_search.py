"""Searches, what they keep, and reading it back."""

import dataclasses
import itertools
import json

import pytest
import ranked_networks
import torch
from ranked_networks import Small, generated, random_generated, subjects

from ghn_init import deepnets
from ghn_init.evaluation import score
from ghn_init.ranking import GeneratedNetwork, RankingError, load_kept, rank, search

QUICK = {"images": None, "batch_size": 16}


def untimed(ranking):
    return [dataclasses.replace(row, seconds=0.0) for row in (*ranking.rows, *ranking.over_budget)]


def same(first, second):
    """Whether two networks have the same layers and, to the bit, the same values."""
    one, other = first.state_dict(), second.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def found(images, ghn):
    return search(4, images, split=generated, keep=2, max_parameters=900, ghn=ghn, **QUICK)


def test_the_first_networks_within_the_budget_are_ranked(found):
    sizes = [sum(p.numel() for p in generated(index).parameters()) for index in range(20)]
    within = list(itertools.islice((index for index, size in enumerate(sizes) if size <= 900), 4))
    assert {row.name for row in found.rows} == {f"generated/{index}" for index in within}
    over = [f"generated/{index}" for index in range(within[-1]) if index not in within]
    assert [row.name for row in found.over_budget] == over
    assert over
    data = found.to_dict()
    assert (data["drawn"], data["within_budget"], data["wanted"]) == (within[-1] + 1, 4, 4)
    assert [row.name for row in found.kept] == [row.name for row in found.rows[:2]]


def test_several_processes_and_a_stopped_search_find_the_same(found, images, ghn, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(done, total, row):
        if done == 2:
            raise StoppedError

    options = {"split": generated, "keep": 2, "max_parameters": 900, "ghn": ghn, "out": tmp_path, **QUICK}
    with pytest.raises(StoppedError):
        search(4, images, watch=stop, **options)
    done = len((tmp_path / "ranking.jsonl").read_text().splitlines())
    seen = []
    again = search(4, images, processes=2, watch=lambda done, total, row: seen.append(row.name), **options)
    assert untimed(again) == untimed(found)
    assert len(seen) == len(untimed(found)) - done


def test_modules_score_what_the_ranking_says(found, images):
    modules = found.modules(noise=0.0)
    assert len(modules) == 2
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    for module, row in zip(modules, found.kept, strict=True):
        measured = score(module, found.setup.images, batch_size=16, indices=found.setup.block(0))
        assert measured.top1 == row.score
        assert isinstance(module, Small)
        assert not module.training
    assert len(found.modules(4)) == 4
    assert len(order) == len(found.setup.images)
    assert same(found.modules()[0], found.module(found.kept[0].name))
    assert not same(found.modules()[0], modules[0])  # but for the noise
    for noisy, bare in zip(found.modules()[0].parameters(), modules[0].parameters(), strict=True):
        torch.testing.assert_close(noisy, bare, atol=1e-4, rtol=0)


def test_random_numbers_of_a_generator_depend_on_the_index_alone(images, ghn):
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = search(3, images, split=random_generated, ghn=ghn, **QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    assert untimed(search(3, images, split=random_generated, ghn=ghn, **QUICK)) == untimed(first)
    assert len({row.parameters for row in first.rows}) > 1
    for row, module in zip(first.ranked, first.modules(), strict=True):
        assert sum(parameter.numel() for parameter in module.parameters()) == row.parameters


def test_another_generator_of_the_same_name_is_another_one(images, ghn, tmp_path):
    seen = []
    for generator in (generated, generated):
        options = {"by": "params", "ghn": ghn, "out": tmp_path, "watch": lambda *row: seen.append(row[2].parameters)}
        search(1, images, split=generator, **options)
    assert seen == [246]
    one, other = (GeneratedNetwork("same", generator, 0) for generator in (generated, random_generated))
    assert one.digest != other.digest
    assert one.digest == GeneratedNetwork("same", generated, 1).digest


def test_generators_may_return_subjects(images, ghn, tmp_path):
    found = search(2, images, split=subjects, ghn=ghn, **QUICK)
    named = rank([subjects(0), subjects(1)], images, ghn=ghn, **QUICK)
    assert [row.score for row in found.rows] == [row.score for row in named.rows]
    found.save(tmp_path / "kept")
    loaded = load_kept(tmp_path / "kept", generator=subjects)
    assert all(same(one, other) for one, other in zip(loaded, found.modules(), strict=True))


def test_architectures_of_a_split_are_read_back_to_the_bit(images, ghn, tmp_path):
    options = {"ghn": ghn, "images": 8, "batch_size": 8}
    found = search(2, images, keep=1, max_parameters=400_000, max_flops=10_000_000, first=1, **options)
    assert len(found.rows) == 2
    for row in found.rows:
        architecture = deepnets.sample("search", int(row.name.partition("/")[2]))
        assert row.parameters == deepnets.count_parameters(architecture, 2, 12) <= 400_000
        assert row.flops <= 10_000_000
    assert all(row.parameters > 400_000 or row.flops > 10_000_000 for row in found.over_budget)
    folder = found.save(tmp_path / "new" / "kept")
    (loaded,), (expected,) = load_kept(folder), found.modules()
    assert same(loaded, expected)
    assert not loaded.training
    x = torch.rand(4, 3, 12, 12)
    assert torch.equal(loaded(x), expected(x))
    (path,) = folder.glob("001-*.json")
    data = json.loads(path.read_text())
    best = found.best.name.partition("/")[2]
    assert path.name == f"001-search-{best}.json"
    assert deepnets.from_dict(data["architecture"]["genotype"]) == deepnets.sample("search", int(best))
    assert json.loads((folder / "ranking.json").read_text()) == json.loads(json.dumps(found.to_dict()))


def test_named_networks_and_modules_are_read_back(images, ghn, tmp_path):
    torch.manual_seed(5)
    networks = [ranked_networks.normed(), ranked_networks.small(width=16)]
    found = rank(["ranked_networks:normed", *networks], images, ghn=ghn, **QUICK)
    folder = found.save(tmp_path / "kept")
    with pytest.raises(RankingError, match="generator="):
        load_kept(folder, own_code=True)
    alone = rank("ranked_networks:normed", images, by="params", ghn=ghn, batch_size=16).save(tmp_path / "alone")
    with pytest.raises(RankingError, match="own_code=True"):
        load_kept(alone)
    # places count from the whole list
    loaded = load_kept(folder, own_code=True, generator=["", *networks].__getitem__)
    assert all(same(one, other) for one, other in zip(loaded, found.modules(), strict=True))
    assert torch.equal(found.module("Normed").scale, networks[0].scale)  # which is not predicted
    named = rank("torchvision:squeezenet1_1", images, by="params", ghn=ghn, batch_size=16)
    (squeezenet,) = load_kept(named.save(tmp_path / "named"))
    assert same(squeezenet, named.modules()[0])


def test_files_cannot_have_other_files_read(images, ghn, tmp_path):
    named = rank("torchvision:squeezenet1_1", images, by="params", ghn=ghn, batch_size=16)
    folder = named.save(tmp_path / "kept")
    (path,) = folder.glob("001-*.json")
    data = json.loads(path.read_text())
    data["architecture"]["options"] = {"checkpoint_path": "weights.pth"}
    path.write_text(json.dumps(data))
    with pytest.raises(RankingError, match="own_code=True"):
        load_kept(folder)


def test_a_saved_folder_is_whole_or_not_there(found, tmp_path, monkeypatch):
    folder = tmp_path / "kept"

    def fail(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("ghn_init.ranking.modules.save_model", fail)
        with pytest.raises(OSError, match="disk full"):
            found.save(folder)
    assert list(tmp_path.iterdir()) == []
    found.save(folder)
    assert len(list(folder.iterdir())) == 2 * 2 + 3
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("ghn_init.ranking.modules.save_model", fail)
        with pytest.raises(OSError, match="disk full"):
            found.save(folder, 1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    found.save(folder, 1)
    assert len(load_kept(folder, generator=generated)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_folders_of_something_else_stay(found, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RankingError, match="holds something else"):
        found.save(tmp_path)
    with pytest.raises(RankingError, match="holds something else"):
        found.save(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RankingError, match="holds no saved networks"):
        load_kept(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda json_file, weights: weights.unlink(), "does not hold the weights"),
        (lambda json_file, weights: weights.write_bytes(weights.read_bytes()[:-8]), "does not hold the weights"),
        (lambda json_file, weights: json_file.write_text("{"), "is damaged"),
        (lambda json_file, weights: json_file.write_text("[]"), "is damaged"),
        (lambda json_file, weights: json_file.write_text('{"format_version": 1}'), "is damaged: KeyError"),
        (lambda json_file, weights: json_file.write_text('{"format_version": 9}'), "of format 9"),
    ],
)
def test_damaged_files_are_named(found, tmp_path, damage, words):
    folder = found.save(tmp_path / "kept")
    (json_file,) = folder.glob("001-*.json")
    damage(json_file, json_file.with_suffix(".safetensors"))
    with pytest.raises(RankingError, match=words) as caught:
        load_kept(folder, generator=generated)
    assert json_file.stem in str(caught.value)


def test_a_search_ends_at_its_limit_of_draws(images, ghn, tmp_path):
    found = search(3, images, split=generated, max_parameters=300, draws=7, ghn=ghn, **QUICK)
    assert ([row.name for row in found.rows], len(found.over_budget)) == (["generated/0"], 6)
    assert "only 1 of 3 networks wanted are among the 7" in " ".join(str(found).split())
    nothing = search(1, images, split=generated, max_parameters=10, ghn=ghn, **QUICK)
    assert (nothing.best, len(nothing.over_budget)) == (None, 20)
    with pytest.raises(RankingError, match="nothing to save"):
        nothing.save(tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_a_split_ends_with_its_last_network(images, ghn):
    found = search(5, images, split="predefined", by="params", ghn=ghn, max_flops=1, **QUICK)
    assert {row.name for row in found.over_budget} == {"predefined/0", "predefined/1"}


def test_what_a_generator_does_wrong_is_a_row(images, ghn):
    found = search(3, images, split=ranked_networks.sometimes, ghn=ghn, **QUICK)
    assert [row.name for row in found.failed] == ["sometimes/1"]
    assert len(found.ranked) == 2
    found = search(1, images, split=ranked_networks.nothing, ghn=ghn, **QUICK)
    assert "nothing returns str for index 0" in found.failed[0].message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": lambda index: Small(), "processes": 2}, "define it in a module"),
        ({"split": "serach"}, "unknown split 'serach'"),
        ({"keep": 0}, "keep=0"),
        ({"draws": 0}, "draws=0"),
    ],
)
def test_mistakes_in_a_search_are_refused(images, ghn, options, words):
    with pytest.raises(RankingError, match=words):
        search(2, images, ghn=ghn, **options)


def test_a_search_is_the_ranking_of_its_networks(images, ghn):
    options = {"ghn": ghn, "by": "flops", "images": 8, "batch_size": 8}
    ranked = rank("split:search:0-1", images, **options)
    assert untimed(search(2, images, **options)) == untimed(ranked)
    assert str(ranked).count("search/") == 2
