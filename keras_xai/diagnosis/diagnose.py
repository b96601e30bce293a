"""Layer diagnosis by neighborhood hit, linear probe and t-SNE."""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import Verbose, check_verbose
from keras_xai.data.progress import Bar
from keras_xai.diagnosis.blocks import block_ends, depths
from keras_xai.diagnosis.protocol import check_protocol
from keras_xai.diagnosis.sampling import draw
from keras_xai.diagnosis.vectors import Extractor, Vectors, normalized
from keras_xai.features.activations import check_finite
from keras_xai.graph.trace import trace
from keras_xai.kinds.expansion import open_layers
from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.layer_diagnosis import LayerDiagnosis
from keras_xai.results.protocol import Protocol
from keras_xai.statistics.neighborhood import check_neighbors, hits_and_influence
from keras_xai.statistics.tsne import principal_components

_FOLDS = 5


def diagnose(
    model: keras.Model,
    x: Any,
    y: Any = None,
    layers: Sequence[str | keras.Layer] | None = None,
    *,
    k: int = 6,
    protocol: Protocol | None = None,
    verbose: Verbose = "auto",
) -> Diagnosis:
    """Measures class separation in each hidden layer: neighborhood hit, on t-SNE maps and in activations, and a linear probe.

    Samples are drawn, resized if the model takes another image size, and run through the model once. The activations of each layer are
    converted to vectors, normalized, reduced to their principal components and embedded in the plane by t-SNE several times. The
    neighborhood hit is measured on these maps, as in the source, and among the vectors themselves, which shows the effect of t-SNE. A
    linear classifier on the same components is an independent check.

    Layers of the same network, and networks with the same protocol and samples, are comparable. A high neighborhood hit in the last layers
    correlates with a high accuracy; the hit of a first layer hardly does.

    A warning reports a layer that returns the same values for all samples: its neighborhood hit is at chance level, all its points
    coincide, and undefined values are NaN.

    The vectors of all layers are in memory at once, for 1,000 samples at most 64 MB each if maps are pooled, in addition to a few copies of
    the largest in double precision and `8 n**2` bytes for distances.

    Source: algorithm 1 of Wang & Liu, "Refining Deep Neural Networks via Interpretability Using Transfer Learning" (2024). The source does
    not specify the normalization of activations, the conversion of large maps to vectors, and k; here each is part of the protocol.
    Principal components before t-SNE follow [van der Maaten & Hinton, 2008](https://www.jmlr.org/papers/v9/vandermaaten08a.html).
    Intervals, the hit among the vectors and the classifier are not in the source.

    Args:
        model: A built model; only read.
        x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, or a list, tuple or dict of them for a
            model of several inputs. Images whose last axis is one, three or four channels may have another height and width if the model
            takes real numbers; they are resized bilinearly, batch by batch, and their values must be in the range that the model takes.
            Alternatively, a dataset of batches `(x, y, ...)`, which is read once.
        y: Labels `(n,)` or `(n, 1)`, numbers or strings; `None` for a dataset.
        layers: Layers or their paths, such as `"backbone/conv5"`, whose outputs are diagnosed; by default `block_ends(model)`.
        k: Number of neighbors, less than the number of samples.
        protocol: The settings, see `Protocol`.
        verbose: `"auto"` for progress bars over batches and maps after two seconds, 1 to show them at once, 2 for one line each at the end,
            0 for none.

    Returns:
        A `Diagnosis`: `table`, `plot()` and `plot_depth()`.

    Raises:
        TypeError: If `model` is not a Keras model, or `protocol` not a `Protocol`.
        ValueError: If the model has no such layers, samples or labels do not fit, there is only one class, or `k` or the perplexity is too
            large for the number of samples, all raised before any work. Also if activations are NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.diagnosis import Protocol, diagnose
    >>> from keras_xai.features import TSNE
    >>> keras.utils.set_random_seed(0)
    >>> model = keras.Sequential([
    ...     keras.Input((8,)),
    ...     keras.layers.Dense(16, "relu", name="first"), keras.layers.Dense(8, "relu", name="second"),
    ...     keras.layers.Dense(2, "softmax"),
    ... ])
    >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
    >>> report = diagnose(model, x + 3 * y[:, None], y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=2))
    >>> list(report.layers)
    ['first', 'second']
    >>> bool(report.layers["first"].activation_hit.mean > 0.9), round(report.chance, 2)
    (True, 0.49)
    """
    check_verbose(verbose)
    protocol = check_protocol(protocol)
    graph = open_layers(trace(model))
    extract = Extractor(model, block_ends(model) if layers is None else layers, protocol.maps)
    drawn = draw(x, y, graph, protocol.samples, protocol.seed)
    k = check_neighbors(k, len(drawn))
    protocol.tsne.check(len(drawn))

    seconds = dict.fromkeys(("activations", "t-SNE", "measures"), 0.0)
    clock = _Clock(seconds)
    found = extract(drawn, protocol.batch_size, verbose)
    for path, vectors in found.items():
        check_finite(path, vectors.values, drawn.indices)
    clock.stop("activations")
    order = {step: place for place, step in enumerate(graph.steps)}
    paths = sorted(found, key=lambda path: order[graph.end_of(path)])
    depth = dict(zip(paths, depths(graph, paths), strict=True))
    num_maps = len(paths) * protocol.repeats
    layer_results = {}
    with Bar(num_maps, verbose) as bar:
        for path in paths:
            # Each layer's activations are released before the next one is processed.
            layer_results[path] = _diagnosed(path, depth[path], found.pop(path), drawn.codes, k, protocol, bar, clock)
    return Diagnosis(model.name, layer_results, drawn.codes, drawn.classes, drawn.indices, k, protocol, seconds)


