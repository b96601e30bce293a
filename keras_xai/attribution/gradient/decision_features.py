"""OpenBox decision features as an attribution method."""

from typing import Literal, final

import keras
from keras import ops

from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.backend import record
from keras_xai.data.checks import Verbose, check_flag
from keras_xai.network.entries import total
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.network.precision import undefined_where_not_finite


@final
class DecisionFeatures(Method):
    """Decision features: the preference weights of a sample's linear piece times the difference from a baseline.

    Near a sample, a network of ReLUs, max poolings and affine layers is an affine map: its scores are W x + b, up to rounding error.
    `keras_xai.openbox.OpenBox` gives W, b and the region where they hold. The decision features of class c are the mean preference of W for
    c over the C - 1 other classes, D = 1/(C-1) sum (W_c - W_c'). The value of an entry is D (x - baseline): the values add up to the
    difference of the piece's preference between the sample and the baseline. For a model with one score, the decision features are its
    weights.

    `convergence_delta` is the preference at the sample, minus the preference of its piece at the baseline, computed separately, minus the
    sum of the values: rounding error.

    Three passes: forward, backward, and through the piece at the baseline; one more to find a predicted class.

    Source: [Chu et al., 2018](https://doi.org/10.1145/3219819.3220063), whose decision features are the weights alone, for fully connected
    networks. Deviations: any network that `OpenBox` supports, and multiplication by the input unless `times_input=False`.

    Args:
        model: The model to explain, see `Method`; piecewise linear up to a final softmax or sigmoid.
        times_input: Whether values are D (x - baseline), or D itself, which has neither baseline nor convergence delta.
        against: `"all"` to explain the score of the class minus the mean of the others; `None` for the score alone with the weights W_c, as
            in other methods.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        UnsupportedLayerError: If a layer is not piecewise linear; names each such layer. For a model of several outputs it is raised by the
            call, since only layers before the explained outputs count.
        ValueError: If an option is invalid; when called, if the target is a callable, which need not be linear in the scores.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import DecisionFeatures
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> model.layers[0].set_weights([np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]]), np.zeros(3)])
    >>> DecisionFeatures(model)(np.array([[1.0, 10.0]]), target=2).values.tolist()
    [[1.5, 60.0]]
    """

    takes_baseline = True
    needs_sizes = True

    def __init__(
        self,
        model: keras.Model,
        *,
        times_input: bool = True,
        against: Literal["all"] | None = "all",
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        if against not in (None, "all"):
            raise ValueError(f"Expected `against` to be None or one of ['all']. Received: against={against!r}")
        check_flag("times_input", times_input)
        self.gives_derivatives = not times_input
        self._times_input = times_input
        self._against = against
        self._read()

    def _read_layers(self):
        self._networks: dict[int, PiecewiseNetwork] = {}
        if len(self._scores.graph.outputs) == 1:
            self._network(0)

    def _network(self, position):
        if position not in self._networks:
            self._networks[position] = PiecewiseNetwork(
                self._model, position, self._scores.dtype, shapes=[spec.shape[1:] for spec in self._scores.graph.input_specs]
            )
        return self._networks[position]

    def _baseline(self, baseline, inputs):
        if self._times_input:
            return super()._baseline(baseline, inputs)
        if baseline is not None:
            raise ValueError("Expected no `baseline` with `times_input=False`: the weights do not depend on it.")
        return None

    def _prepare(self, target):
        if any(function is not None for _, function in target.choices):
            raise ValueError(
                "DecisionFeatures explains class scores, which are linear on the piece of a sample. Received: a callable "
                "`target`. Give class indices."
            )
        networks = [self._network(position) for position in target.positions]

        def weighed(network, scores, index):
            """The preference for a class `(n,)`, given scores `(n, C)`."""
            if network.link == "sigmoid" and network.num_outputs == 1:
                return ops.where(index == 1, scores[:, 0], -scores[:, 0])
            chosen = ops.one_hot(index, network.num_outputs, dtype=scores.dtype)
            if self._against == "all" and network.num_outputs > 1:
                chosen = chosen - (1 - chosen) / (network.num_outputs - 1)
            return ops.sum(scores * chosen, axis=-1)

        def explained(inputs, indices, patterns=None):
            """The sum over the explained outputs, and the activation patterns of the pieces."""
            runs = [network.run(inputs, None if patterns is None else patterns[i])[:2] for i, network in enumerate(networks)]
            parts = [weighed(network, run[0], index) for network, run, index in zip(networks, runs, indices, strict=True)]
            return sum(parts), [run[1] for run in runs]

        def weights(inputs, indices):
            patterns: list = []

            def preference(points):
                score, patterns[:] = explained(points, indices)
                return [score]

            recording = record(preference, inputs)
            (score,) = recording.outputs
            found = recording.pull([ops.ones_like(score)])
            found = [ops.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
            return score, patterns, undefined_where_not_finite(score, found)

        def alone(inputs, indices):
            return weights(real(inputs), indices)[2], None, None

        def products(inputs, indices, baseline):
            inputs, baseline = real(inputs), real(baseline)
            score, patterns, found = weights(inputs, indices)
            values = [weight * (x - other) for weight, x, other in zip(found, inputs, baseline, strict=True)]
            there, _ = explained(baseline, indices, patterns)
            return values, score - there - total(values), there

        def real(inputs):
            return [ops.cast(x, self._scores.dtype) for x in inputs]

        predicted = self._scores.predictor(target)
        more = [self._scores.signature] if self._times_input else []
        program = self._scores.program(target, products if self._times_input else alone, *more)

        def explain(batch):
            indices = predicted(batch.inputs, batch.indices)
            given = [batch.baseline] if self._times_input else []
            values, delta, base = program(batch.inputs, indices, *given)
            passes = (3 if self._times_input else 2) * len(batch.numbers) + batch.passes_to_predict
            return Part(values, indices, delta, num_forward_passes=passes, base_score=base)

        return explain
