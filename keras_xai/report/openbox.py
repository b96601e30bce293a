"""The linear pieces of a network as a page."""

from collections.abc import Sequence

import numpy as np

from keras_xai.data.checks import check_instance, real_array, short
from keras_xai.data.imagenet import check_class_names
from keras_xai.data.layout import Layout
from keras_xai.report.heatmap import color_bar, heatmap, shared_limit
from keras_xai.report.page import Page, Panel
from keras_xai.report.plots import histogram, picture
from keras_xai.report.protocols import Pieces
from keras_xai.results.walls import Walls


def openbox_page(
    local: Pieces,
    walls: Walls,
    *,
    images: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    show: Sequence[int] | None = None,
    page: Page | None = None,
) -> Page:
    """Creates a page on the linear pieces of image samples: their decision features and their certified radii.

    Each sample's image is shown next to the decision features of the predicted class against the runner-up, all on one color scale and
    summed over color channels. A histogram of the certified radii of all samples follows.

    Args:
        local: The linear pieces of n samples whose inputs are images, `(n, height, width)` or `(n, height, width, channels)`, for at least
            two classes.
        walls: `local.nearest_wall()`, in the Euclidean norm.
        images: `(n, height, width)` or `(n, height, width, 1 or 3)`, images to show if the samples themselves are not displayable; the
            samples by default.
        labels: `(n,)`, the true classes, if known.
        class_names: Names of all classes of the model; their indices by default.
        show: Indices of the samples with a panel, in this order; the first ten by default.
        page: A page to extend; a new one by default.

    Returns:
        The page.

    Raises:
        ValueError: If the samples are not images, there are fewer than two classes, or the arguments are inconsistent.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> from keras_xai.report import openbox_page
    >>> model = keras.Sequential([
    ...     keras.Input((6, 6, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> local = OpenBox(model)(np.random.default_rng(0).random((5, 6, 6, 1)), verbose=0)
    >>> page = openbox_page(local, local.nearest_wall(verbose=0), class_names=["cat", "dog", "bird"])
    >>> page.html().count('class="panel"')
    5
    """
    check_instance("local", local, Pieces, "the `LinearPieces` that a box returns")
    if page is not None:
        check_instance("page", page, Page, "a `Page`, or None for a new one")
    images = _checked_images(local, images)
    layout = _layout(local)
    _check_counts(local, walls, labels, class_names)
    chosen = _checked_choice(local, show)
    features = layout.channels_last(local.decision_features(against="runner-up")).reshape(*images.shape[:3], -1).sum(axis=3)
    limit = shared_limit([features[chosen]])
    page = Page("Linear pieces of a network") if page is None else page
    page.heading("Decision features of the linear pieces")
    page.text(
        "Next to each image is a heatmap of the weights by which the linear piece at this image prefers the predicted class to the class "
        "with the next highest score, the runner-up. In red areas, a brighter pixel raises the score of the predicted class relative to "
        "the runner-up; in blue areas, it lowers it; in white areas, it has no effect. The thin line surrounds the brighter half of the "
        "image's range. All heatmaps share this scale, so that their colors can be compared:"
    )
    page.figure(color_bar(limit, "change of the score difference for a change of the pixel by 1"))
    page.panels(
        Panel(
            title=_title(local, i, class_names),
            figures=[picture(images[i]), heatmap(features[i], limit, outline=images[i])],
            caption=_caption(local, walls, i, labels, class_names),
        )
        for i in chosen
    )
    page.text(
        "A wall is where one unit of the network changes its linear piece: a ReLU switches on or off, or another entry of a max-pooling "
        "window becomes the largest. The numbers in parentheses are the unit's index in its layer; for max pooling, of the window, the "
        "competing entry in it and the channel."
    )
    return _add_radii(page, walls.distance)


def _add_radii(page, radii):
    page.heading("Certified radii of the linear pieces")
    left_out = []
    if (radii <= 0).any():
        left_out.append(f"{int((radii <= 0).sum())} samples lie exactly on a wall; their radius is 0 and not shown.")
    if np.isinf(radii).any():
        left_out.append(
            f"{int(np.isinf(radii).sum())} samples are on a piece without walls; their radius is infinite and not shown."
        )
    text = " ".join(
        [
            f"Distance from each of the {len(radii)} samples to the nearest wall. Within it, the network equals the linear piece.",
            *left_out,
        ]
    )
    if (np.isfinite(radii) & (radii > 0)).any():
        return page.figure(histogram(radii, "certified radius (Euclidean distance, logarithmic scale)"), text)
    return page.text(text)


