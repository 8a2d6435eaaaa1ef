"""Results show in HTML what they show as text, and names from users' modules and files as they are."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered_page import shown
from safetensors.torch import save_file
from torch import nn

import ghn_init
from ghn_init.checkpoints.inspect import inspect
from ghn_init.checkpoints.listing import listings
from ghn_init.evaluation.measure import Result
from ghn_init.evaluation.report import Report as Evaluation
from ghn_init.evaluation.summary import Summary
from ghn_init.rendering import visible

NAME = "[bold]w<b>&amp;:smile:"
ESCAPE = "\x1b[31m"


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module(f"{NAME}c", nn.Conv2d(3, 8, 3))
        self.register_parameter(f"{NAME}{ESCAPE}", nn.Parameter(torch.ones(3)))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(getattr(self, f"{NAME}c")(x).relu().mean((2, 3)))


Odd.__name__ = f"{NAME}Odd"


@pytest.fixture(scope="module")
def calibrated():
    prediction = ghn_init.predict(Odd())
    prediction.load_into(calibrate=True)
    return prediction


def test_report(calibrated):
    report = calibrated.report
    text, _ = shown(report)
    assert f"{NAME}Odd from checkpoint" in text
    assert f"{report.n_predicted:,} parameters" in text
    assert f"calibration of {NAME}Odd" in text
    for name in (f"{NAME}c.weight", f"{NAME}\\x1b[31m"):
        assert name in text
    assert ESCAPE not in text
    assert shown(calibrated)[0] == text
    assert f"{NAME}c.weight" in shown(report.calibration)[0]


@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Zs", "Mn", "Mc", "Me"]), min_size=1, max_size=3))
def test_report_shows_any_name(name):
    if "\n" in name:
        name = name.replace("\n", "n")
    report = ghn_init.Report(
        model=name,
        checkpoint=name,
        traced="symbolic",
        nodes={"conv": 1},
        predicted={"w": 4},
        left_alone={f"{name}.left": (4, "why")},
        tied={f"{name}.tied": "w"},
        not_understood={f"{name}.layer": 2},
        noise=0.0,
        seed=0,
    )
    text, _ = shown(report)
    for part in (
        "{} from checkpoint {}: predicted 1 tensors",
        "tied: {}.tied is w",
        "layers without a rule: {}.layer (2)",
    ):
        assert part.replace("{}", visible(name)) in text
    assert f"{visible(name)}.left" in text


def test_scales(calibrated):
    found = ghn_init.measure(Odd())
    text, _ = shown(found)
    assert text.splitlines()[0].startswith(f"{NAME}Odd on")
    for layer in found.layers:
        assert layer.name in text
        assert f"{layer.rms:.3g}" in text


def test_graph():
    graph = ghn_init.trace(Odd())
    text, _ = shown(graph)
    assert f"{len(graph)} nodes, {len(graph.edges)} edges" in text
    assert f"left out: {NAME}\\x1b[31m:" in text
    assert f"{NAME}c.weight" in text
    assert repr(graph) == f"ArchGraph({len(graph)} nodes, {len(graph.edges)} edges, symbolic trace)"


def test_graph_of_a_network_counts_its_parameters():
    network = timm.create_model("resnet18")
    graph = ghn_init.trace(network)
    text, _ = shown(graph)
    assert f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters" in text
    rows = [words for line in text.splitlines() if len(words := line.split()) == 4 and words[1].isdigit()]
    assert {row[0]: int(row[1]) for row in rows} == dict(graph.counts())
    convolutions = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    (row,) = (row for row in rows if row[0] == "conv")
    # timm's own head is a linear layer, which is of the type conv, too
    assert int(row[2]) == len(convolutions) + 1
    assert int(row[3].replace(",", "")) == sum(weight.numel() for weight in (*convolutions, network.fc.weight))
    assert f"({len(graph) - 32} more)" in text
    assert "fc.bias" in text
    assert len(text.splitlines()) < 60


def test_graph_without_nodes():
    assert shown(ghn_init.ArchGraph((), ()))[0] == "graph: 0 nodes, 0 edges, symbolic trace; 0 tensors, 0 parameters"


def test_inspection(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({f"{NAME}{ESCAPE}": torch.zeros(2, 3)}, path, metadata={"[red]key": "[/]value"})
    text, _ = shown(inspect(path))
    for part in (
        f"{NAME}\\x1b[31m",
        "float32",
        "2 x 3",
        "24 bytes",
        "[red]key",
        "[/]value",
        "safetensors file: 1 tensors",
    ):
        assert part in text


def test_listing():
    found = listings()
    text, _ = shown(found)
    for one in found:
        assert one.name in text


def test_evaluation():
    results = [
        Result(NAME, NAME, "predicted", top1=0.25, images=8),
        Result("x", "test", "predicted", "failed", message="no [red] such"),
    ]
    text, _ = shown(Evaluation(f"{NAME}ghn", f"{NAME}data", 10, None, results))
    for part in (f"{NAME}ghn", f"{NAME}data", "25.0", "no [red] such"):
        assert part in text
    assert shown(Evaluation("g", "d", 10))[0] == "no results"


def test_summary():
    text, _ = shown(Summary((0.5, 0.25, float("nan"))))
    assert text.startswith("accuracy in %: mean 37.5 ± 12.5, best 50.0, worst 25.0; 2 of 3 networks; ")
