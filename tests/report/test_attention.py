"""Pictures of attention: what is in them, read from the axes."""

import numpy as np
import pytest

from keras_xai.results import AttentionMaps

RNG = np.random.default_rng(0)


def maps(heads, queries, keys, count=2):
    return RNG.dirichlet(np.ones(keys), size=(count, heads, queries))


def colored(axes):
    """The mean color of each half of a picture, left and right."""
    pixels = np.asarray(axes.images[0].get_array())
    half = pixels.shape[1] // 2
    return pixels[:, :half].mean(axis=(0, 1)), pixels[:, half:].mean(axis=(0, 1))


def test_matrices_have_the_weights_and_the_words():
    weights = maps(3, 4, 4)
    tokens = np.array([[5, 6, 7, 0], [5, 5, 5, 5]])
    found = AttentionMaps({"one": maps(2, 4, 4), "two": weights}, tokens, {"one": None, "two": None}, "model", "NL")
    figure = found.plot(vocabulary=["", *"abcdefg"])
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn] == ["mean of heads", "head 0", "head 1", "head 2"]
    assert figure.get_suptitle() == "two"
    for axes, expected in zip(drawn, [weights[0].mean(axis=0), *weights[0]], strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), expected[:3, :3])  # without padding
        assert axes.images[0].get_clim() == (0, expected[:3, :3].max())
        assert [each.get_text() for each in axes.get_xticklabels()] == ["e", "f", "g"]
        assert [each.get_text() for each in axes.get_yticklabels()] == ["e", "f", "g"]
    figure = found.plot(1, layer="one", query=2, title="$t$")
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), found.maps["one"][1, 0, 2:3])
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()] == ["5"] * 4
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["5"]


def test_one_head_has_no_mean():
    figure = AttentionMaps({"one": maps(1, 4, 4)}, None, {"one": None}, "model").plot(labels=["a", "b", "c", "$"])
    assert [axes.get_title() for axes in figure.axes] == ["head 0"]
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()][-1] == r"\$"


def test_queries_that_are_other_tokens_than_the_keys():
    weights = maps(2, 3, 5)
    figure = AttentionMaps({"one": weights}, None, {"one": None}, "model").plot(labels=list("abcde"))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), weights[0].mean(axis=0))
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["0", "1", "2"]


def test_labels_may_leave_out_padding():
    tokens = np.array([[5, 0, 6, 7, 0]])
    whole = maps(1, 5, 5, 1)
    figure = AttentionMaps({"one": whole}, tokens, {"one": None}, "model").plot(labels=["a", "b", "c"])
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]
    weights = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(weights, whole[0, 0][np.ix_([0, 2, 3], [0, 2, 3])])
    assert figure.axes[0].get_title(loc="right") == f"max {weights.max():.2g}"


def test_many_tokens_have_fewer_labels():
    figure = AttentionMaps({"one": maps(1, 90, 90)}, None, {"one": None}, "model").plot()
    assert len(figure.axes[0].get_xticklabels()) == 30
    assert figure.axes[0].images[0].get_array().shape == (90, 90)


@pytest.mark.parametrize("start", [0, 1])
def test_patches_are_drawn_where_they_are(start):
    """The attention of the class token, or the mean, is to patch 1 of 2 x 3; that of query 3 to patch 0."""
    weights = np.full((1, 1, 6 + start, 6 + start), 0.01)
    weights[..., start + 1] = 1
    weights[0, 0, 3] = 0.01
    weights[0, 0, 3, start] = 1
    images = np.full((1, 4, 6, 1), 0.5)
    images[0, 0, 0] = 1
    found = AttentionMaps({"one": weights}, images, {"one": (start, 2, 3)}, "model", "NHWC")
    for query, column in ((None, 1), (3, 0)):
        figure = found.plot(query=query)
        assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["image", "head 0"]
        pixels = np.asarray(figure.axes[1].images[0].get_array())
        brightness = pixels.sum(axis=-1).reshape(2, 2, 3, 2).mean(axis=(1, 3))
        assert pixels.shape == (4, 6, 3)
        assert np.unravel_index(brightness.argmax(), (2, 3)) == (0, column)
    told = found.plot().get_supxlabel()
    assert ("class token (query 0)" in told) == (start == 1) and ("their mean" in told) == (start == 0)
    assert figure.get_supxlabel() == "attention of query 3 to the patches"
    (outlined,) = figure.axes[0].patches
    assert outlined.get_xy() == ((3.5, -0.5) if start else (-0.5, 1.5))


def test_channels_first_and_many_channels():
    images = RNG.uniform(size=(1, 5, 4, 6))
    found = AttentionMaps({"one": maps(2, 7, 7, 1)}, images, {"one": (1, 2, 3)}, "model", "NCHW")
    assert np.shape(found.plot().axes[0].images[0].get_array()) == (4, 6)
    shown = found.plot(show=lambda image: np.repeat(image[..., :1], 3, axis=-1)).axes[0].images[0].get_array()
    assert np.shape(shown) == (4, 6, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sample": 2}, "`sample` to be an integer from 0 to 1"),
        ({"layer": "two"}, r"`layer` to be one of \['one'\]"),
        ({"query": 4}, "`query` to be an integer from 0 to 3"),
        ({"labels": ["a", "b"]}, "`labels` to be a list of 4 names, one for each key"),
        ({"vocabulary": ["a"]}, "`vocabulary` to have a word for each token, up to 7"),
    ],
)
def test_refused(options, message):
    found = AttentionMaps({"one": maps(2, 4, 4)}, np.array([[5, 6, 7, 0]] * 2), {"one": None}, "model", "NL")
    with pytest.raises(ValueError, match=message):
        found.plot(**options)
