"""Names and patterns of networks to rank, against what timm and torchvision list."""

import pytest
import timm
import torchvision

from ghn_init import ModelNotFoundError
from ghn_init.evaluation import NamedNetwork
from ghn_init.ranking import RankingError, select


def test_patterns_are_those_of_the_zoos():
    def names(models):
        return [subject.name for subject in select(models)]

    assert names("resnet1*") == timm.list_models("resnet1*")
    assert names(["timm:resnet18", "torchvision:vgg1?"]) == [
        "timm:resnet18",
        *(f"torchvision:{name}" for name in torchvision.models.list_models(include="vgg1?")),
    ]
    assert names("googlen*") == ["torchvision:googlenet"]  # timm has none
    assert names("split:search:3-5") == ["search/3", "search/4", "search/5"]
    assert names("split:test:7") == ["test/7"]
    assert len(names("split:predefined")) == 2
    assert names(["resnet18", "resnet18"]) == ["resnet18"]


@pytest.mark.parametrize(
    ("models", "error", "words"),
    [
        ("resnett*", ModelNotFoundError, "no network is named like 'resnett\\*'"),
        ("torchvision:*rcnn*", ModelNotFoundError, "in torchvision"),  # finds boxes, not classes
        ("resnet1", ModelNotFoundError, "Did you mean"),
        ("split:train", RankingError, "no end"),
        ("split:test:400-500", RankingError, "0 to 499"),
        ("split:test:5-4", RankingError, "before the first"),
        ("split:nowhere:1-2", RankingError, "unknown split 'nowhere'"),
        ("split:test:a", RankingError, "split:NAME:FIRST-LAST"),
        ([], RankingError, "no networks"),
        ([7], RankingError, "not int"),
        ({}, RankingError, "no networks"),
    ],
)
def test_what_is_no_network_is_refused(models, error, words):
    with pytest.raises(error, match=words):
        select(models)


def test_two_different_networks_of_one_name_are_refused():
    with pytest.raises(RankingError, match="two networks have the name 'a'"):
        select([_Renamed("resnet18"), _Renamed("resnet34")])


class _Renamed(NamedNetwork):
    @property
    def name(self):
        return "a"
