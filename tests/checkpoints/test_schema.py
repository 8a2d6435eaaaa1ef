"""``hub_configs/schema.json``, by the jsonschema library: it says of a config.json what ghn_init's own checks say."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ghn_init.checkpoints import CheckpointInfo, known, registry
from ghn_init.checkpoints.info import Source
from ghn_init.errors import CheckpointError
from ghn_init.hypernet import GHNConfig

SCHEMA = json.loads((registry.configs_folder() / "schema.json").read_text(encoding="utf-8"))
#: Integers as JSON writes them; to jsonschema, 1.0 is one as well.
TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
VALIDATOR = extend(Draft202012Validator, type_checker=TYPES)(SCHEMA)
#: What a schema cannot say, since it relates one value to another.
RELATIONS = re.compile("height and width must be equal|must divide hid|as many out as in channels|factor_rows is")

FILES = sorted(registry.configs_folder().glob("*/config.json"))
WHOLE: dict[str, Any] = {
    "format_version": 1,
    "name": "whole",
    "description": "d",
    "license": "mit",
    "references": ["https://example.org"],
    "ghn": GHNConfig().to_dict(),
    "training": {"data": {"classes": 10, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "source": None}, "x": [1]},
    "evaluation": {"top1": 0.5},
    "familiarity": {"version": 1},
    "file": "model.safetensors",
    "size": 3,
    "sha256": "0" * 64,
    "source": {"repo_id": "a/b", "file": "x.pt", "revision": "main", "size": 3, "sha256": "f" * 64},
}


def own_verdict(config: Any) -> str | None:
    """Why ghn_init refuses a configuration; None if it does not."""
    try:
        CheckpointInfo.from_json(json.dumps(config), "config.json")
    except CheckpointError as error:
        return str(error)
    return None


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_known_checkpoint_fits_it(path: Any) -> None:
    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))


def test_it_names_every_key() -> None:
    fields = {field.name for field in dataclasses.fields(CheckpointInfo)}
    assert SCHEMA["properties"].keys() == fields | {"format_version"} == WHOLE.keys()
    assert SCHEMA["properties"]["source"]["properties"].keys() == {field.name for field in dataclasses.fields(Source)}
    assert SCHEMA["$defs"]["ghn"]["properties"].keys() == {field.name for field in dataclasses.fields(GHNConfig)}
    assert VALIDATOR.is_valid(WHOLE)
    assert own_verdict(WHOLE) is None


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is something in a JSON value."""
    inner: list[tuple[Any, ...]] = []
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        inner += places(part, (*path, key))
    return [path, *inner]


PLACES = places(WHOLE)[1:]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, -1e30, 1e30, 10**40, "mlp", "lowrank", "gatedgnn", "conv", "..", "a/b", "a\n", "0" * 64]),
    st.text(max_size=5),
    st.just("0" * 64 + "\n"),
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=2), st.floats(0, 1)), max_size=5),
    st.just({}),
    st.dictionaries(st.sampled_from(["data", "classes", "mean", "file", "page"]), st.integers(), max_size=2),
)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A configuration with some values replaced, left out or added."""
    config = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES))
        action = draw(st.sampled_from(["replace", "remove", "add"]))
        place = config
        try:
            for key in path[:-1]:
                place = place[key]
            if action == "replace":
                place[path[-1]] = draw(values)
            elif action == "remove":
                del place[path[-1]]
            elif isinstance(place, dict):
                place[draw(st.sampled_from(["page", "extra", "file", "repo_id", "mean"]))] = draw(values)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took that place away
    return config


@settings(max_examples=150)
@given(changed())
@example({**WHOLE, "sha256": "0" * 64 + "\n"})
@example({**WHOLE, "file": "model.safetensors\n"})
@example({**WHOLE, "ghn": {"hid": 12, "heads": 5, "gnn": "gatedgnn"}})
@example({**WHOLE, "ghn": {"cutoff": 255}})
@example({**WHOLE, "ghn": {"cutoff": 255, "gnn": "mlp"}})
@example({**WHOLE, "source": {"file": "x", "page": "p", "repo_id": "a/b"}})
def test_it_refuses_what_ghn_init_refuses(config: Any) -> None:
    refused = own_verdict(config)
    if VALIDATOR.is_valid(config):
        assert refused is None or RELATIONS.search(refused), refused
    else:
        assert refused is not None, [error.message for error in VALIDATOR.iter_errors(config)]


@pytest.mark.parametrize(
    "changes",
    [
        {"max_shape": [8, 8, 3, 5]},
        {"hid": 12, "heads": 5},
        {"decoder": "mlp", "max_shape": [8, 4, 3, 3]},
        {"decoder": "lowrank", "factor_rows": 4},
    ],
)
def test_relations_that_only_ghn_init_knows(changes: dict[str, Any]) -> None:
    config = {**WHOLE, "ghn": {**WHOLE["ghn"], **changes}}
    assert VALIDATOR.is_valid(config)
    assert RELATIONS.search(own_verdict(config) or "")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks(text: str) -> None:
    with pytest.raises(CheckpointError, match="is no JSON number"):
        CheckpointInfo.from_json(f'{{"format_version": 1, "name": "a", "training": {{"x": {text}}}}}', "config.json")


def test_every_known_checkpoint_says_what_it_was_trained_on() -> None:
    for name, info in known().items():
        data = info.training["data"]
        assert data["source"], name
        assert data["classes"] == (info.ghn.num_classes if info.ghn else data["classes"])
        assert len(data["mean"]) == len(data["std"]) == 3
        assert info.license == "mit"
        assert name == "default" or info.references
