"""Attention maps: the attention weights of each layer and head."""

from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import ops

from keras_xai.attribution.attention.tokens import Located, check_attention, locate
from keras_xai.attribution.sizes import BySizes
from keras_xai.backend import compiled
from keras_xai.data.batches import joined
from keras_xai.data.checks import Verbose, check_layers, check_verbose
from keras_xai.data.progress import progress
from keras_xai.data.reader import Samples
from keras_xai.data.texts import Words, widened
from keras_xai.kinds.rows import rows_per_sample
from keras_xai.network.attention import Attention
from keras_xai.network.batching import batch_size_for
from keras_xai.network.scores import Scores
from keras_xai.results.attention_maps import AttentionMaps


def attention_maps(
    model: keras.Model,
    x: Any,
    layers: Sequence[str | keras.Layer] | None = None,
    *,
    batch_size: int | None = None,
    verbose: Verbose = "auto",
) -> AttentionMaps:
    """Computes the attention maps of layers: how strongly each token attends to each other one, for each head.

    Attention is a softmax whose output is multiplied by values and summed over the keys. It may be a layer of Keras or keras-hub, or custom
    code with `keras.ops`. If attention runs as one fused operation that returns no weights, they are computed again from queries and keys.
    Maps are those at inference, after masks: the rows of each sum to 1, and padding keys have the weight 0. Rows of padding queries have no
    meaning; Keras makes them uniform.

    One forward pass. A map has `heads * queries * keys` entries for each sample: the 12 layers of a ViT-Base with 197 tokens and 12 heads
    take 22 MB per image, so choose `layers` for many samples.

    Args:
        model: A built model; only read.
        x: The samples in the form that the model takes, see `activations`.
        layers: Attention layers or their paths, such as `"encoder/block_1/attention"`; a path around several, such as `"encoder"`, chooses
            all of them. By default all. Attention outside of a layer, by functions of `keras.ops`, has the path of its softmax.
        batch_size: Samples per batch; `None` to derive it from the size of the model's tensors. A dataset keeps its own batches.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        An `AttentionMaps`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model has no attention, no such layer, or a layer has no attention; if `x` does not fit the model, is empty, or
            contains NaN or infinity; or if a map is NaN.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.features import attention_maps
    >>> tokens = keras.Input((6,), dtype="int32")
    >>> x = keras.layers.Embedding(20, 8)(tokens)
    >>> x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    >>> model = keras.Model(tokens, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))
    >>> found = attention_maps(model, np.arange(12).reshape(2, 6))
    >>> found.maps["attention"].shape, bool(np.allclose(found.maps["attention"].sum(axis=-1), 1))
    ((2, 2, 6, 6), True)
    """
    check_verbose(verbose)
    check_layers("layers", layers)
    whole = Scores(model, unroll=True)
    graph = whole.graph
    # Some layers can only be read at known sizes.
    reader = None if whole.has_open_sizes else _Reader(whole, layers)
    by_sizes = BySizes(lambda shapes: _Reader(Scores(model, shapes, unroll=True), layers))
    parts: dict[str, list[np.ndarray]] = {}
    seen: list[np.ndarray] = []
    samples = Samples(x, graph, batch_size_for(graph, batch_size, dtype=whole.dtype))
    first, count = None, 0
    for batch in progress(samples, samples.num_batches, verbose):
        of_batch = reader or by_sizes(batch)
        if first is None:
            first = of_batch
            of_batch.scores.check_same_function(batch)
        for path, values in of_batch.maps(batch).items():
            _check_finite(path, values, count)
            parts.setdefault(path, []).append(values)
        if first.input is not None:
            seen.append(batch[first.input])
        count += len(batch[0])
    assert first is not None  # `Samples` refuses to have none
    position, specs = first.input, graph.input_specs
    is_text = any(isinstance(spec, Words) for spec in specs)
    return AttentionMaps(
        maps={path: joined(_of_one_size(each) if is_text else each) for path, each in parts.items()},
        inputs=None if position is None else joined(widened(seen, "") if isinstance(specs[position], Words) else seen),
        patches={path: _patches(each) for path, each in first.located.items()},
        model=whole.name,
        layout=None if position is None else first.scores.layouts[position].letters,
    )


@final
class _Reader:
    """The attention of chosen layers for samples of known sizes.

    Attributes:
        scores: The model.
        located: Where the keys of each layer are in an input, by path.
        input: Position of the input of which they are tokens or patches, `None` if there is none that can be drawn, or several.
    """

    def __init__(self, scores: Scores, layers):
        self.scores = scores
        chosen = _chosen(scores, check_attention(scores), layers)
        self.located: dict[str, Located | None] = {each.path: locate(scores, each) for each in chosen}
        positions = {each.position for each in self.located.values() if each is not None}
        self.input = positions.pop() if len(positions) == 1 else None
        rows = rows_per_sample(scores.graph)

        def maps(inputs):
            values = scores.run(inputs, until=[each.identifier for each in chosen])
            return [_by_sample(each.by_head(values[each.identifier]), rows[each.identifier]) for each in chosen]

        self._program = compiled(maps, [scores.signature])

    def maps(self, batch) -> dict[str, np.ndarray]:
        """The maps of a batch by path, each `(n, heads, queries, keys)`."""
        found = self._program(self.scores.typed(batch))
        return dict(zip(self.located, map(ops.convert_to_numpy, found), strict=True))


def _chosen(scores: Scores, attentions: list[Attention], layers) -> list[Attention]:
    """The attention of layers, in their order."""
    if layers is None:
        return attentions
    found: dict[str, Attention] = {}
    for path in scores.paths_of(layers):
        within = {path, *(step.path for step in scores.parts_of(path, scores.graph.steps))}
        inside = [each for each in attentions if each.path in within or each.softmax.path in within]
        if not inside:
            raise ValueError(
                f"Expected layers with attention, which in '{scores.name}' are {[each.path for each in attentions]}, or layers "
                f"around them. Received: layers with '{path}', {_reason(scores, path)}."
            )
        found.update({each.path: each for each in inside})
    return list(found.values())


def _reason(scores, path):
    known = {path for path, _ in scores.graph.calls} | {step.path for step in scores.graph.steps}
    return "which has none" if path in known else "which is the path of no layer"


def _by_sample(maps, rows):
    """Maps `(n * rows, heads, ...)` as `(n, rows * heads, ...)`: windows and time steps count as heads."""
    return maps if rows == 1 else ops.reshape(maps, (-1, rows * ops.shape(maps)[1], *ops.shape(maps)[2:]))


def _check_finite(path, maps, start):
    bad = np.flatnonzero(~np.isfinite(maps).reshape(len(maps), -1).all(axis=1))
    if bad.size:
        raise ValueError(
            f"The attention of '{path}' is NaN or infinite for sample {start + bad[0]}. Check the model's weights and the range of its "
            "inputs: `model.predict(x)` should be finite."
        )


def _of_one_size(parts):
    """The maps of several batches of texts, filled up with 0 to the size of the longest."""
    sizes = [max(part.shape[axis] for part in parts) for axis in (2, 3)]
    return [
        np.pad(part, ((0, 0), (0, 0), *((0, size - old) for size, old in zip(sizes, part.shape[2:], strict=True))))
        for part in parts
    ]


def _patches(located):
    """The first patch and the sizes of the grid of patches, `None` without patches."""
    return None if located is None or located.patches is None else (located.patches.start, *located.patches.sizes)
