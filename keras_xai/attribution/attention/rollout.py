"""Attention rollout, and its variant weighted by gradients: relevance of tokens through the attention layers of an encoder."""

import abc
from collections.abc import Sequence
from typing import Any, final

import keras
from keras import ops

from keras_xai.attribution.attention.mixing import Mixing
from keras_xai.attribution.attention.tokens import chain_of, check_attention, check_located
from keras_xai.attribution.method import Method
from keras_xai.attribution.parts import Part
from keras_xai.backend import record
from keras_xai.data.checks import Verbose
from keras_xai.graph.target import Target
from keras_xai.network.attention import Attention
from keras_xai.network.precision import undefined_where_not_finite
from keras_xai.network.scores import Scores


class Rollout(Method):
    """Base class: passes relevance from the tokens that the score is read from through all attention layers, back to the input's tokens.

    Args:
        model: A model of self-attention layers that relate the same tokens, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no attention, or layers of it relate other tokens, or tokens that are not found in an input. When
            called: if something other than attention mixes or moves tokens, as found by changing some of them.
    """

    unrolls = True
    needs_sizes = True

    nonnegative = True

    def __init__(self, model: keras.Model, *, batch_size: int | None = None, verbose: Verbose = "auto"):
        super().__init__(model, batch_size=batch_size, verbose=verbose)
        self._attentions: list[Attention] = []
        self._read()

    def _read_layers(self):
        self._attentions = check_attention(self._scores)
        if len(self._scores.graph.outputs) == 1:  # of several, it is not known yet which are explained
            self._located(self._scores.graph.outputs)

    def _located(self, outputs):
        chain = chain_of(self._scores, self._attentions, outputs)
        return chain, check_located(self._scores, chain[0])

    def _prepare(self, target):
        scores = self._scores
        chain, located = self._located(scores.explained_outputs(target))
        scores.check_differentiable([chain[-1].identifier], target)
        differentiated = self._differentiated(chain)

        def relevance(inputs, indices):
            weights, gradients, score, chosen = _with_gradients(scores, target, chain, differentiated, inputs, indices)
            row = start = _read_tokens(gradients[-1])
            missing = [None] * (len(weights) - len(gradients))
            for maps, gradient in zip(reversed(weights), reversed([*missing, *gradients]), strict=True):
                row = self._passed(row, maps, gradient)
            (row,) = undefined_where_not_finite(score, [self._result(row, start)])
            values = [located.over(x, row) if position == located.position else None for position, x in enumerate(inputs)]
            return values, chosen

        program = scores.program(target, relevance)
        unchecked = [Mixing(scores, chain, located)]

        def explain(batch):
            for each in unchecked:
                each.check(batch.inputs)
            unchecked.clear()
            values, indices = program(batch.inputs, batch.indices)
            return Part(values, indices, convergence_delta=None, num_forward_passes=2 * len(batch.numbers))

        return explain

    @staticmethod
    @abc.abstractmethod
    def _differentiated(chain: Sequence[Attention]) -> Sequence[Attention]:
        """The last layers of a chain, by whose weights the score is differentiated; at least one."""

    @staticmethod
    @abc.abstractmethod
    def _passed(row: Any, weights: Any, gradient: Any) -> Any:
        """The relevance of the tokens before an attention layer.

        Args:
            row: `(n, tokens)`, that of the tokens after it.
            weights: `(n, heads, queries, keys)`, its attention.
            gradient: The derivative of the score by the weights; `None` if it was not computed.
        """

    @staticmethod
    def _result(row: Any, start: Any) -> Any:
        """The explanation: the relevance `(n, tokens)` before the first layer, given that after the last."""
        return row


@final
class AttentionRollout(Rollout):
    r"""Attention rollout: the product of the attention of all layers, each averaged with the identity for its residual connection.

    $$\hat{A}_l = \tfrac{1}{2} \bar{A}_l + \tfrac{1}{2} I, \qquad R = \hat{A}_L \cdots \hat{A}_1$$

    The bar is the mean over heads, and each row of $\hat{A}_l$ is divided by its sum. Values are the rows of R of the tokens that the
    score is read from: the class token, one token of a language model, the mean over all tokens for mean pooling. They are the tokens by
    whose attention in the last layer the score has a derivative that is not 0. Values of an image are those of its patches, resized by
    linear interpolation; other tokens, such as a class token, have no place in it. Padding has the value 0.

    It explains what the tokens are mixed of, whatever the class: apart from those rows, values do not depend on the target. They are not
    negative. One forward pass, and one backward pass to the last attention layer.

    Source: [Abnar & Zuidema, 2020](https://arxiv.org/abs/2005.00928), section 3. The mean over several rows is ours.

    Args:
        model: A model of self-attention layers that relate the same tokens, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no attention, or layers of it relate other tokens, or tokens that are not found in an input. When
            called: if something other than attention mixes or moves tokens, as found by changing some of them.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import AttentionRollout
    >>> x = keras.Input((5, 4))
    >>> y = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 2)(x, x)])
    >>> model = keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(y)))
    >>> values = AttentionRollout(model)(np.random.default_rng(0).normal(size=(2, 5, 4))).values
    >>> values.shape, bool(np.allclose(values.sum(axis=1), 1))
    ((2, 5, 1), True)
    """

    depends_on_target = False

    @staticmethod
    def _differentiated(chain):
        return chain[-1:]

    @staticmethod
    def _passed(row, weights, gradient):
        mean = ops.mean(weights, axis=1)
        # Masked queries may have no attention at all, so that the sum is not always 2.
        row = row / (1 + ops.sum(mean, axis=-1))
        return row + _product(row, mean)


