"""Comparison of the computed scores with those of the model itself."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops, tree

from keras_xai.data.structure import packed
from keras_xai.data.texts import joined
from keras_xai.graph.steps import Graph
from keras_xai.graph.view import losses_kept, unchanged
from keras_xai.kinds.links import LINKS

# Attributes that Keras sets on layers without changing their results at inference.
_HARMLESS = {"_trainable", "_called", "_call_context", "_losses", "_build_shapes_dict", "_path", "_compile_metrics"}
# Attention adds such large negative numbers to masked entries before a softmax. Their rounding errors are irrelevant.
_HIDDEN = -1e8
_PLAIN = (bool, int, float, str, tuple, type(None))


class _NotRunnableError(Exception):
    """The model itself fails on the samples."""


@final
class Agreement:
    """Checks that scores are those of the model, the same for a sample in any row and in any batch, once per model.

    Two samples run through the model, and in another order through the scores, with one of them twice; a single sample runs alone through
    the model, and beside another one through the scores. Where that does not agree, more runs find out why. The comparison is repeated
    while layers have other attributes than when the model was read, as after `adapt`, `quantize` or `enable_lora`. New values of weights
    do not require it.

    Args:
        model: The model.
        graph: The model as it was traced.
        links: For each output, how its scores become what the model returns, see `Scores`.

    Attributes:
        rounding: The difference of scores that counts as rounding; 0 before the comparison.
    """

    def __init__(self, model: keras.Model, graph: Graph, links: Sequence[str | None]):
        self._model = model
        self._graph = graph
        self._links = links
        self._layers = {step.path: step.operation for step in graph.steps if isinstance(step.operation, keras.Layer)}
        self._read = {path: dict(vars(layer)) for path, layer in self._layers.items()}
        self._agreed = False
        self.rounding = 0.0

    def check(
        self, run: Callable[[Sequence], tuple[Sequence, Mapping[int, Any]]], inputs: Sequence, steps: Sequence = ()
    ) -> None:
        """Compares the scores of some samples.

        Args:
            run: Maps inputs to scores, one tensor for each output that counts and `None` for others, and to the tensors before them by
                identifier.
            inputs: An array `(n, ...)` for each input; only two of the samples are used.
            steps: The steps that compute these tensors, to find the layer that causes a difference.

        Raises:
            ValueError: If the scores are not the model's; names the layers that are the likely cause, and what to do.
        """
        changed = self._changed()
        if self._agreed and not changed:
            return
        rows = [_rows(x) for x in inputs]
        size = self._fixed_size()
        if size is None and self._agrees(run, rows, is_single=len(inputs[0]) == 1):
            return
        batch = [x[np.arange(size) % 3 if size else slice(None)] for x in rows]
        try:
            theirs, drawn = self._theirs(batch)
        except _NotRunnableError:  # there is nothing to compare with; the method tells why
            return
        if drawn and _apart(theirs, self._theirs(batch, reseed=drawn)[0], self._allowed(theirs, {})):
            raise self._error(
                "draws random numbers at inference",
                f"the layers {self._owners(drawn)} stay random",
                "Explain a model in which they do not, such as one of the same weights with `training=False` in these layers",
            )
        try:
            ours, values = run(batch)
            alone, values_alone = (ours, values) if size else run([x[:1] for x in batch])
        except Exception as error:
            raise self._error(
                "cannot be run by keras_xai as it is",
                self._suspects(changed) or f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                self._advice(changed),
            ) from error
        allowed = self._allowed(ours, values)
        for one, other in ((0, 1),) if len(batch[0]) > 1 else ():
            for outputs in (ours, theirs):
                if _apart(_part(outputs, one), _part(outputs, other), allowed):
                    raise self._error(
                        "gives one sample different scores in two rows of a batch",
                        self._place(steps, values, values, rows=(one, other), allowed=allowed)
                        + "; such layers draw random numbers, have a state for each row, or depend on the row",
                        "Explain a model without them, or reset their states",
                    )
        if _apart(_part(ours, 0), _part(alone, 0), allowed):
            raise self._error(
                "gives one sample different scores in two batches",
                self._place(steps, values, values_alone, rows=(0, 0), allowed=allowed)
                + "; such layers look at the whole batch, or draw random numbers",
                "Explain a model in which each sample is computed alone, for example with constants in place of the batch's statistics",
            )
        linked, limits = self._linked(ours, allowed)
        found = _apart(linked, theirs, limits)
        if found:
            raise self._error(
                f"does not return the scores that keras_xai computes: they differ by up to {found:.3g}",
                self._suspects(changed) or "no layer is known to be the cause",
                self._advice(changed),
            )
        if any(_is_infinite(y) and z is not None and not _is_infinite(z) for y, z in zip(theirs, linked, strict=True)):
            raise ValueError(
                f"The scores of the model '{self._model.name}' are NaN or infinite in its own type, where those in "
                "float32 are not. Scale its inputs, or explain a copy in float32."
            )
        self.rounding = max(allowed)
        self._agreed = not any(_is_infinite(y) for y in theirs)  # infinite scores cannot be compared

    def _agrees(self, run, rows, is_single):
        """Whether the scores are clearly the model's, although each sample is in another row of another batch."""
        given, turned = ([0], [2, 0]) if is_single else ([0, 2], [2, 0, 0])
        try:
            theirs, drawn = self._theirs([x[given] for x in rows])
            ours, values = run([x[turned] for x in rows])
        except Exception:
            return False
        if drawn or any(map(_is_infinite, theirs)) or not (_has_rows(theirs, len(given)) and _has_rows(ours, len(turned))):
            return False
        allowed = self._allowed(ours, values)
        linked, limits = self._linked(ours, allowed)
        same = [(i, j) for i, row in enumerate(given) for j, other in enumerate(turned) if row == other]
        if any(_apart(_part(theirs, i), _part(linked, j), limits) for i, j in same) or any(map(_is_infinite, linked)):
            return False
        self.rounding, self._agreed = max(allowed), True
        return True

    def _linked(self, scores, allowed):
        """The outputs of the model by the scores, and the allowed difference of each."""
        linked = [None if score is None else LINKS[link](score) for link, score in zip(self._links, scores, strict=True)]
        # Probabilities have their own rounding error, which matters for tiny scores.
        digits = self._digits(scores)
        limits = [
            max(min(limit, 0.25), 64 * digits * _largest(probabilities)) if link else limit
            for limit, link, probabilities in zip(allowed, self._links, linked, strict=True)
        ]
        return linked, limits

    def _theirs(self, batch, reseed=()):
        """The outputs of the model, and the states of random generators that it has drawn from."""
        given = [
            ops.convert_to_tensor(joined(x, spec), spec.dtype) for x, spec in zip(batch, self._graph.input_specs, strict=True)
        ]
        with (
            losses_kept(self._model),
            unchanged([(state, ops.convert_to_numpy(state) + 4711) for state in reseed]) as scope,
        ):
            try:
                outputs = self._model(packed(given, self._graph), training=False)
            except Exception as error:
                raise _NotRunnableError from error
        drawn = [] if reseed else [state for state in self._generators() if scope.get_current_value(state) is not None]
        return tree.flatten(outputs), drawn

    def _generators(self):
        """States of the random generators of layers: the variables that are not weights."""
        weights = {id(weight) for weight in self._model.weights}
        return [variable for variable in self._model.variables if id(variable) not in weights]

    def _owners(self, variables):
        wanted = {id(variable) for variable in variables}
        return [path for path, layer in self._layers.items() if not wanted.isdisjoint(map(id, layer.variables))]

    def _fixed_size(self):
        sizes = {spec.shape[0] for spec in self._graph.input_specs} - {None}
        return sizes.pop() if len(sizes) == 1 else None

    def _changed(self):
        """Layers that have other attributes than when the model was read."""
        return [path for path, layer in self._layers.items() if _differ(vars(layer), self._read[path])]

    def _suspects(self, changed):
        quantized = [path for path, layer in self._layers.items() if is_quantized(layer)]
        lora = [path for path, layer in self._layers.items() if getattr(layer, "lora_enabled", False)]
        masking = (
            [] if quantized or lora or changed else [path for path, layer in self._layers.items() if _attaches_masks(layer)]
        )
        reasons = {
            "the layers {} attach masks when they run, which a trace does not show": masking,
            "the layers {} are quantized": quantized,
            "the layers {} have LoRA weights": lora,
            "the layers {} were changed after the model was read (`adapt`, `quantize`, `enable_lora`, another attribute)": changed,
        }
        return " and ".join(reason.format(paths) for reason, paths in reasons.items() if paths)

    def _advice(self, changed):
        if any(map(_attaches_masks, self._layers.values())):
            return "Pass masks as arguments, for example `layer(x, padding_mask=tokens != 0)`, or set `mask_zero=False`"
        if changed:
            return "Create the method, metric or box again, after the last change of the layers"
        return "Explain the model before it was quantized, or compute with `keras.ops` only in `call()` of custom layers"

    def _allowed(self, scores, values):
        """The allowed difference of the scores of each output: half of the digits of the coarsest type in the model."""
        digits = self._digits(scores)
        inner = max((_largest(value, hidden=_HIDDEN) for value in values.values()), default=0.0)
        return [0.0 if y is None else 4 * np.sqrt(digits) * _largest(y) + 8 * digits * inner for y in scores]

    def _digits(self, scores):
        """The relative rounding error of the coarsest type in the model."""
        dtypes = [getattr(layer, "compute_dtype", None) for layer in self._layers.values()]
        digits = max(_EPSILON.get(dtype, 0.0) for dtype in (*dtypes, *(spec.dtype for spec in self._graph.output_specs)))
        return max(digits, *(_EPSILON.get(keras.backend.standardize_dtype(y.dtype), 0.0) for y in scores if y is not None))

    @staticmethod
    def _place(steps, first, second, *, rows, allowed):
        """The first step after which a sample is not the same, as a clause."""
        for step in steps:
            for identifier in step.outputs:
                if identifier not in first or identifier not in second or not len(first[identifier].shape):
                    continue
                pair = [[first[identifier][rows[0]]], [second[identifier][rows[1]]]]
                if pair[0][0].shape == pair[1][0].shape and _apart(
                    pair[0], pair[1], [max(min(allowed), 1e-6 * _largest(pair[0][0]))]
                ):
                    return f"they differ from the layer '{step.path}' ({type(step.operation).__name__}) on"
        return "no layer could be found"

    def _error(self, what, cause, advice):
        return ValueError(
            f"Expected a model whose scores depend on the sample only and are those of `model.predict`. Received: the model "
            f"'{self._model.name}', which {what}. Likely cause: {cause}. {advice}."
        )


