"""SHAP by gradients: shap's `DeepExplainer` and `GradientExplainer`."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.method import Batch, Part
from keras_xai.attribution.perturbation.isolation import isolated, random_state
from keras_xai.attribution.shapley.operations import check_operations, more_operations
from keras_xai.backend import as_written, compiled, gradients_restored
from keras_xai.data.batches import rows
from keras_xai.data.texts import is_string
from keras_xai.graph.score_functions import PerSample, score_of
from keras_xai.graph.target import Target
from keras_xai.network.entries import Entries
from keras_xai.network.scores import Scores


class _Score(keras.layers.Layer):
    """The explained score as a layer of the model for shap.

    The rest of the input, the classes and the tokens that mark padding, is kept in variables: it is constant over shap's rows, or set
    before each of its calls.
    """

    def __init__(self, scores: Scores, entries: Entries, target: Target, shapes: Sequence[tuple], num_rows: int):
        super().__init__(name="score", dtype=scores.dtype, autocast=False)
        self._parts = (scores, entries, target)
        self._tokens = [
            None if float_input else _variable((num_rows, *shape), spec.dtype, f"tokens_{i}")
            for i, (spec, shape, float_input) in enumerate(
                zip(scores.graph.input_specs, shapes, [i in entries.identifiers for i in scores.graph.inputs], strict=True)
            )
        ]
        self._classes = [self._variable_of(scores, num_rows, i, *each) for i, each in enumerate(target.choices)]
        self.found = _variable((num_rows,), scores.dtype, "found") if num_rows > 1 else None

    @staticmethod
    def _variable_of(scores, num_rows, i, position, function):
        """The metadata of each row: its class, the index of its sample, or nothing."""
        if function is None:
            return _variable((num_rows, scores.graph.output_specs[position].shape[-1]), scores.dtype, f"classes_{i}")
        return _variable((num_rows,), "int32", f"places_{i}") if isinstance(function, PerSample) else None

    def set(self, inputs: Sequence[np.ndarray], indices: Sequence[np.ndarray]) -> None:
        """Sets the metadata of the next call's rows, an array for each input and one for each explained output."""
        for variable, x in zip(self._tokens, inputs, strict=True):
            if variable is not None:
                variable.assign(x)
        for variable, index, binary in zip(self._classes, indices, self._parts[2].binary, strict=True):
            if variable is not None and binary and len(variable.shape) > 1:
                variable.assign(np.where(index == 1, 1, -1)[:, np.newaxis])
            elif variable is not None:
                variable.assign(index if len(variable.shape) == 1 else np.eye(variable.shape[1])[index])

    def key(self, inputs: Sequence[np.ndarray], indices: Sequence[np.ndarray]) -> tuple:
        """Equal for two samples for which `set` sets the same."""
        tokens = [x.tobytes() for variable, x in zip(self._tokens, inputs, strict=True) if variable is not None]
        return (*map(int, indices), *tokens)

    def compute_output_spec(self, points):
        return keras.KerasTensor((None, 1), self.dtype, name="score")

    @as_written
    def call(self, points):
        scores, entries, target = self._parts
        points = list(points)
        count = ops.shape(points[0])[0]
        inputs = [
            point if tokens is None else ops.broadcast_to(ops.convert_to_tensor(tokens), (count, *tokens.shape[1:]))
            for point, tokens in zip(points, self._tokens, strict=True)
        ]
        known = dict(zip(entries.identifiers, points, strict=True))
        outputs = scores.network.outputs(scores.run(inputs, known=known))  # of operations for which shap has rules
        # An input that the score does not depend on also needs a derivative, because shap asks for it.
        total = 0.0 * sum(ops.sum(ops.reshape(point, (count, -1)), axis=1) for point in points)
        for (position, function), known_of_rows in zip(target.choices, self._classes, strict=True):
            if function is None:
                total = total + ops.sum(outputs[position] * known_of_rows, axis=-1)
            else:
                places = None if known_of_rows is None else ops.convert_to_tensor(known_of_rows)
                total = total + score_of(function, outputs[position], places)
        if self.found is not None:
            self.found.assign(total)
        return ops.expand_dims(total, 1)


def _variable(shape, dtype, name):
    return keras.Variable(np.zeros(shape, dtype), dtype=dtype, trainable=False, name=name)


def _model(score, points):
    """A Keras model of the score for shap; explicit names leave the counter of automatic names untouched."""
    inputs = [keras.Input(each.shape[1:], dtype=score.dtype, name=f"entry_{i}") for i, each in enumerate(points)]
    return keras.Model(inputs, score(inputs), name="explained_by_shap")


