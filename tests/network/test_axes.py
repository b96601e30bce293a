"""One walk over a model tells which axis of its inputs is which."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.data.layout import Layout
from keras_xai.graph import trace
from keras_xai.kinds.axes import by_letters, indexed, reshaped
from keras_xai.kinds.expansion import expand
from keras_xai.layers import DeclaredLayout, with_layout
from keras_xai.network.axes import Axes

FIRST = {"data_format": "channels_first"}


def layouts(model):
    return [layout.letters for layout in Axes(expand(trace(model))).inputs()]


def conv():
    return [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)]


def head():
    return [layers.Flatten(), layers.Dense(3)]


CASES = {
    "images": ("NHWC", (8, 9, 3), lambda: conv()),
    "permuted": ("NCHW", (3, 8, 9), lambda: [layers.Rescaling(2.0), layers.Permute((2, 3, 1)), *conv()]),
    "width first": ("NWHC", (9, 8, 3), lambda: [layers.Permute((2, 1, 3)), *conv()]),
    "gray": ("NHW", (8, 8), lambda: [layers.Rescaling(0.5), layers.Reshape((8, 8, 1)), layers.BatchNormalization(), *conv()]),
    "expanded": ("NHW", (8, 8), lambda: [layers.Lambda(lambda x: ops.expand_dims(x, -1)), *conv()]),
    "transposed": ("NCHW", (3, 8, 9), lambda: [layers.Lambda(lambda x: ops.transpose(x, (0, 2, 3, 1))), *conv()]),
    "cropped": ("NCHW", (3, 8, 9), lambda: [layers.Lambda(lambda x: x[:, :, 1:]), layers.Permute((2, 3, 1)), *conv()]),
    "rows of a table": ("NF", (192,), lambda: [layers.Reshape((8, 8, 3)), *conv()]),
    "channels among the columns": ("NHW", (8, 24), lambda: [layers.Reshape((8, 8, 3)), *conv()]),
    "flat places": ("NTC", (64, 3), lambda: [layers.Reshape((8, 8, 3)), *conv()]),
    "flat places first": ("NCT", (3, 64), lambda: [layers.Reshape((3, 8, 8)), layers.Permute((2, 3, 1)), *conv()]),
    "space to depth": (
        "NHWC",
        (8, 8, 3),
        lambda: [layers.Reshape((4, 2, 4, 2, 3)), layers.Permute((1, 3, 2, 4, 5)), layers.Reshape((4, 4, 12)), *conv()],
    ),
    "series": ("NTC", (50, 2), lambda: [layers.LSTM(3)]),
    "series first": ("NCT", (2, 50), lambda: [layers.Permute((2, 1)), layers.Conv1D(2, 3), *head()]),
    "series first, recurrent": ("NCT", (2, 50), lambda: [layers.Permute((2, 1)), layers.GRU(3)]),
    "series by format": ("NCT", (2, 50), lambda: [layers.ZeroPadding1D(1, **FIRST), *head()]),
    "series without channels": ("NT", (50,), lambda: [layers.Reshape((50, 1)), layers.Conv1D(2, 3), *head()]),
    "volumes": ("NDHWC", (4, 5, 6, 2), lambda: [layers.Conv3D(2, 2), *head()]),
    "volumes first": ("NCDHW", (2, 4, 5, 6), lambda: [layers.ZeroPadding3D(1, **FIRST), *head()]),
    "rows read as a series": ("NHWC", (8, 8, 1), lambda: [layers.Reshape((8, 8)), layers.LSTM(3)]),
    "rows read as a series, first": ("NCHW", (1, 8, 8), lambda: [layers.Reshape((8, 8)), layers.LSTM(3)]),
    "columns read as a series": (
        "NCHW",
        (3, 8, 6),
        lambda: [layers.Permute((2, 3, 1)), layers.Reshape((8, 18)), layers.LSTM(3)],
    ),
    "flattened first": ("NCHW", (3, 8, 6), lambda: [layers.Flatten(**FIRST), layers.Dense(3)]),
    "normalized first": ("NCHW", (3, 8, 6), lambda: [layers.BatchNormalization(axis=1), *head()]),
    "groups first": ("NCHW", (4, 8, 6), lambda: [layers.GroupNormalization(2, axis=1), *head()]),
    "mean over places": ("NCHW", (3, 8, 8), lambda: [layers.Lambda(lambda x: ops.mean(x, axis=(2, 3))), layers.Dense(3)]),
    "maximum over places": ("NCHW", (3, 8, 8), lambda: [layers.Lambda(lambda x: ops.max(x, axis=(2, 3))), layers.Dense(3)]),
    "dense at each time": ("NCT", (3, 50), lambda: [layers.Permute((2, 1)), layers.Dense(5), *head()]),
    "einsum": (
        "NCHW",
        (3, 8, 8),
        lambda: [layers.Permute((2, 3, 1)), layers.EinsumDense("bhwc,cd->bhwd", (8, 8, 4)), *conv()],
    ),
    "einsum of operations": (
        "NCHW",
        (3, 8, 8),
        lambda: [layers.Lambda(lambda x: ops.einsum("bchw,cd->bhwd", x, np.ones((3, 4), "float32"))), *conv()],
    ),
    "split": ("NCHW", (4, 8, 8), lambda: [layers.Lambda(lambda x: ops.split(ops.moveaxis(x, 1, 3), 2, axis=-1)[1]), *conv()]),
    "film": ("NDHWC", (5, 8, 8, 3), lambda: [layers.TimeDistributed(layers.Conv2D(2, 3)), *head()]),
    "film first": ("NDCHW", (5, 3, 8, 8), lambda: [layers.TimeDistributed(layers.ZeroPadding2D(1, **FIRST)), *head()]),
    "declared": ("NHW", (8, 8), lambda: [DeclaredLayout("NHW"), *head()]),
    "declared against the rest": ("NCHW", (3, 8, 8), lambda: [DeclaredLayout("NCHW"), layers.BatchNormalization(), *head()]),
    "nothing known": ("NTC", (8, 8), head),
    "nothing known of images": ("NHWC", (3, 8, 8), head),
    "table": ("NF", (5,), lambda: [layers.Dense(3)]),
    "tokens": ("NL", (7,), lambda: [layers.Embedding(5, 2), layers.Conv1D(2, 3), *head()]),
}


@pytest.mark.parametrize("wanted, shape, make", CASES.values(), ids=CASES)
def test_layouts(wanted, shape, make):
    assert layouts(keras.Sequential([keras.Input(shape), *make()])) == [wanted]


def test_several_inputs_and_branches():
    x, table = keras.Input((3, 8, 9)), keras.Input((4,))
    weights = layers.Reshape((3, 1, 1))(layers.GlobalAveragePooling2D(**FIRST)(x))
    y = layers.Concatenate()([layers.Flatten()(layers.Multiply()([x, weights])), table])
    assert layouts(keras.Model([x, table], layers.Dense(2)(y))) == ["NCHW", "NF"]


def test_a_declared_model_computes_the_same_and_can_be_saved(tmp_path):
    model = keras.Sequential([keras.Input((6, 7)), *head()])
    declared = with_layout(model, "NHW")
    x = np.random.default_rng(0).normal(size=(3, 6, 7))
    np.testing.assert_array_equal(declared(x), model(x))
    assert layouts(declared) == ["NHW"] and layouts(model) == ["NTC"]
    declared.save(tmp_path / "model.keras")
    assert layouts(keras.saving.load_model(tmp_path / "model.keras")) == ["NHW"]
    with pytest.raises(ValueError, match="an axis for each letter of the layout 'NHWC'"):
        with_layout(model, "NHWC")
    with pytest.raises(ValueError, match="a layout for each of 1 inputs"):
        with_layout(model, ["NHW", "NF"])


@pytest.mark.parametrize("letters", ["HWC", "NXY", "NCHWC", "NFC", "NLH", "N", "NHHC", 3])
def test_no_layouts(letters):
    with pytest.raises(ValueError, match="Expected a layout such as"):
        Layout(letters)


@pytest.mark.parametrize("letters", ["NHWC", "NCHW", "NWHC", "NHW", "NTC", "NCT", "NT", "NCDHW", "NF", "NL"])
def test_channels_last_form(letters):
    layout = Layout(letters)
    sizes = dict(zip("NCDHWTFL", range(2, 10), strict=True))
    x = np.random.default_rng(0).normal(size=[sizes[letter] for letter in letters])
    order = [letter for letter in "NDHWTFLC" if letter in letters]
    expected = np.einsum(f"{letters}->{''.join(order)}", x)
    last = layout.channels_last(x)
    np.testing.assert_array_equal(last, expected if "C" in letters or set("FL") & set(letters) else expected[..., None])
    assert last.shape == layout.channels_last_shape(x.shape)
    np.testing.assert_array_equal(layout.restored(last), x)
    np.testing.assert_array_equal(layout.restored(ops.convert_to_tensor(last)), x)


def test_axes_of_reshaped_samples():
    assert reshaped((8, 8), (8, 8, 1)) == [(0,), (1,), ()]
    assert reshaped((8, 8, 1), (64, 1)) == [(0, 1), (2,)]
    assert reshaped((64, 3), (8, 8, 3)) == [(0,), (0,), (1,)]
    assert reshaped((6, 4), (2, 3, 4)) == [(0,), (0,), (1,)]
    assert reshaped((4, 6), (6, 4)) == [(0, 1), (0, 1)]
    assert reshaped((None, 5, 3), (None, 3)) == [(0, 1), (2,)]


def test_axes_of_parts_and_sums():
    assert indexed((slice(None), 0), 3) == [(1,), (2,)]
    assert indexed((..., None), 2) == [(0,), (1,), ()]
    assert indexed((slice(None), slice(1, 3)), 2) == [(0,), (1,)]
    assert indexed((slice(None), [1, 2]), 2) is None
    assert by_letters("bhwc,cd->bdhw", 0) == [(2,), (0,), (1,)]
    assert by_letters("...c,cd->...d", 0) is None
