"""`OpenBox`: conversion of trained networks into exact linear pieces."""

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_xai.data.batches import joined
from keras_xai.data.checks import Verbose
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples, in_float64
from keras_xai.data.structure import packed
from keras_xai.openbox.engine import Engine, check_finite
from keras_xai.openbox.names import names_of
from keras_xai.openbox.partition import Line, Plane, line, plane
from keras_xai.openbox.pieces import LinearPieces

if TYPE_CHECKING:
    from keras_xai.openbox.regions.classifier import RegionClassifier


class OpenBox(Engine):
    """Divides a trained piecewise-linear network into exact linear classifiers.

    At an input `x`, every ReLU of a network is on one of its linear pieces, and every max-pooling window selects one of its entries. Where
    this activation pattern is constant, a convex polytope around `x`, the network is an affine map `f(x') = W x' + b`, up to rounding
    error. `OpenBox` computes `W`, `b` and the polytope in closed form, without sampling, from one forward pass and one vector-Jacobian
    product per output. A final softmax or sigmoid is left out, so that `f` are logits.

    The documentation lists the supported layers; the model is only read, never changed. After further training, call the box again: it
    computes with the model's current weights. After changing the layers themselves (`adapt`, `enable_lora`, another activation), create a
    new box.

    Args:
        model: A built `keras.Model`.
        output: Name or index of the output to use, for a model with several outputs.
        layer: A hidden layer or its path, such as `"flatten"` or `"backbone/conv5"`. The pieces are then functions of that layer's output,
            its features, as is everything else with the samples' shape. From later layers, regions are larger and contain more samples.
            Layers before it need not be piecewise linear. By default the model's inputs.
        dtype: Floating-point type of the linear pieces, `"float32"` or `"float64"`, independent of the model's training; by default the
            type of the model's weights and inputs. In float64 the pieces are exact to about 1e-14. Polytopes are always computed in
            float64: in a large network the nearest wall is often closer than float32 resolves.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors.
        jit_compile: Whether to compile with XLA.

    Raises:
        UnsupportedLayerError: If a layer is not piecewise linear; names each such layer, its class and the reason.
        ValueError: If the model is not built, or has several outputs and none is selected; or if part of the output does not
            pass through `layer`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox
    >>> model = keras.Sequential([
    ...     keras.Input((2,)),
    ...     keras.layers.Dense(8, activation="relu"),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> x = np.random.default_rng(0).normal(size=(5, 2))
    >>> local = OpenBox(model, dtype="float64")(x, verbose=0)
    >>> local.coef.shape, local.intercept.shape
    ((5, 3, 2), (5, 3))
    >>> nearby = x + 0.9 * local.exit_distance(np.ones_like(x)).clip(max=1.0)[:, np.newaxis]
    >>> bool(local.contains(nearby).all())
    True

    Reference:

    - [Chu et al., 2018](https://doi.org/10.1145/3219819.3220063), for fully connected networks.
    - Muradov et al., Selection of interpretable convolutional deep learning models, for convolutional networks. They replace each layer by
      an equivalent linear one; here vector-Jacobian products give the whole piece at once.
    """

    def __call__(self, x: Any, outputs: Any = None, *, verbose: Verbose = "auto") -> LinearPieces:
        """Computes the linear piece of each sample.

        Args:
            x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them for a
                model of several inputs; a table; or batches `x` or `(x, y)`, for example of a `tf.data.Dataset`.
            outputs: Which of the C scores: `None` for all, class indices `(k,)` for all samples, or `(n, k)`, class indices for each
                sample. The coefficients of one 227 x 227 x 3 image for 1000 classes take 600 MB.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `LinearPieces`.

        Raises:
            ValueError: If `x` has the wrong shape or type, is empty, or contains NaN or infinity; or if an index in `outputs` does not
                exist in the model.
        """
        samples = self.samples(x, verbose=verbose)
        choose = _choice(outputs, self.num_outputs, samples)
        read: list[list[np.ndarray]] = []
        found = _all_of(self._batches(samples, choose, verbose, read), samples.num_samples)
        scores, outputs, intercept, region_id, *coefficients = found
        if read:
            x = [joined(parts) for parts in zip(*read, strict=True)]
            samples = Samples(packed(x, samples.inputs), samples.inputs, samples.batch_size)
        return LinearPieces(
            geometry=self._geometry,
            samples=samples,
            outputs=outputs,
            scores=scores,
            coefficients=coefficients,
            intercept=intercept,
            region_id=region_id,
        )

    def convert(self, x: Any, y: Any = None, *, verbose: Verbose = "auto") -> "RegionClassifier":
        """Returns the network as a scikit-learn classifier built from the regions of the given samples.

        Args:
            x: The samples, as in calling the box.
            y: Labels `(n,)`, of which only the values matter; see `RegionClassifier.fit`.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none; also
                applies to the classifier's own methods.

        Returns:
            A fitted `RegionClassifier`.

        Raises:
            ValueError: If the model is not a classifier with one label per sample, or `x` or `y` is invalid.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.openbox import OpenBox
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> classifier = OpenBox(model).convert(x, verbose=0)
        >>> bool((classifier.predict(x) == model.predict(x, verbose=0).argmax(axis=1)).all())
        True
        """
        from keras_xai.openbox.regions.classifier import RegionClassifier  # needs scikit-learn, unlike the box itself

        return RegionClassifier(self, verbose=verbose).fit(x, y)

    def line(self, start: Any, end: Any, *, verbose: Verbose = "auto") -> Line:
        """Computes all linear pieces on the straight line between two inputs, and exact integrated gradients.

        Args:
            start: One input, in the structure of the model's inputs, with or without a batch dimension of one.
            end: Another input.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `keras_xai.openbox.Line`.

        Raises:
            ValueError: If the inputs do not fit the model, or are equal.
        """
        return line(self, start, end, verbose=verbose)

    def plane(
        self, corner: Any, second: Any, third: Any, *, limits: Any = None, orthonormal: bool = False, verbose: Verbose = "auto"
    ) -> Plane:
        """Computes all linear pieces in a rectangle of the plane through three inputs, and the exact decision boundary.

        Args:
            corner: One input, in the structure of the model's inputs, with or without a batch dimension of one.
            second: Another input.
            third: A third input, not on the line through the first two.
            limits: `((lowest s, highest s), (lowest t, highest t))` of the rectangle; by default it contains the three inputs with a margin
                of a quarter of their extent on each side.
            orthonormal: `False` for the coordinates of `corner + s (second - corner) + t (third - corner)`; `True` for Euclidean lengths
                from the corner along two orthogonal directions.
            verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

        Returns:
            `keras_xai.openbox.Plane`.

        Raises:
            ValueError: If the inputs do not fit the model or lie on one line, or if the limits are invalid.
        """
        return plane(self, corner, second, third, limits=limits, orthonormal=orthonormal, verbose=verbose)

    def _batches(self, samples, choose, verbose, read):
        """Yields scores, outputs, intercepts, region names and coefficients of each batch; appends the samples to `read`."""
        start = 0
        for batch in progress(in_float64(samples), samples.num_batches, verbose):
            if samples.num_samples is None:
                read.append(batch)
            picked = choose(start, len(batch[0]))
            start += len(batch[0])
            with np.errstate(over="ignore"):  # reported below, with advice
                inputs = [array.astype(self.dtype) for array in batch]
            if samples.inputs is self.sample_graph:  # not the output of a hidden layer
                self._network.check_same_function(inputs)
            f, coef, intercept, patterns = self._pieces.pieces(inputs, picked)
            coefficients = [np.moveaxis(ops.convert_to_numpy(gradient), 0, 1) for gradient in coef]
            names = names_of(patterns, len(picked))
            scores = ops.convert_to_numpy(f)
            check_finite(scores, start - len(picked), self.dtype)
            yield [scores, picked, ops.convert_to_numpy(intercept).T, names, *coefficients]


