"""`Diagnosis`: a network layer by layer."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, final, overload

import numpy as np

from keras_xai.data.checks import is_integer
from keras_xai.results.base import Result, chosen_rows
from keras_xai.results.html import frame_table
from keras_xai.results.layer_diagnosis import LayerDiagnosis
from keras_xai.results.pictures import drawn
from keras_xai.results.protocol import Protocol
from keras_xai.results.text import counted, listed
from keras_xai.statistics.intervals import clipped, interval
from keras_xai.statistics.neighborhood import chance_hit
from keras_xai.statistics.tsne import TSNE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Result):
    """The diagnosis of a network, layer by layer, see `diagnose`.

    `report["conv1"]` and `report[0]` are the `LayerDiagnosis` of one layer, and `report[1:3]` is the diagnosis of two layers.

    Attributes:
        name: The model's name.
        layers: Maps each path to its `LayerDiagnosis`, in the order of the model.
        labels: `(n,)`, the classes of the samples as integers.
        classes: The label of each integer.
        samples: `(n,)`, the indices of the samples among those given.
        k: Number of neighbors.
        protocol: The settings.
        seconds: Duration of the parts of the work: `"activations"`, `"t-SNE"` and the `"measures"`.
    """

    name: str
    layers: dict[str, LayerDiagnosis]
    labels: np.ndarray
    classes: list
    samples: np.ndarray
    k: int
    protocol: Protocol
    seconds: dict[str, float]

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    @overload
    def __getitem__(self, index: str | int) -> LayerDiagnosis: ...

    @overload
    def __getitem__(self, index: slice | Sequence | np.ndarray) -> Self: ...

    def __getitem__(self, index: Any) -> "LayerDiagnosis | Self":
        """A layer by path or index, or the diagnosis of several layers, by a slice, a list of indices or booleans."""
        if isinstance(index, str):
            if index not in self.layers:
                raise KeyError(
                    f"Expected an `index` among the diagnosed layers {list(self.layers)}. Received: index={index!r}"
                )
            return self.layers[index]
        rows, paths = chosen_rows(index, len(self)), list(self.layers)
        if is_integer(index):
            return self.layers[paths[rows[0]]]
        return dataclasses.replace(self, layers={paths[row]: self.layers[paths[row]] for row in rows})

    @property
    def chance(self) -> float:
        """The expected neighborhood hit of shuffled labels."""
        return chance_hit(self.labels)

    @property
    def table(self) -> "pd.DataFrame":
        """A pandas data frame with a row per layer.

        Under `layer` its depth and the conversion of its output to vectors; under `neighborhood hit`, `in activations`, `trustworthiness`
        and `linear probe` the columns `mean`, `low` and `high`.
        """
        import pandas as pd

        rows = []
        for layer in self.layers.values():
            row: dict[tuple[str, str], Any] = {
                ("layer", "depth"): layer.depth,
                ("layer", "shape"): "x".join("?" if size is None else str(size) for size in layer.shape),
                ("layer", "vectors"): layer.vectors,
                ("layer", "entries"): layer.length,
                ("layer", "variance kept"): layer.explained,
            }
            for name, found in (
                ("neighborhood hit", layer.neighborhood_hit),
                ("in activations", layer.activation_hit),
                ("trustworthiness", clipped(interval(layer.trustworthiness[:, None]))),
                ("linear probe", layer.probe_accuracy),
            ):
                row |= {(name, part): value for part, value in found._asdict().items()}
            rows.append(row)
        return pd.DataFrame(
            rows, index=pd.Index(list(self.layers), name="layer"), columns=pd.MultiIndex.from_tuples(rows[0]) if rows else None
        )

    def plot(
        self,
        *,
        class_names: Sequence[str] | None = None,
        repeat: int = 0,
        title: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> "Figure":
        """Plots the map of each layer, with points colored by class.

        Below each map is the neighborhood hit over all maps of the layer with half of its 95 % confidence interval. With more than thirty
        classes, only the first and the last are named, and colors change evenly in between. `report[1:3].plot()` draws some of the layers.

        Args:
            class_names: Names of the classes; their labels by default.
            repeat: Index of the map of each layer.
            title: A title; the model's name by default.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure, five maps in a row.

        Raises:
            ValueError: If the number of class names is wrong, or there is no such repeat.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.diagnosis import Protocol, diagnose
        >>> from keras_xai.features import TSNE
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden"), dense(2, "softmax")])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
        >>> report = diagnose(model, x, y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1), verbose=0)
        >>> report.plot(class_names=["cat", "dog"]).axes[0].get_title()
        'hidden'
        """
        columns = [(path,) for path in self.layers]
        return drawn(
            "diagnosis",
            "layers_plot",
            {self.name: self},
            columns,
            class_names=class_names,
            repeat=repeat,
            title=title,
            path=path,
        )

    def plot_depth(self, *, title: str = "", path: str | os.PathLike[str] | None = None) -> "Figure":
        """Plots the neighborhood hit of each layer by depth, on the maps and among the activations, and a linear probe.

        Error bars are 95 % confidence intervals. The gray line is the level of shuffled labels. `keras_xai.report.depth_plot` plots any
        number of networks.

        Args:
            title: A title.
            path: Where to save the figure as well; the ending of the name tells the format, such as `.png` or `.pdf`.

        Returns:
            A matplotlib figure with three panels.

        Example:

        >>> import keras, numpy as np
        >>> from keras_xai.diagnosis import Protocol, diagnose
        >>> from keras_xai.features import TSNE
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((8,)), dense(8, "relu", name="hidden"), dense(2, "softmax")])
        >>> x, y = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 2
        >>> report = diagnose(model, x, y, protocol=Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1), verbose=0)
        >>> [axes.get_title() for axes in report.plot_depth().axes]
        ['on the maps, by t-SNE', 'among the activations', 'linear probe']
        """
        return drawn("diagnosis", "depth_plot", {self.name: self}, title=title, path=path)

    def to_fields(self) -> dict[str, Any]:
        """Returns the contents as dicts, lists and tuples of arrays, strings and numbers."""
        layers = [layer.to_fields() for layer in self.layers.values()]
        return super().to_fields() | {"layers": layers, "protocol": dataclasses.asdict(self.protocol)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a diagnosis from the fields returned by `to_fields`."""
        layers = {layer["path"]: LayerDiagnosis.from_fields(layer) for layer in fields["layers"]}
        protocol = Protocol(**fields["protocol"] | {"tsne": TSNE(**fields["protocol"]["tsne"])})
        return cls(**{**fields, "layers": layers, "protocol": protocol})

    def _summary(self) -> str:
        hits = ", ".join(f"{path} {layer.neighborhood_hit.mean:.2f}" for path, layer in self.layers.items())
        return f"of '{self.name}' on {counted(len(self.labels), 'sample')}, neighborhood hit: {hits}"

    def _facts(self) -> dict[str, Any]:
        return {
            "classes": listed(self.classes),
            "neighbors": self.k,
            "by chance": f"neighborhood hit {self.chance:.3f}",
            "seconds": self.seconds,
        }

    def _table_html(self) -> str:
        return frame_table(self.table)
