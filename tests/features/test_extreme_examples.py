"""Extreme examples are those of a full sort, and receptive fields what the numerical derivative says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xai.features.extreme_examples import _End, extreme_examples
from keras_xai.features.receptive_field import ReceptiveFields, receptive_field
from keras_xai.features.responses import Responses

pytestmark = pytest.mark.onednn


@pytest.fixture(scope="module")
def model():
    """A network of small whole numbers.

    Its sums are exact in any order, so that equal samples have equal values in batches of any size, on any processor.
    """
    network = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, activation="relu", name="a"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(3, 2, name="b"),
            layers.Flatten(),
            layers.Dense(5, activation="softmax", name="head"),
        ]
    )
    rng = np.random.default_rng(2)
    network.set_weights([rng.integers(-3, 3, size=weight.shape, endpoint=True) for weight in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def x():
    images = np.random.default_rng(1).integers(-99, 99, size=(23, 8, 8, 2)).astype("float32")
    images[[4, 9, 17]] = images[2]  # ties
    return images


def sorted_by_force(maps, channel, k, sign):
    """Values, indices and positions of the k most extreme samples: the whole list sorted, the earlier of equal ones first."""
    rows = maps[..., channel].reshape(len(maps), -1)
    best = [row[np.argmax(sign * row)] for row in rows]
    order = sorted(range(len(maps)), key=lambda i: (-sign * best[i], i))[:k]
    places = [np.unravel_index(np.argmax(sign * rows[i]), maps.shape[1:-1]) for i in order]
    return [best[i] for i in order], order, [list(place) for place in places]


@pytest.mark.parametrize(
    "layer, batches", [("b", "array"), ("b", "dataset"), ("b", "uneven"), ("a", "uneven"), (None, "dataset")]
)
def test_as_sorting_all_does(model, x, layer, batches):
    given = x
    if batches != "array":
        given = tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(5)
    if batches == "uneven":
        given = tf.data.Dataset.from_generator(
            lambda: (x[a:b] for a, b in [(0, 1), (1, 9), (9, 10), (10, 23)]), output_signature=tf.TensorSpec((None, 8, 8, 2))
        )
    head, before = model.layers[-1], keras.Model(model.inputs, model.layers[-2].output)
    maps = {
        "a": lambda: keras.ops.conv(x, model.get_layer("a").kernel) + model.get_layer("a").bias,  # without its ReLU
        "b": lambda: keras.Model(model.inputs, model.get_layer("b").output)(x),
        None: lambda: (keras.ops.matmul(before(x), head.kernel) + head.bias)[:, None],  # without its softmax
    }[layer]()
    maps = np.asarray(maps)
    found = extreme_examples(model, given, layer=layer, k=6, batch_size=7)
    assert found.num_samples == len(x) and len(found.units) == maps.shape[-1]
    for sign, end in ((1, found.highest), (-1, found.lowest)):
        field = layer and ReceptiveFields(Responses(model, layer), [(8, 8, 2)])
        for channel in range(maps.shape[-1]):
            values, indices, places = sorted_by_force(maps, channel, 6, sign)
            np.testing.assert_array_equal(end.values[channel], values)
            assert end.indices[channel].tolist() == indices
            if layer is None:
                assert end.positions.shape == (5, 6, 0)
                np.testing.assert_array_equal(end.crops[channel][0], x[indices[0]])
            else:
                assert end.positions[channel].tolist() == places
                for crop, index, place in zip(end.crops[channel], indices, places, strict=True):
                    np.testing.assert_array_equal(crop, x[index][field(place)[0]])


def test_the_comparison_tells_ends_and_order_apart(model, x):
    """What a broken heap would give: the wrong end, or an order of ties that depends on batches."""
    found = extreme_examples(model, x, layer="b", k=6, batch_size=4)
    assert not np.array_equal(found.highest.indices, found.lowest.indices)
    tied = [row for row in np.concatenate([found.highest.indices, found.lowest.indices]).tolist() if {2, 4} <= set(row)]
    assert tied and all([i for i in row if i in (2, 4, 9, 17)] == sorted(set(row) & {2, 4, 9, 17}) for row in tied)
    assert (np.diff(found.highest.values) <= 0).all() and (np.diff(found.lowest.values) >= 0).all()
    # Before the ReLU of the layer, so that the lower end is not all zeros.
    assert (extreme_examples(model, x, layer="a", k=3).lowest.values < 0).all()


def test_single_units_and_channels_together(model, x):
    units = [2, (1, 0, 1), (0, 1, 0), 0]
    found = extreme_examples(model, x, layer="b", units=units, k=4)
    assert found.units == [(2,), (1, 0, 1), (0, 1, 0), (0,)]
    maps = np.asarray(keras.Model(model.inputs, model.get_layer("b").output)(x))
    np.testing.assert_array_equal(found.highest.values[1], np.sort(maps[:, 1, 0, 1])[::-1][:4])
    np.testing.assert_array_equal(found.lowest.values[2], np.sort(maps[:, 0, 1, 0])[:4])
    assert (found.highest.positions[1] == [1, 0]).all()
    everything = extreme_examples(model, x, layer="b", k=4)
    for row, channel in ((0, 2), (3, 0)):
        np.testing.assert_array_equal(found.highest.indices[row], everything.highest.indices[channel])


def test_memory_stays_with_what_is_kept():
    """Of a stream of any length, no more than `units * k` crops of an end are there at any time."""
    rng = np.random.default_rng(1)
    end, kept = _End(1, 2, 3, 0), []
    for first in range(0, 400, 16):
        batch = rng.normal(size=(16, 5))
        values = np.stack([batch.sum(axis=1), first + batch[:, 0]], axis=1)  # new ones in every batch
        end.add(values, np.zeros((16, 2, 0), int), first, [batch], lambda place: ((slice(0, 5),),))
        kept.append(len(end._crops))
        assert all(crop.base is None for _, (crop,) in end._crops.values())  # a view would keep its batch
    assert max(kept) <= 6 and len(set(end._indices[1]) & set(range(384, 400))) == 3


def test_several_inputs():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    one, two = keras.Input((6, 1), name="one"), keras.Input((2,), name="two")
    y = layers.Concatenate()([layers.GlobalMaxPooling1D()(layers.Conv1D(3, 2)(one)), two])
    model = keras.Model({"one": one, "two": two}, layers.Dense(2)(y))
    x = {"one": rng.normal(size=(9, 6, 1)), "two": rng.normal(size=(9, 2))}
    found = extreme_examples(model, x, k=2)
    scores = model.predict(x, verbose=0)
    assert found.highest.indices[1].tolist() == np.argsort(-scores[:, 1])[:2].tolist()
    first = found.highest.indices[1, 0]
    np.testing.assert_allclose(found.highest.crops[1][0]["two"], x["two"][first], rtol=1e-6)


def nets():
    """Networks with positive weights, whose ReLUs are all on, so that no derivative vanishes by chance."""

    def functional(shape, body):
        inputs = keras.Input(shape)
        outputs = body(inputs)
        return keras.Model(inputs, layers.Rescaling(1.0, name="last")(outputs))

    def residual(x):
        y = layers.Conv2D(2, 3, padding="same", dilation_rate=2)(x)
        return layers.MaxPooling2D(3, 2, padding="same")(layers.Add()([x, layers.BatchNormalization()(y)]))

    def branches(x):
        a = layers.Conv2D(2, (1, 5), strides=2, padding="same", activation="relu")(x)
        b = layers.AveragePooling2D(2)(layers.Cropping2D(((1, 2), (0, 1)))(layers.ZeroPadding2D(((3, 0), (0, 1)))(x)))
        return layers.Conv2D(2, 2)(layers.Concatenate()([a, b]))

    yield "residual", functional((12, 11, 2), residual)
    yield "branches", functional((12, 12, 1), branches)
    yield (
        "separable",
        functional(
            (13, 10, 2),
            lambda x: layers.SeparableConv2D(2, 3)(layers.DepthwiseConv2D(3, strides=2, padding="same")(x)),
        ),
    )
    yield "transposed same", functional((5, 6, 1), lambda x: layers.Conv2DTranspose(2, 3, strides=2, padding="same")(x))
    yield (
        "transposed valid",
        functional((5, 6, 1), lambda x: layers.Conv2D(1, 2)(layers.Conv2DTranspose(2, (4, 3), strides=(3, 1))(x))),
    )
    yield "upsampling", functional((4, 5, 1), lambda x: layers.Conv2D(2, 3)(layers.UpSampling2D((3, 2))(x)))
    yield (
        "causal",
        functional((15, 2), lambda x: layers.Conv1D(2, 3, padding="causal", dilation_rate=2)(layers.MaxPooling1D(2, 1)(x))),
    )
    yield (
        "cropping",
        functional((15, 1), lambda x: layers.Cropping1D((2, 1))(layers.Conv1D(2, 4, strides=3, padding="same")(x))),
    )
    yield "dense", functional((6, 6, 2), lambda x: layers.Dense(3)(layers.LayerNormalization()(layers.Conv2D(4, 3)(x))))
    yield "volume", functional((5, 6, 4, 1), lambda x: layers.Conv3D(1, (2, 3, 1), strides=2, padding="same")(x))
    yield "flat", functional((4, 4, 1), lambda x: layers.Reshape((4, 2, 2))(layers.Dense(16)(layers.Flatten()(x))))


@pytest.mark.parametrize("name, model", list(nets()), ids=lambda value: value if isinstance(value, str) else "")
def test_receptive_fields_are_the_support_of_the_derivative(name, model):
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.uniform(0.2, 1, size=weight.shape))
    shape = model.outputs[0].shape[1:-1]
    places = list(np.ndindex(*shape))  # all of them, or, where there are many, some and those at the edges
    if len(places) > 20:
        places = [*places[:4], *places[-4:], *(places[i] for i in rng.integers(len(places), size=6))]
    # Of maximum pooling, each sample shows one entry of a window.
    x = tf.constant(rng.uniform(0.5, 1.5, size=(60, *model.inputs[0].shape[1:])), "float32")
    field = ReceptiveFields(Responses(model, "last"), [x.shape[1:]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        maps = model(x)
        values = [tf.reduce_sum(maps[(slice(None), *place)] * [[1.0, 0.37, 0.11][: maps.shape[-1]]]) for place in places]
    for place, value in zip(places, values, strict=True):
        support = np.abs(tape.gradient(value, x)).max(axis=(0, -1)) > 1e-7
        (box,) = field(place)
        assert box[-1] == slice(0, x.shape[-1])
        seen = np.argwhere(support)
        assert [(s.start, s.stop) for s in box[:-1]] == list(zip(seen.min(axis=0), seen.max(axis=0) + 1, strict=True))
    # The negative control: shifted by one, the box is another.
    assert name == "flat" or len({str(field(place)) for place in places}) > 1


def test_receptive_fields_of_units_behind_unknown_layers_and_of_tokens():
    rng = np.random.default_rng(1)
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, layers.MultiHeadAttention(1, 2, name="attention")(inputs, inputs))
    assert receptive_field(model, "attention", (2,)) == (slice(0, 6), slice(0, 4))
    model = keras.Sequential([keras.Input((9,), dtype="int32"), layers.Embedding(20, 4), layers.Conv1D(2, 3, name="conv")])
    assert receptive_field(model, "conv", (2,)) == (slice(2, 5),)
    found = extreme_examples(model, rng.integers(20, size=(5, 9)), layer="conv", k=1)
    assert {crop.shape for row in found.highest.crops for crop in row} == {(3,)}
    with pytest.raises(ValueError, match=r"Expected `position` to be within \(7,\) of 'conv'. Received: position=\(7,\)"):
        receptive_field(model, "conv", (7,))
    open_size = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3, name="conv")])
    with pytest.raises(ValueError, match="inputs have known sizes"):
        receptive_field(open_size, "conv", (0, 0))
    found = extreme_examples(open_size, rng.normal(size=(5, 7, 9, 1)), layer="conv", k=2, units=[0, (4, 6, 1)])
    assert found.highest.crops[1][0].shape == (3, 3, 1) and found.highest.positions[1].tolist() == [[4, 6]] * 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layer": "bb"}, r"Received: path='bb'. The nearest paths are \['b'"),
        ({"layer": "b", "units": 3}, r"channels of 'b', from 0 to 2.*Received: units=3"),
        ({"layer": "b", "units": (9, 0, 0)}, r"shape \(2, 2, 3\). Received: units=\(9, 0, 0\)"),
        ({"units": []}, r"Received: units=\[\]"),
        ({"units": 0.5}, "Received: units=0.5"),
        ({"k": 24}, "at least k samples. Received: k=24 and 23 samples"),
        ({"k": 0}, "Expected `k` to be an integer of at least 1. Received: k=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"verbose": 7}, "verbose=7"),
    ],
)
def test_errors(model, x, options, message):
    with pytest.raises(ValueError, match=message):
        extreme_examples(model, x, **options)


def test_bad_samples_and_models(model, x):
    with pytest.raises(ValueError, match="a dataset without elements"):
        extreme_examples(model, tf.data.Dataset.from_tensor_slices(x[:0]).batch(2))
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 23 samples, first in sample 0"):
        extreme_examples(model, np.where(np.arange(x.size).reshape(x.shape) == 0, np.nan, x))
    broken = keras.models.clone_model(model)
    broken.get_layer("b").bias.assign([0, np.nan, 0])
    with pytest.raises(ValueError, match="responses of 'b' to sample 0 are NaN or infinite"):
        extreme_examples(broken, x, layer="b")
    with pytest.raises(TypeError, match="Expected a `keras.Model`"):
        extreme_examples(lambda x: x, x)
    inputs = keras.Input((2,))
    two = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(3)(inputs)])
    with pytest.raises(ValueError, match="Expected `layer` for a model of several outputs"):
        extreme_examples(two, np.zeros((20, 2)))