def _all_of(batches, num_samples):
    """Joins lists of arrays, batch by batch if the number of samples is known: joining at the end takes twice the memory."""
    if num_samples is None:
        return [joined(arrays) for arrays in zip(*batches, strict=True)]
    wholes: list[np.ndarray] = []
    start = 0
    for batch in batches:
        wholes = wholes or [np.empty((num_samples, *part.shape[1:]), part.dtype) for part in batch]
        for whole, part in zip(wholes, batch, strict=True):
            whole[start : start + len(part)] = part
        start += len(batch[0])
    return wholes


def _choice(outputs, num_outputs, samples):
    """A function of (start, count) that returns the output indices `(count, k)` of a batch."""
    indices = np.arange(num_outputs) if outputs is None else np.asarray(outputs)
    if indices.dtype.kind not in "iu" or indices.ndim not in (1, 2) or indices.size == 0:
        raise ValueError(
            "Expected `outputs` to be None, class indices of shape (k,), or indices for each sample of shape (n, k). "
            f"Received: outputs={outputs!r}"
        )
    if indices.min() < 0 or indices.max() >= num_outputs:
        raise ValueError(f"Expected output indices from 0 to {num_outputs - 1}. Received: outputs={outputs!r}")
    indices = indices.astype("int32")
    if (np.diff(np.sort(indices, axis=-1), axis=-1) == 0).any():
        raise ValueError(f"Expected distinct `outputs`. Received duplicates: outputs={outputs!r}")
    if indices.ndim == 1:
        return lambda start, count: np.broadcast_to(indices, (count, len(indices)))
    if samples.num_samples is not None and len(indices) != samples.num_samples:
        raise ValueError(f"Expected `outputs` for {samples.num_samples} samples. Received: an array of shape {indices.shape}.")

    def of_batch(start, count):
        if start + count > len(indices):
            raise ValueError(
                f"Expected `outputs` for every sample. Received: {len(indices)} rows for a dataset with more samples."
            )
        return indices[start : start + count]

    return of_batch
