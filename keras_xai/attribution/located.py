"""Base class of methods that explain by the output of a layer, or that explain a unit of it."""

from typing import Any

import keras

from keras_xai.attribution.method import Method
from keras_xai.data.checks import Verbose
from keras_xai.network.entries import Entries
from keras_xai.network.layer_entries import LayerEntries, check_rows, real_step
from keras_xai.targets.units import Unit


class Located(Method):
    """Base class of methods with the arguments `layer` and `unit`.

    With a `layer` alone, values belong to the layer's output instead of the inputs. With a `unit`, a unit of the layer is explained
    instead of the scores.

    Args:
        model: The model to explain, see `Method`.
        layer: A layer or its path; its output includes a fused activation, except for a final softmax or sigmoid.
        unit: A unit of it, see `Unit`; `None` for values of the layer.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If there is no such layer, it has several outputs or one that does not depend on the samples, or it has no such unit.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        layer: str | keras.Layer | None = None,
        unit: Any = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        if layer is None and unit is not None:
            raise ValueError(f"Expected `layer`, the layer of the unit. Received: layer=None, unit={unit!r}")
        self._layer = None if layer is None else self._scores.path_of(layer)
        self._given_unit = unit
        self._has_one_row = False
        if layer is not None:
            self._remember(layer=self._layer)
        self._read_layers()

    def _read_layers(self):
        if self._layer is None:
            return
        if self._given_unit is None:
            self._values_of = LayerEntries(self._scores, self._layer)
            return
        step = real_step(self._scores, self._layer)
        axis = self._scores.axes.channel(step.outputs[0])
        self._scores = self._scores.of_step(step, self._layer)
        self._predicted = self._scores.predictions()
        self._unit = Unit(self._layer, self._given_unit, axis)
        self._scores.target(self._unit, 1)  # which refuses a unit that the layer does not have

    def _check_samples(self, inputs, start):
        if self._layer is None or self._has_one_row:
            return
        one = [x[:1] for x in inputs]
        check_rows(self._predicted(one)[0] if self._values_of is None else self._values_of.of(one), self._layer)
        self._has_one_row = True

    def _entries(self, target) -> Entries | LayerEntries:
        """What the explained score is differentiated by: the layer's output, or the inputs."""
        if self._values_of is None:
            return Entries(self._scores, type(self).__name__, target)
        self._values_of.check(target)
        return self._values_of
