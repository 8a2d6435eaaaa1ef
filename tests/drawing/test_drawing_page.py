"""The interactive page, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

import ghn_init
from ghn_init.drawing import draw
from ghn_init.drawing.facts import parameter_facts
from ghn_init.graph import ArchGraph, Node

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
browsers = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")

QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1300,900"
)
HOSTILE = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">'\"&é{{7*7}}"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in [*QUIET.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=webdriver.ChromeService(DRIVER), options=options)
    driver.set_page_load_timeout(120)
    driver.get("about:blank")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    with torch.device("meta"):
        return timm.create_model("resnet50")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, resnet: nn.Module) -> Callable[[str], Path]:
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(name: str) -> Path:
        if name not in made:
            made[name] = folder / f"{name}.html"
            subject = ghn_init.predict(resnet) if name == "resnet50" else hostile_graph()
            draw(subject, made[name], title=name if name == "resnet50" else HOSTILE)
        return made[name]

    return page


def hostile_graph() -> ArchGraph:
    names = [f"{HOSTILE}{index}" for index in range(3)]
    nodes = [Node("input"), *(Node(HOSTILE, name, (4, 4), (4, 4), source=HOSTILE) for name in names)]
    edges = tuple((index, index + 1) for index in range(3))
    return ArchGraph(tuple(nodes), edges, {HOSTILE: HOSTILE}, {}, "symbolic", {f"alias {HOSTILE}": names[0]})


def opened(driver: Any, path: Path) -> None:
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(path.as_uri())


def press(driver: Any, *keys: str) -> None:
    driver.switch_to.active_element.send_keys(*keys)


def by_id(driver: Any, name: str) -> Any:
    return driver.find_element("id", name)


def view_box(driver: Any) -> list[float]:
    picture = next(one for one in driver.find_elements("css selector", "#stage .layer > svg") if one.is_displayed())
    return [float(number) for number in picture.get_dom_attribute("viewBox").split()]


def shown_facts(driver: Any) -> dict[str, dict[str, str]]:
    """What the details say of each parameter."""
    return {
        card.get_attribute("data-parameter"): {
            fact.get_attribute("data-fact"): fact.text for fact in card.find_elements("css selector", "dd")
        }
        for card in driver.find_elements("css selector", "#details .parameter")
    }


def search_for(driver: Any, text: str) -> None:
    box = by_id(driver, "search")
    box.clear()
    box.send_keys(text)


def chosen_middle(driver: Any) -> tuple[float, float]:
    """Where the chosen node is, from the middle of the picture, in pixels."""
    return tuple(
        driver.execute_script(
            """const stage = document.getElementById("stage").getBoundingClientRect();
            const node = [...document.querySelectorAll(".node.chosen rect")].find((one) => one.getClientRects().length
              && one.getBoundingClientRect().width).getBoundingClientRect();
            return [node.x + node.width / 2 - stage.x - stage.width / 2, node.y + node.height / 2 - stage.y
              - stage.height / 2];"""
        )
    )


@browsers
def test_it_loads_without_errors_or_requests(browser: Any, pages: Callable[[str], Path]) -> None:
    for name in ("resnet50", "hostile"):
        path = pages(name)
        opened(browser, path)
        assert browser.get_log("browser") == []
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        # the browser's own first tab may still be loading
        asked = [request["request"]["url"] for request in sent if request["documentURL"] == path.as_uri()]
        assert asked == [path.as_uri()]
        assert browser.find_elements("css selector", "#stage .node")


@browsers
def test_search_finds_a_parameter_centres_it_and_tells_the_truth(
    browser: Any, pages: Callable[[str], Path], resnet: nn.Module
) -> None:
    opened(browser, pages("resnet50"))
    total = sum(parameter.numel() for parameter in resnet.parameters())
    for name in ("layer3.4.conv2.weight", "bn1.bias", "fc.weight"):
        search_for(browser, name)
        first = browser.find_elements("css selector", "#hits li")[0]
        assert first.text.startswith(name)
        press(browser, "\ue007")  # Enter
        parameter = resnet.get_parameter(name)
        facts = shown_facts(browser)[name]
        assert facts["shape"] == " × ".join(map(str, parameter.shape))
        assert facts["parameters"] == f"{parameter.numel():,}"
        assert float(facts["share"].split()[0]) == pytest.approx(100 * parameter.numel() / total, abs=0.006)
        assert chosen_middle(browser) == pytest.approx((0, 0), abs=2)
    assert facts["values"].startswith("left alone: classifier head of 1000 classes")
    search_for(browser, "conv")
    listed = browser.find_elements("css selector", "#hits li")
    convs = [name for name, _ in resnet.named_parameters() if "conv" in name]
    assert len(listed) == min(50, len(convs))
    assert by_id(browser, "found").text.startswith(f"{len(convs)} parameters" if len(convs) < 51 else f"{len(convs)} ")
    search_for(browser, "no such parameter")
    assert by_id(browser, "found").text == "No parameter is named like this."
    assert by_id(browser, "search").get_attribute("aria-expanded") == "false"


@browsers
def test_what_was_tiled_is_told(browser: Any, pages: Callable[[str], Path]) -> None:
    opened(browser, pages("resnet50"))
    search_for(browser, "layer4.2.conv2.weight")
    press(browser, "\ue007")
    block = ghn_init.load("default").config.max_shape
    words = shown_facts(browser)["layer4.2.conv2.weight"]["values"]
    told = re.match(r"tiled from a block of (\d+) × (\d+) × 3 × 3, repeated (\d+) × (\d+) times", words)
    assert told is not None, words
    out, inner, down, across = map(int, told.groups())
    assert (out, inner) == block[:2]
    assert (down, across) == (512 // block[0], 512 // block[1])


@browsers
def test_pointer_wheel_buttons_and_keys_change_the_view(browser: Any, pages: Callable[[str], Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    opened(browser, pages("resnet50"))
    stage = by_id(browser, "stage")
    start = view_box(browser)
    by_id(browser, "in").click()
    closer = view_box(browser)
    assert closer[2] == pytest.approx(start[2] / 1.3, rel=1e-3)
    assert closer[0] + closer[2] / 2 == pytest.approx(start[0] + start[2] / 2, rel=1e-3)  # about the same middle
    by_id(browser, "out").click()
    assert view_box(browser) == pytest.approx(start, rel=1e-3, abs=0.5)
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(stage), 0, -200).perform()
    assert view_box(browser)[2] < start[2]
    by_id(browser, "fit").click()
    assert view_box(browser) == pytest.approx(start, rel=1e-3, abs=0.5)
    browser.execute_script("arguments[0].focus()", stage)
    press(browser, "+")
    assert view_box(browser)[2] == pytest.approx(start[2] / 1.3, rel=1e-3)
    before = view_box(browser)
    press(browser, "\ue014")  # arrow to the right
    assert view_box(browser)[0] > before[0]
    press(browser, "\ue015")  # arrow down
    assert view_box(browser)[1] > before[1]
    press(browser, "0")
    assert view_box(browser) == pytest.approx(start, rel=1e-3, abs=0.5)
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(-90, -40).release().perform()
    moved = view_box(browser)
    scale = stage.size["width"] / start[2]
    assert moved[0] - start[0] == pytest.approx(90 / scale, rel=0.1)
    assert moved[1] - start[1] == pytest.approx(40 / scale, rel=0.1)


@browsers
def test_nodes_can_be_gone_through_by_keys_and_clicked(browser: Any, pages: Callable[[str], Path]) -> None:
    opened(browser, pages("resnet50"))
    stage = by_id(browser, "stage")
    browser.execute_script("arguments[0].focus()", stage)
    press(browser, "n", "n")
    assert list(shown_facts(browser)) == ["conv1.weight"]
    assert chosen_middle(browser) == pytest.approx((0, 0), abs=2)
    reader = browser.find_elements("css selector", "#details .links button")[-1]
    assert reader.text == "bn bn1.weight"
    reader.click()
    assert list(shown_facts(browser)) == ["bn1.weight", "bn1.bias"]
    press(browser, "p")
    assert list(shown_facts(browser)) == ["conv1.weight"]
    press(browser, "\ue00c")  # Escape
    assert "Click a node" in by_id(browser, "details").text
    press(browser, "0")
    node = browser.execute_script(
        """return [...document.querySelectorAll("#stage .layer:not([hidden]) .node")].find(
          (node) => node.textContent.includes("7×7"));"""
    )
    node.click()
    assert list(shown_facts(browser)) == ["conv1.weight"]
    press(browser, "/")
    assert browser.switch_to.active_element.get_attribute("id") == "search"


@browsers
def test_repeats_are_unfolded_and_types_picked_out(browser: Any, pages: Callable[[str], Path]) -> None:
    def visible() -> list[Any]:
        return browser.find_elements("css selector", "#stage .layer:not([hidden]) .node")

    opened(browser, pages("resnet50"))
    folded = len(visible())
    search_for(browser, "layer3.4.conv2.weight")
    press(browser, "\ue007")
    members = browser.find_elements("css selector", "#details .links button[data-node]")
    assert sum("layer3." in one.text and one.text.endswith("conv2.weight") for one in members) == 5
    by_id(browser, "fold").click()
    assert by_id(browser, "fold").get_attribute("aria-pressed") == "false"
    assert len(visible()) == 127 > folded
    assert "layer3.4.conv2.weight" in shown_facts(browser)
    assert chosen_middle(browser) == pytest.approx((0, 0), abs=2)
    pools = browser.find_element("css selector", ".type[data-type='max_pool']")
    pools.click()
    assert pools.get_attribute("aria-pressed") == "true"
    dimmed = browser.execute_script(
        """return [...document.querySelectorAll("#stage .layer:not([hidden]) .node")].filter(
          (node) => Number(getComputedStyle(node).opacity) < 1).length;"""
    )
    assert dimmed == 126


@browsers
def test_hostile_names_are_shown_and_inert(browser: Any, pages: Callable[[str], Path]) -> None:
    opened(browser, pages("hostile"))
    assert browser.title == HOSTILE
    assert browser.find_element("css selector", "h1").text == HOSTILE
    search_for(browser, "hacked")
    assert len(browser.find_elements("css selector", "#hits li")) == 4
    press(browser, "\ue007")
    assert browser.title == HOSTILE
    assert not browser.find_elements("css selector", "body img")
    assert len(browser.find_elements("css selector", "script")) == 2
    assert browser.get_log("browser") == []


@browsers
def test_it_follows_the_colour_scheme_and_is_named_for_screen_readers(
    browser: Any, pages: Callable[[str], Path]
) -> None:
    opened(browser, pages("resnet50"))
    papers = {}
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        papers[scheme] = by_id(browser, "stage").value_of_css_property("background-color")
    assert papers["light"] != papers["dark"]
    for control in browser.find_elements("css selector", "button, input, #stage"):
        assert control.accessible_name.strip(), control.get_attribute("outerHTML")
    assert by_id(browser, "search").aria_role == "combobox"
    assert by_id(browser, "details").get_attribute("aria-live") == "polite"


def test_a_page_names_no_other_place(pages: Callable[[str], Path]) -> None:
    text = pages("resnet50").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"(?:src|href)\s*=", text.replace("xlink:href", ""))


def test_facts_are_those_of_the_module(resnet: nn.Module) -> None:
    prediction = ghn_init.predict(resnet)
    found = {facts.name: facts for facts in parameter_facts(prediction.graph, resnet, prediction)}
    parameters = dict(resnet.named_parameters())
    assert found.keys() == parameters.keys()
    for name, parameter in parameters.items():
        assert (found[name].shape, found[name].count) == (tuple(parameter.shape), parameter.numel())
        assert found[name].fate == ("predicted" if name in prediction else "kept")
    assert sum(facts.share for facts in found.values()) == pytest.approx(1)


def test_decoded_blocks_repeat_in_the_prediction() -> None:
    """The block that the page tells of is what the weights are tiled from: without noise, copies are equal."""
    body = nn.Conv2d(3, 96, 3), nn.BatchNorm2d(96), nn.Conv2d(96, 80, 3, bias=False)
    module = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(80, 10))
    prediction = ghn_init.predict(module, noise=0, blend=0)
    for name in ("0.weight", "2.weight", "1.weight"):
        block, whole = prediction.decoded(name)
        assert whole == tuple(module.get_parameter(name).shape)
        value = prediction[name]
        repeats = [-(-want // have) for want, have in zip(whole[:2], block[:2], strict=True)]
        part = value[tuple(slice(side) for side in block)]
        tiled = part.repeat(*repeats, *[1] * (part.dim() - len(repeats)))[tuple(slice(side) for side in whole)]
        # the fan-in scale is the whole parameter's, so that copies are equal to the bit
        assert torch.equal(value, tiled)
