"""The structure of a model's inputs: one value, or a list, tuple or dict of them."""

from collections.abc import Sequence
from typing import Any, Protocol

import keras
from keras import tree


class Inputs(Protocol):
    """Protocol of the model facts that the reader needs, implemented by `keras_xai.graph.Graph`."""

    @property
    def input_specs(self) -> Sequence[keras.KerasTensor]:
        """Name, shape with the batch dimension, and dtype of each input."""

    @property
    def input_structure(self) -> Any:
        """The inputs in the model's structure."""


def in_order(values: Any, structure: Any, specs: Sequence[keras.KerasTensor], name: str = "") -> list:
    """Flattens a model's argument in the order of its inputs; dicts are read by input name.

    Args:
        values: A value for each input, in any structure, or a dict by name.
        structure: The inputs in the model's structure.
        specs: The inputs as a flat list.
        name: Name of the argument for errors, if it is not the samples.

    Raises:
        ValueError: If the names or the number of values do not fit the model.
    """
    if isinstance(values, dict):
        names = names_of(structure, specs)
        if set(values) != set(names):
            missing, unknown = (
                [each for each in one if each not in other] for one, other in ((names, values), (values, names))
            )
            raise ValueError(
                f"Expected {_for_each(name)}the inputs {names}. Received: a dict with the keys {list(values)}"
                + (f", without {missing}" if missing else "")
                + (f", of which {unknown} are unknown" if unknown and missing else "")
                + "."
            )
        return [values[name] for name in names]
    # A plain nested list of numbers is one array, unless the model has several inputs.
    flat = tree.flatten(values) if len(specs) > 1 else [values]
    if len(flat) != len(specs):
        names, is_text = names_of(structure, specs), _is_text(flat)
        # A single text, or one value for several named inputs, is not a list of inputs.
        missing = names if is_text or isinstance(structure, dict) else names[len(flat) :]
        raise ValueError(
            f"Expected {_for_each(name)}{len(specs)} inputs, {names}. Received: {_described(values, flat)}"
            f"{f', without {missing}' if missing else ''}. "
            + (
                "The model takes no text: convert it first, for example by the model's tokenizer or preprocessor."
                if is_text
                else f"Pass {'a dict with these keys' if isinstance(structure, dict) else 'a list of these, or a dict by name'}."
            )
        )
    return flat


def _is_text(flat):
    """Whether there are strings among some values."""
    return any(isinstance(each, (str, bytes)) or getattr(getattr(each, "dtype", None), "kind", "") in "OSU" for each in flat)


def _described(values, flat):
    """A description of the value received in place of several inputs."""
    if isinstance(values, (list, tuple)):
        return f"a {type(values).__name__} of {len(flat)} values"
    shape = getattr(values, "shape", None)
    return f"one value, {values!r:.60}" if shape is None else f"one array of shape {tuple(shape)}"


def _for_each(name):
    return f"`{name}` to have a value for each of " if name else ""


def names_of(structure: Any, specs: Sequence[keras.KerasTensor]) -> list[str]:
    """The names of a model's inputs in order: the keys of a dict, sorted by Keras, otherwise those of the tensors."""
    return sorted(structure) if isinstance(structure, dict) else [spec.name for spec in specs]


def packed(arrays: list, inputs: Inputs) -> Any:
    """Arrays, one for each input, in the structure of a model's inputs; for one input, the array itself."""
    return arrays[0] if len(arrays) == 1 else tree.pack_sequence_as(inputs.input_structure, arrays)
