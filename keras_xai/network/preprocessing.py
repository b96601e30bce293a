"""Finds how the images that a model takes were preprocessed."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_xai.data.preprocessing import PREPROCESSINGS, Preprocessing, PreprocessingName, check_preprocessing
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Step
from keras_xai.graph.trace import trace
from keras_xai.kinds.expansion import kind_of

# Layers by whose names a network of `keras.applications` is known, also renamed, cut off or inside another model; with the shape of a
# kernel where homemade networks have the name as well. Those that are not here contain their preprocessing.
_KNOWN: tuple[tuple[PreprocessingName, Mapping[str, tuple[int, ...] | None]], ...] = (
    ("tf", {"conv1_conv": None, "conv2_block1_preact_bn": None}),  # ResNetV2
    ("torch", {"conv1_conv": None, "conv2_block1_concat": None}),  # DenseNet
    ("caffe", {"conv1_conv": (7, 7, 3, 64), "conv2_block1_0_conv": None}),  # ResNet
    ("caffe", {"block1_conv1": (3, 3, 3, 64), "block1_conv2": (3, 3, 64, 64), "block1_pool": None}),  # VGG
    ("tf", {"block1_conv1": (3, 3, 3, 32), "block2_sepconv1": None}),  # Xception
    ("tf", {"conv1": None, "conv_dw_1": None, "conv_pw_1": None}),  # MobileNet
    ("tf", {"Conv1": None, "bn_Conv1": None, "block_1_expand": None}),  # MobileNetV2
    ("tf", {"mixed0": None, "mixed1": None}),  # InceptionV3
    ("tf", {"mixed_5b": None, "block35_1_mixed": None}),  # InceptionResNetV2
    ("tf", {"stem_conv1": None, "reduction_conv_1_stem_1": None}),  # NASNet
)

_SIDE = 64  # of a trial image, where the model leaves its size open
_WIDTHS = (0.5, 8.0)  # between black and white, of what the first convolution takes


def find_preprocessing(model: keras.Model) -> Preprocessing | None:
    """How images were preprocessed that a model takes, as far as the model tells.

    It tells by the scale and the offset of the image converter of a keras-hub task; by its layers if it is, or contains, a network
    of `keras.applications`; and by what it does itself with an image before its first weights, such as rescaling, a normalization or a
    `preprocess_input`.

    Args:
        model: The model.

    Returns:
        The preprocessing; `None` if it is not known, if the model takes no images of three colors, or several that differ.

    Example:

    >>> import keras
    >>> from keras_xai.network.preprocessing import find_preprocessing
    >>> layers = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    >>> find_preprocessing(keras.Sequential(layers))
    Preprocessing(order='rgb', scale=(1.0, 1.0, 1.0), offset=(0.0, 0.0, 0.0))
    >>> find_preprocessing(keras.Sequential(layers[:1] + layers[2:])) is None
    True
    """
    try:
        graph = trace(model)
        images = [i for i, spec in zip(graph.inputs, graph.input_specs, strict=True) if has_colors(spec.shape)]
        if not images:
            return None
        if (found := _of_converter(model)) is not None:
            return found
        every = {_of_input(graph, image) for image in images}
    except Exception:  # whatever the layers of others do with an image that is none
        return None
    return every.pop() if len(every) == 1 else None


def preprocessing_of(given: Any, model: keras.Model | None = None) -> Preprocessing | None:
    """The preprocessing that an argument stands for, and without one that of the model.

    Args:
        given: A name, a `Preprocessing`, or `None`.
        model: The model to ask if it is `None`.

    Raises:
        ValueError: If `given` is something else.
    """
    found = check_preprocessing(given)
    return found if found is not None or model is None else find_preprocessing(model)


def _of_converter(model):
    """By the image converter of a keras-hub task, which works on red, green and blue from 0 to 255."""
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if converter is None:
        return None
    scale, offset = (getattr(converter, name, None) for name in ("scale", "offset"))
    return Preprocessing("rgb", 1.0 if scale is None else scale, 0.0 if offset is None else offset)


def _of_input(graph: Graph, image: int) -> Preprocessing | None:
    found = _before_weights(graph, image)
    if found is None:
        return None
    tensor, first = found
    known = _known(graph, first)
    colors = _colors(graph, image, tensor)
    if colors is None:
        return None
    places, scale, offset = colors
    if known is not None:
        inner = PREPROCESSINGS[known]
        own = np.arange(3) if inner.order == "rgb" else np.arange(3)[::-1]
        back = np.argsort(places)
        order = own[back].tolist()
        if order not in ([0, 1, 2], [2, 1, 0]):
            return None
        factors, summands = (np.asarray(inner.scale) / scale)[back], ((np.asarray(inner.offset) - offset) / scale)[back]
        return _named(Preprocessing("rgb" if order == [0, 1, 2] else "bgr", tuple(factors), tuple(summands)))
    if np.allclose(scale, 1):
        # Nothing is done; or a gray level is subtracted, as `preprocess_input` of the mode "caffe" does.
        return PREPROCESSINGS["raw"] if (offset < -64).all() and (offset > -192).all() else None
    for name, white in (("raw", 255), ("unit", 1)):
        widths = np.abs(scale) * white
        if (widths >= _WIDTHS[0]).all() and (widths <= _WIDTHS[1]).all():
            return PREPROCESSINGS[name]  # type: ignore[index]
    return None


def _named(found: Preprocessing) -> Preprocessing:
    """One of the usual ones, if that is what it is up to rounding."""
    for each in PREPROCESSINGS.values():
        if (
            each.order == found.order
            and np.allclose(each.scale, found.scale)
            and np.allclose(each.offset, found.offset, atol=1e-4)
        ):
            return each
    return found


def _before_weights(graph: Graph, image: int) -> tuple[int, Step] | None:
    """The image that the first layers with weights take, and the first of these layers; `None` if they take several."""
    computed = {image}
    found: dict[int, tuple[Step, keras.KerasTensor]] = {}
    for step in graph.steps:
        varying = [identifier for position, identifier in enumerate(step.inputs) if position not in step.fixed]
        if not varying or not computed.issuperset(varying):
            continue
        if kind_of(step).kernels(step):
            found.setdefault(varying[0], (step, step.input_specs[step.inputs.index(varying[0])]))
        else:
            computed.update(step.outputs)
    if len(found) != 1:
        return None
    ((tensor, (step, spec)),) = found.items()
    return None if _color_axis(spec.shape) is None else (tensor, step)


def _known(graph: Graph, first: Step) -> PreprocessingName | None:
    """The preprocessing of the network of `keras.applications` that begins with a step."""
    around, slash, _ = first.path.rpartition("/")
    steps = {step.path.removeprefix(around + slash): step for step in graph.steps if step.path.startswith(around + slash)}
    for name, layers in _KNOWN:
        if all(layer in steps and shape in (None, _kernel_shape(steps[layer])) for layer, shape in layers.items()):
            return name
    return None


def _kernel_shape(step):
    kernels = kind_of(step).kernels(step)
    return tuple(kernels[0].shape) if kernels else None


def _colors(graph: Graph, image: int, tensor: int) -> tuple | None:
    """What is done to each color of an image, found by trial on images of one color.

    Returns:
        For each color of the result the place of the color that it is made of, a factor and a summand; `None` if that is not all.
    """
    if tensor == image:
        return np.arange(3), np.ones(3), np.zeros(3)
    steps = leading_to(graph, [tensor], [image])
    if {i for step in steps for i in step.inputs} & set(graph.inputs) != {image}:
        return None
    spec = graph.input_specs[graph.inputs.index(image)]
    axis = _color_axis(spec.shape)
    shape = [size or _SIDE for size in spec.shape[1:]]
    levels = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 128], [255, 64, 32]], "float32")
    images = np.broadcast_to(levels.reshape(5, *(3 if i == axis else 1 for i in range(1, 4))), (5, *shape))
    values: dict[int, Any] = {image: ops.convert_to_tensor(np.array(images), dtype=spec.dtype)}
    for step in steps:
        values.update(zip(step.outputs, step(*(values[identifier] for identifier in step.inputs)), strict=True))
    seen = ops.convert_to_numpy(values[tensor]).astype("float64")
    if _color_axis(seen.shape) == 1:
        seen = np.moveaxis(seen, 1, -1)
    seen = seen[:, seen.shape[1] // 2, seen.shape[2] // 2]  # away from padding
    matrix = (seen[1:4] - seen[0]) / 128  # a row for each color of the image
    places = np.abs(matrix).argmax(axis=0)
    scale = matrix[places, np.arange(3)]
    alone = np.zeros((3, 3))
    alone[places, np.arange(3)] = scale
    expected = levels[4] @ alone + seen[0]
    close = np.allclose(seen[4], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    return (places, scale, seen[0]) if sorted(places) == [0, 1, 2] and scale.all() and close else None


def has_colors(shape: Sequence[int | None]) -> bool:
    """Whether a batch may be images of three colors."""
    return _color_axis(shape) is not None


def _color_axis(shape: Sequence[int | None]) -> int | None:
    """The axis of the colors of a batch of images, `None` if it is something else."""
    if len(shape) != 4:
        return None
    return 3 if shape[3] == 3 else 1 if shape[1] == 3 else None
