"""The parallel-coordinates plot of regions."""

import io
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from keras_xai.report import parallel_coordinates


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(4, 6))


def _lines(figure):
    """The lines of regions, from the back to the front."""
    return [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]


def _legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_one_line_for_each_region_and_one_axis_for_each_feature(values):
    figure = parallel_coordinates(values, [5, 100, 30, 1], feature_names=list("abcdef"), label="weight")
    lines = _lines(figure)
    for line, region in zip(lines, [3, 0, 2, 1], strict=True):  # the largest in front
        np.testing.assert_array_equal(line.get_ydata(), values[region])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(6))
    assert (np.diff([line.get_linewidth() for line in lines]) > 0).all()
    assert (np.diff([line.get_alpha() for line in lines]) > 0).all()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == list("abcdef")
    assert axes.get_ylabel() == "weight" and _legend(figure) == ["1 sample", "100 samples"]
    low, high = axes.get_ylim()
    assert low < min(values.min(), 0) and high > max(values.max(), 0)


def test_colors_of_classes(values):
    figure = parallel_coordinates(values, [4, 3, 2, 1], labels=["cat", "dog", "cat", "bird"])
    colors = [to_rgba(line.get_color()) for line in _lines(figure)][::-1]
    assert colors[0] == colors[2] and len(set(colors)) == 3
    assert _legend(figure) == ["bird", "cat", "dog", "1 sample", "4 samples"]
    handles = figure.axes[0].get_legend().get_lines()
    assert to_rgba(handles[1].get_color()) == colors[0]


def test_colors_of_a_response(values):
    response = np.array([0.2, 0.9, 0.2, 0.5])
    figure = parallel_coordinates(values, [4, 3, 2, 1], response=response, response_label="share")
    colors = [to_rgba(line.get_color()) for line in _lines(figure)][::-1]
    assert colors[0] == colors[2] and len(set(colors)) == 3
    bar = figure.axes[1]
    assert bar.get_ylabel() == "share" and bar.get_ylim() == pytest.approx((0.2, 0.9))
    parallel_coordinates(values, [1, 1, 1, 1], response=[0.5] * 4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (40, 2), (7, 64)])
def test_any_number_of_lines_and_axes_is_drawn(shape):
    names = [f"a rather long name of feature {i}" for i in range(shape[1])]
    figure = parallel_coordinates(np.ones(shape), np.arange(1, shape[0] + 1), feature_names=names)
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_size_inches()[0] <= 14
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_names_do_not_overlap_where_there_are_thirty():
    figure = parallel_coordinates(np.ones((2, 30)), [1, 2], feature_names=[f"worst dimension {i}" for i in range(30)])
    figure.savefig(io.BytesIO(), format="png")
    labels = figure.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {45}
    ends = [label.get_window_extent().x1 for label in labels]
    assert min(np.diff(ends)) > 1.2 * labels[0].get_fontsize() * figure.dpi / 72  # turned, a line of text is this wide


@pytest.mark.parametrize(
    "change, message",
    [
        ({"values": np.ones(3)}, r"shape \(regions, features\). Received: shape \(3,\)"),
        ({"values": np.ones((4, 8, 8))}, r"Received: shape \(4, 8, 8\)"),
        ({"values": np.ones((0, 3)), "samples": []}, r"Received: shape \(0, 3\)"),
        ({"values": np.full((4, 6), np.nan)}, "finite `values`"),
        ({"samples": [1, 2]}, "4 positive numbers, one for each region"),
        ({"samples": [1, 2, 0, 1]}, "4 positive numbers"),
        ({"feature_names": ["a"]}, "`feature_names` to be a list of 6 names"),
        ({"labels": [1, 2]}, r"`labels` to have one entry for each of 4 regions. Received: shape \(2,\)"),
        ({"response": 0.5}, r"`response` to have one entry for each of 4 regions. Received: shape \(\)"),
        ({"response": [0, 1, np.inf, 0]}, "finite response"),
        ({"response": [0] * 4, "labels": [0] * 4}, "each line has one color"),
        ({"values": np.ones((11, 2)), "samples": [1] * 11, "labels": range(11)}, "at most 10 classes.*Received: 11"),
    ],
)
def test_wrong_arguments(change, message, values):
    arguments = {"values": values, "samples": [1, 2, 3, 4], **change}
    with pytest.raises(ValueError, match=message):
        parallel_coordinates(arguments.pop("values"), arguments.pop("samples"), **arguments)