def _arrays(tensors):
    return [ops.convert_to_numpy(each) for each in tensors]


@contextlib.contextmanager
def _told(name, model):
    """Reraises shap's errors as errors of this package."""
    try:
        yield
    except Exception as error:
        message = (str(error).strip().splitlines() or [""])[-1].strip()
        raise ValueError(
            f"shap's {name} failed on the model '{model}' ({type(error).__name__}: {message}). Use `explainer='kernel'` or "
            "'partition', which only need the model's scores."
        ) from error


def _one_at_a_time(explain):
    """A function for one thread at a time: the rows that are explained are in variables of the score's layer."""
    lock = threading.Lock()

    def locked(batch):
        with lock:
            return explain(batch)

    return locked


@final
class _Entered:
    """Samples and background at the entries of a model: the inputs themselves, or the token vectors."""

    def __init__(self, scores: Scores, batch_size: int):
        self.scores = scores
        self.entries = Entries(scores, "SHAP")
        strings = [spec.name for spec in scores.graph.input_specs if is_string(spec)]
        if strings:
            raise ValueError(
                f"SHAP by derivatives needs numeric inputs, since shap runs the model on tensors of numbers. Received: '{scores.name}', whose "
                f"inputs {strings} are strings. Use `explainer='kernel'` or 'partition', or IntegratedGradients."
            )
        self.batch_size = batch_size

    def prepare(self, target: Target) -> Callable[[Batch], tuple[list, list, list]]:
        """Compiles the function that maps a batch to its classes, and to the points of its samples and background."""
        self.scores.check_differentiable(self.entries.identifiers, target)
        predicted = self.scores.predictor(target)
        points = compiled(self.entries.points, [self.scores.signature])

        def entered(batch):
            indices = [np.asarray(each) for each in predicted(batch.inputs, batch.indices)]
            parts = [
                _arrays(points([each[part] for each in batch.baseline]))
                for part in rows(len(batch.baseline[0]), self.batch_size)
            ]
            return indices, _arrays(points(batch.inputs)), [np.concatenate(each) for each in zip(*parts, strict=True)]

        return entered


_FEW = 512  # pairs of a sample and a background sample


