import base64
import csv
import dataclasses
import html.parser
import io
import json
import re

import pytest
from comparison_parts import QUICK
from PIL import Image

from ghn_init.comparison import RunResult, texts
from ghn_init.comparison.analysis import Analysis
from ghn_init.comparison.estimates import Estimate
from ghn_init.comparison.tables import Sheet
from ghn_init.rendering import as_text


class Page(html.parser.HTMLParser):
    """Refuses tags that do not match; keeps texts, attributes and tables' cells."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.attributes, self.cells = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


@pytest.fixture(scope="module")
def written(quick, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    made = dataclasses.replace(quick, command="ghn-init compare 'a <b>' --seeds 2")
    return made, folder, made.write(folder)


def test_the_files_are_those_that_are_named(written):
    _, folder, files = written
    assert {file.name for file in files} == {path.name for path in folder.iterdir()}
    names = {"results.json", "runs.csv", "curves.csv", "summary.csv", "tables.txt", "report.html"}
    assert {file.name for file in files} == names | {"budgets-Tiny.png", "curves-Tiny.png"}
    for file in files:
        if file.suffix == ".png":
            with Image.open(file) as image:
                assert image.format == "PNG"
                image.load()


def test_the_page_is_whole_and_needs_nothing_else(written):
    result, folder, _ = written
    page = Page()
    text = (folder / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    page.close()
    assert page.open == []
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert len(links) == 2
    for link in links:
        kind, _, content = link.partition(",")
        assert kind == "data:image/png;base64"
        assert content
        assert Image.open(io.BytesIO(base64.b64decode(content))).format == "PNG"
    assert not re.search(r"https?:|//\w|url\(|@import|<script", re.sub(r'"data:[^"]*"', "", text))
    assert "ghn-init compare 'a <b>' --seeds 2" in "".join(page.text)
    for cell in result.analysis.cells.values():
        assert texts.percent(cell.accuracy) in page.cells
    for choice in result.choices.values():
        assert any(one.rstrip("*") == texts.rate(choice.lr) for one in page.cells)
    for name, value in dataclasses.asdict(QUICK).items():
        assert name in page.cells
        assert value is None or isinstance(value, tuple) or str(value) in page.cells


def test_csv_and_json_hold_every_run_and_every_point(written):
    result, folder, _ = written
    with (folder / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["strategy"], int(row["steps"]), float(row["lr"]), float(row["accuracy"])) for row in rows] == [
        (run.strategy, run.steps, run.lr, run.accuracy) for run in result.runs
    ]
    with (folder / "curves.csv").open() as file:
        points = [(int(row["seed"]), int(row["step"]), float(row["accuracy"])) for row in csv.DictReader(file)]
    assert points == [(run.seed, *point) for run in result.runs for point in run.curve]
    found = json.loads((folder / "results.json").read_text())
    assert [RunResult.from_row(row) for row in found["runs"]] == list(result.runs)
    assert found["config"]["budgets"] == [2, 4]
    cell = result.analysis.cells["Tiny", "default", 2]
    assert found["cells"][0]["accuracy"]["value"] == pytest.approx(cell.accuracy.value)


def test_names_with_brackets_are_shown_whole(quick):
    renamed = dataclasses.replace(
        quick,
        sizes={"net[red]": next(iter(quick.sizes.values()))},
        runs=tuple(dataclasses.replace(run, model="net[red]") for run in quick.runs),
        choices={("net[red]", *rest): choice for (_, *rest), choice in quick.choices.items()},
    )
    assert "net[red]" in str(renamed)
    assert "net[red]" in renamed._repr_html_()
    sheet = as_text(Sheet("from [/a]", ("the name of a start",), [["[b]"]], "of [c]"))
    assert all(text in sheet for text in ("from [/a]", "[b]", "of [c]"))


def analysed(accuracies, budgets=(10, 100)):
    """By start, seed and budget, with a curve that has the accuracy before training."""
    config = dataclasses.replace(QUICK, strategies=tuple(accuracies), budgets=budgets)
    runs = [
        RunResult("m", start, "test", steps, 0.1, seed, accuracy=value, curve=((0, 0.1),) if steps == 100 else ())
        for start, seeds in accuracies.items()
        for seed, values in enumerate(seeds)
        for steps, value in zip(budgets, values, strict=True)
    ]
    return Analysis(runs, ["m"], config)


def test_speed_ups_are_largest_budget_by_steps_to_the_references_last_accuracy():
    made = analysed({"default": [(0.2, 0.4), (0.2, 0.4)], "a": [(0.5, 0.6), (0.3, 0.6)], "b": [(0.1, 0.2), (0.1, 0.3)]})
    assert made.overall["m", "default"].speed_up == Estimate(1.0, 1.0, 1.0, 2)
    assert made.overall["m", "a"].steps == pytest.approx(10)
    assert made.overall["m", "a"].speed_up.value == pytest.approx(10)
    low = 100 / 10 ** (4 / 3)  # from 0.3 to 0.6 over a factor of 10, a third of the way
    assert made.overall["m", "a"].speed_up.low == pytest.approx(low)
    assert made.overall["m", "a"].speed_up.high == pytest.approx(100 / 7.5)  # from 0.1 at 0 to 0.5 at 10
    assert made.overall["m", "b"].speed_up.value == 0
    assert texts.times(made.overall["m", "b"].speed_up) == "<1x (<1 to <1)"
    assert texts.steps(made.overall["m", "b"].steps) == "not reached"
    assert [made.standings[start].rank for start in ("a", "default", "b")] == [1, 2, 3]
    assert (made.standings["a"].wins, made.standings["b"].behind) == (2, 1)


def test_ranks_of_equals_are_shared_and_missing_ones_left_out():
    made = analysed({"default": [(0.2, 0.4)], "a": [(0.2, None)]})
    assert [made.cells["m", start, 10].rank for start in ("default", "a")] == [1.5, 1.5]
    assert made.cells["m", "default", 100].rank == 1
    assert made.standings["a"].of == 1
    assert made.cells["m", "a", 100].failed == 1
