"""Deconvnet reconstructions of single feature maps."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.gradient.rectified import refuse_unrectified
from keras_xai.backend import compiled
from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose, check_choice, check_verbose, is_integer
from keras_xai.data.progress import progress
from keras_xai.data.reader import read_all
from keras_xai.features.responses import Responses
from keras_xai.graph.split import leading_to
from keras_xai.graph.steps import Graph, Step
from keras_xai.kinds.activated import activated
from keras_xai.kinds.expansion import kind_of
from keras_xai.network.backward import backward, between
from keras_xai.network.batching import batch_size_for
from keras_xai.results.reconstructions import Reconstructions
from keras_xai.rules.rectifiers import Deconvolved, is_rectifier
from keras_xai.rules.rule import Passage

_Keep = Literal["map", "largest"]
_INSTEAD = "Choose a layer before them, or use `maximize_activation` or `extreme_examples`."


def reconstruct(
    model: keras.Model,
    x: Any,
    *,
    layer: str | keras.Layer,
    top: int | None = None,
    keep: _Keep = "map",
    batch_size: int | None = None,
    verbose: Verbose = "auto",
) -> Reconstructions:
    """Reconstructs inputs from single feature maps of a layer by a Deconvnet.

    All maps of the layer's activation except one are set to zero. The network is then run backward to the pixels: the signal is rectified
    at each rectifier, whether its units are active or not; it passes convolutions by their transposed filters, and max poolings to the
    positions of the maxima in the forward pass. Other affine layers, such as batch normalization, dense layers and average pooling, pass it
    by their transpose. Layers after the given layer are not computed and may be of any type.

    The activation of a layer is its output, including a fused activation function. A layer without one is taken after the batch
    normalization and the rectifier that directly follow it, provided that no other layer uses the tensors in between. A final softmax or
    sigmoid is left out. The layer may also be a pooling or a `Concatenate`; for a dense layer, each unit is a map with one entry.

    One backward pass per reconstruction, `batch_size` at a time; for each input, one forward pass to the layer, and one more for every
    `batch_size` of its maps. The result holds `n * maps` arrays of the shape of an input: in float32, the 512 maps of one image of 227 x
    227 x 3 take 317 MB, and 40 MB with `top=64`.

    Source: [Zeiler & Fergus, 2014](https://arxiv.org/abs/1311.2901), section 2.1, which keeps a single activation of a map
    (`keep="largest"`); Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning", figure 3, shows an image
    of every map of a layer for one input. The sources cover ReLUs, convolutions and max poolings; a rectifier with a negative slope or a
    maximum counts as a plain ReLU in the backward pass, as in `keras_xai.attribution.Deconvnet`.

    Args:
        model: A built model with one real-valued input; only read.
        x: The inputs: an array or tensor `(n, *input_shape)`, a table, or a dataset of batches, which are kept.
        layer: A layer or its path, such as `"backbone/conv5"`.
        top: Number of maps to reconstruct from: for each input those with the largest activations, in descending order. Ties are broken by
            the mean activation, then by channel order. By default all maps, in that order.
        keep: `"map"` to keep the whole map; `"largest"` to keep only its largest activation, which shows the clearest occurrence of its
            feature.
        batch_size: Inputs and reconstructions per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        A `Reconstructions`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer, its output is not real-valued, the model has several inputs or an integer input, `top`
            is not a number of maps that the layer has, another option is invalid, or `x` does not fit the model or contains NaN; or if an
            activation is NaN or infinite.
        UnsupportedLayerError: If there is an activation other than a rectifier, or a layer that is not piecewise linear, between the input
            and the layer's output.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import reconstruct
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu", name="conv1"),
    ...     keras.layers.MaxPooling2D(2),
    ...     keras.layers.Conv2D(6, 3, activation="relu", name="conv2"),
    ... ])
    >>> x = np.random.default_rng(0).normal(size=(5, 8, 8, 1))
    >>> found = reconstruct(model, x, layer="conv2", top=3)
    >>> found.values.shape, found.maps.shape, bool((np.diff(found.activations) <= 0).all())
    ((5, 3, 8, 8, 1), (5, 3), True)
    """
    check_verbose(verbose)
    check_choice("keep", keep, get_args(_Keep))
    responses = Responses(model, layer)
    batch_size = batch_size_for(responses.graph, batch_size)
    graph, last = responses.graph, _last_step(responses)
    _check_input(graph)
    steps = between(leading_to(graph, last.outputs), graph.inputs)
    refuse_unrectified("`reconstruct`", steps, _INSTEAD)
    count = _checked_top(top, responses)
    (inputs,) = responses.scores.typed(read_all(x, graph))

    largest, mean = _sizes(responses, last, inputs, batch_size)
    # The mean breaks ties between maps that reach an upper bound, as after a `relu6`.
    ranked = np.lexsort((-mean, -largest), axis=1)[:, :count]
    maps = np.tile(np.arange(count), (len(inputs), 1)) if top is None else ranked
    send_back = _program(responses, last, steps, keep)
    values = np.empty((len(inputs), count, *inputs.shape[1:]), inputs.dtype)
    parts = [(some, which) for some in rows(len(inputs), max(1, batch_size // count)) for which in rows(count, batch_size)]
    for some, which in progress(parts, len(parts), verbose):
        values[some, which] = ops.convert_to_numpy(send_back(inputs[some], maps[some, which].astype("int32")))
    return Reconstructions(
        values=values,
        maps=maps,
        activations=np.take_along_axis(largest, maps, axis=1),
        inputs=inputs,
        layer=responses.name,
        model=model.name,
        num_maps=responses.num_channels,
        keep=keep,
        layout=responses.scores.layouts[0].letters,
    )


def _last_step(responses: Responses) -> Step:
    """The step whose output is the layer's activation."""
    step = responses.scores.find(responses.name)
    behind = activated(responses.graph, step)
    # The signal cannot pass back through an activation of another type, even if the layer itself is supported.
    return step if kind_of(behind).role in ("gate", "curved") and not is_rectifier(behind) else behind