def _ranked(local, i):
    """The two classes with the highest scores, and their margin."""
    scores = local.scores[i, local.outputs[i]]
    first, second = np.argsort(-scores, kind="stable")[:2]
    return local.outputs[i, first], local.outputs[i, second], scores[first] - scores[second]


def _title(local, i, class_names):
    predicted, runner_up, _ = _ranked(local, i)
    return f"Predicted {_name(predicted, class_names)}, runner-up {_name(runner_up, class_names)}"


def _caption(local, walls, i, labels, class_names):
    predicted, runner_up, margin = _ranked(local, i)
    first, second = _name(predicted, class_names), _name(runner_up, class_names)
    truth = ""
    if labels is not None:
        truth = "Correct. " if labels[i] == predicted else f"Wrong: it is {_name(labels[i], class_names)}. "
    return (
        f"{truth}Ahead of {second} by {margin:.3g} in score. Brighter red pixels favor {first}, brighter blue pixels {second}. "
        + _reach(walls, i)
    )


def _reach(walls, i):
    if np.isinf(walls.distance[i]):
        return "Valid everywhere: this piece has no walls."
    unit = f"unit ({', '.join(map(str, walls.unit[i]))}) of {walls.layer[i]}"
    if walls.distance[i] <= 0:
        return f"Valid at this image only, which lies on a wall: {unit}."
    return f"Valid within a Euclidean distance of {walls.distance[i]:.2g}; nearest wall: {unit}."


def _name(index, class_names):
    return str(index) if class_names is None else str(class_names[index])


def _layout(local):
    """The layout of the samples: images without channels unless there is an axis of them."""
    shape = np.shape(local.x) if isinstance(local.x, np.ndarray) else ()
    (letters,) = local.space.layouts if len(local.space.layouts) == 1 else (None,)
    if letters is None or len(shape) == 3 or Layout(letters).is_apart:
        return Layout("NHW") if len(shape) == 3 else Layout.of_shape(shape)
    return Layout(letters)


def _checked_images(local, images):
    shape = getattr(local.x, "shape", None)
    if shape is None or len(shape) not in (3, 4):
        raise ValueError(
            "Expected the linear pieces of images, of shape (n, height, width) or (n, height, width, channels). "
            f"Received: samples of {'several inputs' if shape is None else f'shape {shape}'}."
        )
    if local.outputs.shape[1] < 2:
        raise ValueError(
            "Expected the linear pieces of at least two classes. Received: one class. Call the `OpenBox` with more `outputs`."
        )
    layout = _layout(local)
    images = layout.channels_last(local.x) if images is None else real_array("images", images, "images")
    expected = layout.channels_last_shape(shape)[:3]
    if images.shape == shape and images.shape[:3] != expected:
        images = layout.channels_last(images)
    if images.shape[:3] != expected:
        raise ValueError(
            f"Expected `images` to begin with the shape of the samples, {expected}. Received: an array of shape {images.shape}."
        )
    return images


def _check_counts(local, walls, labels, class_names):
    check_instance("walls", walls, Walls, "`local.nearest_wall()`")
    n, num_classes = local.scores.shape
    if len(walls.distance) != n:
        raise ValueError(
            f"Expected `walls` of the same {n} samples, from `local.nearest_wall()`. Received: walls of {len(walls.distance)} samples."
        )
    if labels is not None and np.shape(labels) != (n,):
        raise ValueError(f"Expected `labels` to have one label for each of the {n} samples. Received: labels={short(labels)}")
    check_class_names(class_names, num_classes, "class of the model")


def _checked_choice(local, show):
    chosen = np.arange(min(10, len(local))) if show is None else np.asarray(show)
    if chosen.ndim != 1 or not chosen.size or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= len(local):
        raise ValueError(f"Expected `show` to be indices of samples, from 0 to {len(local) - 1}. Received: show={show!r}")
    return chosen
