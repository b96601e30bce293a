"""Occlusion: the drop of the score when a window of the input is hidden."""

import math
from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.attribution.perturbation.windows import Windows
from keras_xai.data.checks import Verbose
from keras_xai.data.structure import names_of
from keras_xai.network.batching import in_chunks


@final
class Occlusion(Method):
    """Occlusion: the mean drop of the score over all windows that hide an entry.

    The window slides over the positions of an image, hiding all channels at once; over the time steps of a series; and over single features
    of a table and tokens of a text. Hidden entries are replaced by the baseline: 0 by default, which for tokens is the padding. Entries
    with positive values raise the score.

    All windows have the same size. They are `stride` apart; the last one along an axis is moved inward if it would extend past the edge.
    Each entry is hidden at least once, and its value is the mean over the windows that hide it. In a model of several inputs, one input is
    occluded at a time.

    One forward pass per window, and one more. Windows that do not change a sample are skipped.

    Source: [Zeiler and Fergus, 2014](https://arxiv.org/abs/1311.2901), section 4.2, which draws the score itself at the center of each
    window.

    Args:
        model: The model to explain, see `Method`.
        window: Size of the windows in entries: a number for all spatial axes, or one per axis, `(height, width)`. By default an eighth of
            an axis, and 1 for features and tokens. If there is a size for every axis of a sample, none is taken as the channel axis, as
            with `(height, width)` for images of shape `(n, height, width)`. For several inputs, a dict of these by input name; other inputs
            use the default.
        stride: Distance between windows, in the same form. Half a window by default.
        batch_size: Samples with a window hidden per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If a window or a stride is not an integer of at least 1, a window is larger than the input, a stride is larger than the
            window, or their number does not match the axes.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Occlusion
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
    >>> Occlusion(model)(np.array([[1.0, 2.0, 3.0]]), target=1).values.tolist()
    [[1.0, 2.0, 3.0]]
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        window: Any = None,
        stride: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        graph = self._scores.graph
        names = names_of(graph.input_structure, graph.input_specs)
        windows, strides = _by_input("window", window, names), _by_input("stride", stride, names)
        self._windows = [
            Windows(spec, windows[name], strides[name], layout)
            for name, spec, layout in zip(names, graph.input_specs, self._scores.layouts, strict=True)
        ]

    def _prepare(self, target):
        scores = self._scores

        def score(inputs, indices):
            return target.choose(scores.outputs(scores.run(inputs)), indices)

        def losses(inputs, indices, baseline, covers, changing):
            whole, indices = score(inputs, indices)

            def lost(position):
                windows, cover, numbers = self._windows[position], covers[position], changing[position]
                counts = [ops.shape(each)[0] for each in cover]
                in_all = math.prod(counts)

                def without(rows):
                    rows = ops.take(numbers, rows)
                    sample, number = rows // in_all, rows % in_all
                    given = [ops.take(x, sample, axis=0) for x in inputs]
                    hidden = windows.hidden(number, cover)
                    mixed = ops.where(hidden, ops.take(baseline[position], sample, axis=0), given[position])
                    # Layers may need to know the length of an axis.
                    given[position] = ops.reshape(mixed, ops.shape(given[position]))
                    return ops.take(whole, sample) - score(given, [ops.take(index, sample, axis=0) for index in indices])[0]

                count = ops.shape(whole)[0]
                found = in_chunks(without, ops.shape(numbers)[0], self._batch_size, scores.dtype)
                found = ops.scatter(numbers[:, None], found, (count * in_all,))
                return windows.means(ops.reshape(found, (count, *counts)), cover)

            return [lost(position) if explained else None for position, explained in enumerate(scores.explainable)], indices

        covers = [[((None, None), "bool") for _ in windows.axes] for windows in self._windows]
        changing = [((None,), "int32") for _ in self._windows]
        program = scores.program(target, losses, scores.signature, covers, changing)

        def explain(batch):
            covers = [windows.covers(x.shape) for windows, x in zip(self._windows, batch.inputs, strict=True)]
            # A window that changes nothing is skipped, so that its value is exactly 0 instead of the rounding difference between batches.
            changing = [
                np.flatnonzero(windows.any(x != compared, cover)).astype("int32")
                for windows, x, compared, cover in zip(self._windows, batch.inputs, batch.baseline, covers, strict=True)
            ]
            values, indices = program(batch.inputs, batch.indices, batch.baseline, covers, changing)
            return Part(
                values, indices, convergence_delta=None, num_forward_passes=len(batch.numbers) + sum(map(len, changing))
            )

        return explain


def _by_input(name, given, inputs):
    """The option's value for each input, by name."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(inputs, given)
    unknown = [key for key in given if key not in inputs]
    if unknown:
        raise ValueError(f"Expected `{name}` for inputs out of {inputs}. Received: {name}={dict(given)!r}")
    return {each: given.get(each) for each in inputs}
