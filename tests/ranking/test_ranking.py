"""Rankings against single measurements and published intervals."""

import copy
import csv
import dataclasses
import json
import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ranked_networks import Small, normed, small
from torch import nn

from ghn_init import proxies
from ghn_init.evaluation import EvaluationError, NamedNetwork, Setup, SplitNetwork, measure
from ghn_init.evaluation.measure import Task, own_network
from ghn_init.images import Images, normalise
from ghn_init.ranking import RankingError, Row, rank
from ghn_init.ranking.result import ordered
from ghn_init.ranking.rows import interval

WIDTHS = [NamedNetwork("ranked_networks:small", (("width", width),)) for width in range(8, 56, 8)]


def untimed(ranking):
    return [dataclasses.replace(row, seconds=0.0) for row in (*ranking.rows, *ranking.over_budget)]


@pytest.fixture(scope="module")
def ranking(images, ghn):
    return rank([*WIDTHS, "ranked_networks:normed"], images, ghn=ghn, images=None, batch_size=16)


def test_rows_are_what_single_measurements_find(ranking, images, ghn):
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    setup = Setup(ghn, images.subset(order), image_size=12, batch_size=16)
    networks = [*WIDTHS, NamedNetwork("ranked_networks:normed")]
    single = {network.name: measure(setup, Task(network, "predicted")) for network in networks}
    assert {row.name: row.score for row in ranking.rows} == {name: found.top1 for name, found in single.items()}
    scores = [row.score for row in ranking.rows]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 2
    assert ranking.best == ranking.rows[0]
    for row in ranking.rows:
        found = single[row.name]
        assert (row.parameters, row.predicted, row.images) == (found.parameters, found.predicted, 64)
        assert (row.low, row.high) == interval(round(found.top1 * 64), 64)


def test_all_networks_get_the_same_images(images, ghn):
    """Each network of a split has its own in an evaluation."""
    one = rank([SplitNetwork("search", 1)], images, ghn=ghn, images=16, batch_size=16, max_parameters=400_000)
    networks = ["split:search:1", WIDTHS[0]]
    both = rank(networks, images, ghn=ghn, images=16, batch_size=16, max_parameters=400_000)
    assert untimed(one)[0] in untimed(both)
    assert {row.images for row in both.rows} == {16}
    again = rank(networks, images, ghn=ghn, images=16, batch_size=16, max_parameters=400_000)
    assert untimed(again) == untimed(both)


def test_intervals_are_the_published_ones():
    # Brown, Cai & DasGupta, 2001, and statsmodels.stats.proportion.proportion_confint(..., method="wilson")
    assert interval(8, 10) == pytest.approx((0.49016247, 0.94331785), abs=1e-7)
    assert interval(0, 10) == pytest.approx((0.0, 0.27753279), abs=1e-7)
    assert interval(50, 100) == pytest.approx((0.40383153, 0.59616847), abs=1e-7)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_intervals_end_where_the_score_test_rejects(images, share):
    right = round(images * share)
    accuracy = right / images
    for end in interval(right, images):
        if end not in (0.0, 1.0):
            z = abs(accuracy - end) / math.sqrt(end * (1 - end) / images)
            assert z == pytest.approx(1.959964, abs=1e-4)


def test_what_fails_is_a_row_with_its_reason(images, ghn):
    names = ("broken", "unbuildable", "many_outputs", "infinite", "small")
    found = rank([f"ranked_networks:{name}" for name in names], images, ghn=ghn, images=32, batch_size=16)
    rows = {row.name.partition(":")[2]: row for row in found.rows}
    assert rows["small"].status == "ok"
    assert (rows["broken"].status, rows["broken"].score) == ("failed", None)
    assert rows["unbuildable"].message == "LookupError: no such thing"
    assert rows["unbuildable"].parameters is None
    assert "its outputs are (5,) for an image, where there are 2 classes" in rows["many_outputs"].message
    assert rows["infinite"].status == "not finite"
    assert rows["infinite"].score == 0.0
    assert {row.name for row in found.failed} == {f"ranked_networks:{name}" for name in names[:3]}
    assert found.rows[0].name == "ranked_networks:small"
    assert all(words in str(found) for words in ("LookupError", "guessing gives 50.0 %"))


