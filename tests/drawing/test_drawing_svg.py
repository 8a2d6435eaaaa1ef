"""SVG and PNG files, read back by XML and image libraries."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import drawn_graphs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from ghn_init.drawing import DrawingError, draw
from ghn_init.drawing.palette import INK, LOOKS, OTHER, look
from ghn_init.graph import FURTHER_TYPES, NODE_TYPES, ArchGraph, Node
from ghn_init.graph.paths import shortest_paths

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>\"'&<é\u202e\x00\ud800𝒳]]>{{ 7*7 }}${x}$"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def of_class(root: ElementTree.Element, tag: str, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter(SVG + tag) if element.get("class") == name]


@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_each_node_is_drawn_once_or_counted(name: str) -> None:
    graph = drawn_graphs.zoo_graph(name)
    root = parsed(draw(graph, fold=False).svg())
    nodes = of_class(root, "g", "node")
    assert [node.get("data-type") for node in sorted(nodes, key=lambda node: int(node.get("data-box")))] == [
        node.type for node in graph.nodes
    ]
    edges = {(int(edge.get("data-from")), int(edge.get("data-to"))) for edge in of_class(root, "path", "edge")}
    assert edges == set(graph.edges)

    drawing = draw(graph)
    folded = parsed(drawing.svg())
    times = [1] * len(of_class(folded, "g", "node"))
    blocks = [int(block.get("data-times")) for block in of_class(folded, "g", "block")]
    for group, count in zip(drawing.outline.groups, blocks, strict=True):
        times[group.first : group.last + 1] = [count] * (group.last - group.first + 1)
    assert sum(times) == len(graph)


def test_labels_tooltips_and_legend_say_what_is_there() -> None:
    graph = drawn_graphs.zoo_graph("resnet50")
    root = parsed(draw(graph, title="ResNet-50").svg())
    texts = ["".join(text.itertext()) for text in root.iter(SVG + "text")]
    assert {"ResNet-50", "conv 7×7 3→64", "max_pool 3×3", "bn 64", "conv 2048→1000", "bias 1000", "×5"} <= set(texts)
    for node_type, count in graph.counts().items():
        assert f"{node_type}: {LOOKS[node_type].words} ({count})" in texts
    titles = [title.text for title in root.iter(SVG + "title")]
    assert "conv: conv1.weight (64 × 3 × 7 × 7)" in titles
    assert "conv: layer2.1.conv1.weight (128 × 512 × 1 × 1)\n…\nlayer2.3.conv1.weight (128 × 512 × 1 × 1)" in titles


def test_growing_shapes_are_given_from_the_first_to_the_last() -> None:
    root = parsed(draw(drawn_graphs.zoo_graph("densenet121")).svg())
    assert "conv 1×1 64…224→128" in ["".join(text.itertext()) for text in root.iter(SVG + "text")]


def test_size_and_shape() -> None:
    root = parsed(draw(drawn_graphs.zoo_graph("resnet50"), size=(800, 600)).svg())
    assert (root.get("width"), root.get("height")) == ("800", "600")
    root = parsed(draw(drawn_graphs.zoo_graph("resnet50")).svg())
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"


def test_a_tall_picture_has_fewer_columns() -> None:
    graph = drawn_graphs.zoo_graph("resnet50")
    tall, wide = draw(graph, size=(400, 1600)).scene, draw(graph, size=(1600, 400)).scene
    assert tall.width / tall.height < wide.width / wide.height


def test_virtual_edges_are_those_of_the_shortest_paths() -> None:
    graph = drawn_graphs.split_graph("search", 0)
    drawing = draw(graph, fold=False, virtual_edges=3)
    arcs = next(group for group in parsed(drawing.svg()).iter(SVG + "g") if group.get("class") == "virtual")
    place = drawing.outline.place()
    drawn = {(int(a.get("data-from")), int(a.get("data-to"))): int(a.get("data-length")) for a in arcs}
    lengths = shortest_paths(len(graph), graph.edges)
    expected = {
        (place[i], place[j]): int(lengths[i, j])
        for i in range(len(graph))
        for j in range(len(graph))
        if 2 <= lengths[i, j] <= 3
    }
    assert drawn == expected
    folded = draw(graph, virtual_edges=3)
    assert len(folded.scene.arcs) <= len(expected)
    assert not draw(graph).scene.arcs


@given(
    name=st.one_of(st.just(HOSTILE), st.text(st.characters(), min_size=1, max_size=30)),
    kind=st.one_of(st.just(HOSTILE), st.sampled_from([*NODE_TYPES, *FURTHER_TYPES])),
)
@settings(max_examples=40)
def test_names_are_inert(name: str, kind: str) -> None:
    nodes = [Node("input"), *(Node(kind, f"{i}.{name}", (4, 4), (4, 4), source=name) for i in range(6))]
    drawing = draw(ArchGraph(tuple(nodes), tuple((i, i + 1) for i in range(6))), title=name)
    root = parsed(drawing.svg())
    allowed = {"svg", "title", "rect", "defs", "marker", "path", "g", "text", "circle", "polygon"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]


def test_a_hostile_name_is_still_legible() -> None:
    graph = ArchGraph((Node("input"), Node("conv", "a<b>&c", (4, 4), (4, 4))), ((0, 1),))
    assert "conv: a<b>&c (4 × 4)" in [title.text for title in parsed(draw(graph).svg()).iter(SVG + "title")]


def test_png_has_the_size_asked_for_and_the_colours(tmp_path: Path) -> None:
    graph = drawn_graphs.split_graph("predefined", 1)
    drawing = draw(graph, tmp_path / "a.png", size=(640, 480), title=r"$\frac{x}$ ^_ \alpha")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.size) == ("PNG", (640, 480))
    drawing = draw(graph, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (round(2 * drawing.scene.width), round(2 * drawing.scene.height))
        pixels = np.asarray(image.convert("RGB"))
    for box in drawing.scene.boxes:  # a place right of the text shows the colour of the type
        x, y = round(2 * (box.rect.right - 4)), round(2 * (box.rect.y + box.rect.height / 2))
        assert tuple(pixels[y, x]) == rgb(look(box.type).fill)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [value / 255 for value in rgb(colour)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_node_type_has_a_look_of_its_own_that_is_legible() -> None:
    assert set(LOOKS) == {*NODE_TYPES, *FURTHER_TYPES}
    looks = [*LOOKS.values(), OTHER]
    assert len({(style.fill, style.marker) for style in looks}) == len(looks)
    for style in looks:
        assert contrast(style.fill, INK) >= 7  # WCAG AAA for the text
        assert contrast(style.fill, style.stroke) >= 3  # WCAG AA for the marker


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


def test_draw_takes_a_module_a_graph_or_a_prediction_and_shows_itself() -> None:
    import ghn_init

    module = Small()
    for subject in (module, ghn_init.trace(module), ghn_init.predict(module)):
        drawing = draw(subject)
        assert parsed(drawing._repr_svg_()).tag == SVG + "svg"
        assert "<svg" in drawing._repr_html_()
        assert f"{sum(p.numel() for p in module.parameters()):,} parameters" in drawing.svg()
    assert draw(module).title == "Small"


def test_bad_arguments_name_what_is_wrong(tmp_path: Path) -> None:
    graph = drawn_graphs.split_graph("search", 0)
    with pytest.raises(DrawingError, match=r"x\.pdf: the suffix .* \.svg, \.png, \.html"):
        draw(graph, tmp_path / "x.pdf")
    with pytest.raises(DrawingError, match="from 2 to 50, not 1"):
        draw(graph, virtual_edges=1)
    with pytest.raises(DrawingError, match="not 10 x 600"):
        draw(graph, size=(10, 600))
    with pytest.raises(DrawingError, match="no nodes"):
        draw(ArchGraph((), ()))
    with pytest.raises(TypeError, match="not str"):
        draw("resnet50")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        draw(graph, tmp_path / "nowhere" / "x.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("library", "suffix"), [("igraph", ".svg"), ("matplotlib", ".png"), ("jinja2", ".html")])
def test_a_missing_library_is_named_with_the_extra(
    library: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if re.match(rf"{library}(\.|$)", name)] + [library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DrawingError, match=rf"{library}.*ghn-init\[draw\]"):
        draw(drawn_graphs.split_graph("search", 0), tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())
