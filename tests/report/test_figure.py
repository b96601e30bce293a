"""Figures show themselves, and leave nothing open."""

import threading

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from keras_xai import report
from keras_xai.report import figure as figures
from keras_xai.report import picture
from keras_xai.results import EmbeddingMap, Explanation


def test_pictures_show_themselves_and_are_not_pyplots():
    before = pyplot.get_fignums()
    shown = [picture(np.eye(4)) for _ in range(30)]
    assert pyplot.get_fignums() == before
    assert shown[0]._repr_png_().startswith(b"\x89PNG")
    shown[0].canvas.draw()
    assert np.asarray(shown[0].canvas.buffer_rgba()).ndim == 3


@pytest.mark.parametrize("backend", ["agg", "svg", "pdf"])
def test_without_a_backend_that_shows_figures_none_is_kept(monkeypatch, backend):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: backend)
    before = pyplot.get_fignums()
    EmbeddingMap(np.eye(2), "layer", 5.0, 1.0, 0.5).plot()
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("backend", ["QtAgg", "tkagg", "macosx", "inline", "module://matplotlib_inline.backend_inline"])
def test_pyplot_shows_what_results_plot(monkeypatch, backend):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: backend)
    before = set(pyplot.get_fignums())
    result = EmbeddingMap(np.eye(2), "layer", 5.0, 1.0, 0.5)
    figures = [result.plot(), report.heatmap(np.eye(4))]
    numbers = sorted(set(pyplot.get_fignums()) - before)
    assert [pyplot.figure(number) for number in numbers] == figures
    for figure in figures:
        assert figure._repr_mimebundle_() == {}
        assert (figure.number in pyplot.get_fignums()) == (not backend.endswith("inline"))  # where it was displayed
        pyplot.close(figure)
    # What is embedded, was drawn in part only, or by another thread is not shown.
    assert "<img" in result._repr_html_()
    report.Page("page").figure(result.plot(), "map").panels([report.Panel("one", [report.picture(np.eye(4))], "caption")])
    with pytest.raises(ValueError, match="cells"):
        result.plot(cells=0, images=np.ones((2, 4, 4)))
    thread = threading.Thread(target=result.plot)
    thread.start()
    thread.join()
    assert set(pyplot.get_fignums()) == before


@pytest.mark.parametrize("plot", ["plot", "waterfall", "explanations_plot"])
def test_a_figure_with_a_path_is_saved_once_and_shown_once(monkeypatch, tmp_path, plot):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "tkagg")
    x, zeros = np.ones((1, 3)), np.zeros(1)
    explanation = Explanation(x, zeros.astype(int), x, zeros, None, 1.0, "Hand", base_score=zeros)
    saved, savefig = [], figures.ShownFigure.savefig
    monkeypatch.setattr(figures.ShownFigure, "savefig", lambda self, *args: saved.append(self) or savefig(self, *args))

    def draw(path):
        if plot == "explanations_plot":
            return report.explanations_plot({"a": explanation}, path=path)
        return explanation.plot(kind="waterfall" if plot == "waterfall" else None, path=path)

    before = set(pyplot.get_fignums())
    figure = draw(tmp_path / "a.png")
    (number,) = set(pyplot.get_fignums()) - before
    assert saved == [figure] and pyplot.figure(number) is figure and (tmp_path / "a.png").is_file()
    pyplot.close(figure)
    with pytest.raises(ValueError, match="`path`"):
        draw(tmp_path)
    assert set(pyplot.get_fignums()) == before  # what could not be saved is not shown


def test_a_page_keeps_the_figures_of_others_open():
    figure = pyplot.figure()
    report.Page("page").figure(figure)
    assert figure.number in pyplot.get_fignums()
    pyplot.close(figure)


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
