"""Names of classes, features, layers and methods are drawn as they are, whatever characters they have."""

import html
import io
import warnings

import keras
import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from keras_xai.attribution import Explanation, GradientTimesInput
from keras_xai.openbox import OpenBox
from keras_xai.report import Page, parallel_coordinates
from keras_xai.report.figure import new_figure
from keras_xai.report.plots import histogram
from keras_xai.results import EmbeddingMap

NAMES = [
    *("$5 to $10", r"$\foo$", r"\$x\$", "_a^{b}", "_", "two\nlines", "<b>&", "50 %"),
    *("\U0001f600 \U0001f9ff", "\u05e9\u05dc\u05d5\u05dd", "\u6f22\u5b57", "a\ud800b", "\t\x00"),
]
COUNT = len(NAMES)


def drawn(figure):
    """The texts of a figure after it was drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO())
        figure.savefig(io.BytesIO(), bbox_inches="tight")
    return [text.get_text() for text in figure.findobj(Text)]


def as_written(name):
    return name.replace("\ud800", r"\ud800")


def explained(kind):
    shape = {"image": (COUNT, 4, 4, 1), "table": (COUNT, COUNT), "text": (COUNT, COUNT)}[kind]
    values = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    inputs = np.tile(np.arange(1, COUNT + 1), (COUNT, 1)) if kind == "text" else values
    return Explanation(values, np.arange(COUNT), inputs, None, None, 1.0, r"by_$\way$")


@pytest.mark.parametrize("kind", ["image", "table", "text"])
def test_explanations(kind):
    options = {"table": {"feature_names": NAMES}, "text": {"vocabulary": ["", *NAMES]}}.get(kind, {})
    texts = drawn(explained(kind).plot(COUNT, class_names=NAMES, title=r"$\title$", **options))
    assert {*map(as_written, NAMES), r"by_$\way$", r"$\title$"} <= set(texts)
    if kind == "table":  # the twelve most relevant ones
        assert {f"{as_written(name)} = {COUNT * COUNT - COUNT + 1 + i}" for i, name in enumerate(NAMES) if i} <= set(texts)


def test_legends_have_names_that_begin_with_an_underscore():
    texts = drawn(EmbeddingMap(np.eye(10, 2), r"$\layer$", 5.0, 1.0, 0.5).plot(labels=NAMES[:10]))
    assert {*NAMES[:10], r"$\layer$"} <= set(texts)
    texts = drawn(parallel_coordinates(np.ones((2, COUNT)), [3, 4], feature_names=NAMES, labels=["_yes", r"$\no$"]))
    assert {*map(as_written, NAMES), "_yes", r"$\no$"} <= set(texts)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu", name="_x"), keras.layers.Dense(3)])
    box, x = OpenBox(model), np.eye(3)
    line, plane = box.line(x[0], -x[1], verbose=0), box.plane(*x, verbose=0)
    names = ["_one", r"$\two$", "_"]
    legends = [figure.legends[0] for figure in (line.plot(class_names=names), plane.plot(class_names=names))]
    expected = [names[k] for k in np.unique(line.classes)], [names[k] for k in np.unique(plane.cells.classes)]
    assert [each.get_text() for each in legends[0].get_texts()] == expected[0]
    assert [each.get_text() for each in legends[1].get_texts()] == [*expected[1], "decision boundary", "the three inputs"]
    for legend in legends:
        drawn(legend.figure)


def test_powers_of_ten_and_mathematics_outside_stay():
    """What matplotlib itself writes is left alone; and other figures still have mathematics."""
    figure = histogram(np.array([1e-3, 5.0, 300.0]), r"$\x$")
    assert r"$\x$" in drawn(figure)
    (ticks,) = {text.get_parse_math() for text in figure.axes[0].get_xticklabels()}
    assert ticks and matplotlib.rcParams["text.parse_math"]
    other = matplotlib.figure.Figure()
    assert other.text(0, 0, "$x$").get_parse_math()
    other.text(0, 0, r"$\foo$")
    with pytest.raises(ValueError, match="Unknown symbol"):
        other.savefig(io.BytesIO())


def test_dollar_signs_are_drawn():
    """Pixel by pixel as the text without mathematics, and not as that with it."""

    def pixels(parse_math):
        figure = new_figure(figsize=(2, 1)) if parse_math is None else matplotlib.figure.Figure(figsize=(2, 1))
        text = figure.text(0.1, 0.4, "$5 to $10")
        if parse_math is not None:
            text.set_parse_math(parse_math)
        figure.canvas.draw() if parse_math is None else matplotlib.backends.backend_agg.FigureCanvasAgg(figure).draw()
        return np.asarray(figure.canvas.buffer_rgba())

    assert np.array_equal(pixels(None), pixels(False)) and not np.array_equal(pixels(None), pixels(True))


def test_pages(tmp_path):
    page = Page(NAMES[-2])
    for name in NAMES:
        page.heading(name).text(name).table([(name, name)], header=(name, name), caption=name)
    text = page.save(tmp_path / "$_\u05e9 \U0001f600.html").read_bytes().decode("utf-8")
    for name in NAMES:
        escaped = html.escape(as_written(name))
        assert f"<h2>{escaped}</h2>" in text and f"<td>{escaped}</td>" in text
    assert "white-space: pre-line" in text  # line breaks in names are line breaks


def test_notebooks_and_shells():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    found = GradientTimesInput(model)(np.ones((1, 2)))
    weird = Explanation(found.values, found.target, found.inputs, None, None, 1.0, "a\ud800$b", feature_names=["a\udc00", "_"])
    for text in (repr(weird), weird._repr_html_()):
        text.encode("utf-8")
        assert r"a\ud800$b" in text
