"""Figures show themselves, and leave nothing open."""

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from keras_xai.report import figure as figures
from keras_xai.report import picture
from keras_xai.results import EmbeddingMap


def test_pictures_show_themselves_and_are_not_pyplots():
    before = pyplot.get_fignums()
    shown = [picture(np.eye(4)) for _ in range(30)]
    assert pyplot.get_fignums() == before
    assert shown[0]._repr_png_().startswith(b"\x89PNG")
    shown[0].canvas.draw()
    assert np.asarray(shown[0].canvas.buffer_rgba()).ndim == 3


@pytest.mark.parametrize(
    "backend, windows", [("QtAgg", True), ("tkagg", True), ("macosx", True), ("agg", False), ("inline", False)]
)
def test_backends_with_windows(monkeypatch, backend, windows):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: backend)
    assert figures._has_windows() == windows


def test_where_there_are_windows_pyplot_shows_what_results_plot(monkeypatch):
    monkeypatch.setattr(figures, "_has_windows", lambda: True)
    before = set(pyplot.get_fignums())
    result = EmbeddingMap(np.eye(2), "layer", 5.0, 1.0, 0.5)
    shown = result.plot()
    (number,) = set(pyplot.get_fignums()) - before
    assert pyplot.figure(number) is shown
    pyplot.close(shown)
    # Pages and notebooks show pictures themselves, and leave no window.
    picture(np.eye(4))
    assert "<img" in result._repr_html_()
    assert set(pyplot.get_fignums()) == before


@pytest.mark.parametrize("count", [3, 10])
def test_a_legend_has_no_more_columns_than_fit(count):
    figure = figures.new_figure(figsize=(4.0, 3.0), layout="constrained")
    axes = figure.add_subplot()
    lines = [axes.plot([0, 1], label=f"a class with a name {i}")[0] for i in range(count)]
    figures.add_legend(figure, lines, ncols=count, loc="outside lower center")
    figure.canvas.draw()
    extent = figure.legends[0].get_window_extent()
    assert len(figure.legends) == 1 and len(figure.legends[0].get_texts()) == count
    assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width and extent.y1 < axes.get_window_extent().y0
    assert figure.get_figheight() > 3.0 and axes.get_window_extent().height > figure.dpi
