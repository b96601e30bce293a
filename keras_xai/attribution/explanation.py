"""What an attribution method returns."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any, final

import numpy as np
from keras import tree

from keras_xai.data.fields import read_fields, result_of, write_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """How much each entry of each sample's input counts for a score.

    Attributes:
        values: In the structure of the model's inputs: an array `(n, *input_shape)`, or a list, tuple or dict of them for a model
            of several inputs. The axis of channels has length 1 where the method does not tell channels apart, as those that
            rate places of an image do. Positive values speak for the score, negative ones against it, where the method knows
            signs. The unit is the score's for methods that share it out, and the method's own for others; its page says which.
        target: What is explained: the class of each sample, an integer array `(n,)`; or the callable that was given; a dict of
            these by output name for a model of several outputs.
        inputs: The samples that are explained, as the model takes them.
        gap: `(n,)`: what the values of a sample lack to add up to what they share out, in the unit of the score; `None` for
            methods that share nothing out.
        baseline: What the samples were compared with, as the method used it; `None` where it compares with nothing.
        passes: Forward passes of the model that it took for one sample, on average. A gradient counts as one pass more than the
            score that it is of.
        method: Name of the method.
        derivatives: Whether the values are derivatives by the entries, so that one times a small change of its entry is what the
            score changes by, and not what each entry adds to the score.
        feature_names: The names of the columns, where the samples were a `DataFrame` for a model of one input, else `None`.
    """

    values: Any
    target: Any
    inputs: Any
    gap: np.ndarray | None
    baseline: Any
    passes: float
    method: str
    derivatives: bool = False
    feature_names: list[str] | None = None

    def __len__(self):
        """The number of samples."""
        return len(tree.flatten(self.values)[0])

    def plot(self, samples: Any = 4, **options: Any) -> "Figure":
        """Draws the explanations beside the samples, see `keras_xai.report.explanations_plot`.

        Args:
            samples: Indices of the samples to draw, or how many of the first.
            **options: Of `explanations_plot`.

        Returns:
            A matplotlib figure.
        """
        from keras_xai.report import explanations_plot

        return explanations_plot({self.method: self}, samples=samples, **options)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes everything to an `.npz` file of plain arrays, without pickles. A file that is there is replaced once it is complete.

        A callable target cannot be written: that of the loaded explanation is its name.

        Args:
            path: Of the file; `.npz` is added where it is missing, as `numpy.savez` does.
        """
        write_fields(path, {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, "Explanation")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "Explanation":
        """Reads what `save` has written.

        Args:
            path: Of the file.

        Raises:
            ValueError: If the file is not one that `save` has written.
        """
        return result_of(cls, path, read_fields(path, "Explanation"))
