"""Entries of a model: real inputs, or the embedding vectors of tokens, by which scores are differentiated."""

import math
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.backend import folded
from keras_xai.data.texts import Words
from keras_xai.graph.target import Target
from keras_xai.kinds.tokens import encodes
from keras_xai.kinds.words import check_aligned
from keras_xai.network.differentiable import check_differentiable
from keras_xai.network.roles import Role, Tokens
from keras_xai.network.scores import Derivative, Scores


@final
class Entries:
    """The tensors that a score is differentiated by: real-valued inputs, and the `Embedding` vectors of tokens.

    Inputs without derivative, such as masks and codes beside other inputs, are held fixed.

    Args:
        scores: The scores of the model.
        method: Name of the method for errors.
        target: What is explained; by default all outputs.

    Attributes:
        identifiers: Identifiers of the tensors; several for the tokens of several embeddings.
        sources: For each of these, the position of its input.

    Raises:
        ValueError: If no input that the target depends on has a derivative.
    """

    def __init__(self, scores: Scores, method: str, target: Target | None = None):
        self._scores = scores
        self._outputs = scores.graph.outputs if target is None else scores.explained_outputs(target)
        self._specs = scores.graph.input_specs
        self.identifiers: list[int] = []
        self.sources: list[int] = []
        refusals = []
        for position in range(len(self._specs)):
            try:
                found = self._of(position, method)
            except ValueError as error:
                refusals.append(error)
                continue
            self.identifiers += found
            self.sources += [position] * len(found)
        if refusals and not self._matter():
            raise refusals[0]

    def _of(self, position, method) -> list[int]:
        """Identifiers of the tensors of an input; raises if it has no derivative."""
        scores, spec = self._scores, self._specs[position]
        graph, role = scores.graph, scores.roles[position]
        tokens = Tokens(graph, graph.inputs[position])
        # Vectors that depend on several inputs, such as those of crossed categories, are not assigned to any of them.
        vectors = [step for step in (*tokens.embeddings, *tokens.encoders) if step not in tokens.crossed]
        if role is not Role.FIXED and vectors and not tokens.others:
            return [self._vectors(step, spec, method, scores) for step in vectors]
        if role is not Role.NUMBERS or tokens.embeddings or tokens.encoders:
            used = [step.path for step in (*tokens.embeddings, *tokens.encoders, *tokens.others)]
            raise ValueError(
                f"{method} needs a differentiable input: real numbers, tokens of an `Embedding`, or categories of a one-hot encoding. "
                f"Received: the input '{spec.name}' of dtype {spec.dtype}, which is used by {used} as {role.value}. Give the input a "
                "floating-point dtype, divide it into one input for tokens and one for numbers, or use a method that only needs scores, "
                "such as LIME."
            )
        if len(self._specs) > 1:
            check_differentiable(scores.network, [graph.inputs[position]], self._outputs)
        return [graph.inputs[position]]

    def _matter(self):
        """Whether the explained score depends on any of the entries."""
        reached = set(self.identifiers)
        for step in self._scores.graph.steps:
            if not reached.isdisjoint(step.inputs):
                reached.update(step.outputs)
        return not reached.isdisjoint(self._outputs)

    @staticmethod
    def _vectors(embedding, spec, method, scores):
        """Identifier of the vectors of an input's tokens or categories."""
        if isinstance(spec, Words):
            check_aligned(embedding, scores.graph, spec, method)
            return embedding.outputs[0]
        shape = embedding.input_specs[0].shape
        found = embedding.output_specs[0].shape
        if encodes(embedding) and found[1:-1] not in (shape[1:], *([()] if shape[1:] == (1,) else [])):
            raise ValueError(
                f"{method} needs an encoding with a vector for each category of an input. Received: '{embedding.path}' "
                f"({type(embedding.operation).__name__}), whose output {tuple(found)} is of all {tuple(shape)} categories of the input "
                f"'{spec.name}' together. Use a method that only needs scores, such as LIME."
            )
        if shape != spec.shape and (
            None in (*shape[1:], *spec.shape[1:]) or math.prod(shape[1:]) != math.prod(spec.shape[1:])
        ):
            raise ValueError(
                f"{method} needs an `Embedding` that looks up all entries of an input. Received: '{embedding.path}', which looks up "
                f"{tuple(shape)} of the input '{spec.name}' of shape {tuple(spec.shape)}."
            )
        return embedding.outputs[0]

    def points(self, inputs: Sequence) -> list:
        """The entries of a batch; call this and the following methods within a compiled program."""
        if set(self.identifiers) <= set(self._scores.graph.inputs):
            return [inputs[position] for position in self.sources]
        values = self._scores.run(inputs, until=self.identifiers)
        return [values[identifier] for identifier in self.identifiers]

    def score(self, points: Sequence, inputs: Sequence, indices: Sequence, target: Target) -> tuple[Any, list]:
        """The explained scores `(n,)` at points, and their classes.

        Args:
            points: Tensors that replace the entries of `inputs`.
            inputs: The samples, whose tokens define the padding.
            indices: The classes.
            target: The target to explain.
        """
        known = dict(zip(self.identifiers, points, strict=True))
        return target.choose(self._scores.outputs(self._scores.run(inputs, known=known)), indices)

    def derivative(self, points: Sequence, inputs: Sequence, indices: Sequence, target: Target) -> Derivative:
        """The explained scores at points, and their derivatives with respect to the points; arguments as in `score`."""
        return self._scores.derivative(dict(zip(self.identifiers, points, strict=True)), inputs, indices, target)

    def weighted_sum(
        self, points: Callable[[Any], list], weights: Any, inputs: Sequence, indices: Sequence, target: Target
    ) -> list:
        """The weighted sum of gradients at many points of each sample; arguments as in `weighted_sums`.

        Returns:
            A tensor `(n, ...)` for each entry.
        """
        return self.weighted_sums(points, weights, inputs, indices, target)[0]

    def weighted_sums(
        self,
        points: Callable[[Any], list],
        weights: Any,
        inputs: Sequence,
        indices: Sequence,
        target: Target,
        *,
        powers: Sequence[int] = (1,),
    ) -> list[list]:
        """Weighted sums of powers of gradients at many points of each sample, with several points of each per forward pass.

        Args:
            points: Maps the indices `(per,)` of points to tensors `(per, n, ...)`, one for each entry.
            weights: Tensor `(steps, per)`: the weight of each point, with `per` points at a time.
            inputs: The samples.
            indices: The classes.
            target: The target to explain.
            powers: The powers of the gradients.

        Returns:
            For each power, a tensor `(n, ...)` for each entry.
        """
        like = self.points(inputs)
        steps, per = ops.shape(weights)[0], ops.shape(weights)[1]
        repeated = [ops.tile(x, (per, *[1] * (len(x.shape) - 1))) for x in inputs]
        classes = [ops.tile(index, (per, *[1] * (len(index.shape) - 1))) for index in indices]

        def add(step, sums):
            found = points(step * per + ops.arange(per, dtype="int32"))
            flat = [ops.reshape(each, (-1, *ops.shape(entry)[1:])) for each, entry in zip(found, like, strict=True)]
            gradients = self.derivative(flat, repeated, classes, target).gradients
            apart = [ops.reshape(g, ops.shape(each)) for g, each in zip(gradients, found, strict=True)]
            raised = [each if power == 1 else each**power for power in powers for each in apart]
            return [
                so_far + ops.tensordot(ops.cast(weights[step], each.dtype), each, axes=1)
                for so_far, each in zip(sums, raised, strict=True)
            ]

        sums = folded(add, steps, [ops.zeros_like(entry) for _ in powers for entry in like])
        return [sums[i * len(like) : (i + 1) * len(like)] for i in range(len(powers))]

    def folded(self, values: Sequence) -> list:
        """Converts values at the entries to values of the inputs, summed over a token's vectors; `None` for inputs that are held fixed.

        For a text, these are values of its tokens, with a last axis of length 1; `Method` converts them to values of words.
        """
        return self._by_input(values, lambda each: ops.sum(each, axis=-1), lambda each: each)

    def magnitudes(self, values: Sequence) -> list:
        """Converts values at the entries to values of the inputs: the norm over a token's vectors; `None` as in `folded`."""
        return self._by_input(values, lambda each: ops.sum(ops.square(each), axis=-1), ops.sqrt)

    def _by_input(self, values, reduce, finish):
        found: list = [None] * len(self._specs)
        for position, identifier, each in zip(self.sources, self.identifiers, values, strict=True):
            spec = self._specs[position]
            if identifier == self._scores.graph.inputs[position]:
                found[position] = each
                continue
            of_tokens = ops.reshape(reduce(each), (-1, *(ops.shape(each)[1:-1] if None in spec.shape[1:] else spec.shape[1:])))
            of_tokens = ops.expand_dims(of_tokens, -1) if isinstance(spec, Words) else of_tokens
            found[position] = of_tokens if found[position] is None else found[position] + of_tokens
        return [
            finish(each) if each is not None and self._scores.graph.inputs[position] not in self.identifiers else each
            for position, each in enumerate(found)
        ]


def total(values: Sequence) -> Any:
    """The sum `(n,)` of all values of each sample over all inputs."""
    return sum(ops.sum(each, axis=tuple(range(1, len(each.shape)))) for each in values if each is not None)


def in_steps(weights: np.ndarray, num_samples: int, batch_size: int) -> np.ndarray:
    """Arranges weights of points `(points,)` for `Entries.weighted_sum` with at most `batch_size` rows per forward pass."""
    per = max(1, batch_size // num_samples)
    steps = -(-len(weights) // per)
    per = -(-len(weights) // steps)  # as few as needed, so that little work is wasted on padding
    return np.pad(weights, (0, steps * per - len(weights))).reshape(steps, per)