@settings(max_examples=15)
@given(
    widths=st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True),
    max_parameters=st.none() | st.integers(1, 3000),
    max_flops=st.none() | st.integers(1, 300_000),
)
@example(widths=[8, 9], max_parameters=30 * 8 + 6, max_flops=None)  # just within, just over
def test_budgets_hold(ghn, widths, max_parameters, max_flops):
    images = Images(torch.zeros(4, 3, 12, 12, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    networks = {f"width {width}": Small(2, width) for width in widths}
    sizes = {f"width {width}": (30 * width + 6, 144 * 27 * width + 2 * width) for width in widths}
    found = rank(networks, images, ghn=ghn, by="params", max_parameters=max_parameters, max_flops=max_flops)
    within = {
        name
        for name, (parameters, flops) in sizes.items()
        if (max_parameters is None or parameters <= max_parameters) and (max_flops is None or flops <= max_flops)
    }
    assert {row.name for row in found.rows} == within
    assert {row.name for row in found.over_budget} == sizes.keys() - within
    assert all(row.score == row.parameters == sizes[row.name][0] for row in found.rows)
    assert all(row.flops == sizes[row.name][1] for row in found.rows)
    assert all("at most" in row.message and row.score is None for row in found.over_budget)


def test_a_stopped_ranking_goes_on(ranking, images, ghn, tmp_path):
    networks = [*WIDTHS, "ranked_networks:normed"]

    class StoppedError(Exception):
        pass

    def stop(done, total, row):
        assert total == 7
        if done == 3:
            raise StoppedError

    def go_on(out, watch, **options):
        return rank(networks, images, ghn=ghn, images=None, batch_size=16, out=out, watch=watch, **options)

    with pytest.raises(StoppedError):
        go_on(tmp_path, stop)
    with (tmp_path / "ranking.jsonl").open("a") as file:
        file.write('{"name": "torn')  # as if killed while writing
    seen = []
    found = go_on(tmp_path, lambda done, total, row: seen.append((done, row.name)))
    assert [done for done, _ in seen] == [4, 5, 6, 7]
    assert untimed(found) == untimed(ranking)
    assert untimed(go_on(tmp_path, lambda *arguments: pytest.fail("measured again"))) == untimed(ranking)
    with pytest.raises(EvaluationError, match="batch_size was 16 and is 8"):
        rank(networks, images, ghn=ghn, images=None, batch_size=8, out=tmp_path)
    with pytest.raises(EvaluationError, match="by was 'ghn' and is 'params'"):
        rank(networks, images, ghn=ghn, by="params", images=None, batch_size=16, out=tmp_path)


def test_another_budget_goes_on_with_the_same_rows(images, ghn, tmp_path):
    def with_budget(limit, out):
        return rank(WIDTHS, images, ghn=ghn, images=None, batch_size=16, out=out, max_parameters=limit)

    narrow = with_budget(800, tmp_path / "out")
    assert (len(narrow.rows), len(narrow.over_budget)) == (3, 3)
    wide, new = with_budget(1000, tmp_path / "out"), with_budget(1000, None)
    assert (len(wide.rows), untimed(wide)[:4]) == (4, untimed(new)[:4])
    again = with_budget(800, tmp_path / "out")
    assert (untimed(again)[:3], len(again.over_budget)) == (untimed(narrow)[:3], 3)


def test_failures_are_tried_again(images, ghn, tmp_path):
    models, seen = ["ranked_networks:small", "ranked_networks:unbuildable"], []
    for _ in range(2):
        rank(models, images, ghn=ghn, images=8, out=tmp_path, watch=lambda done, total, row: seen.append(row.name))
    assert seen == [*models, "ranked_networks:unbuildable"]


def test_modules_are_measured_as_they_are_and_stay_so(images, ghn, tmp_path):
    torch.manual_seed(3)
    module = normed().train()
    before = copy.deepcopy(module)
    modules = [module, small(width=16), small(width=24)]
    found = rank(modules, images, ghn=ghn, images=None, batch_size=16, out=tmp_path)
    assert {row.name for row in found.rows} == {"Normed", "Small", "Small#2"}
    assert module.training
    assert module.norm.running_mean is not None
    for (name, value), (_, old) in zip(module.state_dict().items(), before.state_dict().items(), strict=True):
        assert torch.equal(value, old), name
    by_name = {row.name: row for row in found.rows}
    named = rank([WIDTHS[1], WIDTHS[2]], images, ghn=ghn, images=None, batch_size=16)
    assert sorted(row.score for row in named.rows) == sorted(by_name[name].score for name in ("Small", "Small#2"))
    # own values count where nothing is predicted, so that other ones are another network
    seen = []
    with torch.no_grad():
        module.scale.mul_(torch.tensor([-1.0, 1.0]))
    rank(
        modules, images, ghn=ghn, images=None, batch_size=16, out=tmp_path, watch=lambda *row: seen.append(row[2].name)
    )
    assert seen == ["Normed"]


def test_networks_in_order():
    rows = [
        Row("large", 0.5, parameters=20),
        Row("failed", status="failed"),
        Row("small", 0.5, parameters=10),
        Row("best", 0.6, parameters=99),
        Row("unknown", status="not finite"),
        Row("also small", 0.5, parameters=10),
    ]
    names = ["best", "also small", "small", "large", "unknown", "failed"]
    assert [row.name for row in ordered(rows)] == names
    assert [row.name for row in ordered(rows[::-1])] == names


@pytest.mark.parametrize("by", ["grad_norm", "synflow", "naswot"])
def test_proxies_score_networks_with_their_own_weights(images, ghn, by):
    found = rank(WIDTHS[:3], images, ghn=ghn, by=by, images=None, batch_size=16)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    setup = Setup(ghn, images.subset(order), image_size=12, batch_size=16)
    pixels, labels = setup.images.take(setup.block(0)[:16])
    x = normalise(pixels, 12, images.mean, images.std)
    expected = {network.name: proxies.score(own_network(setup, network), x, labels, by) for network in WIDTHS[:3]}
    assert {row.name: row.score for row in found.rows} == expected
    assert [row.score for row in found.rows] == sorted(expected.values(), reverse=True)
    assert all(row.low is None for row in found.rows)


def test_proxies_need_no_ghn_for_these_classes(ghn, images):
    other = Images(images.pixels, torch.arange(64) % 5)
    assert rank("ranked_networks:small", other, ghn=ghn, by="flops").best.score == 12 * 12 * 27 * 8 + 8 * 5
    with pytest.raises(EvaluationError, match="5 classes"):
        rank("ranked_networks:small", other, ghn=ghn)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "beauty"}, "cannot be ranked by 'beauty'; known are ghn, params, flops"),
        ({"max_parameters": 0}, "max_parameters=0 must be at least 1"),
        ({"max_flops": -1}, "max_flops=-1"),
        ({"images": 0}, "images=0"),
        ({"batch_size": 1}, "batch_size=1"),
    ],
)
def test_mistakes_are_refused(images, ghn, options, words):
    with pytest.raises(RankingError, match=words):
        rank("ranked_networks:small", images, ghn=ghn, **options)


def test_a_ranking_as_json_csv_text_and_html(ranking, tmp_path):
    paths = ranking.write(tmp_path / "new" / "folder")
    data = json.loads(paths[0].read_text())
    assert data == json.loads(json.dumps(ranking.to_dict()))
    assert [row["name"] for row in data["rows"]] == [row.name for row in ranking.rows]
    assert (data["chance"], data["confidence"], data["images"], data["by"]) == (0.5, 0.95, 64, "ghn")
    with paths[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [row.score for row in ranking.rows]
    assert paths[2].read_text() == f"{ranking}\n"
    assert all(row.name in str(ranking) and row.name in ranking._repr_html_() for row in ranking.rows)
    assert ranking.table(2).row_count == 2


def test_names_that_look_like_markup_are_shown_as_they_are(images, ghn):
    found = rank({"[red]x[/red]": Small(), "a": nn.Sequential(nn.Flatten(), nn.Linear(432, 2))}, images, ghn=ghn)
    assert "[red]x[/red]" in str(found)
