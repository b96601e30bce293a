"""Explanations as pictures: what is drawn where, and in which color."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest

from keras_xai.attribution import Explanation, GradientTimesInput, Saliency
from keras_xai.metrics import Sparseness, compare_methods
from keras_xai.report import explanations_plot


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def explained(inputs, values, target=None):
    count = len(inputs) if isinstance(inputs, np.ndarray) else len(next(iter(inputs.values())))
    return Explanation(values, np.arange(count) if target is None else target, inputs, None, None, 1.0, "Hand")


def drawn(axes):
    (image,) = axes.images
    return np.asarray(image.get_array())


def red(color):
    return color[0] > color[2] + 0.05


def blue(color):
    return color[2] > color[0] + 0.05


def test_a_row_for_each_sample_and_a_column_for_each_method(rng):
    x = rng.random((6, 4, 5, 3))
    explanation = explained(x, rng.normal(size=x.shape))
    figure = explanations_plot({"one": explanation, "two": explanation}, samples=[4, 1], title="Both")
    assert len(figure.axes) == 2 * 3 + 1
    assert [axes.get_title() for axes in figure.axes[:6]] == ["input", "one", "two", "", "", ""]
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == ["class 4", "class 1"]
    np.testing.assert_allclose(drawn(figure.axes[0]), x[4])
    np.testing.assert_allclose(drawn(figure.axes[3]), x[1])
    assert figure._suptitle.get_text() == "Both"
    assert len(explanations_plot({"one": explanation}, samples=2).axes) == 2 * 2 + 1
    assert len(explanations_plot({"one": explanation}, samples=99).axes) == 6 * 2 + 1


def test_red_is_for_blue_against_and_zero_shows_the_picture():
    x, values = np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 1))
    x[0, 0, 1] = 1.0
    values[0, 1] = [[2.0], [-2.0]]
    colors = drawn(explanations_plot({"a": explained(x, values)}).axes[1])
    assert red(colors[1, 0]) and blue(colors[1, 1])
    np.testing.assert_allclose(colors[0, 1], 1)
    assert (colors[0, 0] < 0.9).all() and np.ptp(colors[0, 0]) < 1e-9


def test_one_pixel_does_not_wash_out_the_others():
    x, values = np.zeros((1, 40, 40, 1)), np.zeros((1, 40, 40, 1))
    values[0, :20] = 1.0
    values[0, 30, 30] = 1000.0
    colors = drawn(explanations_plot({"a": explained(x, values)}).axes[1])
    assert red(colors[5, 5])
    # One pixel alone is all there is to see.
    values[0, :20] = 0.0
    assert red(drawn(explanations_plot({"a": explained(x, values)}).axes[1])[30, 30])


def test_each_picture_has_its_own_scale(rng):
    x, values = np.zeros((1, 3, 3, 1)), rng.normal(size=(1, 3, 3, 1))
    figure = explanations_plot({"a": explained(x, values), "b": explained(x, 1e6 * values)})
    np.testing.assert_allclose(drawn(figure.axes[1]), drawn(figure.axes[2]))


def test_channels_are_added_and_need_not_be_told_apart(rng):
    x = rng.normal(size=(1, 4, 4, 3))
    values = rng.normal(size=(1, 4, 4, 3))
    figure = explanations_plot({"all": explained(x, values), "sum": explained(x, values.sum(axis=-1, keepdims=True))})
    np.testing.assert_allclose(drawn(figure.axes[1]), drawn(figure.axes[2]))


def test_preprocessing_is_undone(rng):
    rgb = rng.random((1, 4, 4, 3))
    x = 255 * rgb[..., ::-1] - np.array([104, 117, 123])
    explanation = explained(x, rng.normal(size=x.shape))
    figure = explanations_plot({"a": explanation}, show=lambda image: (image + np.array([104, 117, 123]))[..., ::-1] / 255)
    np.testing.assert_allclose(drawn(figure.axes[0]), rgb[0])
    plain = drawn(explanations_plot({"a": explanation}).axes[0])
    assert plain.min() == 0 and plain.max() == 1 and not np.allclose(plain, rgb[0], atol=0.1)


def test_constant_images_and_maps():
    for values in (np.zeros((1, 3, 3, 1)), np.ones((1, 3, 3, 1))):
        explanations_plot({"a": explained(np.ones((1, 3, 3, 1)), values)})
    explanations_plot({"a": explained(np.ones((1, 9, 1)), np.zeros((1, 9, 1)))})
    explanations_plot({"a": explained(np.ones((1, 3)), np.zeros((1, 3)))})
    explanations_plot({"a": explained(np.zeros((1, 3), int), np.zeros((1, 3)))})


def test_a_series_is_a_line_in_the_colors_of_its_values(rng):
    x = rng.normal(size=(2, 10, 2))
    values = np.zeros((2, 10, 2))
    values[0, :5, 0], values[0, 5:, 1] = 1.0, -1.0
    figure = explanations_plot({"a": explained(x, values)}, class_names=["up", "down"])
    first, second = figure.axes[:2]
    assert [first.get_ylabel(), second.get_ylabel()] == ["up", "down"] and first.get_title() == "a"
    lines = first.collections
    assert len(lines) == 2
    np.testing.assert_allclose(np.concatenate(lines[0].get_segments())[::2], np.stack([np.arange(9), x[0, :9, 0]], axis=1))
    assert red(lines[0].get_colors()[0]) and not red(lines[0].get_colors()[-1])
    assert blue(lines[1].get_colors()[-1]) and not blue(lines[1].get_colors()[0])
    one = explanations_plot({"a": explained(x, values.sum(axis=-1, keepdims=True))}, samples=1).axes[0]
    assert len(one.collections) == 2


def test_many_channels_are_an_image(rng):
    x = rng.normal(size=(1, 28, 28))
    figure = explanations_plot({"a": explained(x, rng.normal(size=x.shape))})
    np.testing.assert_allclose(drawn(figure.axes[0]), x[0])
    assert drawn(figure.axes[1]).shape == (28, 28, 3)
    one_channel = explanations_plot({"a": explained(x, rng.normal(size=(1, 28, 1)))})
    assert drawn(one_channel.axes[1]).shape == (28, 28, 3)


def test_bars_have_names_values_and_signs(rng):
    x, values = rng.normal(size=(1, 20)), np.zeros((1, 20))
    values[0, 3], values[0, 7], values[0, 11] = -4.0, 2.0, 1.0
    names = [f"f{i}" for i in range(20)]
    figure = explanations_plot({"a": explained(x, values), "b": explained(x, values[:, ::-1])}, feature_names=names)
    first, second = figure.axes[:2]
    labels = [text.get_text() for text in first.get_yticklabels()]
    assert len(labels) == 12 and labels[0] == f"f3 = {x[0, 3]:.3g}"
    assert {label.split(" ")[0] for label in labels} >= {"f3", "f7", "f11", "f16", "f12", "f8"}
    widths = dict(zip([label.split(" ")[0] for label in labels], [bar.get_width() for bar in first.patches], strict=True))
    assert widths["f3"] == -4 and widths["f7"] == 2 and widths["f16"] == 0
    other = dict(zip(widths, [bar.get_width() for bar in second.patches], strict=True))
    assert other["f16"] == -4 and other["f3"] == 0
    assert blue(first.patches[0].get_facecolor()) and first.get_xlim()[0] == -first.get_xlim()[1]


def labels(figure, number=0):
    return {text.get_text().split(" ")[0] for text in figure.axes[number].get_yticklabels()}


def test_bars_have_the_names_of_the_columns(rng):
    """From a `DataFrame` to the picture, of one explanation as of several."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    frame = pd.DataFrame(rng.normal(size=(4, 2)), columns=["age", "income"])
    explanation = Saliency(model)(frame)
    comparison = compare_methods(model, frame, [Saliency(model), GradientTimesInput(model)], [Sparseness()], verbose=0)
    for result in (explanation, comparison, comparison[1:3]):
        assert labels(result.plot(samples=1)) == {"age", "income"}
        assert labels(result.plot(samples=1, feature_names=pd.Index(["a", "b"]))) == {"a", "b"}
    unnamed = dataclasses.replace(explanation, feature_names=None)
    assert labels(unnamed.plot(samples=1)) == {"0", "1"}
    assert labels(explanations_plot({"a": unnamed, "b": explanation}, samples=1)) == {"age", "income"}


