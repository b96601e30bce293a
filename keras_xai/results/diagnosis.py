"""`Diagnosis`: a network layer by layer."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from keras_xai.results.base import Result
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
    """A network, layer by layer, see `diagnose`.

    Attributes:
        name: The model's name.
        layers: From each path to its `LayerDiagnosis`, in the order of the model.
        labels: `(n,)`, the classes of the samples as whole numbers.
        classes: The label that each whole number stands for.
        samples: `(n,)`, where the samples are among those given.
        k: Number of neighbors.
        protocol: The settings.
        seconds: What the parts of the work took: `"activations"`, `"t-SNE"` and the `"measures"`.
    """

    name: str
    layers: dict[str, LayerDiagnosis]
    labels: np.ndarray
    classes: list
    samples: np.ndarray
    k: int
    protocol: Protocol
    seconds: dict[str, float]

    @property
    def chance(self) -> float:
        """The neighborhood hit that shuffled labels have in the mean."""
        return chance_hit(self.labels)

    @property
    def table(self) -> "pd.DataFrame":
        """A pandas data frame with a row for each layer.

        Under `layer` its depth and what became of its output, under `neighborhood hit`, `in activations`, `trustworthiness` and
        `linear probe` the columns `mean`, `low` and `high`.
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
        return pd.DataFrame(rows, index=pd.Index(list(self.layers), name="layer"), columns=pd.MultiIndex.from_tuples(rows[0]))

    def plot(self, **options: Any) -> "Figure":
        """Draws the map of each layer, see `keras_xai.report.layers_plot`.

        Args:
            **options: Of `layers_plot`.

        Returns:
            A matplotlib figure.
        """
        return drawn("layers_plot", {self.name: self}, **options)

    def plot_depth(self, **options: Any) -> "Figure":
        """Draws the neighborhood hit against the depth, see `keras_xai.report.depth_plot`.

        Args:
            **options: Of `depth_plot`.

        Returns:
            A matplotlib figure.
        """
        return drawn("depth_plot", {self.name: self}, **options)

    def to_fields(self) -> dict[str, Any]:
        """All that it holds, as dicts, lists and tuples of arrays, texts and numbers."""
        layers = [layer.to_fields() for layer in self.layers.values()]
        return super().to_fields() | {"layers": layers, "protocol": dataclasses.asdict(self.protocol)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The diagnosis of which `to_fields` has given the fields."""
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
