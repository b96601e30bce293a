"""The layer diagnosis for the page, with few settings."""

import numpy as np

from keras_xai.diagnosis import Protocol, block_ends, diagnose
from keras_xai.explaining.budget import Budget
from keras_xai.explaining.reasons import first_sentences, too_long
from keras_xai.explaining.subject import Subject
from keras_xai.features import TSNE
from keras_xai.results.diagnosis import Diagnosis

_FEWEST, _SAMPLES = 40, 200
_LAYERS = 6
_MAP_SECONDS = 2.5  # of a t-SNE map of 200 samples


def diagnosis_of(subject: Subject, budget: Budget, seed: int) -> Diagnosis | str:
    """The diagnosis of the ends of some blocks, or why there is none.

    Args:
        subject: The model and the samples, with labels.
        budget: The seconds.
        seed: Seed of the samples and of t-SNE.
    """
    labels = subject.labels
    counts = np.bincount([] if labels is None else labels)
    if counts.sum() < _FEWEST or (counts > 1).sum() < 2:
        return (
            f"It takes at least {_FEWEST} samples of two classes or more, and better {_SAMPLES}. Received: {counts.sum()} samples of "
            f"{(counts > 0).sum()} classes."
        )
    try:
        ends = block_ends(subject.model)
        count = min(len(subject), _SAMPLES)
        numbers = np.unique(np.linspace(0, len(ends) - 1, min(_LAYERS, len(ends))).astype(int))
        layers = [ends[number] for number in numbers]
        while True:
            seconds = budget.expected(count, 4) + len(layers) * _MAP_SECONDS * count / _SAMPLES
            if seconds <= budget.left or len(layers) <= 2:
                break
            layers = layers[1:]
        if seconds > budget.left:
            return too_long(seconds, budget)
        protocol = Protocol(samples=count, repeats=1, tsne=TSNE(perplexity=min(30, (count - 1) // 3 - 1)), seed=seed)
        return diagnose(subject.model, subject.x(), labels, layers, protocol=protocol, verbose=0)
    except ValueError as error:
        return first_sentences(str(error))
