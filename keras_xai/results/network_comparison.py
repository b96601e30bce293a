"""`NetworkComparison`, `LayerPair`: corresponding layers of two networks and their difference in class separation."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final, overload

from keras_xai.data.checks import is_integer
from keras_xai.results.base import Result, chosen_rows
from keras_xai.results.diagnosis import Diagnosis
from keras_xai.results.html import frame_table
from keras_xai.results.layer_diagnosis import LayerDiagnosis
from keras_xai.results.pictures import drawn
from keras_xai.results.text import counted
from keras_xai.statistics.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerPair(Result):
    """A layer of the first network and its counterpart in the second.

    Attributes:
        a: The layer of the first network.
        b: The layer of the second network.
        difference: Difference of the neighborhood hits on the maps, first network minus second, with its 95 % confidence interval.
        activation_difference: The same among the vectors, without t-SNE.
    """

    a: LayerDiagnosis
    b: LayerDiagnosis
    difference: Interval
    activation_difference: Interval

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        return super().to_fields() | {"a": self.a.to_fields(), "b": self.b.to_fields()}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a pair from the fields returned by `to_fields`."""
        one, other = (LayerDiagnosis.from_fields(fields[name]) for name in ("a", "b"))
        return cls(one, other, Interval(*fields["difference"]), Interval(*fields["activation_difference"]))

    def _summary(self) -> str:
        return f"of {_called(self)}: difference of the neighborhood hits {self.difference.mean:+.3f}"

    def _facts(self) -> dict[str, Any]:
        return {
            "difference on the maps": _interval(self.difference),
            "difference in activations": _interval(self.activation_difference),
        }


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NetworkComparison(Result):
    """The comparison of two networks, layer by layer, see `compare_networks`.

    `comparison[0]` is the `LayerPair` of one pair of layers, and `comparison[1:3]` the comparison of two pairs.

    Attributes:
        a: The first network.
        b: The second network.
        names: Names of the networks.
        pairs: The compared layers, in the order of their depth.
        paired: Whether both were diagnosed on the same samples, determined by indices and labels, so that per-sample effects cancel in
            differences.
    """

    a: Diagnosis
    b: Diagnosis
    names: tuple[str, str]
    pairs: tuple[LayerPair, ...]
    paired: bool

    def __len__(self) -> int:
        """The number of pairs of layers."""
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> LayerPair: ...

    @overload
    def __getitem__(self, index: slice | Sequence) -> Self: ...

    def __getitem__(self, index: Any) -> "LayerPair | Self":
        """A pair of layers, or the comparison in several pairs, by a slice, a list of indices or booleans."""
        rows = chosen_rows(index, len(self))
        if is_integer(index):
            return self.pairs[rows[0]]
        return dataclasses.replace(self, pairs=tuple(self.pairs[row] for row in rows))

    @property
    def table(self) -> "pd.DataFrame":
        """A pandas data frame with a row per pair.

        Under the name of each network the layer, its depth and its neighborhood hit; under `difference` (on the maps) and `difference in
        activations` the columns `mean`, `low` and `high`.
        """
        import pandas as pd

        rows = []
        for pair in self.pairs:
            row: dict[tuple[str, str], Any] = {}
            for name, layer in zip(self.names, (pair.a, pair.b), strict=True):
                row |= {(name, "layer"): layer.path, (name, "depth"): layer.depth}
                row |= {(name, "neighborhood hit"): layer.neighborhood_hit.mean}
            for name, found in (("difference", pair.difference), ("difference in activations", pair.activation_difference)):
                row |= {(name, part): value for part, value in found._asdict().items()}
            rows.append(row)
        return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]) if rows else None)

    @property
    def summary(self) -> str:
        """A summary: the network that is ahead in the last layers, the first such layer, and the largest difference.

        A difference counts if its 95 % confidence interval does not contain 0.
        """
        if not self.pairs:
            return "No layers are compared."
        signs = [_sign(pair.difference) for pair in self.pairs]
        last = signs[-1]
        if not last:
            return " ".join(
                [
                    f"In the last layers compared, {_called(self.pairs[-1])}, the networks do not differ significantly: "
                    f"{_interval(self.pairs[-1].difference)}.",
                    *self._ahead(self.names[0], signs, 1),
                    *self._ahead(self.names[1], signs, -1),
                ]
            )
        strong, weak = self.names if last > 0 else self.names[::-1]
        start = len(signs) - next((i for i, sign in enumerate(reversed(signs)) if sign != last), len(signs))
        layer = self.pairs[start].b if last > 0 else self.pairs[start].a
        widest = max(self.pairs, key=lambda pair: last * pair.difference.mean)
        behind = self.pairs[start:]
        number = f" {len(behind)}" if len(behind) > 1 else ""
        where = f"in the last{number} of {len(signs)}" if start else f"in all {len(signs)}"
        agreeing = sum(_sign(pair.activation_difference) == last for pair in behind)
        return " ".join(
            [
                f"{weak} is behind {strong} from '{layer.path}' on, at {layer.depth:.0%} of its depth, {where} pairs of layers. "
                f"The difference is largest in {_called(widest)}: {_interval(widest.difference, last)}.",
                *self._ahead(weak, signs, -last),
                f"Among the activations themselves, without t-SNE, {strong} is {_agreement(agreeing, len(behind))}.",
            ]
        )

    def _ahead(self, name, signs, sign):
        """A sentence on the pairs in which a network is ahead, if any."""
        where = [_called(pair) for pair, each in zip(self.pairs, signs, strict=True) if each == sign]
        return [f"{name} is ahead in {', '.join(where)}."] if where else []

    def plot(
        self,
        *,
        class_names: Sequence[str] | None = None,
        repeat: int = 0,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the maps of the compared layers, one network above the other, with points colored by class.

        Maps are drawn as by `Diagnosis.plot`. `comparison[1:3].plot()` draws some of the pairs.

        Args:
            class_names: Names of the classes; their labels by default.
            repeat: Index of the map of each layer.
            title: A title.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with a row per network and a column per pair of layers.

        Raises:
            ValueError: As in `Diagnosis.plot`.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.diagnosis import Protocol, compare_networks, diagnose
        >>> from keras_xai.features import TSNE
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden"), dense(2, "softmax")])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
        >>> report = diagnose(model, x, y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1), verbose=0)
        >>> figure = compare_networks(report, report, names=("before", "after")).plot()
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['before', 'after']
        """
        columns = [(pair.a.path, pair.b.path) for pair in self.pairs]
        return drawn(
            "diagnosis", "layers_plot", self._named(), columns, class_names=class_names, repeat=repeat, title=title, path=path
        )

    def plot_depth(self, *, title: str = "", path: str | os.PathLike[str] | None = None) -> "Figure":
        """Plots the neighborhood hits of both networks by depth, as `Diagnosis.plot_depth` does for one.

        All layers are shown, including those without a counterpart.

        Args:
            title: A title.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with three panels and a curve per network.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.diagnosis import Protocol, compare_networks, diagnose
        >>> from keras_xai.features import TSNE
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden"), dense(2, "softmax")])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
        >>> report = diagnose(model, x, y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1), verbose=0)
        >>> figure = compare_networks(report, report, names=("before", "after")).plot_depth()
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['before', 'after']
        """
        return drawn("diagnosis", "depth_plot", self._named(), title=title, path=path)

    def _named(self):
        return dict(zip(self.names, (self.a, self.b), strict=True))

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        pairs = [
            {"layers": (pair.a.path, pair.b.path), "differences": (pair.difference, pair.activation_difference)}
            for pair in self.pairs
        ]
        return super().to_fields() | {"a": self.a.to_fields(), "b": self.b.to_fields(), "pairs": pairs}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a comparison from the fields returned by `to_fields`."""
        one, other = (Diagnosis.from_fields(fields[name]) for name in ("a", "b"))
        pairs = tuple(
            LayerPair(
                one.layers[pair["layers"][0]],
                other.layers[pair["layers"][1]],
                *(Interval(*difference) for difference in pair["differences"]),
            )
            for pair in fields["pairs"]
        )
        return cls(one, other, tuple(fields["names"]), pairs, fields["paired"])

    def _summary(self) -> str:
        return f"of {' and '.join(map(repr, self.names))} in {counted(len(self.pairs), 'pair')} of layers: {self.summary}"

    def _facts(self) -> dict[str, Any]:
        return {"summary": self.summary, "samples": "the same" if self.paired else "others"}

    def _table_html(self) -> str:
        return frame_table(self.table)


def _sign(found):
    """1 or -1 for a difference whose interval does not contain 0, otherwise 0."""
    return int(found.low > 0) - int(found.high < 0)


def _agreement(count, whole):
    """Text on how often a network that is ahead on the maps is also ahead among the activations."""
    if whole == 1:
        return "ahead there, too" if count else "not ahead there"
    return f"ahead in {'all' if count == whole else count} of these {whole} pairs"


def _called(pair):
    return f"'{pair.a.path}'" if pair.a.path == pair.b.path else f"'{pair.a.path}' and '{pair.b.path}'"


def _interval(found, sign=1):
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{sign * found.mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
