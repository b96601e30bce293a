"""Pages: one file, nothing obeyed that was meant as text."""

import base64
import html.parser
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from keras_xai.report import Card, Case, Page, Panel, heatmap, picture

HOSTILE = '<script src="https://example.org/x.js"></script> & "quotes"'


def every_part(text="text"):
    figures = [picture(np.eye(4)), picture(np.ones((4, 4)))]
    return (
        Page(text)
        .heading(text)
        .heading(text, level=3)
        .text(text)
        .table([(text, text)], header=(text, text), caption=text)
        .figure(picture(np.eye(8)), text)
        .panels([Panel(text, figures, text)])
    )


class Reader(html.parser.HTMLParser):
    """Collects tags, addresses and text; fails on tags that are not closed in order."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.addresses, self.texts, self._open = [], [], [], []
        self.feed(source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_page_is_self_contained():
    source = every_part().html()
    reader = Reader(source)
    assert len(reader.addresses) == reader.tags.count("img") == 3
    assert all(address.startswith("data:image/png;base64,") for address in reader.addresses)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"https?:|@import|url\(", source)


def test_text_is_escaped_everywhere():
    reader = Reader(every_part(HOSTILE).html())
    assert "script" not in reader.tags
    # Title (twice), two headings, paragraph, two header cells, two cells, and captions of table, figure and panel, and the panel's title.
    assert reader.texts.count(HOSTILE) == 13
    assert all(address.startswith("data:") for address in reader.addresses)


def test_pictures_are_those_drawn():
    figure = Figure(figsize=(2, 1), facecolor="red")
    (address,) = Reader(Page("title").figure(figure).html()).addresses
    pixels = imread(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    assert pixels.shape[:2] == (192, 384)
    np.testing.assert_array_equal(pixels[..., :3], np.broadcast_to([1.0, 0.0, 0.0], (192, 384, 3)))


def test_saves_what_it_shows(tmp_path):
    page = every_part("Größe \u2264 1")
    path = page.save(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == page.html()


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="`level` to be 2 or 3.*Received: level=1"):
        Page("title").heading("text", level=1)
    with pytest.raises(ValueError, match=r"of equal length. Received: 2 rows of \[1, 2\] cells"):
        Page("title").table([("a", 1), ("b",)])
    with pytest.raises(ValueError, match=r"Received: 1 rows of \[2, 3\] cells"):
        Page("title").table([("a", 1)], header=("x", "y", "z"))
    with pytest.raises(ValueError, match="Received: 0 rows"):
        Page("title").table([])
    with pytest.raises(FileNotFoundError, match="Create the folder first"):
        Page("title").save(tmp_path / "missing" / "page.html")


def test_cards_cases_and_bars():
    figure = heatmap(np.eye(3))
    page = Page("Blocks").cards([Card("a <b>", "good news", "why", "good"), Card("c", "d")])
    page.cases([Case("case", figure, [("cat", 0.25, "25 %")], [("method", [("good", 1.0), ("bad", -1.0)])], "wrong", "poor")])
    page.bars([("dog", 2.0, "2")])
    found = page.html()
    assert 'class="card good"' in found and "a &lt;b&gt;" in found and found.count('class="card"') == 1
    assert "width: 25.0%" in found and "width: 100.0%" in found  # bars are cut at 1
    assert found.count("<img") == 1 and 'class="note poor">wrong' in found
    # Red speaks for, blue against: the ends of the color scale.
    (red,), (blue,) = (re.findall(rf"background: #(\w{{6}});[^>]*>{word}<", found) for word in ("good", "bad"))
    assert red[:2] > red[4:] and blue[:2] < blue[4:]  # hexadecimal red, green, blue
    with pytest.raises(ValueError, match="`bars` to be triples"):
        page.bars([("dog", "long", "2")])
