"""The same trained network has the same explanations, metrics and pictures in all layouts of its input."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import metrics
from keras_xai.attribution import (
    CAM,
    LIME,
    LRP,
    RISE,
    SHAP,
    AblationCAM,
    DecisionFeatures,
    Deconvnet,
    DeepSHAP,
    EigenCAM,
    Explanation,
    FeatureAblation,
    GradCAM,
    GradCAMPlusPlus,
    GradientSHAP,
    GradientTimesInput,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    HSICAttribution,
    IntegratedGradients,
    LayerCAM,
    Occlusion,
    Saliency,
    ScoreCAM,
    ShapleyValueSampling,
    SmoothGrad,
    SobolAttribution,
    VarGrad,
    XGradCAM,
)
from keras_xai.data.layout import Layout
from keras_xai.features import Ascent, Dream, deep_dream, extreme_examples, maximize_activation, receptive_field, reconstruct
from keras_xai.layers import with_layout
from keras_xai.openbox import OpenBox
from keras_xai.report import activations_plot, openbox_page
from tests import channels_first

SHAPE = (10, 13, 3)
METHODS = {
    "Saliency": Saliency,
    "GradientTimesInput": GradientTimesInput,
    "SmoothGrad": lambda m: SmoothGrad(m, num_samples=4, seed=0),
    "VarGrad": lambda m: VarGrad(m, num_samples=4, seed=0),
    "IntegratedGradients": lambda m: IntegratedGradients(m, steps=8),
    "GuidedBackprop": GuidedBackprop,
    "Deconvnet": Deconvnet,
    "DecisionFeatures": DecisionFeatures,
    "LRP": LRP,
    "CAM": CAM,
    "GradCAM": GradCAM,
    "GradCAMPlusPlus": GradCAMPlusPlus,
    "ScoreCAM": ScoreCAM,
    "LayerCAM": LayerCAM,
    "HiResCAM": HiResCAM,
    "XGradCAM": XGradCAM,
    "EigenCAM": EigenCAM,
    "AblationCAM": AblationCAM,
    "GuidedGradCAM": GuidedGradCAM,
    "Occlusion": lambda m: Occlusion(m, window=(3, 4)),
    "LIME": lambda m: LIME(m, num_samples=100, segments=12, seed=0),
    "FeatureAblation": lambda m: FeatureAblation(m, groups=4),
    "RISE": lambda m: RISE(m, num_samples=30, grid_size=4, seed=0),
    "SobolAttribution": lambda m: SobolAttribution(m, num_samples=4, groups=3, seed=0),
    "HSICAttribution": lambda m: HSICAttribution(m, num_samples=40, groups=3, seed=0),
    "ShapleyValueSampling": lambda m: ShapleyValueSampling(m, num_samples=2, groups=3, seed=0),
    "DeepSHAP": DeepSHAP,
    "GradientSHAP": lambda m: GradientSHAP(m, num_samples=20, seed=0),
    "SHAP kernel": lambda m: SHAP(m, explainer="kernel", num_samples=60, segments=8, seed=0),
    "SHAP partition": lambda m: SHAP(m, explainer="partition", num_samples=60, seed=0),
}
# Positions are numbered in the same order in all layouts, but gradients may be added in another order.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def core(shape, **options):
    """A small convolutional network."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(6, 3, activation="relu", name="conv", **options),
            layers.GlobalAveragePooling2D(**options),
            layers.Dense(3, activation="softmax"),
        ],
        name="core",
    )


