"""`Protocol`: the settings of a diagnosis."""

import dataclasses
from typing import Literal, final, get_args

import numpy as np

from keras_xai.data.checks import check_choice, check_count, check_seed
from keras_xai.statistics.tsne import TSNE

Maps = Literal["auto", "flat", "mean"]
Normalization = Literal["range", "standard"]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of a diagnosis. Compared networks must have the same protocol.

    Args:
        samples: Maximum number of samples to draw; `None` for all.
        seed: Seed of the draw and of t-SNE.
        maps: Conversion of activations with positions to vectors: `"flat"` for all their entries, `"mean"` for the mean of each map,
            `"auto"` for all entries if there are at most 16,384, otherwise for the means over the smallest windows that satisfy this limit.
        normalization: `"range"`: all entries of all vectors are scaled to the range from 0 to 1, as in the code by the authors of t-SNE,
            which preserves neighborhoods. `"standard"`: each entry has mean 0 and variance 1, so that entries of small variance count as
            much as others.
        components: Number of principal components used by t-SNE and the probe.
        tsne: Settings of t-SNE.
        repeats: Number of runs of t-SNE, each with another random start.
        batch_size: Samples per forward pass; `None` to derive it from the size of the model's tensors.

    Raises:
        ValueError: If a setting is out of its range.

    Example:

    >>> from keras_xai.diagnosis import Protocol
    >>> from keras_xai.features import TSNE
    >>> Protocol(samples=500, tsne=TSNE(perplexity=20)).repeats
    3
    """

    samples: int | None = 1000
    seed: int = 0
    maps: Maps = "auto"
    normalization: Normalization = "range"
    components: int = 50
    # Random initialization, as in the source, so that repeats show its effect.
    tsne: TSNE = dataclasses.field(default_factory=lambda: TSNE(initialization="random"))
    repeats: int = 3
    batch_size: int | None = dataclasses.field(default=None, compare=False)  # does not affect the results

    def __post_init__(self):
        for name in ("components", "repeats"):
            check_count(name, getattr(self, name))
        for name in ("samples", "batch_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name, allowed in (("maps", get_args(Maps)), ("normalization", get_args(Normalization))):
            check_choice(name, getattr(self, name), allowed)
        if not isinstance(self.tsne, TSNE):
            raise ValueError(f"Expected `tsne` to be a `keras_xai.features.TSNE`. Received: tsne={self.tsne!r}")
        check_seed(self.seed)

    @property
    def starts(self) -> list[int]:
        """A seed of t-SNE for each repeat."""
        return [int(np.random.default_rng([self.seed, repeat]).integers(2**31)) for repeat in range(self.repeats)]
