"""Strings in TensorFlow."""

from typing import Any

import tensorflow as tf


def join_words(words: Any) -> Any:
    """Joins strings along the last axis with a blank between any two that are not empty."""
    joined = tf.strings.reduce_join(words, axis=-1, separator=" ")
    return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))
