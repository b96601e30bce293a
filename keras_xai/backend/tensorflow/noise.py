"""Stateless random numbers, a function of the seed, the sample and the draw."""

from typing import Any

import tensorflow as tf


def normal(like: Any, places: Any, numbers: Any, seed: Any) -> Any:
    """Standard normal numbers per sample and draw, independent of batching.

    Args:
        like: Tensor `(n, ...)`.
        places: Integer tensor `(per,)`, indices of the draws.
        numbers: Integer tensor `(n,)`, the index of each sample in the whole dataset.
        seed: Integer scalar.

    Returns:
        A tensor `(per, n, ...)` in the dtype of `like`.
    """
    shape = tf.shape(like)[1:]
    base = tf.random.experimental.stateless_fold_in(tf.stack([tf.cast(seed, tf.int32), 0]), 0)

    def draw(pair):
        key = tf.random.experimental.stateless_fold_in(tf.random.experimental.stateless_fold_in(base, pair[0]), pair[1])
        return tf.random.stateless_normal(shape, key, dtype=like.dtype)

    grid = tf.stack(tf.meshgrid(places, numbers, indexing="ij"), axis=-1)
    drawn = tf.map_fn(draw, tf.reshape(grid, (-1, 2)), fn_output_signature=like.dtype)
    return tf.reshape(drawn, tf.concat([[tf.size(places), tf.size(numbers)], shape], axis=0))
