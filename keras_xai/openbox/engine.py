"""The engine behind `OpenBox`, lines, planes and regions: a piecewise-linear network and its compiled programs."""

import abc
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_xai.data.batches import joined
from keras_xai.data.checks import Verbose, check_choice, check_flag
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples, in_float64
from keras_xai.data.remade import Remade
from keras_xai.graph.steps import Graph
from keras_xai.network.batching import batch_size_for
from keras_xai.network.piecewise import PiecewiseNetwork
from keras_xai.openbox.pieces import LinearPieces
from keras_xai.openbox.programs import Programs


class Engine(Remade, abc.ABC):
    """Base class of `OpenBox`, which documents the arguments.

    A box creates partitions and regions, which in turn compute with a box. They depend on this base class only, which avoids circular
    imports.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        output: str | int | None = None,
        layer: str | keras.Layer | None = None,
        dtype: Literal["float32", "float64"] | None = None,
        batch_size: int | None = None,
        jit_compile: bool = False,
    ):
        if dtype is not None:
            check_choice("dtype", dtype, ("float32", "float64"))
        check_flag("jit_compile", jit_compile)
        self._network = PiecewiseNetwork(model, output, dtype, layer)
        layer = self._network.layer
        self._remember(layer=layer)
        # Each score has one coefficient per input entry.
        self._batch_size = batch_size_for(
            self._network.graph, batch_size, dtype=self._network.dtype, copies=self._network.num_outputs
        )
        if self._network.front is not None:
            self._batch_size = min(self._batch_size, batch_size_for(self._network.front, batch_size))
        self._pieces = Programs(self._network, jit_compile=jit_compile)
        self._geometry = Programs(PiecewiseNetwork(model, output, "float64", layer), jit_compile=jit_compile)

    @property
    def batch_size(self) -> int:
        """Samples per batch."""
        return self._batch_size

    @property
    def network(self) -> PiecewiseNetwork:
        """The network, in the dtype of the linear pieces."""
        return self._network

    @property
    def programs(self) -> Programs:
        """The compiled computations of linear pieces, in their dtype."""
        return self._pieces

    @property
    def geometry(self) -> Programs:
        """The compiled computations in float64, for polytopes."""
        return self._geometry

    @property
    def sample_graph(self) -> Graph:
        """The graph that takes the box's samples: for a box of a hidden layer, the graph of the layers before it."""
        return self._network.graph if self._network.front is None else self._network.front

    @property
    def dtype(self) -> str:
        """Floating-point type of the linear pieces."""
        return self._network.dtype

    @property
    def num_outputs(self) -> int:
        """Number C of scores; for an output of rank above two, its number of entries."""
        return self._network.num_outputs

    @abc.abstractmethod
    def __call__(self, x: Any, outputs: Any = None, *, verbose: Verbose = "auto") -> LinearPieces:
        """Computes the linear piece of each sample."""

    def features(self, batch: list[np.ndarray]) -> list[np.ndarray]:
        """The variables of the pieces for a batch of samples: the samples or, for a box of a hidden `layer`, its output."""
        if self._network.front is None:
            return batch
        features = self._pieces.features([array.astype(self.dtype) for array in batch])
        return [ops.convert_to_numpy(each).astype("float64") for each in features]

    def samples(self, x: Any, *, verbose: Verbose = "auto") -> Samples:
        """Checks the samples and returns them or, for a box of a hidden `layer`, their features.

        Args:
            x: The samples in the form that the model takes.
            verbose: For the forward passes through the layers before: `"auto"` for a progress bar after two seconds, 1 to show it at once,
                2 for one line at the end, 0 for none.
        """
        if self._network.front is None:
            return Samples(x, self._network.graph, self._batch_size)
        given = Samples(x, self._network.front, self._batch_size)
        features = [
            ops.convert_to_numpy(self._pieces.features(batch)[0])
            for batch in progress(in_float64(given), given.num_batches, verbose)
        ]
        return Samples(joined(features), self._network.graph, self._batch_size)


def check_finite(scores: np.ndarray, start: int, dtype: str) -> None:
    """Raises a `ValueError` if scores `(n, C)` of the samples from index `start` on are NaN or infinite."""
    if not np.isfinite(scores).all():
        bad = start + np.flatnonzero(~np.isfinite(scores).all(axis=1))[0]
        raise ValueError(
            f"The model's scores are NaN or infinite in {dtype}, first at sample {bad}. Expected finite scores: check the model for "
            "infinite constants in the model, scale its inputs, or use `dtype='float64'`."
        )
