"""Low-dimensional embeddings of layer activations."""

from typing import Any

import keras
import numpy as np

from keras_xai.data.arrays import checked
from keras_xai.data.checks import Verbose, check_seed, check_verbose
from keras_xai.data.streams import is_stream
from keras_xai.features.activations import activations, check_finite, graph_to
from keras_xai.results.embedding_map import EmbeddingMap
from keras_xai.statistics.tsne import TSNE, principal_components

_WIDE = 50


def tsne_map(
    model: keras.Model,
    x: Any,
    *,
    layer: str | keras.Layer,
    perplexity: float = 30.0,
    seed: int | None = None,
    batch_size: int | None = None,
    verbose: Verbose = "auto",
) -> EmbeddingMap:
    """Embeds the activations of a layer in two dimensions by t-SNE.

    The activations of a sample are flattened to one vector. If it has more than 50 entries, t-SNE works on its first 50 principal
    components, as in the source. openTSNE computes the t-SNE, and scikit-learn the components.

    One forward pass over the samples; all activations of the layer are held in memory.

    Source: [van der Maaten & Hinton, 2008](https://www.jmlr.org/papers/v9/vandermaaten08a.html). Deviation: points are initialized with the
    first two principal components instead of randomly, which preserves the large-scale structure ([Kobak & Berens,
    2019](https://doi.org/10.1038/s41467-019-13056-x)).

    Args:
        model: A built model; only read.
        x: The samples in the form that the model takes: an array or tensor `(n, *input_shape)`, a list, tuple or dict of them for a model
            of several inputs, or a dataset of batches `x` or `(x, y, ...)`.
        layer: A layer or its path, such as `"backbone/conv5"`; its output includes a fused activation.
        perplexity: Effective number of neighbors of each sample; less than a third of the number of samples.
        seed: Random seed. By default, each call draws a new one.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors. A dataset keeps its own batches.
        verbose: `"auto"` for a progress bar over batches after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        An `EmbeddingMap`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no such layer, the samples do not fit it or contain NaN, their number does not exceed three times
            `perplexity`, or activations are NaN or infinite.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import tsne_map
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="hidden")])
    >>> x = np.random.default_rng(0).normal(size=(40, 3))
    >>> tsne_map(model, x, layer="hidden", perplexity=5, seed=0).points.shape
    (40, 2)
    """
    check_verbose(verbose)
    if seed is not None:
        check_seed(seed)
    tsne = TSNE(perplexity=perplexity)
    if not isinstance(layer, (str, keras.Layer)):
        raise ValueError(f"Expected `layer` to be the path of one layer, or the layer itself. Received: layer={layer!r}")
    if not is_stream(x):
        tsne.check(len(checked(x, graph_to(model, [layer]))[0]))
    ((layer, found),) = activations(model, x, [layer], batch_size=batch_size, verbose=verbose).items()
    vectors = found.reshape(len(found), -1).astype("float64" if found.dtype == "float64" else "float32", copy=False)
    check_finite(layer, vectors)
    if not (vectors != vectors[0]).any():
        raise ValueError(
            f"Expected samples that differ in '{layer}'. Received: {len(vectors)} samples with equal activations."
        )
    tsne.check(len(vectors))
    state = int(np.random.default_rng(seed).integers(2**31))
    vectors, explained = principal_components(vectors, _WIDE, state)
    embedding = tsne.embed(vectors, state)
    return EmbeddingMap(embedding.points, layer, float(perplexity), explained, embedding.divergence)
