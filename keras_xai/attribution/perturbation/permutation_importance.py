"""Permutation importance: the loss of performance when the values of a feature are permuted over the samples."""

import secrets
from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.perturbation.groups import Division, Groups
from keras_xai.attribution.perturbation.quality import Quality
from keras_xai.data.batches import joined, rows
from keras_xai.data.checks import Verbose, check_count, check_seed, check_verbose
from keras_xai.data.progress import Bar
from keras_xai.data.reader import read_labeled
from keras_xai.data.remade import Remade
from keras_xai.network.batching import batch_size_for
from keras_xai.network.scores import Scores
from keras_xai.results.feature_importance import FeatureImportance


@final
class PermutationImportance(Remade):
    r"""Permutation importance of the features of a dataset: the drop of a metric when the values of a feature are permuted over samples.

    $$I_g = s(x, y) - \frac{1}{r} \sum_{k=1}^{r} s(x^{(g, k)}, y)$$

    s is a metric of all samples, a loss counting negatively, and x^(g, k) the samples with the entries of group g permuted among them at
    random. Unlike attribution methods, which explain the score of one sample, it needs labels and tells what the model's performance on
    the dataset rests on. [scikit-learn](https://scikit-learn.org/stable/modules/permutation_importance.html) permutes and evaluates, with
    the same values for the same seed.

    One pass over the data for each feature and repeat, and one more; predictions and the indices of permuted samples are in memory.

    Source: [Breiman, 2001](https://doi.org/10.1023/A:1010933404324), section 10.

    Args:
        model: The model, with one output; only read.
        metric: A loss or a metric of Keras, its name such as `"accuracy"`, or a function that maps labels and predictions to a number, or
            one for each sample, of which higher is better. The loss of the compiled model by default.
        groups: Number of blocks along each axis of an image or a series, or the number of the group of each entry, see `FeatureAblation`:
            what is permuted together. Each feature of a table by default.
        num_repeats: Number of permutations of each feature.
        seed: Random seed. By default, each call draws a new one.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If an option is invalid, or the model has several outputs.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import PermutationImportance
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.layers[0].set_weights([np.array([[2.0], [1.0], [0.0]])])
    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> importance = PermutationImportance(model, metric="mean_squared_error", seed=0)(x, model.predict(x, verbose=0))
    >>> importance.mean.round()  # twice the variance of each feature, times its squared weight
    array([8., 2., 0.])
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        metric: str | keras.losses.Loss | keras.Metric | Callable | None = None,
        groups: Any = None,
        num_repeats: int = 5,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: Verbose = "auto",
    ):
        check_verbose(verbose)
        self._scores = Scores(model)
        if len(self._scores.graph.outputs) != 1:
            raise ValueError(
                f"Expected a model with one output. Received: the outputs {self._scores.graph.output_names}. Make a model of one of them: "
                "`keras.Model(model.inputs, model.outputs[0])`."
            )
        self._quality = Quality(metric, model)
        self._groups = Groups(self._scores, groups)
        self._num_repeats = check_count("num_repeats", num_repeats)
        self._seed = None if seed is None else check_seed(seed)
        self._batch_size = batch_size_for(self._scores.graph, batch_size, dtype=self._scores.dtype)
        self._verbose = verbose
        self._predicted = self._scores.predictions()

    def __call__(self, x: Any, y: Any = None) -> FeatureImportance:
        """Computes the importance of each feature.

        Args:
            x: The samples in the form that the model takes, see `Method`; or batches `(x, y)` of them, such as a `tf.data.Dataset`, which
                are read once.
            y: The labels, in the form that the metric takes; `None` for batches with labels.

        Returns:
            A `FeatureImportance`.

        Raises:
            ValueError: If samples or labels do not fit, there are fewer than two samples, or the metric is not finite.
        """
        from sklearn.inspection import permutation_importance

        given, labels, names = read_labeled(x, y, self._scores.graph)
        inputs = self._scores.typed(given)
        count = len(labels)
        if count < 2:
            raise ValueError(f"Expected at least two samples, to permute values among them. Received: {count} samples.")
        self._scores.check_same_function(inputs)
        division = self._groups.of(inputs)
        seed = secrets.randbits(30) if self._seed is None else self._seed
        total = 1 + division.count * self._num_repeats
        scored: list[float] = []
        with Bar(total, self._verbose) as bar:

            def score(_, places, labels):
                """The metric, a loss negative, of samples whose groups come from those of the given indices."""
                scored.append(self._quality(labels, self._predictions(inputs, division, places)))
                bar.add(1)
                return scored[-1] if self._quality.higher_is_better else -scored[-1]

            # What scikit-learn permutes are the indices of samples, so that a column may be any group of entries.
            places = np.tile(np.arange(count, dtype="int32")[:, np.newaxis], division.count)
            found = permutation_importance(
                _Fitted(), places, labels, scoring=score, n_repeats=self._num_repeats, random_state=seed
            )
        if names is None or len(names) != division.count or self._groups.are_given:
            names = division.names
        # scikit-learn begins with the samples as they are.
        return FeatureImportance(found.importances, scored[0], self._quality.name, self._quality.higher_is_better, list(names))

    def _predictions(self, inputs, division: Division, places):
        """The predictions for samples whose groups come from others.

        Args:
            inputs: An array for each input.
            division: The groups.
            places: `(n, groups)`: the index of the sample that each group comes from.
        """
        moved = np.flatnonzero((places != np.arange(len(places))[:, np.newaxis]).any(axis=0))
        found = []
        for part in rows(len(places), self._batch_size):
            batch = [x[part] for x in inputs]
            for group in moved:
                batch = [
                    np.where(numbers == group, x[places[part, group]], own) if explained else own
                    for x, own, numbers, explained in zip(inputs, batch, division.numbers, division.explained, strict=True)
                ]
            found.append(ops.convert_to_numpy(self._predicted(batch)[0]))
        return joined(found)


class _Fitted:
    """The estimator that scikit-learn passes to the scorer, which does not need it."""

    def fit(self, x, y):
        """Has nothing to fit."""
        return self
