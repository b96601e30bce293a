"""Series as lines: any number of channels, of any length."""

import numpy as np
import pytest

from keras_xai.report import explanations_plot
from tests.report.test_explanations import blue, explained, red

RNG = np.random.default_rng(0)


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_the_strongest_channels_have_a_lane_each():
    x, values = RNG.normal(size=(1, 30, 40)), 0.01 * RNG.normal(size=(1, 30, 40))
    strong = [1, 5, 8, 13, 21, 22, 34, 39]
    values[0, :, strong] += np.linspace(1, 2, 8)[:, None]
    figure = explanations_plot({"a": explained(x, values), "b": explained(x, x.mean(axis=-1, keepdims=True))})
    for axes in figure.axes[:2]:  # the same channels for methods that do not tell them apart
        assert not axes.images and labels(axes) == [f"channel {i}" for i in strong]
        assert axes.get_xlabel() == "time step; 32 more channels"
    for lane, (line, channel) in enumerate(zip(figure.axes[0].lines, strong, strict=True)):
        drawn = lane - line.get_ydata()  # upward, in a lane of its own
        assert (np.abs(drawn) < 0.5).all()
        assert np.corrcoef(drawn, x[0, :, channel])[0, 1] == pytest.approx(1)
    named = explained(x, values).plot(feature_names=[f"sensor {i}" for i in range(40)]).axes[0]
    assert labels(named)[0] == "sensor 1"
    with pytest.raises(ValueError, match="40 names, one for each channel"):
        explained(x, values).plot(feature_names=["a"])


def test_few_channels_share_an_axis_and_are_named():
    x = np.stack([np.zeros(9), np.full(9, 0.01), np.ones(9)], axis=1)[None]
    axes = explained(x, np.ones_like(x)).plot().axes[0]
    np.testing.assert_array_equal([line.get_ydata() for line in axes.lines], x[0].T)
    axes.figure.canvas.draw()
    extents = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["channel 0", "channel 1", "channel 2"]
    assert not any(one.overlaps(two) for i, one in enumerate(extents) for two in extents[:i])
    assert not explained(x[..., :1], x[..., :1]).plot().axes[0].texts


def test_a_long_series_keeps_its_extremes():
    x, values = np.sin(np.arange(50_000.0) / 3000)[None, :, None], np.zeros((1, 50_000, 1))
    x[0, 31_234], values[0, 12_345], values[0, 45_000] = 9.0, 1.0, -1.0
    axes = explained(x, values).plot().axes[0]
    (line,), (colored,) = axes.lines, axes.collections
    time, y = line.get_data()
    assert len(y) <= 1501 and y.max() == 9 and time[y.argmax()] == 31_234 and (np.diff(time) > 0).all()
    np.testing.assert_array_equal(y, x[0, time, 0])
    colors = colored.get_colors()
    places = np.array([segment[:, 0].mean() for segment in colored.get_segments()])
    assert red(colors[np.abs(places - 12_345).argmin()]) and blue(colors[np.abs(places - 45_000).argmin()])
    assert axes.get_xlabel() == "time step"


def test_a_square_array_of_many_channels_is_an_image():
    assert explained(RNG.normal(size=(1, 9, 9)), np.ones((1, 9, 9))).plot().axes[0].images
    assert not explained(RNG.normal(size=(1, 8, 8)), np.ones((1, 8, 8))).plot().axes[0].images


def test_zero_values_are_told():
    x = RNG.normal(size=(1, 9, 2))
    assert explained(x, 0 * x).plot().axes[0].get_xlabel() == "all values are zero"


def test_signs_and_scales():
    x, values = np.ones((1, 9, 5)), np.zeros((1, 9, 5))
    values[0, 4], values[0, 8] = -1.0, 0.5

    def colors(values=values, **options):
        return explained(x, values).plot(**options).axes[0].collections[0].get_colors()

    assert blue(colors()[3]) and red(colors(sign="absolute")[3])
    assert red(colors(sign="positive")[7]) and not red(colors(sign="positive")[3]) and not blue(colors(sign="positive")[3])
    from matplotlib import colormaps

    np.testing.assert_allclose(colors(values - 2, cmap="viridis", percentile=50)[0], colormaps["viridis"](0.0))
