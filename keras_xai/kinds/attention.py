"""Attention: fused layers and functions, divided into products of tensors and a softmax."""

import functools

import numpy as np
from keras import layers, ops

from keras_xai.graph.calls import inside
from keras_xai.graph.steps import with_attributes
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.smooth import OfSequence, Smooth, least

_REASON = "attention multiplies tensors that both depend on the input and takes a softmax of them"


class Attention(OfSequence):
    """An attention layer, most of which runs as one fused operation."""

    attends = True

    def defused(self, step):
        return inside(step)


class DotAttention(Attention):
    """`Attention`, whose scores are dot products, or weighted sums of tanh of sums."""

    def defused(self, step):
        layer = step.operation
        return super().defused(step) if layer.score_mode == "dot" else inside(step, _scored(layer, _concatenated).call)


class AdditiveAttention(Attention):
    """`AdditiveAttention`, whose scores are sums of tanh of sums."""

    def defused(self, step):
        return inside(step, _scored(step.operation, _added).call)


def _scored(layer, scores):
    """The layer with scores by `keras.ops`: Keras multiplies a variable by a tensor, which a symbolic tensor cannot be."""
    return with_attributes(layer, {"_calculate_scores": functools.partial(scores, layer)})


def _added(layer, query, key):
    bent = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
    return ops.sum(ops.multiply(layer.scale, bent) if layer.use_scale else bent, axis=-1)


def _concatenated(layer, query, key):
    pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
    bent = ops.tanh(pairs if layer.scale is None else ops.multiply(layer.scale, pairs))
    return ops.multiply(layer.concat_score_weight, ops.sum(bent, axis=-1))


class DotProductAttention(Smooth):
    """The fused function, `ops.dot_product_attention`."""

    attends = True

    def defused(self, step):
        fused = step.operation
        call = functools.partial(_attend, is_causal=fused.is_causal, soft_cap=fused.attn_logits_soft_cap)
        return inside(step, call, compare=False)  # the sizes may be unknown that its masks have to have


def _attend(query, key, value, bias=None, mask=None, scale=None, *, is_causal, soft_cap):
    """Scaled dot-product attention of tensors `(n, places, heads, channels)`."""
    repeats = query.shape[2] // key.shape[2]  # heads of keys and values that several heads of queries share
    if repeats > 1:
        key, value = (ops.repeat(each, repeats, axis=2) for each in (key, value))
    scores = ops.einsum("bthc,bshc->bhts", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        scores = scores + bias
    if soft_cap is not None:
        scores = soft_cap * ops.tanh(scores / soft_cap)
    if is_causal:
        causal = np.tril(np.ones((query.shape[1], key.shape[1]), "bool"))
        mask = causal if mask is None else ops.logical_and(mask, causal)
    if mask is not None:
        scores = ops.where(mask, scores, least(scores.dtype))
    return ops.einsum("bhts,bshc->bthc", ops.softmax(scores, axis=-1), value)


register(
    layers.Attention,
    DotAttention(_REASON),
    Example((4, 2), lambda x: layers.Attention(use_scale=True)([x, x])),
    Example((4, 2), lambda x: layers.Attention(use_scale=True, score_mode="concat")([x, x])),
)
register(layers.AdditiveAttention, AdditiveAttention(_REASON), Example((4, 2), lambda x: layers.AdditiveAttention()([x, x])))
register(
    layers.MultiHeadAttention,
    Attention(_REASON),
    Example((4, 2), lambda x: layers.MultiHeadAttention(2, 3)(x, x)),
    Example((4, 2), lambda x: layers.MultiHeadAttention(1, 2)(x, x, use_causal_mask=True)),
)
register(layers.GroupQueryAttention, Attention(_REASON), Example((4, 2), lambda x: layers.GroupQueryAttention(2, 2, 1)(x, x)))
register(
    ops.dot_product_attention,
    DotProductAttention(_REASON),
    Example((4, 2, 3), lambda x: ops.dot_product_attention(x, ops.tanh(x), ops.flip(x, axis=1))),
    Example((4, 2, 3), lambda x: ops.dot_product_attention(x, ops.tanh(x), x, scale=0.3, is_causal=True)),
)
