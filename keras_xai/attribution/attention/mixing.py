"""Probes that check whether only attention mixes tokens: change one token, and find the tokens that change."""

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.attribution.attention.tokens import INSTEAD, Located
from keras_xai.backend import compiled
from keras_xai.network.attention import Attention
from keras_xai.network.scores import Scores

# Changes that count, relative to the largest one. Those of the input may spread, as by convolutions, but not to all tokens; those of an
# image may reach all patches through a deep stem, where they hardly change them.
_BETWEEN, _SPREAD = 1e-3, 1e-2


@final
class Mixing:
    """Checks by probes that rollout accounts for all that moves between the tokens of an input and those of the last attention layer.

    A layer that flips or shifts tokens, a convolution or a recurrent layer along them, and attention that is not found because its weights
    are no softmax would make rollout wrong without any sign of it. Products of queries and keys tell which tokens have changed.

    Args:
        scores: The scores of the model, unrolled.
        chain: The attention layers, see `chain_of`.
        located: Where the tokens of the first are.
    """

    def __init__(self, scores: Scores, chain: Sequence[Attention], located: Located):
        self._scores = scores
        self._chain = chain
        self._located = located
        products = [each.softmax.inputs[0] for each in chain]

        def first(inputs):
            """Products of queries and keys of the first layer, `(n, heads, queries, keys)`."""
            return chain[0].by_head(scores.run(inputs, until=products[:1])[products[0]])

        def later(inputs, places):
            """Those of each later layer, as they are and with another token after the layer before it."""
            values = scores.run(inputs, until=[*products, *(each.identifier for each in chain)])
            found = []
            for before, each, product in zip(chain[:-1], chain[1:], products[1:], strict=True):
                known = {before.identifier: _with_changed_row(before, values[before.identifier], places)}
                changed = scores.run(inputs, until=[product], known=known)[product]
                found.append((each.by_head(values[product]), each.by_head(changed)))
            return found

        self._first = compiled(first, [scores.signature])
        self._later = compiled(later, [scores.signature, ((None,), "int32")]) if len(chain) > 1 else None

    def check(self, inputs: Sequence[np.ndarray]) -> None:
        """Checks the first sample of a batch.

        Args:
            inputs: An array for each input.

        Raises:
            ValueError: If tokens are not those of the input in their order, or something other than attention mixes them.
        """
        sample = [x[:1] for x in inputs]
        plain = ops.convert_to_numpy(self._first(sample))
        probed = sorted({0, plain.shape[-1] // 3, plain.shape[-1] - 1})
        if not self._located.is_text:
            self._check_input(sample, plain, probed)
        if self._later is not None:
            rows = [np.repeat(x, len(probed), axis=0) for x in sample]
            after = self._later(rows, np.array(probed, "int32"))
            for before, each, (plain, changed) in zip(self._chain[:-1], self._chain[1:], after, strict=True):
                self._check_later(before, each, _changes(changed, plain), probed)

    def _check_input(self, sample, plain, probed):
        position, patches = self._located.position, self._located.patches
        first, count = (0, plain.shape[-1]) if patches is None else (patches.start, math.prod(patches.sizes))
        tokens = [first + place for place in sorted({0, count // 3, count - 1})]
        batch = [np.repeat(x, len(tokens), axis=0) for x in sample]
        batch[position] = np.concatenate([self._changed(sample, token - first) for token in tokens])
        found = _changes(self._first(batch), np.repeat(plain, len(tokens), axis=0))
        seen = [(token, each) for token, each in zip(tokens, found, strict=True) if each.any()]
        is_moved = any((np.diagonal(each) > _BETWEEN).any() and each[token, token] <= _BETWEEN for token, each in seen)
        least = _BETWEEN if patches is None else _SPREAD
        is_spread = (
            count > 2 and bool(seen) and all((np.diagonal(each)[first : first + count] > least).all() for _, each in seen)
        )
        # A token that changes no other's products is not a key, or not a query, at its own place.
        alone = [np.where(np.eye(len(each), dtype=bool), 0, each) for _, each in seen]
        is_apart = bool(seen) and not all(
            any((each.take(token, axis) > _BETWEEN).any() for (token, _), each in zip(seen, alone, strict=True))
            for axis in (0, 1)
        )
        if count > 1 and (is_moved or is_spread or is_apart):
            path = self._chain[0].path
            raise ValueError(
                "Expected tokens that are those of the input, in their order. Received: "
                f"'{path}' of '{self._scores.name}', whose tokens do not depend on the entries of the input at their own place, or each of "
                f"them on all, as after a flip, a transposition or a recurrent layer. {INSTEAD}"
            )

    def _check_later(self, before, each, found, probed):
        for token, changes in zip(probed, found, strict=True):
            others = np.arange(len(changes)) != token
            if (changes[np.ix_(others, others)] > _BETWEEN).any():
                raise ValueError(
                    f"Expected tokens that are mixed by attention only. Received: '{self._scores.name}', in which a token after "
                    f"'{before.path}' changes others before '{each.path}', as by a flip, a convolution or a recurrent layer along tokens, "
                    f"or by attention whose weights are no softmax. {INSTEAD}"
                )

    def _changed(self, sample, place) -> np.ndarray:
        """The input of a sample with another token, patch or time step."""
        located = self._located
        x = sample[located.position].copy()
        if located.layout.is_apart:
            padded = self._scores.padding(sample)[located.position]
            others = x[0] != x[0, place] if padded is None else (x[0] != x[0, place]) & ~np.broadcast_to(padded, x.shape)[0]
            if others.any():
                x[0, place] = x[0, np.argmax(others)]
            return x
        last = ops.convert_to_numpy(located.layout.channels_last(x)).copy()
        sizes = last.shape[1:-1]
        grid = sizes if located.patches is None else located.patches.sizes
        part = tuple(
            slice(index * size // count, max((index + 1) * size // count, index * size // count + 1))
            for index, count, size in zip(np.unravel_index(place, grid), grid, sizes, strict=True)
        )
        block = last[(0, *part)]
        # Of many directions, so that no layer ignores it.
        last[(0, *part)] = block + (last.std() or 1) * np.cos(1 + np.arange(block.size)).reshape(block.shape)
        return ops.convert_to_numpy(located.layout.restored(last)).astype(x.dtype)


def _with_changed_row(attention, weights, places):
    """Weights in which sample i has another row for query `places[i]`."""
    shape, rank = ops.shape(weights), len(attention.spec.shape)

    def along(axes, values):
        return ops.reshape(values, (-1, *(shape[axis] if axis in axes else 1 for axis in range(1, rank))))

    queries = math.prod(shape[axis] for axis in attention.queries)
    keys = math.prod(shape[axis] for axis in attention.keys)
    chosen = ops.cast(ops.arange(queries, dtype="int32")[None] == places[:, None], weights.dtype)
    added = ops.cast(ops.cos(ops.cast(ops.arange(keys, dtype="int32")[None], "float32")), weights.dtype)
    return weights + along(attention.queries, chosen) * along(attention.keys, added)


def _changes(changed: Any, plain: Any) -> np.ndarray:
    """Changes of products `(n, queries, keys)`, the largest of all heads, relative to the largest one; 0 if there is none."""
    one, other = (ops.convert_to_numpy(each).astype("float64") for each in (changed, plain))
    both = np.isfinite(one) & np.isfinite(other)
    found = np.where(both, np.abs(np.where(both, one, 0) - np.where(both, other, 0)), 0).max(axis=1)
    most = found.max(axis=(1, 2), keepdims=True)
    return np.where(most > 0, found / np.where(most > 0, most, 1), 0)