class _Clock:
    """Accumulates the seconds of the parts of the work."""

    def __init__(self, seconds):
        self._seconds = seconds
        self._last = time.perf_counter()

    def stop(self, name):
        now = time.perf_counter()
        self._seconds[name] += now - self._last
        self._last = now


def _diagnosed(path, depth, vectors: Vectors, codes, k, protocol, bar, clock):
    """One layer."""
    values = normalized(vectors.values, protocol.normalization)
    constant = not values.any()
    if constant:
        warnings.warn(
            f"'{path}' returns the same values for all {len(codes)} samples. Its neighborhood hit is at chance level.",
            stacklevel=3,
        )
    ((_, activation_influence),) = hits_and_influence(values, codes, [k])
    squared = _squared_distances(values)
    components, explained = (
        (values[:, :1], np.nan) if constant else principal_components(values, protocol.components, protocol.seed)
    )
    probe = _probe(components, codes, protocol.seed)
    clock.stop("measures")
    points, influence, trust, divergence = [], [], [], []
    for start in protocol.starts:
        if constant:
            points.append(np.zeros((len(codes), 2)))
            divergence.append(np.nan)
        else:
            embedding = protocol.tsne.embed(components, start)
            points.append(embedding.points)
            divergence.append(embedding.divergence)
        clock.stop("t-SNE")
        influence.append(hits_and_influence(points[-1], codes, [k])[0][1])
        trust.append(np.nan if constant else _trustworthiness(squared, points[-1], k))
        bar.add(1)
        clock.stop("measures")
    return LayerDiagnosis(
        path=path,
        depth=depth,
        shape=vectors.shape,
        vectors=vectors.description,
        length=values.shape[1],
        explained=explained,
        points=np.stack(points),
        map_influence=np.stack(influence),
        activation_influence=activation_influence,
        trustworthiness=np.array(trust),
        divergence=np.array(divergence),
        probe=probe,
    )


def _squared_distances(values):
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(values, metric="euclidean", squared=True)


def _trustworthiness(squared, points, k):
    from sklearn.manifold import trustworthiness

    # Ranks depend on distances only; scikit-learn requires fewer neighbors than half of the samples.
    return trustworthiness(squared, points, n_neighbors=min(k, (len(points) - 1) // 2), metric="precomputed")


def _probe(vectors, codes, seed):
    """Whether a cross-validated linear classifier is right about each sample; samples alone in their class are left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = np.bincount(codes)
    kept = counts[codes] > 1
    vectors, codes = vectors[kept], codes[kept]
    if (counts > 1).sum() < 2:
        return np.zeros(0, bool)
    folds = min(_FOLDS, int(counts[counts > 1].min()))
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_val_predict(classifier, vectors, codes, cv=StratifiedKFold(folds, shuffle=True, random_state=seed)) == codes
