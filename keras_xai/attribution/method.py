"""Base class of attribution methods: the call, its checks, and batching."""

import abc
import dataclasses
import functools
import inspect
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, final

import keras
import numpy as np

from keras_xai.attribution.aligned import aligned_baseline, aligned_target
from keras_xai.attribution.baseline import baseline_like, with_fixed
from keras_xai.attribution.chunks import Chunk, Seen, in_parts
from keras_xai.attribution.options import misnamed
from keras_xai.attribution.parts import Batch, Part, arrays_of, checked, of_inputs
from keras_xai.attribution.sizes import BySizes
from keras_xai.data.batches import joined
from keras_xai.data.checks import Verbose, check_verbose
from keras_xai.data.preprocessing import Preprocessing
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.data.remade import Remade
from keras_xai.data.structure import packed
from keras_xai.data.texts import Words, widened
from keras_xai.graph.target import Target
from keras_xai.network.batching import batch_size_for
from keras_xai.network.layer_entries import LayerEntries
from keras_xai.network.preprocessing import find_preprocessing, has_colors
from keras_xai.network.scores import Scores
from keras_xai.results.explanation import Explanation
from keras_xai.targets.units import Unit


class Method(Remade, abc.ABC):
    """An attribution method: `Method(model, **options)(x, target=None, baseline=None)` returns an `Explanation`.

    A subclass implements `_prepare`, and sets the attributes below where their defaults do not hold. A method can be called from several
    threads, and pickled before and after its first call: it is made anew of its arguments.

    Args:
        model: A built model, possibly with nested models. It is only read, never changed.
        batch_size: Samples per forward pass, including those that the method generates; `None` to choose it
            by the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or an option is invalid.

    Attributes:
        takes_baseline: Whether the method compares samples with a baseline.
        shares_baseline: Whether all samples share the same baselines, instead of one per sample.
        gives_derivatives: Whether values are derivatives with respect to the input's entries instead of contributions to the score.
        depends_on_target: Whether values depend on the explained score.
        unrolls: Whether the method reads the inside of recurrent layers, which are divided into the steps of their cells.
        nonnegative: Whether no value is below zero.
        needs_sizes: Whether the method reads layers at known sizes only; where a model leaves sizes open, they are those of the samples.
    """

    takes_baseline: ClassVar[bool] = False
    shares_baseline: ClassVar[bool] = False
    gives_derivatives: bool = False
    depends_on_target: ClassVar[bool] = True
    unrolls: ClassVar[bool] = False
    nonnegative: ClassVar[bool] = False
    needs_sizes: ClassVar[bool] = False

    # What methods of layers set, see `keras_xai.attribution.located`: the layer to whose output values belong, and the explained unit.
    _values_of: LayerEntries | None = None
    _unit: Unit | None = None

    @classmethod
    def _check_arguments(cls, args, options):
        try:
            inspect.signature(cls.__init__).bind(None, *args, **options)
        except TypeError as error:
            raise misnamed(cls, args, options) from error

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Verbose = "auto"):
        check_verbose(verbose)
        self._model = model
        self._scores = Scores(model, unroll=self.unrolls)
        self._batch_size = batch_size_for(self._scores.graph, batch_size, dtype=self._scores.dtype)
        self._verbose = verbose
        self._seed: int | None = None  # set by methods that draw at random
        self._predicted = self._scores.predictions()
        self._preparing = threading.Lock()
        self._prepared: tuple[Any, Callable[[Batch], Part]] | None = None
        by_sizes = self._scores.has_open_sizes and (self.needs_sizes or self._scores.hides_tokens)
        self._by_sizes = BySizes(self._of_shapes) if by_sizes else None

    @final
    def __call__(self, x: Any, target: Any = None, baseline: Any = None) -> Explanation:
        """Explains samples.

        Args:
            x: The samples in the form that the model takes: an array, tensor or nested list `(n, *input_shape)`, or a list, tuple or dict
                of them; a pandas `DataFrame`, whose columns are the entries of one input or, by name, several inputs; or batches of these,
                alone or as `(x, y)` or `(x, y, sample_weight)`, of which only x is used: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
                PyTorch `DataLoader`, or a generator, which is read once.
            target: The score to explain, always before a final softmax or sigmoid: `None` for the predicted class of each sample, a class
                index, one index per sample, or a callable that maps the scores `(n, classes)` to a tensor `(n,)` or a list of n values,
                such as a `Score` of tf-keras-vis. For a model of several outputs, a dict of these by output name, or a list of callables,
                one per output; the named scores are added. A model with a single sigmoid output has one score, which speaks for class
                1: `None` explains it for positive and negative predictions alike, as 1 does, and 0 explains the negated score.
            baseline: Reference to compare samples with, for methods that take one: a number for all entries, an array of the shape of one
                sample, or one per sample; in the structure of `x` for a model of several inputs. Zero by default.

        Returns:
            An `Explanation`.

        Raises:
            ValueError: If samples, target or baseline do not fit the model, if the method does not take the given baseline, or if the
                model's scores or derivatives are NaN or infinite for a sample; if the scores are not those that the model itself computes,
                or not the same for a sample in any batch; or if a derivative that is needed does not exist.
        """
        if baseline is not None and not self.takes_baseline:
            raise ValueError(f"`{type(self).__name__}` does not take a `baseline`. Received: baseline={baseline!r}")
        target = self._goal(target)
        graph = self._scores.graph
        samples = Samples(x, graph, self._batch_size)
        seed = secrets.randbits(30) if self._seed is None else self._seed
        chunks = self._chunks(samples, target, baseline)
        # Batches of a dataset may be larger than the model's batches, so their count does not tell the progress.
        num_batches = None if samples.num_samples is None else samples.num_batches
        parts, seen, predicted = [], Seen(), []
        for chunk, part in progress(in_parts(chunks, self._batch_size), num_batches, self._verbose):
            method = self._of(chunk.inputs)
            if seen.add(chunk):
                method._scores.check_same_function(chunk.inputs)
            explain = method._explainer(chunk.goal)
            batch = self._batch(chunk, part, seed)
            parts.append(method._finite(method._in_form(explain(batch), batch), batch, chunk.start + part.start))
            predicted.append(method._predictions(chunk.goal, batch, parts[-1]))
        values = self._joined(parts)
        indices = [np.concatenate(arrays) for arrays in zip(*(part.indices for part in parts), strict=True)]
        # A callable that scores all samples at once is bound to the samples of its chunk.
        inputs = seen.inputs()
        goal = seen.latest.goal if samples.num_samples is not None else self._scores.target(target, len(inputs[0]))
        compared = seen.baseline(shared=self.shares_baseline)
        if compared is not None and not self.shares_baseline and self._values_of is None:
            compared = [x if value is None else each for value, each, x in zip(values, compared, inputs, strict=True)]
        return Explanation(
            values=packed(values, graph) if self._values_of is None else values[0],
            target=goal.described(indices) if self._unit is None else self._unit,
            inputs=packed(inputs, graph),
            convergence_delta=None
            if parts[0].convergence_delta is None
            else np.concatenate([part.convergence_delta for part in parts]),
            baseline=None if compared is None else packed(compared, graph),
            num_forward_passes=sum(part.num_forward_passes for part in parts) / len(inputs[0]),
            method=self.label,
            derivatives=self.gives_derivatives,
            feature_names=samples.feature_names,
            shared_baseline=self.shares_baseline,
            **{name: goal.packed(found) for name, found in _predicted(goal, predicted).items()},
            layout=packed([each.letters for each in self._of(inputs)._scores.layouts], graph),
            layer=self.values_layer,
            channel_axis=None if self._values_of is None else self._values_of.channel_axis,
            base_score=None if parts[0].base_score is None else np.concatenate([part.base_score for part in parts]),
            nonnegative=self.nonnegative,
            preprocessing=self._preprocessing,
        )

    @functools.cached_property
    def _preprocessing(self) -> Preprocessing | None:
        """How the images that the model takes were preprocessed, for pictures."""
        colored = any(has_colors(spec.shape) for spec in self._scores.graph.input_specs)
        return find_preprocessing(self._model) if colored else None

    @property
    def model(self) -> keras.Model:
        """The model that is explained."""
        return self._model

    @property
    def scores(self) -> Scores:
        """The scores of the model as functions to compile, for subclasses."""
        return self._scores

    @property
    def batch_size(self) -> int:
        """Samples that are in the model at a time."""
        return self._batch_size

    @property
    def values_layer(self) -> str | None:
        """Path of the layer to whose output the values belong; `None` for values of the inputs."""
        return None if self._values_of is None else self._values_of.path

    @property
    def variables(self) -> tuple:
        """The variables of the model."""
        return self._scores.variables

    @property
    def label(self) -> str:
        """Name of the method in explanations."""
        return type(self).__name__

    @abc.abstractmethod
    def _prepare(self, target: Target) -> Callable[[Batch], Part]:
        """Compiles the function that explains batches for a target; it is reused for all targets of the same `key`.

        Args:
            target: The target, to be passed on to `scores`.

        Returns:
            A function that maps a `Batch` to a `Part`. It must not change the arrays of the batch.
        """

    def _read(self) -> None:
        """Reads the layers, for methods that need them; if sizes are open that this takes, at the call, with those of the samples."""
        if self._by_sizes is None:
            try:
                self._read_layers()
            except ValueError:
                if not self._scores.has_open_sizes:
                    raise
                self._by_sizes = BySizes(self._of_shapes)

    def _read_layers(self) -> None:
        """Finds out what the method has to know of the layers in `scores.graph`; raises if it does not support them."""

    def _of_shapes(self, shapes) -> "Method":
        """The same method for samples of given shapes."""
        method = object.__new__(type(self))
        scores = Scores(self._model, shapes, unroll=self.unrolls)
        own = {"_scores": scores, "_by_sizes": None, "_predicted": scores.predictions(), "_preparing": threading.Lock()}
        method.__dict__.update(self.__dict__ | own, _prepared=None)
        method._read_layers()
        self._made_of = method._made_of  # in which a layer is named by its path
        return method

    def _of(self, inputs) -> "Method":
        """The method for the sizes of samples; itself if it does not depend on them."""
        return self if self._by_sizes is None else self._by_sizes(inputs)

    def _baseline(self, baseline: Any, inputs: list[np.ndarray]) -> list[np.ndarray] | None:
        """The checked baseline: arrays of the shapes of `inputs`; `None` if the method derives it from each sample."""
        return baseline_like(inputs, 0 if baseline is None else baseline, self._scores)

    def _chunks(self, samples, target, baseline) -> Iterator[Chunk]:
        """The samples with their targets: all at once for arrays, batch by batch otherwise."""
        graph = self._scores.graph
        if samples.num_samples is not None:
            yield self._chunk(0, samples.arrays(), target, baseline)
            return
        targets = aligned_target(target)
        # A baseline shared by all samples is not sliced.
        baselines = aligned_baseline(None if self.shares_baseline else baseline, graph)
        start = 0
        for arrays in samples:
            count = len(arrays[0])
            other = baseline if self.shares_baseline else baselines.part(start, count)
            yield self._chunk(start, arrays, targets.part(start, count), other)
            start += count
        targets.check_end(start)
        baselines.check_end(start)

    def _chunk(self, start, arrays, target, baseline):
        method = self._of(arrays)
        goal, inputs = method._scores.target(target, len(arrays[0])), method._scores.typed(arrays)
        method._check_samples(inputs, start)
        if goal.has_open_sizes:
            goal.check_sizes([tuple(each.shape) for each in method._predicted([x[:1] for x in inputs])])
        method._scores.check_padding(inputs, start)
        compared = method._baseline(baseline, arrays) if self.takes_baseline else None
        if compared is not None and not self.shares_baseline:
            compared = with_fixed(compared, inputs, method._scores)
        return Chunk(start, inputs, goal, compared)

    def _check_samples(self, inputs, start: int) -> None:
        """Refuses samples that the method cannot explain, for subclasses; `start` is the index of the first of them."""

    def _batch(self, chunk, part, seed) -> Batch:
        others = chunk.baseline if chunk.baseline is None or self.shares_baseline else [each[part] for each in chunk.baseline]
        return Batch(
            inputs=[_read_only(x[part]) for x in chunk.inputs],
            indices=[index[part] for index in chunk.goal.indices],
            baseline=others,
            numbers=np.arange(chunk.start + part.start, chunk.start + part.stop, dtype="int32"),
            seed=seed,
        )

    def _goal(self, target):
        """The target: the given one, or the unit that the method explains."""
        if self._unit is None:
            return target
        if target is not None and not (
            isinstance(target, Unit) and target == self._unit
        ):  # as of an explanation by this method
            raise ValueError(
                f"Expected no `target` for a method that explains {self._unit.label(0)}. Received: target={target!r}"
            )
        return self._unit

    def _in_form(self, part, batch) -> Part:
        """What the method's function has returned, with values of the inputs as they are fed."""
        found = checked(part, batch, type(self).__name__, layer=self.values_layer)
        if self._values_of is not None:
            base = None if found.base_score is None else np.asarray(found.base_score, "float64")
            return dataclasses.replace(found, values=arrays_of(found), base_score=base)
        return of_inputs(found, batch.inputs, self._scores)

    def _joined(self, parts) -> list:
        """The values of all batches: an array for each input, or one for the layer."""
        if self._values_of is not None:
            return [joined([part.values[0] for part in parts])]
        return [
            None if found[0] is None else joined(widened(found, 0.0) if isinstance(spec, Words) else found)
            for spec, *found in zip(self._scores.graph.input_specs, *(part.values for part in parts), strict=True)
        ]

    def _explainer(self, goal):
        with self._preparing:
            if self._prepared is None or self._prepared[0] != goal.key:
                self._prepared = (goal.key, self._prepare(goal))
            return self._prepared[1]

    def _predictions(self, goal, batch, part) -> list[np.ndarray]:
        """What the model predicts, see `Target.predictions`."""
        found = part.predictions
        if not goal.predicting:
            return []
        if found is None:  # not compiled, which would take longer than it saves
            inputs = [keras.ops.convert_to_tensor(x) for x in batch.inputs]
            indices = [keras.ops.convert_to_tensor(index) for index in part.indices]
            found = goal.predictions(self._scores.outputs(self._scores.run(inputs)), indices)
        return [keras.ops.convert_to_numpy(each) for each in found]

    def _has_scores(self, batch, row) -> bool:
        """Whether the model's outputs for a sample are finite."""
        outputs = [keras.ops.convert_to_numpy(output)[row] for output in self._predicted(batch.inputs)]
        return all(np.isfinite(output).all() for output in outputs)

    def _finite(self, part, batch, start) -> Part:
        values = part.values
        arrays = [each for each in values if each is not None]
        delta = part.convergence_delta
        found = arrays if delta is None else [*arrays, delta]
        bad = np.flatnonzero(~np.all([np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in found], axis=0))
        if bad.size and type(self).__module__.partition(".")[0] != "keras_xai" and self._has_scores(batch, bad[0]):
            raise ValueError(
                f"Expected finite values from `{type(self).__name__}`. Received: NaN or infinity for sample {start + bad[0]}, for "
                f"which the scores of the model '{self._scores.name}' are finite. Check what the function that `_prepare` "
                "returns computes, and any derivatives that it takes."
            )
        if bad.size:
            raise ValueError(
                f"The scores of the model '{self._scores.name}', or their derivatives, are NaN or infinite around sample {start + bad[0]},"
                f" so {type(self).__name__} cannot explain it. Check the model's weights and the range of its inputs: `model.predict(x)` "
                "should be finite."
            )
        if self.takes_baseline and not self.gives_derivatives and delta is not None:
            zero = np.all([(array == 0).reshape(len(array), -1).all(axis=1) for array in arrays], axis=0)
            jumps = np.flatnonzero(zero & (np.abs(delta) > self._scores.rounding))
            if jumps.size:
                raise ValueError(
                    f"Expected a score that changes gradually from the baseline to a sample. Received: '{self._scores.name}', whose "
                    f"score of sample {start + jumps[0]} differs by {delta[jumps[0]]:.3g} from that of the baseline while all values of "
                    f"{type(self).__name__} are zero, as with steps that have no derivative. Use a method that needs scores only, such as "
                    "Occlusion or LIME."
                )
        return dataclasses.replace(part, indices=[np.asarray(index) for index in part.indices])


def _predicted(goal, batches) -> dict[str, dict[str, np.ndarray]]:
    """By field of the explanation and name of the output, what the model predicts for all samples."""
    found: dict[str, dict] = {"probability": {}, "prediction": {}, "predicted_class": {}, "predicted_probability": {}}
    for number, (name, kind) in enumerate(goal.predicting):
        first, best, highest = np.concatenate([batch[number] for batch in batches]).T
        found["prediction" if kind == "number" else "probability"][name] = first
        if kind == "class":
            found["predicted_class"][name] = best.astype("int64")
            found["predicted_probability"][name] = highest
    return found


def _read_only(array):
    """A view that cannot be changed: the samples are the user's, and part of the explanation."""
    view = array.view()
    view.flags.writeable = False
    return view
