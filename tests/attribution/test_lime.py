"""LIME: against lime itself, and on models of which the weights are known."""

import keras
import numpy as np
import pytest
from keras import layers
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer

from keras_xai.attribution.perturbation.isolation import random_state
from keras_xai.attribution.perturbation.lime import LIME

BLOCKS = np.arange(12) // 4 + 3 * (np.arange(12) // 4)[:, np.newaxis]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype("float32")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((12, 12, 3)), layers.Conv2D(6, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
    return keras.Sequential(stack)


@pytest.fixture(scope="module")
def table():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.set_weights([np.array([[1.0, 0.0], [-2.0, 0.0], [0.5, 3.0]]), np.array([1.0, 2.0])])
    return model


def test_images_are_explained_as_by_lime_itself(network, images):
    found = LIME(network, num_samples=80, segments=BLOCKS, seed=5)(images, target=2, baseline="mean")
    assert found.values.shape == (3, 12, 12, 1) and found.baseline is None and found.num_forward_passes == 80
    for number, image in enumerate(images):
        explainer = LimeImageExplainer(random_state=random_state(5, number))
        theirs = explainer.explain_instance(
            image.astype("float64"),
            lambda batch: network.predict_on_batch(batch),
            labels=(2,),
            top_labels=None,
            num_samples=80,
            segmentation_fn=lambda image: BLOCKS,
            random_seed=0,
        )
        weights = dict(theirs.local_exp[2])
        np.testing.assert_allclose(found.values[number, ..., 0], np.vectorize(weights.get)(BLOCKS), atol=1e-4)
        lacking = network.predict_on_batch(image[np.newaxis])[0, 2] - theirs.local_pred[0]
        assert found.convergence_delta[number] == pytest.approx(lacking, abs=1e-4)
    # Other draws are other weights: that they agree is not for want of differences.
    assert (
        np.abs(
            LIME(network, num_samples=80, segments=BLOCKS, seed=6)(images, target=2, baseline="mean").values - found.values
        ).max()
        > 0.01
    )


def test_a_table_with_a_background_is_explained_as_by_lime_itself(table):
    background = np.random.default_rng(1).normal(size=(200, 3)) * [1, 5, 2]
    x = background[:2] + 0.1
    found = LIME(table, num_samples=300, background=background, seed=3)(x, target=0)
    assert found.values.shape == (2, 3)
    for number, row in enumerate(x.astype("float32").astype("float64")):
        state = random_state(3, number)
        explainer = LimeTabularExplainer(background, mode="regression", feature_selection="none", random_state=state)
        theirs = explainer.explain_instance(row, lambda rows: table.predict_on_batch(rows)[:, 0], num_samples=300)
        weights = dict(theirs.local_exp[1])
        np.testing.assert_allclose(found.values[number], [weights[i] for i in range(3)], atol=1e-4)


def test_the_weights_of_a_linear_model_are_found(table):
    x = np.array([[2.0, 1.0, -4.0], [1.0, 0.0, 1.0]])
    found = LIME(table, num_samples=3000, seed=0)(x, target=0)
    np.testing.assert_allclose(found.values, x * [1.0, -2.0, 0.5], atol=0.03)
    assert found.values[1, 1] == 0  # equal to what hides it
    assert np.abs(found.convergence_delta).max() < 0.05
    other = LIME(table, num_samples=3000, seed=0)(x, target=1)
    np.testing.assert_allclose(other.values, x * [0.0, 0.0, 3.0], atol=0.1)
    relative = LIME(table, num_samples=3000, seed=0)(x, target=0, baseline=np.array([1.0, 1.0, 1.0]))
    np.testing.assert_allclose(relative.values, (x - 1) * [1.0, -2.0, 0.5], atol=0.05)


def test_each_word_has_the_weight_of_its_token_and_padding_has_none():
    model = keras.Sequential(
        [keras.Input((5,), dtype="int32"), layers.Embedding(6, 2), layers.Lambda(lambda x: keras.ops.sum(x, axis=1))]
    )
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [2.0, 0.0], [0.0, 7.0], [4.0, 0.0]])
    model.layers[0].set_weights([vectors])
    x = np.array([[1, 2, 5, 0, 0], [3, 4, 3, 2, 1], [0, 0, 0, 0, 0], [3, 0, 0, 0, 0]])
    found = LIME(model, num_samples=1500, seed=2)(x, target=0)
    np.testing.assert_allclose(found.values, vectors[x, 0], atol=0.1)
    assert np.all(found.values[x == 0] == 0)


