"""The page on linear pieces shows the numbers that the pieces have."""

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox, Walls
from keras_xai.report import Page, openbox_page

CLASSES = ("cat", "<dog>", "bird")


class RecordedPage(Page):
    """A page that keeps its figures, to be looked at."""

    def __init__(self, title):
        super().__init__(title)
        self.all_panels, self.all_figures, self.all_texts = [], [], []

    def panels(self, panels):
        self.all_panels += list(panels)
        return super().panels(self.all_panels)

    def figure(self, figure, caption=""):
        self.all_figures.append(figure)
        self.all_texts.append(caption)
        return super().figure(figure, caption)

    def text(self, text):
        self.all_texts.append(text)
        return super().text(text)


def pieces_of(shape=(6, 5, 1), n=7):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(shape)
    x = keras.layers.Reshape((*shape, 1) if len(shape) == 2 else shape)(x)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="convolution")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs, x)
    return OpenBox(model, dtype="float64")(np.random.default_rng(0).random((n, *shape)), verbose=0)


@pytest.fixture(scope="module")
def local():
    return pieces_of()


@pytest.fixture(scope="module")
def walls(local):
    return local.nearest_wall(verbose=0)


def test_heatmaps_are_the_decision_features_on_one_scale(local, walls):
    page = RecordedPage("title")
    show = [5, 0, 3]
    openbox_page(local, walls, show=show, page=page)
    expected = local.decision_features(against="runner-up")[show, ..., 0]
    limit = np.abs(expected).max()
    assert len(page.all_panels) == 3
    for panel, features, i in zip(page.all_panels, expected, show, strict=True):
        image, heat = (figure.axes[0].images[0] for figure in panel.figures)
        np.testing.assert_array_equal(image.get_array(), local.x[i, ..., 0])
        np.testing.assert_array_equal(heat.get_array(), features)
        assert heat.get_clim() == (-limit, limit)
    assert page.all_figures[0].axes[0].get_xlim() == (-limit, limit)


def test_heatmaps_explain_the_lead_of_the_predicted_class(local):
    # Against a naive reading of the pieces: the features' slope is the change of the score difference, class by class.
    features = local.decision_features(against="runner-up")
    for i, scores in enumerate(local.scores):
        first, second = sorted(range(3), key=lambda c: -scores[c])[:2]
        np.testing.assert_allclose(features[i], local.coef[i, first] - local.coef[i, second], atol=1e-15)


def test_captions_say_what_is_seen(local, walls):
    page = RecordedPage("title")
    predicted = local.scores.argmax(axis=1)
    labels = np.where(np.arange(len(local)) == 1, (predicted + 1) % 3, predicted)
    openbox_page(local, walls, labels=labels, class_names=CLASSES, page=page)
    for i, panel in enumerate(page.all_panels):
        first, second = np.argsort(-local.scores[i])[:2]
        assert panel.title == f"Predicted {CLASSES[first]}, runner-up {CLASSES[second]}"
        assert f"Brighter red pixels favor {CLASSES[first]}, brighter blue pixels {CLASSES[second]}." in panel.caption
        assert f"{walls.distance[i]:.2g}; nearest wall: unit {walls.unit[i]} of convolution" in panel.caption
        assert panel.caption.startswith(f"Wrong: it is {CLASSES[labels[i]]}." if i == 1 else "Correct.")
    assert "<dog>" not in page.html()
    assert "&lt;dog&gt;" in page.html()


def test_number_of_panels_and_figures(local, walls):
    source = openbox_page(local, walls).html()
    assert source.count('<section class="panel">') == 7
    assert source.count("<img ") == 2 * 7 + 2  # and the color bar and the histogram


def test_images_without_channels_and_pictures_of_their_own():
    local = pieces_of((6, 5), n=2)
    page = RecordedPage("title")
    pictures = np.random.default_rng(1).random((2, 6, 5, 3))
    openbox_page(local, local.nearest_wall(verbose=0), images=pictures, page=page)
    np.testing.assert_array_equal(page.all_panels[1].figures[0].axes[0].images[0].get_array(), pictures[1])
    assert openbox_page(local, local.nearest_wall(verbose=0)).html().count("<img ") == 2 * 2 + 2


def test_zero_and_infinite_radii_are_said(local, walls):
    distance = walls.distance.copy()
    distance[0], distance[1] = 0.0, np.inf
    units, layers = list(walls.unit), list(walls.layer)
    units[1] = layers[1] = None
    page = RecordedPage("title")
    openbox_page(local, Walls(distance, walls.direction, tuple(layers), tuple(units)), page=page)
    assert "Valid at this image only, which lies on a wall" in page.all_panels[0].caption
    assert "Valid everywhere" in page.all_panels[1].caption
    assert (
        "1 samples lie exactly on a wall" in page.all_texts[-1]
        and "1 samples are on a piece without walls" in page.all_texts[-1]
    )
    # With no radius to draw there is no histogram, only the words.
    nothing = RecordedPage("title")
    openbox_page(local, Walls(np.zeros(7), walls.direction, walls.layer, walls.unit), page=nothing)
    assert len(nothing.all_figures) == 1 and "7 samples lie exactly on a wall" in nothing.all_texts[-1]


def test_errors_say_what_was_received(local, walls):
    with pytest.raises(ValueError, match="one label for each of the 7 samples. Received: labels="):
        openbox_page(local, walls, labels=[0, 1])
    with pytest.raises(ValueError, match="3 names, one for each class of the model. Received: 2 names"):
        openbox_page(local, walls, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"from 0 to 6. Received: show=\[7\]"):
        openbox_page(local, walls, show=[7])
    with pytest.raises(ValueError, match=r"Received: show=\[\]"):
        openbox_page(local, walls, show=[])
    with pytest.raises(ValueError, match=r"begin with the shape of the samples, \(7, 6, 5\). Received: .*\(7, 5, 6\)"):
        openbox_page(local, walls, images=np.zeros((7, 5, 6)))
    with pytest.raises(ValueError, match="same 7 samples.*Received: walls of 1 samples"):
        openbox_page(local, Walls(np.zeros(1), walls.direction[:1], walls.layer[:1], walls.unit[:1]))
    inputs, others = keras.Input((30,)), keras.Input((30,), name="others")
    dense = keras.layers.Dense(3)
    flat = OpenBox(keras.Model(inputs, dense(inputs)))(np.zeros((7, 30)), verbose=0)
    with pytest.raises(ValueError, match=r"Received: samples of shape \(7, 30\)"):
        openbox_page(flat, walls)
    several = OpenBox(keras.Model([inputs, others], dense(keras.layers.Add()([inputs, others]))))(
        [np.zeros((7, 30))] * 2, verbose=0
    )
    with pytest.raises(ValueError, match="Received: samples of several inputs"):
        openbox_page(several, walls)
    image = keras.Input((6, 5, 1))
    single = OpenBox(keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image))))(local.x, verbose=0)
    with pytest.raises(ValueError, match="at least two classes. Received: one"):
        openbox_page(single, walls)
