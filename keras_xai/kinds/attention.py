"""Attention: fused layers and functions, divided into products of tensors and a softmax."""

import functools

import numpy as np
from keras import layers, ops

from keras_xai.graph.calls import inside
from keras_xai.kinds.entries import Example, register
from keras_xai.kinds.smooth import OfSequence, Smooth, least

_REASON = "attention multiplies tensors that both depend on the input and takes a softmax of them"


class Attention(OfSequence):
    """An attention layer, most of which runs as one fused operation."""

    def defused(self, step):
        return inside(step)


class DotProductAttention(Smooth):
    """The fused function, `ops.dot_product_attention`."""

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


register(layers.Attention, Attention(_REASON), Example((4, 2), lambda x: layers.Attention()([x, x])))
register(layers.AdditiveAttention, Attention(_REASON), Example((4, 2), lambda x: layers.AdditiveAttention()([x, x])))
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
