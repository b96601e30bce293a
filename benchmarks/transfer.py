"""Two pretrained networks on CIFAR-10: before transfer, after it, and with random weights."""

import json
import pathlib

import keras
import numpy as np
import photos
import tensorflow as tf
from keras import layers, ops
from sklearn.linear_model import LogisticRegression

NAMES = ("SqueezeNet", "MobileNet")
STATES = ("fine-tuned", "fine-tuned fast", "pretrained", "random")
_FILES = {"SqueezeNet": "squeezenet_v1.1.keras", "MobileNet": "mobilenet_v1_to_conv_pw_12.keras"}
# The last layer of a backbone: what follows it in SqueezeNet is made for the classes of ImageNet.
_LAST = {"SqueezeNet": "fire9_concat", "MobileNet": "conv_pw_12_relu"}
_SIZES = {"SqueezeNet": 227, "MobileNet": 224}
_BATCH_SIZE = 16
# Learning rate, that of the paper or ten times as much, and epochs.
FINE_TUNING = {"fine-tuned": (1e-5, 2), "fine-tuned fast": (1e-4, 3)}


def cifar10() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """10,000 training and 2,000 test images `(n, 32, 32, 3)` of uint8 with their classes `(n,)`."""
    with np.load(photos.folder() / "cifar10_subset.npz") as file:
        return file["x_train"], file["y_train"].ravel(), file["x_test"], file["y_test"].ravel()


def scaled(name: str, images):
    """Images with values from 0 to 255, of any size, with those that a network takes."""
    if name == "SqueezeNet":
        return photos.prepared(images)
    return images / np.float32(127.5) - 1


def resized(name: str, images):
    """Images in the size that a network takes."""
    return ops.image.resize(images, (_SIZES[name], _SIZES[name]))


def square(image: np.ndarray) -> np.ndarray:
    """The middle of an image, as high as wide."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def network(name: str, state: str, work: pathlib.Path) -> tuple[keras.Model, float]:
    """A network that tells the ten classes apart, and its accuracy on the test images.

    Args:
        name: One of `NAMES`.
        state: `"random"`: random weights, and a linear head fitted to what they make of the training images. `"pretrained"`: the
            weights learned on ImageNet, and such a head. The others: the same, trained further as a whole, see `FINE_TUNING`.
        work: Folder in which finished networks are kept.
    """
    path = work / f"{name}-{state}.weights.h5"
    model = _with_head(name)
    if not path.exists():
        x, y, _, _ = cifar10()
        if state == "random":
            keras.utils.set_random_seed(0)
            model = keras.models.clone_model(model)  # new weights, by the layers' own initializers
        _fit_head(model, name, x, y)
        if state in FINE_TUNING:
            _fine_tune(model, name, state, x, y, work)
        model.save_weights(path)
    model.load_weights(path)
    return model, _accuracy(model, name, path)


def _with_head(name):
    whole = keras.models.load_model(photos.folder() / "models" / _FILES[name], compile=False)
    features = layers.GlobalAveragePooling2D(name="features")(whole.get_layer(_LAST[name]).output)
    scores = layers.Dense(10, activation="softmax", name="scores")(features)
    model = keras.Model(whole.inputs[0], scores, name=name)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # keeps the statistics of ImageNet, as is usual where batches are small
    return model


def _batches(name, x, y=None, shuffled=False):
    data = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y))
    if shuffled:
        data = data.shuffle(len(x), seed=0)

    def ready(images):
        return resized(name, scaled(name, ops.cast(images, "float32")))

    return data.batch(_BATCH_SIZE).map(ready if y is None else (lambda x, y: (ready(x), y))).prefetch(2)


def _fit_head(model, name, x, y):
    features = keras.Model(model.inputs, model.get_layer("features").output).predict(_batches(name, x), verbose=2)
    scale = features.std(axis=0).mean()  # those of random weights are tiny
    fitted = LogisticRegression(max_iter=300).fit(features / scale, y)
    model.get_layer("scores").set_weights([fitted.coef_.T / scale, fitted.intercept_])


def _fine_tune(model, name, state, x, y, work):
    keras.utils.set_random_seed(0)
    learning_rate, epochs = FINE_TUNING[state]
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    resume = keras.callbacks.BackupAndRestore(str(work / f"{name}-{state}-backup"))
    model.fit(_batches(name, x, y, shuffled=True), epochs=epochs, callbacks=[resume], verbose=2)


def _accuracy(model, name, path):
    kept = path.with_suffix(".json")
    if not kept.exists():
        _, _, x, y = cifar10()
        found = model.predict(_batches(name, x), verbose=2).argmax(axis=-1)
        kept.write_text(json.dumps(float((found == y).mean())), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))
