"""`Protocol`: the settings of a diagnosis."""

import dataclasses
from typing import final

import numpy as np

from keras_xai.data.checks import check_count, check_seed
from keras_xai.statistics.tsne import TSNE

REDUCTIONS = ("auto", "flat", "mean")
NORMALIZATIONS = ("range", "standard")


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of a diagnosis. Networks are compared by the same.

    Args:
        samples: How many samples are drawn, or all if there are not more; `None` for all.
        seed: Which samples these are, and where t-SNE starts.
        maps: How activations with positions become vectors: `"flat"` for all their entries, `"mean"` for the mean of each map,
            `"auto"` for all entries if they are not more than 16,384, else for the means of the smallest windows with which they are not.
        normalization: `"range"`: all entries of all vectors lie between 0 and 1, as in the code by the authors of t-SNE, and who is
            whose neighbor stays as it is. `"standard"`: each entry has mean 0 and variance 1, so that one that hardly ever
            varies counts as much as any other.
        components: Principal components that t-SNE and the probe see.
        tsne: Settings of t-SNE.
        repeats: How often t-SNE is run, each time from another start.
        batch_size: Samples in the model at a time; `None` to choose it by the size of the model's tensors.

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
    maps: str = "auto"
    normalization: str = "range"
    components: int = 50
    # From a random start, as in the source, so that repeats tell what is up to the start.
    tsne: TSNE = dataclasses.field(default_factory=lambda: TSNE(initialization="random"))
    repeats: int = 3
    batch_size: int | None = dataclasses.field(default=None, compare=False)  # changes no figure

    def __post_init__(self):
        for name in ("components", "repeats"):
            check_count(name, getattr(self, name))
        for name in ("samples", "batch_size"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name, allowed in (("maps", REDUCTIONS), ("normalization", NORMALIZATIONS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Expected `{name}` to be one of {allowed}. Received: {name}={getattr(self, name)!r}")
        if not isinstance(self.tsne, TSNE):
            raise ValueError(f"Expected `tsne` to be a `keras_xai.features.TSNE`. Received: tsne={self.tsne!r}")
        check_seed(self.seed)

    @property
    def starts(self) -> list[int]:
        """A seed of t-SNE for each repeat."""
        return [int(np.random.default_rng([self.seed, repeat]).integers(2**31)) for repeat in range(self.repeats)]
