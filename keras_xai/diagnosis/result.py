"""What a diagnosis has found."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Any, final

import numpy as np

from keras_xai.data.fields import read_fields, result_of, write_fields
from keras_xai.diagnosis.neighborhood import chance_hit
from keras_xai.diagnosis.protocol import Protocol
from keras_xai.features.tsne import TSNE
from keras_xai.metrics.intervals import Interval, clipped, interval, share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LayerDiagnosis:
    """One layer.

    Attributes:
        path: The layer's path.
        depth: The layers with weights up to it, as a part of those of the whole network: from 0 to 1.
        shape: Of its output for one sample.
        vectors: How that became a vector, in words.
        length: Of the vector.
        explained: The part of the vectors' variance that the principal components hold; 1 where all of it was kept, NaN where there is
            none.
        points: `(repeats, n, 2)`, the maps by t-SNE.
        map_influence: `(repeats, n)`: what each sample contributes to the neighborhood hit on each map, which is the mean.
        activation_influence: `(n,)`: the same among the vectors themselves.
        trustworthiness: `(repeats,)`: how far neighbors on the map are neighbors among the vectors, from 0 to 1.
        divergence: `(repeats,)`: the Kullback-Leibler divergence that t-SNE has reached.
        probe: Bool: whether a linear classifier on the components, fitted to other samples, is right about each sample that is not alone in
            its class; empty where there is only one such class.
    """

    path: str
    depth: float
    shape: tuple
    vectors: str
    length: int
    explained: float
    points: np.ndarray
    map_influence: np.ndarray
    activation_influence: np.ndarray
    trustworthiness: np.ndarray
    divergence: np.ndarray
    probe: np.ndarray

    @property
    def neighborhood_hit(self) -> Interval:
        """The mean on the maps, with its 95 % confidence interval."""
        return clipped(interval(self.map_influence))

    @property
    def activation_hit(self) -> Interval:
        """The mean neighborhood hit among the vectors themselves, without t-SNE, with its 95 % confidence interval."""
        return clipped(interval(self.activation_influence))

    @property
    def probe_accuracy(self) -> Interval:
        """The share of samples that the linear classifier is right about, with its 95 % confidence interval."""
        return share(self.probe)

    def __repr__(self):
        return f"LayerDiagnosis('{self.path}', neighborhood hit {self.neighborhood_hit.mean:.3f})"


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
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
        from keras_xai.report import layers_plot

        return layers_plot({self.name: self}, **options)

    def plot_depth(self, **options: Any) -> "Figure":
        """Draws the neighborhood hit against the depth, see `keras_xai.report.depth_plot`.

        Args:
            **options: Of `depth_plot`.

        Returns:
            A matplotlib figure.
        """
        from keras_xai.report import depth_plot

        return depth_plot({self.name: self}, **options)

    def save(self, path: str | pathlib.Path) -> None:
        """Writes everything to an `.npz` file of plain arrays, without pickles, to be compared with another network later.

        Args:
            path: Of the file; `.npz` is added where it is missing, as `numpy.savez` does.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["layers"] = [dataclasses.asdict(layer) for layer in self.layers.values()]
        fields["protocol"] = dataclasses.asdict(self.protocol)
        write_fields(path, fields, "Diagnosis")

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "Diagnosis":
        """Reads what `save` has written.

        Args:
            path: Of the file.

        Raises:
            ValueError: If the file is not one that `save` has written.
        """
        fields = read_fields(path, "Diagnosis")
        if not {"layers", "protocol"} <= set(fields):
            raise ValueError(f"Expected a file written by `Diagnosis.save`. Received: '{path}', which holds {list(fields)}.")
        try:
            fields["layers"] = {layer["path"]: LayerDiagnosis(**layer) for layer in fields["layers"]}
            fields["protocol"] = Protocol(**fields["protocol"] | {"tsne": TSNE(**fields["protocol"]["tsne"])})
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"Expected a file written by `Diagnosis.save`. Received: '{path}', whose fields are others."
            ) from error
        return result_of(cls, path, fields)

    def __repr__(self):
        hits = ", ".join(f"{path} {layer.neighborhood_hit.mean:.2f}" for path, layer in self.layers.items())
        return f"Diagnosis of '{self.name}' on {len(self.labels)} samples, neighborhood hit: {hits}"
