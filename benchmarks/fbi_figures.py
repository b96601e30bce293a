"""What the explanations of small MNIST classifiers are worth: test images whose evidence is known, attributions and their figures.

The classifiers map images (n, 28, 28, 1) in [0, 1] to a softmax of shape (n, 10). Attributions are those of the true class' logit:
its probability saturates, and would leave nothing to attribute on images that the classifier is sure of.
"""

from typing import Any

import keras
import numpy as np
import scipy.ndimage

from keras_xai.attribution import Explanation, Occlusion, Saliency
from keras_xai.metrics import Deletion, Insertion, RelevanceMass

SIDE = 28
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
        model: A built model; a softmax at its end is left out.
        x: Images (n, 28, 28, 1) in [0, 1].
        labels: The true classes (n,).
        batch_size: Images at a time.
        stride: Of the patches of occlusion, whose cost falls with its square. At most 4, where the patches tile the image.

    Returns:
        Arrays (n, 28, 28), float32: the absolute "gradient"; the signed "gradient x input"; the signed "integrated gradients",
        from black, by the midpoint rule in 32 steps; and "occlusion", the drop of the logit when a 4 x 4 patch turns black,
        averaged over the patches that a pixel lies in.
    """
    x, labels = np.asarray(x, "float32"), np.asarray(labels, "int32")
    saliency = Saliency(model, batch_size=batch_size)
    occlusion = Occlusion(model, window=PATCH, stride=stride, batch_size=batch_size)

    def gradient(images):
        return saliency(images, target=labels).values

    # `IntegratedGradients` has the nodes of Gauss and Legendre, which are better where the gradient is smooth along the path. That of a
    # rectified network jumps; the results are published with equal steps.
    fractions = (np.arange(PATH_STEPS, dtype="float32") + 0.5) / PATH_STEPS
    slope, path = gradient(x), sum(gradient(fraction * x) for fraction in fractions) / PATH_STEPS
    maps = {
        "gradient": np.abs(slope),
        "gradient x input": slope * x,
        "integrated gradients": path * x,
        "occlusion": occlusion(x, target=labels).values,
    }
    return {name: values[..., 0].astype("float32") for name, values in maps.items()}


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
            the same for all images.
        steps: Into how many equal parts the pixels are divided.
        batch_size: Images at a time.

    Returns:
        Deletion, of which less is better, and insertion, of which more is better: arrays (n,), by the trapezoid rule over the fraction
        of the pixels.
    """
    explanation = _explanation(attribution, x, labels)
    options: dict[str, Any] = {"steps": steps, "probability": True, "batch_size": batch_size}
    return Deletion(model, **options)(explanation), Insertion(model, **options)(explanation)


def relevance_mass(attribution: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share (n,) of the positive attribution that lies in the mask, zero where no attribution is positive.

    `RelevanceMass` gives NaN there. In a mean over images, an explanation that finds nothing has not found the digit.
    """
    return np.nan_to_num(RelevanceMass(masks)(_explanation(attribution)))


def relevance_rank(attribution: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share (n,) of the k highest attributions that lies in the mask, of k pixels; zero where the mask is empty.

    Where several pixels tie for the last places, it is the expected share if these were drawn by lot: occlusion gives whole patches
    the same value, and gradient x input gives zero to whatever is black. `RelevanceRank` draws the order of ties once, so that it has
    this value in the mean over many images only.
    """
    values = np.asarray(attribution, "float32").reshape(len(attribution), -1)
    masks = np.asarray(masks, bool).reshape(len(masks), -1)
    size = masks.sum(axis=1)
    last = np.take_along_axis(-np.sort(-values, axis=1), np.maximum(size - 1, 0)[:, None], axis=1)
    above, tied = values > last, values == last
    drawn = _share(size - above.sum(axis=1), tied.sum(axis=1))
    return _share(np.sum(above & masks, axis=1) + drawn * np.sum(tied & masks, axis=1), size)


def _explanation(attribution: np.ndarray, x: np.ndarray | None = None, labels: np.ndarray | None = None) -> Explanation:
    """Maps (n, 28, 28), wherever they are from, as what the metrics of keras_xai take."""
    values = np.asarray(attribution, "float32").reshape(-1, SIDE, SIDE, 1)
    inputs = values if x is None else np.asarray(x, "float32")
    target = None if labels is None else np.asarray(labels, "int32")
    return Explanation(values, target, inputs, None, None, 0.0, "")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, zero where `whole` is."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
