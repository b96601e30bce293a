"""The layers looked at by default are those that a person would choose."""

import keras
import pytest
from keras import layers

from keras_xai.diagnosis import block_ends
from keras_xai.diagnosis.blocks import depths
from keras_xai.graph.trace import trace


def functional(shape, body):
    inputs = keras.Input(shape)
    return keras.Model(inputs, body(inputs))


def vgg(convolutions):
    """Blocks of convolutions that end in a pooling, and two dense layers."""

    def body(x):
        for i, count in enumerate(convolutions, 1):
            for j in range(1, count + 1):
                x = layers.Conv2D(2, 3, padding="same", activation="relu", name=f"block{i}_conv{j}")(x)
            x = layers.MaxPooling2D(name=f"block{i}_pool")(x)
        x = layers.Dense(4, activation="relu", name="fc1")(layers.Flatten()(x))
        return layers.Dense(2, activation="softmax")(layers.Dropout(0.5)(layers.Dense(4, activation="relu", name="fc2")(x)))

    return body


def branches(x):
    """A residual block and an inception block: what is inside is no place through which everything passes."""
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="stem")(x)))
    inner = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner1")(x)
    inner = layers.Conv2D(4, 3, padding="same", name="inner2")(inner)
    x = layers.ReLU(name="residual_out")(layers.Add(name="residual")([x, inner]))
    towers = [layers.Conv2D(4, size, padding="same", activation="relu", name=f"tower{size}")(x) for size in (1, 3)]
    x = layers.Concatenate(name="inception")(towers)
    return layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="to_scores")(x)))


def test_blocks():
    assert block_ends(functional((32, 32, 3), vgg([1, 2]))) == ["block1_pool", "block2_conv1", "block2_pool", "fc1", "fc2"]
    # VGG19 has 16 convolutions: the ends of its blocks are left.
    wanted = [f"block{i}_pool" for i in range(1, 6)]
    assert block_ends(functional((32, 32, 3), vgg([2, 2, 4, 4, 4]))) == [*wanted, "fc1", "fc2"]
    assert block_ends(functional((16, 16, 1), branches)) == ["stem_relu", "residual_out", "inception"]


def test_nested_backbones_and_unknown_sizes():
    backbone = functional((None, None, 3), lambda x: vgg_maps(x))
    backbone.name = "backbone"
    model = functional((32, 32, 3), lambda x: layers.Dense(2)(layers.GlobalAveragePooling2D(name="mean")(backbone(x))))
    found = block_ends(model)
    assert found == ["backbone/block1_pool", "backbone/block2_pool", "backbone/block3_pool", "mean"]
    assert depths(trace(model), found) == [5 / 16, 10 / 16, 14 / 16, 15 / 16]


def vgg_maps(x):
    for i, count in enumerate([5, 5, 4, 1], 1):
        for j in range(1, count + 1):
            x = layers.Conv2D(2, 3, padding="same", activation="relu", name=f"block{i}_conv{j}")(x)
        if i < 4:
            x = layers.MaxPooling2D(name=f"block{i}_pool")(x)
    return x


def test_maps_are_no_scores_and_many_equal_blocks_are_thinned():
    def stack(x):
        for i in range(30):
            x = layers.Conv1D(2, 3, padding="same", activation="relu", name=f"conv{i}")(x)
        return x

    found = block_ends(functional((8, 2), stack))
    assert len(found) == 12 and found[-1] == "conv29" and len(set(found)) == 12


def test_heads():
    """Layers that heads share are hidden, also when they are an output themselves; scores are not, with or without a softmax."""
    inputs = keras.Input((4,))
    shared = layers.Dense(3, activation="relu", name="shared")(inputs)
    heads = [layers.Dense(2, name=name)(shared) for name in ("a", "b")]
    assert block_ends(keras.Model(inputs, heads)) == ["shared"]
    assert block_ends(keras.Model(inputs, [heads[0], shared])) == ["shared"]

    def convolutional(last):
        return lambda x: last(layers.Conv2D(3, 1, name="to_scores")(layers.Conv2D(3, 3, activation="relu", name="conv")(x)))

    assert block_ends(functional((8, 8, 1), convolutional(layers.GlobalAveragePooling2D()))) == ["conv"]  # logits
    bent = block_ends(
        functional((8, 8, 1), convolutional(lambda x: layers.GlobalAveragePooling2D(name="mean")(layers.ReLU()(x))))
    )
    assert bent == ["conv", "mean"]  # features


def test_other_networks():
    texts = functional((6,), lambda x: layers.Dense(2)(layers.LSTM(3, name="lstm")(layers.Embedding(5, 4, name="words")(x))))
    assert block_ends(texts) == ["words", "lstm"]
    texts.trainable = False
    assert block_ends(texts) == ["words", "lstm"]
    table = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="affine"), layers.LeakyReLU(name="bent"), layers.Dense(1)]
    )
    assert block_ends(table) == ["bent"]
    with pytest.raises(ValueError, match="Expected a model with hidden layers.*layers=."):
        block_ends(keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    with pytest.raises(TypeError):
        block_ends("model")