def test_stretches_of_a_series_have_their_sum():
    model = keras.Sequential([keras.Input((10, 2)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    weights = np.random.default_rng(0).normal(size=(10, 2))
    model.layers[-1].set_weights([weights.reshape(20, 1)])
    found = LIME(model, num_samples=2000, segments=5, seed=0)(np.ones((1, 10, 2)))
    assert found.values.shape == (1, 10, 1)
    np.testing.assert_allclose(found.values[0, :, 0], weights.reshape(5, 4).sum(axis=1).repeat(2), atol=0.05)


def test_values_do_not_depend_on_the_size_of_batches_and_a_seed_repeats_them(network, images):
    found = [LIME(network, num_samples=40, seed=1, batch_size=size)(images).values for size in (1, 7, 64)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)
    method = LIME(network, num_samples=40)
    assert np.abs(method(images).values - method(images).values).max() > 1e-3  # a new seed for each call


def test_superpixels_follow_the_image_and_a_function_may_divide_it(network):
    model = keras.Sequential([keras.Input((60, 60, 3)), layers.AveragePooling2D(5), layers.Flatten(), layers.Dense(1)])
    image = np.zeros((1, 60, 60, 3))
    image[:, :, 23:] = 1
    seen = LIME(model, num_samples=20, segments=8, seed=0)(image, baseline=-1).values[0, ..., 0]
    assert 4 <= len(np.unique(seen)) <= 10 and not set(seen[:, :23].ravel()) & set(seen[:, 23:].ravel())
    image = np.zeros((1, 12, 12, 3))
    given = LIME(network, num_samples=20, segments=lambda image: BLOCKS, seed=0)(image, baseline=-1)
    assert len(np.unique(given.values)) == 9


@pytest.mark.parametrize("baseline", [None, 0.5, "mean"])
def test_constant_images_have_finite_values(network, baseline):
    found = LIME(network, num_samples=20, seed=0)(np.full((1, 12, 12, 3), 0.5), baseline=baseline)
    assert np.isfinite(found.values).all()
    if baseline is not None:
        assert np.all(found.values == 0) and found.convergence_delta[0] == 0


def test_several_inputs_are_divided_together():
    image, table = keras.Input((6, 6, 1), name="image"), keras.Input((2,), name="table")
    joined = layers.Concatenate()([layers.Flatten()(image), table])
    model = keras.Model({"image": image, "table": table}, layers.Dense(1, kernel_initializer="ones")(joined))
    x = {"image": np.ones((2, 6, 6, 1)), "table": np.array([[1.0, 2.0], [0.0, 5.0]])}
    found = LIME(model, num_samples=1500, segments=4, seed=0)(x)
    np.testing.assert_allclose(found.values["table"], x["table"], atol=0.2)
    np.testing.assert_allclose(found.values["image"], 9, atol=0.3)  # of nine pixels each
    with pytest.raises(ValueError, match="`segments` to be a number for a model of 2 inputs"):
        LIME(model, segments=BLOCKS)


def test_bad_options_are_told(network, table, images):
    with pytest.raises(ValueError, match="`num_samples` to be at least 2"):
        LIME(table, num_samples=1)
    with pytest.raises(ValueError, match="`num_samples` to be an integer"):
        LIME(table, num_samples=0.5)
    with pytest.raises(ValueError, match="Expected `segments` to be a number of segments"):
        LIME(network, segments="slic")
    with pytest.raises(ValueError, match="`segments` to be an integer of at least 1"):
        LIME(network, segments=0)
    with pytest.raises(ValueError, match=r"integer array of shape \(12, 12\).*Received: an array of shape \(5, 12\)"):
        LIME(network, segments=BLOCKS[:5])(images)
    with pytest.raises(ValueError, match="no `background` for a model that does not take one table"):
        LIME(network, background=images)
    with pytest.raises(ValueError, match=r"finite `background` of shape \(m, 3\)"):
        LIME(table, background=np.zeros((5, 2)))
    with pytest.raises(ValueError, match="no `baseline` together with a `background`"):
        LIME(table, background=np.eye(3))(np.eye(3), baseline=0)
    with pytest.raises(ValueError, match="or 'mean' for images and series.*Received: baseline='mean'"):
        LIME(table)(np.eye(3), baseline="mean")


def test_scores_that_are_not_numbers_where_all_is_hidden_are_told():
    stack = [keras.Input((4,), dtype="int32"), layers.Embedding(9, 2, mask_zero=True), layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*stack, layers.Dense(2)])
    assert np.isfinite(LIME(model, num_samples=30, seed=0)(np.array([[1, 2, 3, 0]])).values).all()  # one word is left
    with pytest.raises(ValueError, match="NaN or infinite when parts of a sample are hidden.*unknown words"):
        LIME(model, num_samples=30, seed=0)(np.array([[1, 0, 0, 0]]))


def test_numpy_goes_on_to_draw_what_it_would_have(table):
    np.random.seed(0)  # noqa: NPY002, the global generator is what this is about
    expected = np.random.uniform()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    LIME(table, num_samples=20, seed=1)(np.eye(3))
    LIME(table, num_samples=20, seed=1, background=np.eye(3))(np.eye(3))
    assert np.random.uniform() == expected  # noqa: NPY002


@pytest.mark.slow
def test_superpixels_of_a_photograph(data_folder):
    image_module = pytest.importorskip("PIL.Image")
    model = keras.models.load_model(data_folder / "models" / "squeezenet_v1.1.keras")
    with image_module.open(data_folder / "photos" / "n02391049_zebra.JPEG") as photo:
        image = np.asarray(photo.convert("RGB").resize((227, 227)), "float32")
    found = LIME(model, num_samples=300, seed=0, batch_size=64)(image[np.newaxis, ..., ::-1] - [104, 117, 123])
    assert found.target[0] == 340 and 20 < len(np.unique(found.values)) <= 60
