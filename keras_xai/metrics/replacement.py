"""Scores of samples with replaced places, shared by faithfulness metrics."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import numpy as np
from keras import ops

from keras_xai.attribution import Explanation
from keras_xai.data.arrays import checked
from keras_xai.data.batches import rows
from keras_xai.data.checks import Verbose, check_flag
from keras_xai.data.progress import progress
from keras_xai.data.structure import packed
from keras_xai.kinds.links import LINKS
from keras_xai.metrics.places import Places
from keras_xai.network.scores import Scores


@final
class Replacement:
    """Evaluates the explained score of samples with replaced places, in batches.

    Args:
        scores: The scores of the model.
        batch_size: Perturbed samples per forward pass.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.
        probability: Whether to evaluate the probability of the explained class instead of its score, by a softmax over the scores, or a
            sigmoid for a single score. `None`: if the model itself ends in one of the two. A callable target is always evaluated on the
            scores.
    """

    def __init__(self, scores: Scores, batch_size: int, verbose: Verbose, *, probability: bool | None = False):
        if probability is not None:
            check_flag("probability", probability)
        self._scores = scores
        self._batch_size = batch_size
        self._verbose = verbose
        self._links = _links(scores, probability)
        self._compiled: tuple[Any, Callable] | None = None

    def checked(self, explanation: Explanation) -> Places:
        """The positions of an explanation after a check that its samples fit the model, in whose layout they are."""
        checked(explanation.inputs, self._scores.graph)
        if explanation.layout is None:
            letters = packed([layout.letters for layout in self._scores.layouts], self._scores.graph)
            explanation = dataclasses.replace(explanation, layout=letters)
        return Places(explanation)

    def scores(
        self,
        explanation: Explanation,
        instead: list[np.ndarray] | Callable[[slice], list[np.ndarray]],
        owners: np.ndarray,
        masks: Callable[[slice], np.ndarray],
    ) -> np.ndarray:
        """The score of perturbed samples, bitwise equal to the sample's score where the replacements equal the sample.

        Args:
            explanation: The explanation, with its samples and its target.
            instead: Replacements of each sample, an array for each input, channels last; or a function that maps a slice of the rows to the
                replacements of these rows.
            owners: Integer array `(rows,)`, ascending: the index of the sample that each row perturbs.
            masks: Maps a slice of the rows to booleans `(b, places)`: the replaced positions.

        Returns:
            An array `(rows,)`.

        Raises:
            ValueError: If a score is NaN or infinite.
        """
        places = self.checked(explanation)
        own = places.restored(places.inputs)
        self._scores.check_same_function(own)
        target = self._scores.target(explanation.target, len(explanation))
        program = self._program(target, explanation.target)
        inputs = self._scores.typed(own)

        def score(samples, others, positions, masks):
            arrays = [[each[samples] for each in several] for several in (inputs, target.indices)]
            return program(*arrays, others, positions, places.restored(places.apart(masks)))

        if callable(instead):
            of_rows = instead

            def replacements(part):
                """The samples of some rows, their replacements, and the position of each row among these."""
                return owners[part], self._scores.typed(places.restored(of_rows(part))), np.arange(part.stop - part.start)
        else:
            of_samples = self._scores.typed(places.restored(instead))

            def replacements(part):
                samples = slice(owners[part.start], owners[part.stop - 1] + 1)
                return samples, [each[samples] for each in of_samples], owners[part] - samples.start

        def differing(samples, others):
            found = [x[samples] != other for x, other in zip(inputs, others, strict=True)]
            return places.added(places.channels_last(found)) > 0

        num_samples, num_places = len(explanation), places.relevance.shape[1]
        unchanged = [
            score(
                part,
                [x[part] for x in inputs],
                np.arange(part.stop - part.start),
                np.zeros((part.stop - part.start, num_places), bool),
            )
            for part in rows(num_samples, self._batch_size)
        ]
        # Equal rows in different batches do not give bitwise equal scores on every processor.
        found = np.concatenate(unchanged).astype("float64")[owners]
        parts = rows(len(owners), self._batch_size)
        for part in progress(parts, len(parts), self._verbose):
            samples, others, positions = replacements(part)
            replaced = masks(part) & differing(samples, others)[positions]
            changed = np.flatnonzero(replaced.any(axis=1))
            if changed.size:
                found[part.start + changed] = score(samples, others, positions[changed], replaced[changed])
        bad = owners[~np.isfinite(found)]
        if bad.size:
            raise ValueError(
                f"The scores of the model '{self._scores.name}' are NaN or infinite for sample {bad[0]} with some positions replaced. "
                "Check the model's weights, and that the replacements are in the range of its inputs."
            )
        return found

    def _program(self, target, described):
        choices = described if isinstance(described, dict) else {self._scores.graph.output_names[0]: described}
        names = self._scores.graph.output_names
        links = [
            link if name in choices and not callable(choices[name]) else None
            for name, link in zip(names, self._links, strict=True)
        ]
        key = (target.key, tuple(links))
        latest = self._compiled  # read once: another thread may replace it
        if latest is None or latest[0] != key:

            def score(inputs, indices, instead, owners, masks):
                changed = [
                    ops.where(mask, ops.take(other, owners, axis=0), ops.take(x, owners, axis=0))
                    for x, other, mask in zip(inputs, instead, masks, strict=True)
                ]
                # Layers may need to know the sizes, which masks leave open.
                changed = [
                    each if None in x.shape[1:] else ops.reshape(each, (-1, *x.shape[1:]))
                    for each, x in zip(changed, inputs, strict=True)
                ]
                outputs = self._scores.outputs(self._scores.run(changed))
                linked = [LINKS[link](output) for link, output in zip(links, outputs, strict=True)]
                chosen = [ops.take(index, owners, axis=0) for index in indices]
                return target.choose(linked, chosen, probabilities="sigmoid" in links)[0]

            masks = [((None,) * len(spec.shape), "bool") for spec in self._scores.graph.input_specs]
            more = (self._scores.signature, ((None,), "int64"), masks)
            latest = self._compiled = (key, self._scores.program(target, score, *more))
        return latest[1]


def _links(scores, probability):
    """For each output, the function that converts its scores to probabilities, or `None`."""
    if probability is False:
        return [None] * len(scores.graph.outputs)
    if probability:
        return ["sigmoid" if spec.shape[-1] == 1 else "softmax" for spec in scores.graph.output_specs]
    return scores.links
