"""A page as tests read it."""

import html.parser

from ghn_init.rendering import as_html, as_text


class Page(html.parser.HTMLParser):
    """Keeps texts, tags and styles; refuses tags that do not match."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.tags, self.styles = [], "", set(), ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        assert [name for name, _ in attrs] == ["style"]
        self.styles += attrs[0][1]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def shown(renderable):
    """The text and the page, after the check that they say the same."""
    text, page = as_text(renderable), Page(as_html(renderable))
    assert page.text.rstrip() == text
    assert page.tags <= {"pre", "span"}
    return text, page