def test_words_are_on_a_ground_of_their_color():
    from matplotlib.patches import Rectangle

    tokens = np.array([[2, 3, 1, 0, 0]])
    values = np.array([[5.0, -5.0, 0.0, 9.0, 0.0]])
    figure = explanations_plot({"a": explained(tokens, values)}, vocabulary=["", "[UNK]", "good", "bad"])
    grounds = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(grounds) == 3  # and none for padding, whose value does not count for the scale either
    good, bad, unknown = (patch.get_facecolor() for patch in grounds)
    assert red(good) and blue(bad) and min(unknown[:3]) > 0.9
    long = np.full((1, 60), 2)
    lines = {
        patch.get_y()
        for patch in explanations_plot({"a": explained(long, np.ones((1, 60)))}).axes[0].patches
        if isinstance(patch, Rectangle)
    }
    assert len(lines) > 1


def test_several_inputs_have_a_row_each(rng):
    x = {"pixels": rng.random((2, 4, 4, 1)), "signal": rng.normal(size=(2, 9, 1)), "table": rng.normal(size=(2, 3))}
    values = {name: rng.normal(size=each.shape) for name, each in x.items()}
    target = {"kind": np.array([1, 0]), "size": np.array([2, 2])}
    figure = explanations_plot({"a": explained(x, values, target)})
    assert len(figure.axes) == 2 * 3 * 2 + 1
    assert figure.axes[0].get_ylabel() == "kind class 1\nsize class 2\npixels"
    assert figure.axes[2].get_ylabel() == "signal" and figure.axes[5].get_ylabel() == "table"
    assert len(figure.axes[3].collections) == 1 and len(figure.axes[5].patches) == 3


