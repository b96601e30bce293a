"""What the explanations of small MNIST classifiers are worth: test images whose evidence is known, attributions and their figures.

The classifiers map images (n, 28, 28, 1) in [0, 1] to a softmax of shape (n, 10). Attributions are those of the true class' logit:
its probability saturates, and would leave nothing to attribute on images that the classifier is sure of.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import scipy.ndimage
import tensorflow as tf
from scipy.integrate import trapezoid

SIDE = 28
PIXELS = SIDE**2
INK = 0.25  # gray value above which a pixel is part of the digit
DIGIT_TONE = 0.85  # of the pasted digits: the brightest parts of the backgrounds are as bright
BACKGROUND_MEAN, BACKGROUND_DEVIATION = 0.4, 0.2
FINE, COARSE = 1.0, 3.0  # standard deviations, in pixels, of the Gaussians between which the band of the textures lies
PATH_STEPS = 32  # of integrated gradients
PATCH, STRIDE = 4, 2  # of occlusion


def textured(images: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits pasted on random textures, one for each image, and where the digits are.

    A classifier has seen no such background if it was trained on plain digits, and what it should look at is known. Gray values
    of digit and texture overlap, so that brightness alone does not tell them apart.

    Args:
        images: Digits (n, 28, 28) in [0, 1], on black.
        seed: Of the textures. The first images get the same textures however many follow.

    Returns:
        The images (n, 28, 28), float32 in [0, 1], and masks (n, 28, 28) that are true where the digit's ink is above 0.25.
    """
    images = np.asarray(images, "float32")
    noise = np.random.default_rng(seed).standard_normal(images.shape, "float32")
    # Wrapped around, so that the texture is as strong at the edges as in the middle.
    fine, coarse = (scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="wrap") for sigma in (FINE, COARSE))
    band = fine - coarse
    band = (band - band.mean((1, 2), keepdims=True)) / band.std((1, 2), keepdims=True)
    background = np.clip(BACKGROUND_MEAN + BACKGROUND_DEVIATION * band, 0, 1)
    return (background + images * (DIGIT_TONE - background)).astype("float32"), images > INK


def attributions(
    model: keras.Model, x: np.ndarray, labels: np.ndarray, batch_size: int = 256, stride: int = STRIDE
) -> dict[str, np.ndarray]:
    """Attributions of the true class' logit to the pixels, by four methods.

    Args:
        model: A Sequential or functional model whose last layer is a `Dense` with softmax, or a softmax on its own.
        x: Images (n, 28, 28, 1) in [0, 1].
        labels: The true classes (n,).
        batch_size: Images at a time.
        stride: Of the patches of occlusion, whose cost falls with its square. At most 4, where the patches tile the image.

    Returns:
        Arrays (n, 28, 28), float32: the absolute "gradient"; the signed "gradient x input"; the signed "integrated gradients",
        from black, by the midpoint rule in 32 steps; and "occlusion", the drop of the logit when a 4 x 4 patch turns black,
        averaged over the patches that a pixel lies in.
    """
    x, labels = _as_arrays(x, labels)
    _, logit, gradient = _compiled(model)
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(x), batch_size):
        part, classes = x[start : start + batch_size], labels[start : start + batch_size]
        slope = gradient(part, classes).numpy()
        fractions = (np.arange(PATH_STEPS, dtype="float32") + 0.5) / PATH_STEPS
        path = sum(gradient(fraction * part, classes).numpy() for fraction in fractions) / PATH_STEPS
        maps = {
            "gradient": np.abs(slope),
            "gradient x input": slope * part,
            "integrated gradients": path * part,
            "occlusion": _occlusion(logit, part, classes, stride),
        }
        for name, values in maps.items():
            found.setdefault(name, []).append(values[..., 0])
    return {name: np.concatenate(parts).astype("float32") for name, parts in found.items()}


