"""Two small transformers for the benchmark of faithfulness: a text classifier for rt-polarity and a vision transformer for CIFAR-10."""

import collections
import dataclasses
import pathlib

import keras
import keras_hub
import numpy as np
import photos
import transfer
from keras import layers

LENGTH = 24  # words of a sentence, the rest is cut off
_UNKNOWN = 1  # the token of rare words, and of removed ones
_NUM_TEST = 1000
_WORD_DROPOUT = 0.2  # share of words that become unknown in training, so that the network knows sentences with removed words
NAMES = ("text", "image")
_EPOCHS = {"text": 4, "image": 16}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A trained network with test samples.

    Attributes:
        name: One of `NAMES`.
        model: The network.
        accuracy: Its accuracy on all test samples.
        x: The samples to explain.
        baseline: What stands for a removed part, an array of the shape of `x`.
        background: Samples from the training data.
    """

    name: str
    model: keras.Model
    accuracy: float
    x: np.ndarray
    baseline: np.ndarray
    background: np.ndarray


def setting(name: str, work: pathlib.Path, num_samples: int, quick: bool) -> Setting:
    """The network, trained unless its weights are in the folder `work`, and its samples.

    Args:
        name: One of `NAMES`.
        work: Folder of the weights.
        num_samples: Test samples to explain.
        quick: Trains for one epoch.
    """
    x_train, y_train, x, y = _sentences() if name == "text" else _images()
    model = _text_network(int(x_train.max()) + 1) if name == "text" else _image_network()
    path = work / f"{name}{'_quick' if quick else ''}.weights.h5"
    if not path.exists():
        _train(model, name, x_train, y_train, quick)
        model.save_weights(path)
    model.load_weights(path)
    accuracy = float((model.predict(x, batch_size=256, verbose=0).argmax(axis=-1) == y).mean())
    if name == "text":  # whole sentences: padding, which nobody can remove, would be part of the order of removal
        x, x_train = (each[(each > 0).all(axis=-1)] for each in (x, x_train))
    # A removed word becomes an unknown one, a removed pixel the mean color, which is zero.
    baseline = np.full_like(x[:num_samples], _UNKNOWN if name == "text" else 0)
    return Setting(name, model, accuracy, x[:num_samples], baseline, x_train[:16])


def _sentences():
    """Words as numbers `(n, LENGTH)`, and classes; training first. The sentences are those of a fixed permutation."""
    folder = photos.folder() / "text"
    lines, classes = [], []
    for number, name in enumerate(("neg", "pos")):
        found = (folder / f"rt-polarity.{name}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        lines += [line.split() for line in found]
        classes += [number] * len(found)
    order = np.random.default_rng(0).permutation(len(lines))
    lines, y = [lines[i] for i in order], np.array(classes)[order]
    counts = collections.Counter(word for line in lines[_NUM_TEST:] for word in line)
    known = {word: i + 2 for i, word in enumerate(word for word, count in counts.most_common() if count >= 3)}
    x = np.zeros((len(lines), LENGTH), "int32")
    for row, words in zip(x, lines, strict=True):
        row[: len(words)] = [known.get(word, _UNKNOWN) for word in words[:LENGTH]]
    return x[_NUM_TEST:], y[_NUM_TEST:], x[:_NUM_TEST], y[:_NUM_TEST]


def _images():
    """Standardized images `(n, 32, 32, 3)` of CIFAR-10 and their classes; training first."""
    x_train, y_train, x, y = transfer.cifar10()
    mean, scale = x_train.mean(axis=(0, 1, 2)), x_train.std(axis=(0, 1, 2))
    x_train, x = (((each - mean) / scale).astype("float32") for each in (x_train, x))
    return x_train, y_train, x, y


def _blocks(x, count, dropout):
    for _ in range(count):
        x = keras_hub.layers.TransformerEncoder(128, 4, dropout=dropout, activation="gelu", normalize_first=True)(x)
    return layers.LayerNormalization(epsilon=1e-5)(x)


def _text_network(vocabulary):
    keras.utils.set_random_seed(0)
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = keras_hub.layers.TokenAndPositionEmbedding(vocabulary, LENGTH, 64, mask_zero=True)(ids)
    x = layers.GlobalAveragePooling1D()(_blocks(x, 2, 0.3))
    return keras.Model(ids, layers.Dense(2, activation="softmax")(x))


def _image_network():
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 32, 3), name="images")
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 4, strides=4, name="patches")(images))
    x = _blocks(x + keras_hub.layers.PositionEmbedding(64)(x), 3, 0.1)
    return keras.Model(images, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def _train(model, name, x, y, quick):
    batch_size = 64
    epochs = 1 if quick else _EPOCHS[name]
    steps = epochs * -(-len(x) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        model.fit(_changed(name, x[order], rng), y[order], batch_size=batch_size, shuffle=False, verbose=2)


def _changed(name, x, rng):
    """Training samples as an epoch sees them: sentences without some words, images mirrored and moved by up to 4 pixels."""
    if name == "text":
        return np.where((x > 0) & (rng.random(x.shape) < _WORD_DROPOUT), _UNKNOWN, x)
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), axis=(1, 2))  # (n, 9, 9, 3, 32, 32)
    moved = windows[np.arange(len(x)), rng.integers(9, size=len(x)), rng.integers(9, size=len(x))].transpose(0, 2, 3, 1)
    return np.where(rng.random((len(x), 1, 1, 1)) < 0.5, moved, moved[:, :, ::-1])