def test_a_callable_target_has_no_class(rng):
    x = rng.random((1, 3, 3, 1))
    assert explanations_plot({"a": explained(x, x, len)}).axes[0].get_ylabel() == ""


def test_it_can_be_saved(tmp_path, rng):
    x = rng.integers(1, 5, size=(2, 7))
    explanations_plot({"$a long name of a method$": explained(x, rng.normal(size=(2, 7)))}).savefig(tmp_path / "words.png")
    assert (tmp_path / "words.png").stat().st_size > 1000


def test_bad_input(rng):
    x = rng.random((2, 3, 3, 1))
    explanation = explained(x, x)
    with pytest.raises(ValueError, match="`named` to map names to at least one explanation. Received: named={}"):
        explanations_plot({})
    for samples in (0, [], [2], [-1]):
        with pytest.raises(ValueError, match="indices from 0 to 1. Received: samples="):
            explanations_plot({"a": explanation}, samples=samples)
    with pytest.raises(ValueError, match=r"of the same samples.*\(1, 3, 3, 1\).*for 'b'"):
        explanations_plot({"a": explanation, "b": explained(x[:1], x[:1])})
    with pytest.raises(ValueError, match="`class_names` to name class 1. Received: 1 names"):
        explanations_plot({"a": explanation}, class_names=["only"])
    with pytest.raises(ValueError, match="3 names, one for each feature. Received: 2 names"):
        explanations_plot({"a": explained(np.ones((1, 3)), np.ones((1, 3)))}, feature_names=["a", "b"])
    with pytest.raises(ValueError, match="Received: 2 words, and the token 7"):
        explanations_plot({"a": explained(np.array([[7]]), np.ones((1, 1)))}, vocabulary=["", "a"])
    with pytest.raises(ValueError, match="NaN or infinity for sample 1"):
        explanations_plot({"a": explained(x, np.where(np.arange(2)[:, None, None, None] == 1, np.nan, x))})


def test_values_that_are_all_zero_are_said_to_be():
    x = np.random.default_rng(0).random((2, 4, 4, 1))
    values = np.zeros_like(x)
    values[1, 0, 0] = 1
    explanation = Explanation(values, np.array([0, 0]), x, None, None, 1.0, "GradCAM")
    labels = [axes.get_xlabel() for axes in explanation.plot().axes if axes.images]
    assert labels.count("all values are zero") == 1 and labels.index("all values are zero") == 1


def test_a_vocabulary_is_any_ordered_collection_of_words():
    tokens = np.array([[1, 2, 3]])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Embedding(4, 2), keras.layers.Flatten(), keras.layers.Dense(2)])
    explanation = GradientTimesInput(model)(tokens)
    index = {"": 0, "a": 1, "good": 2, "film": 3}
    for words in (list(index), tuple(index), np.array(list(index)), index.keys(), pd.Index(list(index))):
        assert explanation.plot(vocabulary=words).axes
    for words in (index, set(index), "a good film"):
        with pytest.raises(ValueError, match="Expected `vocabulary` to be a list of names"):
            explanation.plot(vocabulary=words)