def _check_input(graph: Graph) -> None:
    specs = graph.input_specs
    if len(specs) != 1 or not keras.backend.is_float_dtype(specs[0].dtype):
        raise ValueError(
            "Expected a model with one real-valued input to reconstruct. Received: a model with the inputs "
            f"{[(spec.name, tuple(spec.shape), spec.dtype) for spec in specs]}. Fix the others, for example by `keras.Model(x, model([x, "
            "constant]))`, or start after the `Embedding`."
        )


def _checked_top(top: int | None, responses: Responses) -> int:
    """Number of maps to reconstruct from."""
    if top is None:
        return responses.num_channels
    if not is_integer(top) or not 1 <= top <= responses.num_channels:
        raise ValueError(
            f"Expected `top` to be an integer from 1 to {responses.num_channels}, the number of maps of '{responses.name}', or None for "
            f"all of them. Received: top={top!r}"
        )
    return int(top)


def _activation(responses: Responses, last: Step, inputs: Any) -> tuple[Any, dict[int, Any]]:
    """The layer's activation `(n, *positions, channels)`, and the tensors leading to it by identifier."""
    values = responses.scores.run([inputs], until=last.outputs)
    return ops.moveaxis(values[last.outputs[0]], responses.axis, -1), values


def _sizes(responses: Responses, last: Step, inputs: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the mean activation in each map of the layer, `(n, channels)` each."""

    def sizes(batch):
        found, _ = _activation(responses, last, batch)
        positions = tuple(range(1, len(found.shape) - 1))
        return [ops.max(found, axis=positions), ops.mean(found, axis=positions)]

    program = compiled(sizes, responses.scores.signature[:1])
    parts = [[ops.convert_to_numpy(each) for each in program(inputs[part])] for part in rows(len(inputs), batch_size)]
    largest, mean = (np.concatenate(each) for each in zip(*parts, strict=True))
    bad = np.flatnonzero(~np.isfinite(mean).all(axis=1))
    if bad.size:
        raise ValueError(
            f"The activations of '{responses.name}' for sample {bad[0]} are NaN or infinite. Check the model's weights and the range "
            "of its inputs: `model.predict(x)` should be finite."
        )
    return largest, mean


def _program(responses: Responses, last: Step, steps: Sequence[Step], keep: str) -> Callable:
    """Compiles the reconstructions `(n, maps, *input_shape)` of inputs from channels `(n, maps)`."""
    scores = responses.scores
    (entry,) = responses.graph.inputs
    passages = [Passage(step, Deconvolved()) if is_rectifier(step) else Passage(step) for step in steps]

    def send_back(inputs, channels):
        found, values = _activation(responses, last, inputs)
        if keep == "largest":
            found = _largest_only(found)
        per_input = ops.shape(channels)[1]
        shape = (*ops.shape(channels), *[1] * (len(found.shape) - 2), found.shape[-1])
        alone = ops.expand_dims(found, 1) * ops.reshape(ops.one_hot(channels, found.shape[-1], dtype=found.dtype), shape)
        start = ops.reshape(alone, (-1, *ops.shape(found)[1:]))
        # The forward pass runs once per input. The backward pass only needs its tensors at max poolings, where they are repeated for each
        # reconstruction; the compiler drops the rest.
        repeated = {identifier: ops.repeat(value, per_input, axis=0) for identifier, value in values.items()}
        messages = {last.outputs[0]: ops.moveaxis(start, -1, responses.axis)}
        with scores.network.scope():
            backward([passage.call(repeated) for passage in passages], messages)
        back = messages.get(entry, ops.zeros_like(repeated[entry]))
        return ops.reshape(back, (*ops.shape(channels), *ops.shape(inputs)[1:]))

    return compiled(send_back, [scores.signature[0], ((None, None), "int32")])


def _largest_only(found: Any) -> Any:
    """Activations `(n, *positions, channels)` with all entries but the largest of each map set to zero."""
    flat = ops.reshape(found, (ops.shape(found)[0], -1, found.shape[-1]))
    places = ops.cast(ops.arange(ops.shape(flat)[1]), "int32")
    chosen = ops.equal(ops.expand_dims(ops.cast(ops.argmax(flat, axis=1), "int32"), 1), ops.reshape(places, (1, -1, 1)))
    return ops.reshape(ops.where(chosen, flat, ops.zeros_like(flat)), ops.shape(found))