def _attaches_masks(layer):
    """Whether a layer, or one inside it, attaches masks to tensors only while it runs, as `ReversibleEmbedding` does."""
    return any(
        getattr(each, "mask_zero", False) and each.compute_mask(np.zeros((1, 1))) is None for each in layer._flatten_layers()
    )


def is_quantized(layer: Any) -> bool:
    """Whether a layer, or one inside it, computes on quantized numbers."""
    layers = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    return any(getattr(each, "quantization_mode", None) for each in layers)


_EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def _rows(x):
    """Three rows: the first sample twice, and another one, derived from the first if there is only one."""
    x = np.asarray(x)
    if len(x) > 1:
        other = x[-1:]
    elif x.dtype.kind == "f" and (x != np.floor(x)).any():
        other = (x / 2).astype(x.dtype)
    else:  # maybe tokens, of which only whole ones exist
        other = np.zeros_like(x)
    return np.concatenate([x[:1], x[:1], other])


def _has_rows(outputs, count):
    return all(y is None or (len(y.shape) and y.shape[0] == count) for y in outputs)


def _part(outputs, row):
    return [None if y is None or not len(y.shape) else y[row] for y in outputs]


def _array(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float64"))


def _is_real(tensor):
    return tensor is not None and keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))


def _largest(tensor, hidden=-np.inf):
    """The largest absolute value of the finite numbers above `hidden`."""
    if not _is_real(tensor):
        return 0.0
    array = ops.convert_to_numpy(tensor)
    if array.size and hidden < array.min() and array.max() < np.inf:  # as almost always: no copies, since maps are large
        return float(max(-array.min(), array.max()))
    array = _array(tensor)
    return float(np.abs(array[np.isfinite(array) & (array > hidden)]).max(initial=0.0))


def _apart(one, other, allowed) -> float:
    """The largest difference of finite real outputs, 0 if it is allowed."""
    worst = 0.0
    for y, z, limit in zip(one, other, allowed, strict=True):
        if _is_real(y) and _is_real(z):
            with np.errstate(invalid="ignore"):
                difference = np.abs(_array(y).ravel() - _array(z).ravel())
            found = float(difference[np.isfinite(difference)].max(initial=0.0))
            worst = max(worst, found if found > limit else 0.0)
    return worst


def _is_infinite(tensor):
    return _is_real(tensor) and not np.isfinite(_array(tensor)).all()


def _differ(now, before):
    for name, value in now.items():
        if name in _HARMLESS:
            continue
        old = before.get(name, before)
        if old is not value and not (isinstance(value, _PLAIN) and type(old) is type(value) and old == value):
            return True
    return False