@final
class Deep:
    """DeepSHAP: DeepLIFT's rescale rule, averaged over background samples.

    Args:
        scores: The model's scores.
        batch_size: Rows per forward pass; a sample and a background sample are two.

    Raises:
        UnsupportedLayerError: If shap has no rule for a layer.
    """

    def __init__(self, scores: Scores, batch_size: int):
        self._entered = _Entered(scores, batch_size)
        self._pairs = max(1, batch_size // 2)
        check_operations(scores, self._entered.entries.identifiers)

    def prepare(self, target: Target) -> Callable[[Batch], Part]:
        """Compiles the function that explains batches for a target."""
        scores, entries = self._entered.scores, self._entered.entries
        entered = self._entered.prepare(target)
        made: dict[tuple, tuple] = {}

        @_one_at_a_time
        def explain(batch):
            indices, x, others = entered(batch)
            shapes = tuple(each.shape[1:] for each in batch.inputs)
            # Batches are padded to one size, which is compiled once, but not far beyond the number of pairs.
            pairs = min(self._pairs, max(_FEW, len(batch.numbers) * len(others[0])))
            if (shapes, pairs) not in made:
                made[shapes, pairs] = self._made(_Score(scores, entries, target, shapes, 2 * pairs), x, pairs)
            score, multipliers = made[shapes, pairs]
            return self._explained(score, multipliers, batch, indices, x, others, pairs=pairs)

        return explain

    def _made(self, score, points, pairs):
        """The score's layer, and shap's multipliers as a compiled function of pairs."""
        import shap

        compiled_by_shap = []

        def trace(tensors):
            compiled_by_shap.append(explainer.phi_symbolic(0).get_concrete_function(tensors))
            return tensors

        with _told("DeepExplainer", self._entered.scores.name), isolated(), gradients_restored(), more_operations():
            # A background function is never called: all pairs are built here.
            explainer = shap.DeepExplainer(_model(score, points), lambda sample: sample).explainer
            filled = [np.zeros((2 * pairs, *each.shape[1:]), score.dtype) for each in points]
            explainer.run(trace, explainer.model_inputs, filled)
        return score, compiled_by_shap[0]

    def _explained(self, score, multipliers, batch, indices, x, others, *, pairs) -> Part:
        count, background = len(batch.numbers), len(others[0])
        sums = [np.zeros(each.shape) for each in x]
        differences = np.zeros(count)
        # Pairs of a sample and a background sample, in batches of one size, for which shap's multipliers are compiled.
        for part in rows(count * background, pairs):
            real = part.stop - part.start
            sample, other = np.divmod(np.resize(np.arange(part.start, part.stop), pairs), background)
            twice = np.concatenate([sample, sample])
            score.set([each[twice] for each in batch.inputs], [each[twice] for each in indices])
            joined = [np.concatenate([each[sample], one[other]]) for each, one in zip(x, others, strict=True)]
            slopes = _arrays(multipliers([ops.convert_to_tensor(each) for each in joined]))
            found = ops.convert_to_numpy(score.found).astype("float64")
            first = np.flatnonzero(np.diff(sample[:real], prepend=-1))  # first pair of each sample; its pairs are contiguous

            def add(totals, shares, places=sample[first], starts=first, real=real):
                totals[places] += np.add.reduceat(shares[:real], starts, axis=0, dtype="float64")

            add(differences, found[:pairs] - found[pairs:])
            for totals, slope, each in zip(sums, slopes, joined, strict=True):
                add(totals, slope[pairs:] * (each[:pairs] - each[pairs:]))
        values = [each / background for each in sums]
        delta = differences / background - _totals(values)
        return Part(
            self._entered.entries.folded(values),
            indices,
            delta,
            num_forward_passes=count * 4 * background + batch.passes_to_predict,
        )


@final
class Gradient:
    """Expected gradients (GradientSHAP): gradients at random points between samples and random background samples.

    Args:
        scores: The model's scores.
        num_samples: Random points for each sample; 200 by default, as in shap.
        batch_size: Rows per forward pass.
    """

    def __init__(self, scores: Scores, num_samples: int | None, batch_size: int):
        self._entered = _Entered(scores, batch_size)
        self._num_samples = 200 if num_samples is None else num_samples

    def prepare(self, target: Target) -> Callable[[Batch], Part]:
        """Compiles the function that explains batches for a target."""
        scores, entries = self._entered.scores, self._entered.entries
        entered = self._entered.prepare(target)
        made: dict[tuple, tuple] = {}

        @_one_at_a_time
        def explain(batch):
            indices, x, others = entered(batch)
            shapes = tuple(each.shape[1:] for each in batch.inputs)
            if shapes not in made:
                made[shapes] = self._made(_Score(scores, entries, target, shapes, 1), x, others)
            return self._explained(made[shapes], batch, indices, x, others)

        return explain

    def _made(self, score, points, others):
        import shap

        with _told("GradientExplainer", self._entered.scores.name), isolated():
            explainer = shap.GradientExplainer(_model(score, points), others, batch_size=self._entered.batch_size)
        signature = [((None, *each.shape[1:]), score.dtype) for each in points]
        return score, explainer.explainer, compiled(score.call, [signature])

    def _explained(self, made, batch, indices, x, others) -> Part:
        score, explainer, scored = made
        explainer.data = others
        found, differences = [], []
        expected: dict[tuple, float] = {}

        def mean(points):
            parts = [scored([each[part] for each in points]) for part in rows(len(points[0]), self._entered.batch_size)]
            return np.concatenate(_arrays(parts)).mean(dtype="float64")

        for i, number in enumerate(batch.numbers):
            points = [each[[i]] for each in x]
            score.set([each[[i]] for each in batch.inputs], [each[[i]] for each in indices])
            state = random_state(batch.seed, number)
            with _told("GradientExplainer", self._entered.scores.name), isolated(state):
                values = explainer.shap_values(
                    points if len(points) > 1 else points[0], nsamples=self._num_samples, rseed=state.randint(2**31)
                )
            found.append([each[..., 0] for each in (values if len(points) > 1 else [values])])
            known = score.key([each[i] for each in batch.inputs], [each[i] for each in indices])
            if known not in expected:
                expected[known] = mean(others)
            differences.append(mean(points) - expected[known])
        values = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
        passes = len(found) * (2 * self._num_samples + 2) + len(expected) * len(others[0]) + batch.passes_to_predict
        return Part(self._entered.entries.folded(values), indices, np.array(differences) - _totals(values), passes)


def _totals(values):
    return sum(each.reshape(len(each), -1).sum(axis=1) for each in values)
