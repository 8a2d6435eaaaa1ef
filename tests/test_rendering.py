import io
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rendered_page import Page, shown
from rich.console import Console
from rich.table import Table

from ghn_init.rendering import Rendered, as_html, as_text, inert, line, plain_table, visible

HOSTILE = "[bold]w[/bold] [/] <script>alert(1)</script> :smile: &amp; \x1b[31mred\x07 \u202edlrow"
COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]


class Pair(Rendered):
    def __init__(self, name, value):
        self.name, self.value = name, value

    def __rich_console__(self, console, options):
        yield line("pair ", (self.name, "bold red"), ": ", self.value)
        table = plain_table("name", "value", right=("value",))
        table.add_row(inert(self.name), inert(self.value))
        yield table


def test_text_and_html_say_the_same():
    pair = Pair("layer1.conv.weight", 7)
    text, page = shown(pair)
    assert text.splitlines()[0] == "pair layer1.conv.weight: 7"
    assert str(pair) == text
    assert Page(pair._repr_html_()).text == page.text
    assert "bold" in page.styles


def test_names_that_look_like_something_else_are_shown_as_they_are():
    text, page = shown(Pair(HOSTILE, "[red]"))
    for part in (
        "[bold]w[/bold] [/]",
        "<script>alert(1)</script>",
        ":smile: &amp;",
        r"\x1b[31mred\x07",
        r"\u202edlrow",
    ):
        assert part in text.replace("\n", " ")
    assert "\x1b" not in text
    assert "\x1b" not in page.text


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3))
@example(["0" * 40 + "\x1f" * 3] * 3)  # longer than a line
def test_any_text_comes_out_whole(parts):
    whole = "".join(map(visible, parts))
    assert line(*parts).plain == whole
    table = plain_table("")
    table.add_row(line(*parts))
    text, _ = shown(table)
    # rich breaks lines at spaces, and shows a tab, which is none here, as spaces
    assert re.sub(r"\s", "", text) == re.sub(r"\s", "", whole)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]", whole)
    whole.encode("utf-8")


def luminance(colour):
    """WCAG 2.2's relative luminance of "#rrggbb"."""
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("style", [*COLOURS, *(f"bright_{name}" for name in COLOURS), "dim"])
@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#1e1e1e"])
def test_colours_are_readable_on_light_and_dark_pages(style, page):
    found = re.findall(r"color: (#[0-9a-f]{6})", Page(as_html(inert("text", style))).styles)
    assert found
    for colour in found:
        low, high = sorted((luminance(colour), luminance(page)))
        assert (high + 0.05) / (low + 0.05) >= 3.5


def test_plain_words_have_the_page_s_colour():
    assert "color" not in Page(as_html(line("plain ", ("bold", "bold")))).styles


def test_neither_the_terminal_nor_a_notebook_changes_what_is_made(monkeypatch):
    pair = Pair("a" * 150, 7)
    text, page = str(pair), pair._repr_html_()
    for name, value in (("COLUMNS", "20"), ("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        assert (str(pair), pair._repr_html_()) == (text, page)


def test_nothing_is_displayed_beside_what_is_returned(monkeypatch):
    import rich.console
    import rich.jupyter

    displayed = []
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(rich.jupyter, "display", lambda *made: displayed.append(made))
    assert Console().is_jupyter
    pair = Pair("a", 7)
    assert str(pair)
    assert pair._repr_html_()
    assert displayed == []


def test_ipython_shows_the_text_and_the_page():
    pair = Pair("a", 7)
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    formatter.active_types = formatter.format_types
    found, _ = formatter.format(pair)
    assert found["text/plain"] == str(pair)
    assert found["text/html"] == pair._repr_html_()


def test_ascii_output_gets_ascii_boxes(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    table = Table("a")
    table.add_row("b")
    assert as_text(table).isascii()