def deletion_insertion(
    model: keras.Model, x: np.ndarray, labels: np.ndarray, attribution: np.ndarray, steps: int = 16, batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the true class' probability while pixels turn black, or return to a black image, the most important ones first.

    Random attributions are the control: they order the pixels at random.

    Args:
        model: As in `attributions`.
        x: Images (n, 28, 28, 1) in [0, 1].
        labels: The true classes (n,).
        attribution: What the pixels are ordered by (n, 28, 28), the highest first. Equal ones come in an order that is random, but
            the same for all images: an order by position would set out from the top, where there is mostly background.
        steps: Into how many equal parts the pixels are divided.
        batch_size: Images at a time.

    Returns:
        Deletion, of which less is better, and insertion, of which more is better: float32 arrays (n,), by the trapezoid rule over the
        fraction of the pixels.
    """
    x, labels = _as_arrays(x, labels)
    probability, _, _ = _compiled(model)
    ranks = _ranks(np.asarray(attribution, "float32").reshape(-1, PIXELS)).reshape(x.shape)
    counts = np.round(np.linspace(0, PIXELS, steps + 1)).astype(int)
    areas: list[np.ndarray] = []
    for start in range(0, len(x), batch_size):
        part, rank, classes = (array[start : start + batch_size] for array in (x, ranks, labels))
        inner = np.array(
            [[probability(part * kept, classes).numpy() for kept in (rank >= count, rank < count)] for count in counts[1:-1]],
            "float32",
        ).reshape(steps - 1, 2, len(part))
        # The ends are the same for both, and for all attributions.
        whole, black = (probability(image, classes).numpy() for image in (part, np.zeros_like(part)))
        curves = np.concatenate([[[whole, black]], inner, [[black, whole]]])
        areas.append(trapezoid(curves, counts / PIXELS, axis=0))
    deletion, insertion = np.concatenate(areas, axis=1).astype("float32")
    return deletion, insertion


def relevance_mass(attribution: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share (n,) of the positive attribution that lies in the mask, zero where no attribution is positive."""
    positive, masks = np.maximum(_flat(attribution), 0), _flat(masks)
    return _share(np.sum(positive * masks, axis=1), positive.sum(axis=1))


def relevance_rank(attribution: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share (n,) of the k highest attributions that lies in the mask, of k pixels; zero where the mask is empty.

    Where several pixels tie for the last places, it is the expected share if these were drawn by lot: occlusion gives whole patches
    the same value, and gradient x input gives zero to whatever is black.
    """
    values, masks = _flat(attribution), _flat(masks).astype(bool)
    size = masks.sum(axis=1)
    last = np.take_along_axis(-np.sort(-values, axis=1), np.maximum(size - 1, 0)[:, None], axis=1)
    above, tied = values > last, values == last
    drawn = _share(size - above.sum(axis=1), tied.sum(axis=1))
    return _share(np.sum(above & masks, axis=1) + drawn * np.sum(tied & masks, axis=1), size)


# At most a few models, which are kept alive by what is compiled for them. Weights may change after that, layers may not.
@functools.lru_cache(maxsize=4)
def _compiled(model: keras.Model) -> tuple[Callable, Callable, Callable]:
    """The true class' probability and logit, and the gradient of the latter, as functions of images and labels."""
    logits = _logits(model)
    signature = (tf.TensorSpec((None, SIDE, SIDE, 1), tf.float32), tf.TensorSpec((None,), tf.int32))

    @tf.function(input_signature=signature)
    def probability(x, labels):
        return tf.gather(tf.nn.softmax(logits(x)), labels, batch_dims=1)

    @tf.function(input_signature=signature)
    def logit(x, labels):
        return tf.gather(logits(x), labels, batch_dims=1)

    @tf.function(input_signature=signature)
    def gradient(x, labels):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.gather(logits(x), labels, batch_dims=1)
        return tape.gradient(value, x)  # images do not depend on each other, in inference

    return probability, logit, gradient


def _logits(model: keras.Model) -> Callable:
    """What the last softmax of the model is given, in float32."""
    last = model.layers[-1]
    softmax = isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax
    if not softmax or not isinstance(last, (keras.layers.Dense, keras.layers.Activation, keras.layers.Softmax)):
        raise ValueError(f"Expected a model that ends in a Dense layer with softmax, or in a softmax. Received: {last}")
    features = keras.Model(model.inputs, last.input)

    def logits(x):
        values = features(x, training=False)
        if isinstance(last, keras.layers.Dense):
            values = values @ last.kernel
            values = values if last.bias is None else values + last.bias
        return tf.cast(values, tf.float32)

    return logits


def _occlusion(logit: Callable, x: np.ndarray, labels: np.ndarray, stride: int) -> np.ndarray:
    """The drop of the logit (n, 28, 28, 1) when a patch is black, averaged over the patches that a pixel lies in."""
    if stride > PATCH or (SIDE - PATCH) % stride:
        raise ValueError(f"Expected a stride with which patches of {PATCH} cover {SIDE} pixels. Received: stride={stride}")
    whole = logit(x, labels).numpy()
    total, covers = np.zeros_like(x), np.zeros((SIDE, SIDE, 1), "float32")
    starts = range(0, SIDE - PATCH + 1, stride)
    for top in starts:
        for left in starts:
            patch = (slice(top, top + PATCH), slice(left, left + PATCH))
            covers[patch] += 1
            changed = np.flatnonzero(x[:, *patch].any(axis=(1, 2, 3)))  # a patch that is black already drops nothing
            if len(changed):
                occluded = x[changed]
                occluded[:, *patch] = 0
                drop = whole[changed] - logit(occluded, labels[changed]).numpy()
                total[changed, *patch] += drop[:, None, None, None]
    # A sum would favor the middle of the image: fewer patches cover the pixels at its edges.
    return total / covers


def _ranks(values: np.ndarray) -> np.ndarray:
    """The places (n, pixels) of the values in descending order, from 0; ties are in random order, the same for all rows."""
    shuffled = np.random.default_rng(0).permutation(PIXELS)
    order = shuffled[np.argsort(-values[:, shuffled], axis=1, kind="stable")]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(PIXELS)[None], axis=1)
    return ranks


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole` in float32, zero where `whole` is."""
    return np.divide(part, whole, out=np.zeros(len(whole), "float32"), where=whole != 0, casting="same_kind")


def _flat(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).reshape(len(array), -1)


def _as_arrays(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(x, "float32"), np.asarray(labels, "int32")
