"""Integrated gradients with a fixed or adaptive number of steps."""

import itertools
import warnings
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.gradient.conductance import conductance
from keras_xai.attribution.located import Located
from keras_xai.attribution.parts import Part
from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose, check_count, check_positive
from keras_xai.data.progress import progress
from keras_xai.network.entries import Entries, in_steps, total

# Gradients per panel of the path in adaptive integration.
_PANEL = 8


@final
class IntegratedGradients(Located):
    r"""Integrated gradients: `(x - b)` times the mean gradient along the straight path from a baseline b.

    $$\phi_i = (x_i - b_i) \int_0^1 \frac{\partial f}{\partial x_i}\bigl(b + t (x - b)\bigr) \, dt$$

    The values of a sample add up to f(x) - f(b), except for the quadrature error, which is `convergence_delta`. The path is sampled at
    Gauss-Legendre nodes, whose delta in real networks is smaller than that of equal steps. With a `tolerance`, the path is split where the
    delta arises until the rest is small enough: the score difference between the ends of each part tells what the integral over it must be.

    With a `layer` of output y, values are its conductance: the integral of the derivative by y over the movement of y along the same path
    of inputs.

    $$\phi_j = \int_0^1 \frac{\partial f}{\partial y_j} \, \frac{d y_j}{dt} \, dt$$

    It adds up to f(x) - f(b) as well if all paths to the score pass through the layer; if some do not, there is no `convergence_delta`,
    and a `tolerance` is refused. It is not the integrated gradient on the straight line between the two outputs of the layer, which the
    model may never produce.

    `steps` forward and backward passes, and two or three forward passes; with a `tolerance`, as many as needed; with a `layer`, another
    forward pass for each step.

    Source: [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365); [Dhamdhere et al., 2018](https://arxiv.org/abs/1805.12233) for
    conductance.

    Args:
        model: The model to explain, see `Method`.
        steps: Number of gradients; with a `tolerance`, the initial number.
        tolerance: Allowed convergence delta relative to the score difference f(x) - f(b).
        max_steps: Maximum number of gradients per sample with a `tolerance`. A warning tells if the tolerance is not reached.
        layer: A layer or its path, such as `"backbone/conv5"`. Values then belong to the layer's output, which includes a fused activation.
        unit: A unit of the layer to explain instead of the scores, by the inputs: a channel, whose value is the mean of its map; a tuple
            `(*position, channel)` of integers and slices, whose value is the mean of what they select; or a function that maps the
            layer's output `(n, ...)` to a tensor `(n,)`.
        batch_size: Points per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer or unit, the layer has several outputs, or its output does not depend on the samples. When
            called: if the score does not depend on the layer, or depends on the inputs around
            it and there is a `tolerance`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import IntegratedGradients
    >>> layers = [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    >>> model = keras.Sequential(layers)
    >>> x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    >>> explanation = IntegratedGradients(model, tolerance=1e-3)(x, target=1, baseline=0.5)
    >>> score = model.predict(x, verbose=0)[:, 1] - model.predict(np.full((1, 3), 0.5), verbose=0)[0, 1]
    >>> bool(np.all(abs(explanation.values.sum(axis=1) - score) <= 2e-3 * abs(score)))
    True
    """

    takes_baseline = True

    def __init__(
        self,
        model: keras.Model,
        *,
        steps: int = 64,
        tolerance: float | None = None,
        max_steps: int = 2048,
        layer: str | keras.Layer | None = None,
        unit: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, layer=layer, unit=unit, batch_size=batch_size, verbose=verbose)
        check_count("steps", steps)
        check_count("max_steps", max_steps)
        if tolerance is not None:
            check_positive("tolerance", tolerance)
        self._steps = steps
        self._tolerance = tolerance
        self._max_steps = max_steps

    def _prepare(self, target):
        entries = Entries(self._scores, type(self).__name__, target)
        complete = self._values_of is None or self._values_of.carries(target)
        if self._values_of is not None:
            self._values_of.check(target)
        if self._tolerance is not None and not complete:
            raise ValueError(
                f"Expected `layer` to be one through which all inputs reach the explained score, for a `tolerance`. Received: "
                f"tolerance={self._tolerance}, layer={self._layer!r}, around which there are other paths, so that its values do not add up "
                "to the score difference. Give `steps` only."
            )
        path = _Path(self._scores, target, entries, self._batch_size, self._values_of)

        def explain(batch):
            indices = path.predicted(batch.inputs, batch.indices)
            place = _Place(batch.inputs, batch.baseline, indices)
            count = len(batch.numbers)
            ends = np.stack([path.scores(place, np.arange(count), np.full(count, t)) for t in (0.0, 1.0)])
            if self._tolerance is None:
                panels = np.stack([np.zeros(count), np.ones(count)], axis=1)
                sums, used = path.integrals(place, np.arange(count), panels, self._steps), np.full(count, self._steps)
            else:
                sums, used = self._adapted(path, place, ends)
            values = path.folded(sums, batch.inputs, batch.baseline)
            delta = ends[1] - ends[0] - np.asarray(total(values)) if complete else None
            passes = path.passes * used.sum() + 2 * count + batch.passes_to_predict
            return Part(values, indices, delta, float(passes), base_score=ends[0] if complete else None)

        return explain

    def _adapted(self, path, place, ends):
        """The integral of each sample over parts of its path, which are halved where their delta is too large."""
        count = ends.shape[1]
        allowed = self._tolerance * np.abs(ends[1] - ends[0])
        known = {(i, t): ends[int(t), i] for i in range(count) for t in (0.0, 1.0)}
        edges = np.linspace(0, 1, -(-self._steps // _PANEL) + 1).tolist()
        panels = [(i, start, end) for i in range(count) for start, end in itertools.pairwise(edges)]
        used, delta = np.zeros(count, int), np.zeros(count)
        sums: list[np.ndarray] = [np.zeros_like(each) for each in path.like(place.of(np.arange(count))[0])]
        while panels:
            samples = np.array([i for i, _, _ in panels])
            used += _PANEL * np.bincount(samples, minlength=count)
            path.look_up(place, known, {(i, t) for i, *span in panels for t in span})
            integrals, rises = path.over(place, samples, np.array([span for _, *span in panels]))
            gaps = np.array([known[i, end] - known[i, start] for i, start, end in panels]) - rises
            # A kink of the score leaves a delta proportional to the length of the part that contains it. The set-aside delta is so small
            # that it takes dozens of such parts to use up the tolerance.
            done = np.abs(delta + np.bincount(samples, gaps, minlength=count)) <= allowed
            done |= used + 2 * _PANEL > self._max_steps
            divided = ~done[samples] & (np.abs(gaps) > allowed[samples] / 32)
            delta += np.bincount(samples[~divided], gaps[~divided], minlength=count)
            for so_far, each in zip(sums, integrals, strict=True):
                np.add.at(so_far, samples[~divided], each[~divided])
            panels = [
                half
                for (i, start, end), again in zip(panels, divided, strict=True)
                for half in [(i, start, (start + end) / 2), (i, (start + end) / 2, end)]
                if again
            ]
        missed = np.abs(delta) > allowed
        if missed.any():
            warnings.warn(
                f"Integrated gradients of {missed.sum()} samples did not reach tolerance={self._tolerance} with "
                f"max_steps={self._max_steps} gradients; the largest convergence delta is {np.abs(delta[missed]).max():.3g}.",
                stacklevel=5,
            )
        return sums, used


class _Place:
    """A batch of samples with their baselines and classes."""

    def __init__(self, inputs, baseline, indices):
        self._arrays = (inputs, baseline, indices)

    def of(self, samples):
        """Inputs, baselines and classes of some samples."""
        return [[array[samples] for array in arrays] for arrays in self._arrays]


class _Path:
    """The straight path from baseline to sample, and the score along it."""

    def __init__(self, scores, target, entries, batch_size, layer=None):
        self._dtype = scores.dtype
        self._batch_size = batch_size
        self.predicted = scores.predictor(target)
        conducted = None if layer is None else conductance(scores, entries, layer, target)

        def between(inputs, baseline, t):
            """The points on the path at `t` of shape `(..., n)`."""
            starts, stops = entries.points(baseline), entries.points(inputs)
            return [
                start + ops.reshape(t, (*ops.shape(t), *[1] * (len(stop.shape) - 1))) * (stop - start)
                for start, stop in zip(starts, stops, strict=True)
            ]

        def score(inputs, indices, baseline, t):
            return entries.score(between(inputs, baseline, t), inputs, indices, target)[0]

        def integral(inputs, indices, baseline, panels, nodes, weights):
            widths = panels[:, 1] - panels[:, 0]

            def at(positions):
                return between(inputs, baseline, panels[:, 0] + positions[:, None] * widths)

            if conducted is not None:
                return conducted(at, ops.reshape(nodes, ops.shape(weights)), weights, inputs, indices)
            means = entries.weighted_sum(lambda places: at(ops.take(nodes, places)), weights, inputs, indices, target)
            return [ops.reshape(widths, (-1, *[1] * (len(mean.shape) - 1))) * mean for mean in means]

        def products(sums, inputs, baseline):
            if layer is not None:
                return layer.folded(sums)
            ways = zip(entries.points(inputs), entries.points(baseline), strict=True)
            return entries.folded([each * (x - b) for each, (x, b) in zip(sums, ways, strict=True)])

        one, pair = ((None,), self._dtype), ((None, None), self._dtype)
        self._score = scores.program(target, score, scores.signature, one)
        # Of each gradient: a forward and a backward pass, and for a layer another forward pass for its movement.
        self.passes = 2 if layer is None else 3
        self._integral = scores.program(target, integral, scores.signature, ((None, 2), self._dtype), one, pair)
        self.folded = products
        self.like = entries.points if layer is None else lambda inputs: [ops.convert_to_numpy(layer.of(inputs))]

    def scores(self, place, samples, t):
        """The score of samples at points on their paths."""
        found = []
        for part in rows(len(samples), self._batch_size):
            inputs, baseline, indices = place.of(samples[part])
            found.append(np.asarray(self._score(inputs, indices, baseline, t[part].astype(self._dtype))))
        return np.concatenate(found)

    def look_up(self, place, known, wanted):
        """Adds scores to the known ones, by sample and point on its path."""
        new = sorted(wanted - known.keys())
        if new:
            found = self.scores(place, np.array([i for i, _ in new]), np.array([t for _, t in new]))
            known.update(zip(new, found, strict=True))

    def integrals(self, place, samples, panels, num_nodes):
        """The integral of the gradient over one part of the path of each given sample: an array per input."""
        nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
        weights = in_steps(weights.astype(self._dtype) / 2, len(samples), self._batch_size)
        nodes = np.pad((nodes + 1) / 2, (0, weights.size - num_nodes)).astype(self._dtype)
        inputs, baseline, indices = place.of(samples)
        found = self._integral(inputs, indices, baseline, panels.astype(self._dtype), nodes, weights)
        return [np.asarray(each) for each in found]

    def over(self, place, samples, panels):
        """The integrals over parts of paths, and the score differences that they imply."""
        integrals, differences = [], []
        parts = rows(len(samples), self._batch_size)
        for part in progress(parts, len(parts)):
            found = self.integrals(place, samples[part], panels[part], _PANEL)
            inputs, baseline, _ = place.of(samples[part])
            integrals.append(found)
            differences.append(np.asarray(total(self.folded(found, inputs, baseline))))
        return [np.concatenate(parts) for parts in zip(*integrals, strict=True)], np.concatenate(differences)
