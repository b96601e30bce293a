"""`Takes`: what a model takes, for the readers."""

import dataclasses
from typing import Any, final

import keras

from keras_xai.data.layout import Layout
from keras_xai.data.structure import names_of
from keras_xai.graph.trace import trace
from keras_xai.network.axes import Axes


@final
@dataclasses.dataclass(frozen=True)
class Takes:
    """The inputs of a model.

    Attributes:
        model: The model.
        names: The names of its inputs.
        specs: Their shapes, with the samples, and dtypes.
        layouts: What their axes are.
        by_name: Whether samples are a dict, or there are several inputs.
    """

    model: keras.Model
    names: list[str]
    specs: list[keras.KerasTensor]
    layouts: list[Layout]
    by_name: bool

    @classmethod
    def of(cls, model: Any) -> "Takes":
        """What a model takes."""
        graph = trace(model)
        by_name = len(graph.input_specs) > 1 or isinstance(graph.input_structure, dict)
        names = names_of(graph.input_structure, graph.input_specs)
        return cls(model, names, list(graph.input_specs), Axes(graph).inputs(), by_name)

    @property
    def is_images(self) -> bool:
        """Whether it takes images of one, three or four channels, and nothing else."""
        (layout, *others), (spec, *_) = self.layouts, self.specs
        # Of colors, and not of strings or tokens.
        return not others and sorted(layout.letters) == sorted("NHWC") and spec.shape[layout.channel or 3] in (1, 3, 4)

    @property
    def is_gray(self) -> bool:
        """Whether it takes images without an axis of channels."""
        return len(self.layouts) == 1 and self.layouts[0].letters == "NHW"

    @property
    def is_texts(self) -> bool:
        """Whether it takes one text of each sample."""
        return len(self.specs) == 1 and self.specs[0].dtype == "string" and set(self.specs[0].shape[1:]) <= {1, None}

    @property
    def is_tokens(self) -> bool:
        """Whether it takes the tokens of each sample."""
        return len(self.layouts) == 1 and self.layouts[0].is_tokens and len(self.specs[0].shape) == 2

    @property
    def is_table(self) -> bool:
        """Whether the columns of a table are what it takes: one input `(n, columns)`, or inputs of one value each."""
        if self.by_name:
            return all(set(spec.shape[1:]) <= {1} for spec in self.specs)
        return len(self.specs[0].shape) == 2 and not self.is_texts

    @property
    def is_series(self) -> bool:
        """Whether it takes series, `(n, time, channels)`."""
        return len(self.specs) == 1 and len(self.specs[0].shape) == 3 and not self.is_gray

    @property
    def description(self) -> str:
        """What it takes, in words, for errors."""
        (spec, *others), (layout, *_) = self.specs, self.layouts
        if others or self.by_name:
            return f"the inputs {', '.join(self.names)}"
        shape = " x ".join("any" if size is None else str(size) for size in spec.shape[1:])
        if self.is_texts:
            return "texts"
        kind = "images" if self.is_images or self.is_gray else "tokens" if layout.is_tokens else "arrays"
        if self.is_table and kind == "arrays":
            return f"rows of {shape} numbers"
        return f"series of {shape} (time x channels)" if self.is_series else f"{kind} of {shape}"
