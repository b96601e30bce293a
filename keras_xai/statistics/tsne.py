"""t-SNE by openTSNE, with the settings of its papers."""

import dataclasses
from typing import Literal, final, get_args

import numpy as np

from keras_xai.data.checks import check_choice, is_integer, is_number

_Start = Literal["pca", "random"]
_EXAGGERATED = 250  # iterations, as in the source
# Fewer points than this are slower in several threads: these wait for each other at each step, much longer where other processes run.
_MANY = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding:
    """Points in the plane.

    Attributes:
        points: `(n, 2)`, float64.
        divergence: The Kullback-Leibler divergence between the neighborhoods of the vectors and those of the points.
    """

    points: np.ndarray
    divergence: float


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class TSNE:
    """Settings of t-SNE.

    Source: [van der Maaten & Hinton, 2008](https://www.jmlr.org/papers/v9/vandermaaten08a.html), computed by Barnes and Hut's
    approximation ([van der Maaten, 2014](https://www.jmlr.org/papers/v15/vandermaaten14a.html)), or by interpolation for
    10,000 points and more ([Linderman et al., 2019](https://doi.org/10.1038/s41592-018-0308-4)).

    Args:
        perplexity: About how many neighbors of each vector are to be kept; less than a third of the number of vectors.
        iterations: Steps of gradient descent, more than 250: in the first 250 the attraction is exaggerated.
        learning_rate: Of gradient descent, as the source defines it, four times that of scikit-learn's definition; `"auto"` takes it
            from the number of vectors ([Belkina et al., 2019](https://doi.org/10.1038/s41467-019-13055-y)).
        momentum: Of gradient descent in the first 250 steps and after them.
        initialization: `"pca"`: points start at the first two principal components, which keeps the large-scale arrangement
            ([Kobak & Berens, 2019](https://doi.org/10.1038/s41467-019-13056-x)) and hardly depends on a seed. `"random"`: close to the
            origin, as in the source.

    Raises:
        ValueError: If a setting is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_xai.features import TSNE
    >>> vectors = np.random.default_rng(0).normal(size=(40, 5))
    >>> TSNE(perplexity=5).embed(vectors, seed=0).points.shape
    (40, 2)
    """

    perplexity: float = 30.0
    iterations: int = 1000
    learning_rate: float | str = "auto"
    momentum: tuple[float, float] = (0.5, 0.8)
    initialization: _Start = "pca"

    def __post_init__(self):
        def check(name, fits, expected):
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"Expected `{name}` to be {expected}. Received: {name}={value!r}")

        def number(value):
            return is_number(value) and np.isfinite(value)

        check("perplexity", lambda value: number(value) and value >= 1, "a number of at least 1")
        check(
            "iterations",
            lambda value: is_integer(value) and value > _EXAGGERATED,
            f"an integer of more than {_EXAGGERATED}",
        )
        check("learning_rate", lambda value: value == "auto" or (number(value) and value > 0), "'auto' or a positive number")
        check(
            "momentum",
            lambda value: (
                isinstance(value, tuple) and len(value) == 2 and all(number(each) and 0 <= each < 1 for each in value)
            ),
            "a tuple of two numbers from 0 to below 1",
        )
        check_choice("initialization", self.initialization, get_args(_Start))

    def check(self, num_samples: int) -> None:
        """Refuses a perplexity that is too large for a number of vectors."""
        if not 3 * self.perplexity <= num_samples - 1:
            raise ValueError(
                f"Expected `perplexity` to be less than a third of the number of samples. Received: perplexity={self.perplexity!r} and "
                f"{num_samples} samples."
            )

    def embed(self, vectors: np.ndarray, seed: int) -> Embedding:
        """Maps vectors to the plane.

        Args:
            vectors: `(n, d)`, real and finite, not all the same.
            seed: Repeats a map exactly on the same machine. NumPy's global generator is not used.

        Raises:
            ValueError: If there are not more than three times as many vectors as `perplexity`, or all are the same.
        """
        self.check(len(vectors))
        if not (vectors != vectors[0]).any():
            raise ValueError(f"Expected vectors that differ. Received: {len(vectors)} that are all the same.")
        import openTSNE

        found = openTSNE.TSNE(
            perplexity=self.perplexity,
            learning_rate=self.learning_rate,
            early_exaggeration_iter=_EXAGGERATED,
            n_iter=self.iterations - _EXAGGERATED,
            initialization=self.initialization if vectors.shape[1] > 1 else "random",  # one unit has no second component
            initial_momentum=self.momentum[0],
            final_momentum=self.momentum[1],
            n_jobs=1 if len(vectors) < _MANY else -1,
            neighbors="exact" if len(vectors) < 10 * _MANY else "auto",  # approximate ones depend on more than the seed
            random_state=seed,
        ).fit(vectors)
        return Embedding(np.asarray(found, "float64"), float(found.kl_divergence))


def principal_components(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, float]:
    """Vectors by their first principal components, and the part of the variance that these hold.

    Vectors that have no more entries than that, or of which there are no more, stay as they are.

    Args:
        vectors: `(n, d)`.
        count: Number of components.
        seed: Of scikit-learn's randomized solver.
    """
    if min(vectors.shape) <= count:
        return vectors, 1.0
    from sklearn.decomposition import PCA

    found = PCA(count, random_state=seed).fit(vectors)
    return found.transform(vectors), float(found.explained_variance_ratio_.sum())
