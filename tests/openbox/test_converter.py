"""What can be handed to an `OpenBox`, and what is handed back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai.openbox import OpenBox
from tests import naive
from tests.slow import quickly
from tests.tolerance import rounding
from tests.zoo import ZOO, in_dtype

pytestmark = pytest.mark.onednn

# Of a distance: a wall's value of size 1 is right to some 100 roundings, however near the wall is.
ROUNDING = rounding("float64", terms=200)


@pytest.fixture(scope="module")
def box(trained):
    return OpenBox(trained("cnn"), batch_size=8)


@pytest.fixture(scope="module")
def x(digits):
    return digits[0][1500:1520]


@pytest.fixture(scope="module")
def local(box, x):
    return box(x, verbose=0)


def _same(a, b):
    np.testing.assert_allclose(a.coef, b.coef, atol=1e-12)
    np.testing.assert_allclose(a.intercept, b.intercept, atol=1e-12)
    assert (a.region_id == b.region_id).all()


def test_shapes(local):
    assert len(local) == 20
    assert local.coef.shape == (20, 10, 8, 8, 1)
    assert local.intercept.shape == local.outputs.shape == local.scores.shape == (20, 10)
    assert local.region_id.shape == (20,)


def test_tensors_and_lists_are_arrays(box, x, local):
    _same(box(tf.constant(x), verbose=0), local)
    _same(box(x.tolist(), verbose=0), local)


@pytest.mark.parametrize("batch_size", quickly([1, 7, 100], 7))
def test_batch_size_does_not_matter(batch_size, trained, x, local):
    other = OpenBox(trained("cnn"), batch_size=batch_size)(x, verbose=0)
    _same(other, local)
    np.testing.assert_allclose(other.radius(verbose=0), local.radius(verbose=0), rtol=1e-9, atol=ROUNDING)


@pytest.mark.parametrize("with_labels", [False, True])
def test_datasets_are_read_batch_by_batch(with_labels, box, x, local):
    data = (x, np.zeros(len(x))) if with_labels else x
    other = box(tf.data.Dataset.from_tensor_slices(data).batch(6), verbose=0)
    _same(other, local)
    assert other.contains(x).all()


def test_a_dataset_of_unknown_length(box, x, local):
    batches = [x[:5], x[5:]]
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=tf.TensorSpec((None, 8, 8, 1), "float64"))
    _same(box(data, verbose=0), local)


def test_chosen_outputs_are_those_rows(box, x, local):
    few = box(x, outputs=[7, 2], verbose=0)
    np.testing.assert_allclose(few.coef, local.coef[:, [7, 2]], atol=1e-14)
    np.testing.assert_allclose(few.intercept, local.intercept[:, [7, 2]], atol=1e-13)
    np.testing.assert_allclose(few.predict(x), local.predict(x)[:, [7, 2]], atol=1e-13)

    top = np.argsort(-local.scores, axis=1)[:, :3]
    own = box(x, outputs=top, verbose=0)
    np.testing.assert_allclose(own.coef, np.take_along_axis(local.coef, top[..., None, None, None], axis=1), atol=1e-14)
    assert (own.outputs == top).all()


def test_decision_features(local):
    rows = np.arange(len(local))
    ranked = np.argsort(-local.scores, axis=1)
    best, second = ranked[:, 0], ranked[:, 1]
    weights = local.coef
    differences = weights[rows, best][:, None] - weights
    np.testing.assert_allclose(local.decision_features(), differences.sum(axis=1) / 9, atol=1e-12)
    expected = weights[rows, best] - weights[rows, second]
    np.testing.assert_allclose(local.decision_features(against="runner-up"), expected, atol=1e-14)
    np.testing.assert_allclose(local.decision_features(best, against=second), expected, atol=1e-14)
    np.testing.assert_allclose(local.decision_features(3, against=5), weights[:, 3] - weights[:, 5], atol=1e-14)


def test_decision_features_of_classes_that_were_not_asked_for(box, x):
    with pytest.raises(ValueError, match="among the `outputs`"):
        box(x, outputs=[1, 2], verbose=0).decision_features(3)
    with pytest.raises(ValueError, match="runner-up"):
        box(x, outputs=[1], verbose=0).decision_features(against="runner-up")


def test_one_sigmoid_output_has_one_logit():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(5, "relu"), layers.Dense(1, "sigmoid")])
    x = np.random.default_rng(0).normal(size=(4, 3))
    local = OpenBox(model)(x, verbose=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-local.predict(x))), naive.evaluate(model, x), atol=1e-14)
    np.testing.assert_allclose(local.decision_features(), local.coef[:, 0])


def test_a_model_of_several_inputs():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        image, table = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="table")
        y = layers.Flatten()(layers.MaxPooling2D(2)(layers.Conv2D(3, 3, activation="relu")(image)))
        y = layers.Dense(8, activation="relu")(layers.Concatenate()([y, table]))
        outputs = layers.Dense(4)(y)
        by_list = keras.Model([image, table], outputs)
        by_dict = keras.Model({"table": table, "image": image}, outputs)
    generator = np.random.default_rng(0)
    images, tables = generator.normal(size=(5, 6, 6, 1)), generator.normal(size=(5, 3))

    listed = OpenBox(by_list)([images, tables], verbose=0)
    assert [part.shape for part in listed.coef] == [(5, 4, 6, 6, 1), (5, 4, 3)]
    direction = [np.ones_like(images), -np.ones_like(tables)]
    step = listed.exit_distance(direction)
    inside = [
        images + 0.9 * step[:, None, None, None] * direction[0],
        tables + 0.9 * step[:, None] * direction[1],
    ]
    np.testing.assert_allclose(listed.predict(inside), by_list(inside).numpy(), atol=1e-12)
    assert listed.contains(inside).all()
    wall = listed.nearest_wall(verbose=0)
    np.testing.assert_allclose(listed.exit_distance(wall.direction), wall.distance, rtol=1e-9, atol=ROUNDING)

    named = OpenBox(by_dict)({"image": images, "table": tables}, verbose=0)
    np.testing.assert_allclose(named.coef["image"], listed.coef[0], atol=1e-13)
    np.testing.assert_allclose(named.nearest_wall(verbose=0).distance, wall.distance, rtol=1e-9, atol=ROUNDING)
    np.testing.assert_allclose(
        OpenBox(by_list)({"image": images, "table": tables}, verbose=0).coef[1], listed.coef[1], atol=1e-13
    )


def test_one_of_several_outputs():
    with in_dtype("float64"):
        x = keras.Input((3,))
        hidden = layers.Dense(5, activation="relu")(x)
        smooth = layers.Dense(2, activation="tanh", name="smooth")(hidden)
        model = keras.Model(x, {"a": layers.Dense(2)(hidden), "b": layers.Dense(3, "softmax")(hidden), "c": smooth})
    points = np.random.default_rng(0).normal(size=(4, 3))
    assert OpenBox(model, output="a").num_outputs == 2
    local = OpenBox(model, output="b")(points, verbose=0)  # what the other outputs need does not matter
    np.testing.assert_allclose(keras.ops.softmax(local.predict(points)), model(points)["b"], atol=1e-14)
    assert OpenBox(model, output=1).num_outputs == 3


def test_outputs_of_higher_rank_are_flattened():
    with in_dtype("float64"):
        model = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(2, 3, activation="relu")])
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 1))
    box = OpenBox(model)
    assert box.num_outputs == 32
    np.testing.assert_allclose(box(x, verbose=0).predict(x), model(x).numpy().reshape(3, 32), atol=1e-13)


def test_inputs_of_open_size():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        model = keras.Sequential(
            [
                keras.Input((None, None, 1)),
                layers.Conv2D(3, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.GlobalAveragePooling2D(),
                layers.Dense(2),
            ]
        )
    box = OpenBox(model)
    for size in (6, 9):
        x = np.random.default_rng(size).normal(size=(2, size, size, 1))
        local = box(x, verbose=0)
        inside = x + 0.9 * local.exit_distance(x)[:, None, None, None].clip(max=1) * x
        np.testing.assert_allclose(local.predict(inside), model(inside).numpy(), atol=1e-12)


def test_reloaded_models(tmp_path, trained, x, local):
    trained("cnn").save(tmp_path / "model.keras")
    _same(OpenBox(keras.models.load_model(tmp_path / "model.keras"))(x, verbose=0), local)


def test_mixed_precision_models_are_computed_in_float32():
    keras.utils.set_random_seed(0)
    with in_dtype("float32"):
        keras.config.set_dtype_policy("mixed_float16")
        model = keras.Sequential([keras.Input((4,)), layers.Dense(6, "relu"), layers.Dense(2, dtype="float32")])
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    local = OpenBox(model)(x, verbose=0)
    assert local.coef.dtype == "float32"
    np.testing.assert_allclose(local.predict(x), model(x), atol=1e-2)  # the model rounds to half precision
    weights = [weight.astype("float64") for weight in model.get_weights()]
    exact = np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
    np.testing.assert_allclose(local.predict(x), exact, atol=1e-6)


@pytest.mark.parametrize("name", quickly(["cnn", "mlp", "series", "shared"], "cnn"))
def test_jit_compiled(name, trained, x):
    plain = OpenBox(trained(name))(x[:4], verbose=0)
    fast = OpenBox(trained(name), jit_compile=True)(x[:4], verbose=0)
    _same(fast, plain)
    np.testing.assert_allclose(fast.radius(verbose=0), plain.radius(verbose=0), rtol=1e-9, atol=ROUNDING)
    direction = np.ones_like(x[:4])
    np.testing.assert_allclose(fast.exit_distance(direction), plain.exit_distance(direction), rtol=1e-9, atol=ROUNDING)
    assert fast.contains(x[:4]).all()


def test_pieces_know_that_the_model_was_trained_on(digits):
    keras.utils.set_random_seed(0)
    model = ZOO["mlp"]()
    x = digits[0][:5]
    box = OpenBox(model)
    local = box(x, verbose=0)
    model.layers[-1].bias.assign_add(np.ones(10))
    for use in (lambda: local.contains(x), lambda: local.exit_distance(x), lambda: local.radius(verbose=0)):
        with pytest.raises(RuntimeError, match="weights have changed"):
            use()
    np.testing.assert_allclose(box(x, verbose=0).scores, local.scores + 1, atol=1e-5)


def test_nested_models_that_are_called_with_a_dict():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
        inner = keras.Model([b, a], layers.Dense(3, activation="relu")(a) + 2.0 * b)
        x = keras.Input((3,))
        model = keras.Model(x, layers.Dense(2)(inner({"a": layers.Dense(3)(x), "b": x})))
    points = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(OpenBox(model)(points, verbose=0).predict(points), model(points).numpy(), atol=1e-13)


def test_whole_numbers_that_are_rescaled_first():
    keras.utils.set_random_seed(0)
    with in_dtype("float64"):
        image = keras.Input((4, 4, 1), dtype="uint8")
        y = layers.Conv2D(3, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
        model = keras.Model(image, layers.Dense(2)(layers.Flatten()(y)))
    images = np.random.default_rng(0).integers(0, 256, size=(3, 4, 4, 1), dtype="uint8")
    local = OpenBox(model, dtype="float64")(images, verbose=0)
    np.testing.assert_allclose(local.predict(images), model(images).numpy(), atol=1e-12)


def test_regions_of_different_sizes_differ():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(2, 1, activation="relu"), layers.GlobalAveragePooling2D()]
    )
    box = OpenBox(model)
    assert box(np.ones((1, 4, 9, 1)), verbose=0).region_id != box(np.ones((1, 9, 4, 1)), verbose=0).region_id


def test_functions_that_run_eagerly(trained, x, local):
    tf.config.run_functions_eagerly(True)
    try:
        eager = OpenBox(trained("mlp"))(x[:2], verbose=0)
        assert eager.contains(x[:2]).all()
        radius = eager.radius(verbose=0)
    finally:
        tf.config.run_functions_eagerly(False)
    expected = OpenBox(trained("mlp"))(x[:2], verbose=0).radius(verbose=0)
    np.testing.assert_allclose(radius, expected, rtol=1e-9, atol=ROUNDING)


def test_samples_may_be_changed_afterwards(box, x):
    mine = x.copy()
    local = box(mine, verbose=0)
    mine[:] = 0
    np.testing.assert_array_equal(local.x, x)
    assert local.contains(x).all()


def test_verbose_shows_progress(box, x, capsys):
    box(x, verbose=0)
    assert capsys.readouterr().out == ""
    local = box(x, verbose=1)
    assert "3/3" in capsys.readouterr().out
    local.radius(verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_peak_memory_does_not_hold_all_samples_in_one_pass(box, x, monkeypatch):
    """No compiled computation sees more than `batch_size` samples."""
    seen = []
    original = box.programs.pieces
    monkeypatch.setattr(
        box.programs, "pieces", lambda inputs, outputs: seen.append(len(inputs[0])) or original(inputs, outputs)
    )
    box(x, verbose=0)
    assert seen == [8, 8, 4]


def test_programs_of_many_shapes_do_not_add_up(monkeypatch):
    """A model of any size: the programs used last are kept, and those of a shape that comes back are made anew."""
    from keras_xai.openbox import programs

    monkeypatch.setattr(programs, "KEPT", 3)
    layers = [keras.layers.Conv2D(2, 2, activation="relu"), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    box = OpenBox(keras.Sequential([keras.Input((None, None, 1)), *layers]))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    expected = box(x[:, :4], verbose=0)
    for height in (5, 6, 7, 8):
        assert len(box(x[:, :height], verbose=0)) == 2
    assert len(box.programs._cache) == 3
    np.testing.assert_array_equal(box(x[:, :4], verbose=0).coef, expected.coef)