@final
class GradientRollout(Rollout):
    r"""Gradient-weighted attention rollout: attention, weighted by its positive effect on the score, accumulated over the layers.

    $$\bar{A}_l = \frac{1}{H} \sum_h \mathrm{ReLU}\Bigl(\frac{\partial f}{\partial A_l^h} \odot A_l^h\Bigr), \qquad
    R \leftarrow R + \bar{A}_l R$$

    A has H heads. R starts as the identity, and layers follow from the first to the last. Values are the rows of R of the tokens that the
    score is read from, see `AttentionRollout`, without the identity, which would hide all other values of these tokens. Values of an image
    are those of its patches, resized by linear interpolation. Padding has the value 0.

    One forward and one backward pass.

    Source: [Chefer, Gur & Wolf, 2021](https://arxiv.org/abs/2103.15679), the rules of self-attention. The authors leave the class token
    out of the picture, here the identity is subtracted for all tokens; the mean over several rows is ours, too.

    Args:
        model: A model of self-attention layers that relate the same tokens, see `Method`.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Raises:
        ValueError: If the model has no attention, or layers of it relate other tokens, or tokens that are not found in an input. When
            called: if something other than attention mixes or moves tokens, as found by changing some of them.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientRollout
    >>> tokens = keras.Input((6,), dtype="int32")
    >>> x = keras.layers.Embedding(20, 4)(tokens)
    >>> y = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 2)(x, x)])
    >>> model = keras.Model(tokens, keras.layers.Dense(3)(y[:, 0]))
    >>> explanation = GradientRollout(model)(np.arange(12).reshape(2, 6), target=1)
    >>> explanation.values.shape, bool((explanation.values >= 0).all())
    ((2, 6), True)
    """

    @staticmethod
    def _differentiated(chain):
        return chain

    @staticmethod
    def _passed(row, weights, gradient):
        return row + _product(row, ops.mean(ops.relu(gradient * weights), axis=1))

    @staticmethod
    def _result(row, start):
        return row - start


def _product(row, matrix):
    """The products of rows `(n, queries)` and matrices `(n, queries, keys)`."""
    return ops.einsum("nq,nqk->nk", row, matrix)


def _read_tokens(gradient):
    """The tokens that a score is read from, `(n, tokens)` with equal weights that sum to 1; 0 if it depends on none.

    Args:
        gradient: `(n, heads, queries, keys)`, its derivative by the attention of the last layer.
    """
    read = ops.cast(ops.any(gradient != 0, axis=(1, 3)), gradient.dtype)
    return read / ops.maximum(ops.sum(read, axis=1, keepdims=True), 1)


def _with_gradients(scores: Scores, target: Target, chain, differentiated, inputs, indices):
    """The attention of layers by head, the score's derivative by that of some, the score, and the classes.

    The derivative by an early layer includes what passes through the weights of later ones, so that weights cannot be given as known
    tensors: a zero is added to each.
    """
    shapes = [tuple(each.spec.shape[1:]) for each in differentiated]
    if any(None in shape for shape in shapes):  # of texts, whose number of words differs from batch to batch
        before = scores.run(inputs, until=[each.identifier for each in differentiated])
        zeros = [ops.zeros_like(before[each.identifier]) for each in differentiated]
    else:
        count = ops.shape(inputs[0])[0]
        zeros = [ops.zeros((count, *shape), scores.dtype) for shape in shapes]
    tensors: dict[int, Any] = {}
    chosen: list = []

    def score(added):
        shifts = dict(zip((each.identifier for each in differentiated), added, strict=True))

        def call(step, values):
            outputs = step(*(values[identifier] for identifier in step.inputs))
            return [y + ops.cast(shifts[i], y.dtype) if i in shifts else y for i, y in zip(step.outputs, outputs, strict=True)]

        tensors.update(scores.network.run(inputs, call=call))
        value, chosen[:] = target.choose(scores.outputs(tensors), indices)
        return [value]

    recording = record(score, zeros)
    (value,) = recording.outputs
    found = recording.pull([ops.ones_like(value)])
    gradients = [
        each.by_head(ops.cast(ops.zeros_like(zero) if gradient is None else gradient, scores.dtype))
        for each, gradient, zero in zip(differentiated, found, zeros, strict=True)
    ]
    return [each.by_head(ops.cast(tensors[each.identifier], scores.dtype)) for each in chain], gradients, value, chosen