def samples(count, channels, seed=0):
    """Images with a bright square in the channel, or of the texture, of their class."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(0.2, 0.1, size=(count, *SHAPE[:2], channels)).astype("float32"), draw.integers(0, 3, count)
    for image, label in zip(x, y, strict=True):
        row, column = draw.integers(0, [6, 9])
        patch = np.indices((4, 4))[label] % 2 if channels == 1 and label < 2 else np.ones((4, 4))
        image[row : row + 4, column : column + 4, label % channels] += 2 * patch
    return x, y


def trained(channels):
    keras.utils.set_random_seed(0)
    model = core((*SHAPE[:2], channels))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(*samples(200, channels), epochs=8, batch_size=20, verbose=0)
    return model


@pytest.fixture(scope="module")
def color():
    return trained(3), samples(3, 3, seed=1)[0]


@pytest.fixture(scope="module")
def gray():
    return trained(1), samples(3, 1, seed=1)[0]


def permuted(model, letters):
    """The model for inputs of another layout."""
    order = [letters.index(letter) for letter in "HWC"]
    x = keras.Input([SHAPE["HWC".index(letter)] for letter in letters[1:]])
    return keras.Model(x, model(layers.Permute(order)(x)))


def native(model):
    """The model with channels first."""
    turned = core((3, 10, 13), data_format="channels_first")
    turned.set_weights(model.get_weights())
    return turned


def without_channels(model):
    x = keras.Input(SHAPE[:2])
    return keras.Model(x, model(layers.Reshape((*SHAPE[:2], 1))(x)))


VARIANTS = {
    "permuted": ("NCHW", lambda model: permuted(model, "NCHW")),
    "width first": ("NWHC", lambda model: permuted(model, "NWHC")),
    "channels first": ("NCHW", native),
    "reshaped": ("NHW", without_channels),
}


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request, color, gray):
    """A network and its samples, and the same network and samples in another layout."""
    letters, change = VARIANTS[request.param]
    model, x = gray if letters == "NHW" else color
    if change is native and not channels_first.computed_here():
        pytest.skip("this device has no convolutions with channels first")
    return model, x, change(model), Layout(letters).restored(x), Layout(letters)


@pytest.mark.onednn
@pytest.mark.parametrize("name", METHODS)
def test_values(pair, name):
    model, x, other, turned, layout = pair
    expected, found = METHODS[name](model)(x), METHODS[name](other)(turned)
    assert expected.layout == "NHWC" and found.layout == layout.letters and np.abs(expected.values).max() > 0
    assert found.values.shape == layout.restored(expected.values).shape
    np.testing.assert_allclose(layout.channels_last(found.values), expected.values, **CLOSE)


def rated(model, method, explanation, masks):
    """The value of each metric."""
    options = {"seed": 0}
    every = [
        metrics.Deletion(model, steps=9),
        metrics.Insertion(model, steps=9, baseline=0.2),
        metrics.PixelFlipping(model, region=2, steps=6, **options),
        metrics.Infidelity(model, num_perturbations=10, **options),
        metrics.MaxSensitivity(method, num_samples=3, **options),
        metrics.RandomLogit(model, method, **options),
        metrics.Sparseness(),
        metrics.NeighborSimilarity(),
        metrics.PointingGame(masks, tolerance=1),
        metrics.RelevanceMass(masks),
        metrics.RelevanceRank(masks),
        metrics.TopKIntersection(masks, k=9),
        metrics.ROAD(model, steps=3, **options),
        metrics.IROF(model, segments=6),
        metrics.FaithfulnessCorrelation(model, num_perturbations=9, **options),
        metrics.Monotonicity(model, steps=5, num_samples=2, **options),
        metrics.Sufficiency(model),
        metrics.Complexity(),
        metrics.LocalLipschitzEstimate(method, num_samples=3, **options),
        metrics.EfficientMPRT(model, method, **options),
    ]
    return {metric.label: metric(explanation) for metric in every}


@pytest.mark.parametrize("make", [GradientTimesInput, GradCAM])
def test_metrics(pair, make):
    model, x, other, turned, _ = pair
    masks = np.zeros((len(x), *SHAPE[:2]), bool)
    masks[:, 2:8, 3:7] = True
    expected = rated(model, make(model), make(model)(x), masks)
    found = rated(other, make(other), make(other)(turned), masks)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-3, atol=1e-4, err_msg=name)


def test_metrics_with_a_wrong_layout_differ(color):
    model, x = color
    other = permuted(model, "NCHW")
    explanation = GradientTimesInput(other)(np.moveaxis(x, -1, 1))
    right = metrics.Sparseness()(explanation)
    fields = explanation.to_fields() | {"layout": "NHWC"}
    assert np.abs(metrics.Sparseness()(Explanation.from_fields(fields)) - right).min() > 0.02


def drawn(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


@pytest.mark.parametrize("make", [GradientTimesInput, GradCAM])
def test_pictures(pair, make):
    model, x, other, turned, _ = pair
    expected, found = drawn(make(model)(x).plot()), drawn(make(other)(turned).plot())
    assert len(expected) == len(found) == 6
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-3)


def test_features(pair):
    model, x, other, turned, layout = pair
    path = "conv" if other.name == "core" else "core/conv"
    options = {"ascent": Ascent(steps=5), "seed": 0}
    one, two = maximize_activation(model, 1, **options), maximize_activation(other, 1, **options)
    np.testing.assert_allclose(layout.channels_last(two.images), one.images, atol=1e-3)
    np.testing.assert_allclose(drawn(two.plot())[0], drawn(one.plot())[0], atol=1e-3)
    one, two = reconstruct(model, x, layer="conv", top=2), reconstruct(other, turned, layer=path, top=2)
    np.testing.assert_allclose(drawn(two.plot())[1], drawn(one.plot())[1], atol=1e-3)
    one, two = extreme_examples(model, x, layer="conv", k=2), extreme_examples(other, turned, layer=path, k=2)
    np.testing.assert_array_equal(two.highest.indices, one.highest.indices)
    dream = {"value_range": (-2, 5), "dream": Dream(octaves=2, steps=2, jitter=2), "seed": 0}
    if layout.letters != "NHW":  # the layers after a `Reshape` take one size only
        one = deep_dream(model, x, layers="conv", **dream)
        two = deep_dream(other, turned, layers=path, **dream)
        np.testing.assert_allclose(layout.channels_last(two.images), one.images, atol=1e-3)
        np.testing.assert_allclose(drawn(two.plot())[1], drawn(one.plot())[1], atol=1e-3)


@pytest.mark.parametrize("letters", ["NCHW", "NWHC"])
def test_receptive_fields(color, letters):
    model, _ = color
    expected = dict(zip("HWC", receptive_field(model, "conv", (2, 5)), strict=True))
    found = receptive_field(permuted(model, letters), "core/conv", (2, 5))
    assert found == tuple(expected[letter] for letter in letters[1:])
    assert expected["H"] == slice(2, 5)


@pytest.mark.parametrize("letters", ["NCHW", "NWHC"])
def test_pictures_of_linear_pieces_and_activations(color, letters):
    model, x = color
    turned = Layout(letters).restored(x)
    one, two = OpenBox(model)(x, verbose=0), OpenBox(permuted(model, letters))(turned, verbose=0)
    (expected, *_), (found, *_) = (local.nearest_facets(2, verbose=0) for local in (one, two))
    assert found.layout == letters
    for first, second in zip(drawn(expected.plot(x[0])), drawn(found.plot(turned[0])), strict=True):
        np.testing.assert_allclose(second, first, atol=1e-3)
    pages = [openbox_page(local, local.nearest_wall(verbose=0)).html() for local in (one, two)]
    assert pages[0].count('class="panel"') == pages[1].count('class="panel"') == 3
    found = np.random.default_rng(0).random((2, 4, 5, 6))
    first = activations_plot({"": {"conv": found}})
    second = activations_plot({"": {"conv": Layout(letters).restored(found)}}, layout=letters)
    np.testing.assert_array_equal(drawn(first), drawn(second))


def test_segmenters_receive_pictures(pair):
    model, x, other, turned, _ = pair
    seen = []

    def quarters(image):
        seen.append(image)
        return np.arange(image.shape[0])[:, None] // 5 * 2 + np.arange(image.shape[1]) // 7

    found = [LIME(*each, segments=quarters, num_samples=20, seed=0) for each in ((model,), (other,))]
    assert [len(each(given, target=0)) for each, given in zip(found, (x, turned), strict=True)] == [3, 3]
    for one, two in zip(seen[:3], seen[3:], strict=True):
        np.testing.assert_array_equal(one, two)


def test_files_and_slices_keep_the_layout(color, tmp_path):
    model, x = color
    explanation = Saliency(permuted(model, "NCHW"))(np.moveaxis(x, -1, 1))
    explanation.save(tmp_path / "explanation")
    assert Explanation.load(tmp_path / "explanation") == explanation
    assert explanation[1:].layout == "NCHW" and explanation[1:].layouts == [Layout("NCHW")]


def test_declared_layouts():
    model = keras.Sequential([keras.Input((6, 8)), layers.Flatten(), layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(2, 6, 8))
    for method in (Occlusion, lambda m: LIME(m, num_samples=20, segments=4, seed=0)):
        assert method(model)(x, target=0).values.shape == (2, 6, 1)
        assert method(with_layout(model, "NHW"))(x, target=0).values.shape == (2, 6, 8)
        assert method(with_layout(model, "NCT"))(x, target=0).values.shape == (2, 1, 8)
    pictures = drawn(Saliency(with_layout(model, "NHW"))(x).plot())
    assert pictures and {picture.shape[:2] for picture in pictures} == {(6, 8)}
    assert not drawn(Saliency(model)(x).plot())  # six steps of time are lines


@pytest.mark.parametrize("letters", ["NTC", "NCT"])
def test_series(letters):
    generator = np.random.default_rng(0)
    model = keras.Sequential(
        [keras.Input((20, 2)), layers.Conv1D(4, 3, activation="relu"), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    )
    x = generator.normal(size=(2, 20, 2)).astype("float32")
    first = keras.Input((2, 20))
    turned = keras.Model(first, model(layers.Permute((2, 1))(first)))
    other, given = (model, x) if letters == "NTC" else (turned, np.moveaxis(x, -1, 1))
    for make in (GradCAM, Occlusion, lambda m: LIME(m, num_samples=30, seed=0)):
        one, two = make(model)(x, target=0), make(other)(given, target=0)
        np.testing.assert_allclose(Layout(letters).channels_last(two.values), one.values, atol=1e-5)
    lines = [line.get_ydata() for line in Saliency(other)(given, target=0).plot(samples=1).axes[0].lines]
    np.testing.assert_array_equal(lines, x[0].T)
