"""Comparison of methods by metrics and cost."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_xai.attribution import Method
from keras_xai.data.checks import Verbose, check_instance, is_number
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.data.structure import packed
from keras_xai.metrics.metric import Metric
from keras_xai.metrics.shuffling import check_model
from keras_xai.network.scores import Scores
from keras_xai.results.comparison import Comparison, comparison_table


def compare_methods(
    model: keras.Model,
    x: Any,
    methods: Mapping[str, Method] | Sequence[Method],
    metrics: Mapping[str, Metric | Callable[[Method], Metric]] | Sequence[Metric | Callable[[Method], Metric]],
    *,
    target: Any = None,
    baseline: Any = None,
    verbose: Verbose = "auto",
) -> Comparison:
    """Explains samples by several methods and rates the explanations by several metrics.

    Each method explains the first sample before the timing starts, so that errors appear early and the times exclude compilation.

    Args:
        model: The model to explain.
        x: The samples, as for every attribution method; a dataset is read once and kept.
        methods: Attribution methods of the model: a dict by name, or a list.
        metrics: Metrics: a dict by name, or a list. A metric that needs the method, such as `MaxSensitivity`, is given as a factory: the
            class itself, or a function `lambda method: MaxSensitivity(method, radius=0.1)`.
        target: The target, as for every attribution method. By default the predicted class of each sample.
        baseline: The baseline for the methods that take one.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        A `Comparison`.

    Raises:
        TypeError: If a method or a metric has the wrong type.
        ValueError: If a method is of another model, a name occurs twice, there are no methods or metrics, or samples, target or baseline do
            not fit. Errors of methods and metrics are passed on.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput, Saliency
    >>> from keras_xai.metrics import Deletion, MaxSensitivity, compare_methods
    >>> model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    >>> x = np.random.default_rng(0).normal(size=(6, 5))
    >>> found = compare_methods(model, x, [Saliency(model), GradientTimesInput(model)], [Deletion(model), MaxSensitivity])
    >>> found.table["Deletion"].columns.tolist(), found.table.index.tolist()
    (['mean', 'low', 'high'], ['Saliency', 'GradientTimesInput'])
    >>> found.table["cost"]["num_forward_passes"].tolist()
    [2.0, 2.0]
    """
    scores = Scores(model)
    graph = scores.graph
    samples = Samples(x, graph, 1)
    x = packed(samples.arrays(), graph)
    named_methods, named_metrics = _named(methods, "methods"), _named(metrics, "metrics")
    for name, method in named_methods.items():
        if not isinstance(method, Method):
            raise TypeError(f"Expected attribution methods, such as `Saliency(model)`. Received: {method!r} as '{name}'.")
        check_model(model, method)
    for name, metric in named_metrics.items():
        if not (isinstance(metric, Metric) or callable(metric)):
            raise TypeError(
                f"Expected metrics, or functions that map a method to a metric. Received: {metric!r} (of type {type(metric).__name__}) "
                f"as '{name}'."
            )
    # Create all metrics first, so that errors appear before any work.
    made = {
        name: {
            metric_name: metric if isinstance(metric, Metric) else _made(metric, metric_name, method)
            for metric_name, metric in named_metrics.items()
        }
        for name, method in named_methods.items()
    }
    count = len(tree.flatten(x)[0])
    warm_up = tree.map_structure(lambda each: each[:1], x), scores.target(target, count).first(), _first_baseline(baseline, x)
    for method in named_methods.values():
        _explained(method, *warm_up)

    explanations, seconds = {}, {}
    values: dict[str, dict[str, np.ndarray]] = {name: {} for name in named_metrics}
    better: dict[str, bool] = {}
    tasks = [(name, metric_name) for name in named_methods for metric_name in (None, *named_metrics)]
    for name, metric_name in progress(tasks, len(tasks), verbose):
        if metric_name is None:
            start = time.perf_counter()
            explanations[name] = _explained(named_methods[name], x, target, baseline)
            seconds[name] = (time.perf_counter() - start) / count
            explanations[name] = dataclasses.replace(explanations[name], feature_names=samples.feature_names)
        else:
            metric = made[name][metric_name]
            values[metric_name][name] = metric(explanations[name])
            better[metric_name] = metric.higher_is_better
    return Comparison(comparison_table(explanations, values, seconds), explanations, values, better)


def _made(function, name, method):
    """The metric that a function creates for a method."""
    try:
        metric = function(method)
    except TypeError as error:
        raise TypeError(
            f"Expected `metrics`, or functions that map a method to a metric. Received: {function!r} as '{name}', which cannot be called "
            f"with a method ({error})."
        ) from error
    check_instance("metrics", metric, Metric, f"metrics, or functions that return one, unlike '{name}'")
    return metric


def _named(things, kind):
    named = dict(things) if isinstance(things, Mapping) else {}
    if not isinstance(things, (Mapping, list, tuple)):
        raise TypeError(f"Expected `{kind}` to be a list, or a dict by name. Received: {kind}={things!r}")
    if not isinstance(things, Mapping):
        for thing in things:
            name = getattr(thing, "label", None)
            name = name if isinstance(name, str) else getattr(thing, "__name__", repr(thing))
            if name in named:
                raise ValueError(
                    f"Expected {kind} with distinct names. Received: '{name}' twice. Pass a dict with custom names."
                )
            named[name] = thing
    if not named:
        raise ValueError(f"Expected at least one of the `{kind}`. Received: 0.")
    return named


def _explained(method, x, target, baseline):
    return method(x, target, baseline if method.takes_baseline else None)


def _first_baseline(baseline, x):
    """The baseline of the first sample, if there is one per sample."""
    if baseline is None or is_number(baseline):
        return baseline
    several = not isinstance(x, np.ndarray)
    given = [np.asarray(each) for each in (tree.flatten(baseline) if several else [baseline])]
    first = [each[:1] if each.shape == whole.shape else each for each, whole in zip(given, tree.flatten(x), strict=True)]
    return tree.pack_sequence_as(baseline, first) if several else first[0]
