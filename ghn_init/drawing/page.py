"""The interactive page: one HTML file with both views of the graph, all that is known of it, and its own script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from ghn_init.drawing.errors import needed
from ghn_init.drawing.facts import ParameterFacts, total_count
from ghn_init.drawing.labels import size_words
from ghn_init.drawing.outline import Outline
from ghn_init.drawing.palette import MARKERS, in_order, look
from ghn_init.drawing.scene import Scene
from ghn_init.drawing.svg import clean, svg
from ghn_init.graph.arch import ArchGraph


def page(
    graph: ArchGraph,
    scenes: Mapping[str, Scene],
    outlines: Mapping[str, Outline],
    parameters: Sequence[ParameterFacts],
    origin: str,
) -> str:
    """The page as text.

    Nothing in it comes from elsewhere and, by its content security policy, no script but its own runs, whatever names
    say.

    Args:
        graph: the network.
        scenes: its views, by name, the first one being shown; "folded" or "whole".
        outlines: what is drawn in each.
        parameters: what is known of each parameter.
        origin: a sentence on how they were predicted.
    """
    jinja2 = needed("jinja2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = _source("page.css"), _source("page.js")
    counts = graph.counts()
    drawn = {name: svg(scene, standalone=False, name=f"{name}-") for name, scene in scenes.items()}
    first = next(iter(scenes.values()))
    text: str = environment.from_string(_source("page.html.j2")).render(
        title=clean(first.title),
        facts=f"{len(graph)} nodes · {len(graph.edges)} edges · {total_count(parameters):,} parameters",
        origin=clean(origin),
        views={name: jinja2.utils.markupsafe.Markup(text) for name, text in drawn.items()},
        types=[(clean(name), look(name), MARKERS[look(name).marker], counts[name]) for name in in_order(set(counts))],
        data=_data(graph, outlines, parameters),
        style=jinja2.utils.markupsafe.Markup(style),
        script=jinja2.utils.markupsafe.Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    return text


def _data(graph: ArchGraph, outlines: Mapping[str, Outline], parameters: Sequence[ParameterFacts]) -> dict[str, Any]:
    """What the script knows, as JSON types; positions in lists are the numbers of nodes, parameters and boxes."""
    owned: list[list[int]] = [[] for _ in graph.nodes]
    for index, parameter in enumerate(parameters):
        for node in parameter.nodes:
            owned[node].append(index)
    return {
        "nodes": [
            {
                "type": clean(node.type),
                "source": clean(node.source),
                "words": look(node.type).words,
                "window": size_words(node.shape[2:]) if node.param is None and node.shape is not None else None,
                "parameters": owned[index],
            }
            for index, node in enumerate(graph.nodes)
        ],
        "edges": [list(edge) for edge in graph.edges],
        "parameters": [
            {
                "name": clean(parameter.name),
                "shape": None if parameter.shape is None else size_words(parameter.shape),
                "count": parameter.count,
                "share": parameter.share,
                "nodes": list(parameter.nodes),
                "also": [clean(name) for name in parameter.also],
                "fate": parameter.fate,
                "how": clean(parameter.how),
            }
            for parameter in parameters
        ],
        "views": {
            name: {"boxes": [list(box) for box in plan.boxes], "edges": [list(edge) for edge in plan.edges]}
            for name, plan in outlines.items()
        },
    }


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
