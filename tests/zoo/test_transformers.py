"""Small configurations of transformers' architectures, for real: predicted weights, and a forward pass with them."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from applied import share_changed_by_apply, use_batch_statistics

import ghn_init

transformers = pytest.importorskip("transformers")

MODELS = json.loads((Path(__file__).parents[2] / "benchmarks" / "zoo_transformers.json").read_text())
#: Arguments that hold indices into a vocabulary.
IDS = {"input_ids", "decoder_input_ids"}


def build(name: str) -> torch.nn.Module:
    model_class = getattr(transformers, name)
    return model_class(model_class.config_class(**MODELS[name]["config"]))


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", MODELS)
def test_apply_and_forward(name):
    torch.manual_seed(0)
    model = build(name).eval()
    tied = {id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False)}

    share = share_changed_by_apply(model)

    assert {id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False)} == tied
    assert share >= 0.95
    inputs = {
        key: torch.randint(5, 30, shape) if key in IDS else torch.randn(shape)
        for key, shape in MODELS[name]["inputs"].items()
    }
    with torch.no_grad():
        outputs = use_batch_statistics(model)(**inputs)
    floats = [value for value in outputs.values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
    assert floats
    assert all(value.isfinite().all() for value in floats)


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "WhisperForConditionalGeneration", "CLIPModel"])
def test_example_inputs_of_the_library_give_the_same_graph(name):
    model = build(name)
    inputs = {
        key: torch.zeros(shape, dtype=torch.long) if key in IDS else torch.zeros(shape)
        for key, shape in MODELS[name]["inputs"].items()
    }
    given = ghn_init.trace(model, example_inputs=transformers.BatchEncoding(inputs))
    assert given.nodes == ghn_init.trace(model).nodes
    with pytest.raises(ghn_init.TraceError, match="pixel_value"):
        ghn_init.trace(model, example_inputs={"pixel_value": torch.zeros(2, 3, 32, 32)})
