"""What `attribution_peers.py` hands to a library, and what it looks at to tell whether the model or the process was changed."""

import dataclasses
import functools
import pathlib
import random
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from tests.attribution import grid

NUM_SAMPLES = 3
ACTIVATED = ("nested", "reloaded", "several outputs", "1-D", "mixed_float16", "single sigmoid", "final softmax")


class NoWayError(Exception):
    """The library's documentation has no way to do it."""


class NotMeantError(Exception):
    """The method is not meant for such a model."""


@dataclasses.dataclass
class Expected:
    """What values should be, in the values' structure.

    Attributes:
        right: Any of these is right.
        known: What else they may turn out to be, by what to say of it.
        apart: Of these, which must differ from what is right, or nothing would be shown.
    """

    right: list
    known: dict[str, Any] = dataclasses.field(default_factory=dict)
    apart: tuple[str, ...] = ()


@dataclasses.dataclass
class Answer:
    """What a library gave, and how it is judged.

    Attributes:
        values: Arrays, in any structure.
        expected: Called after it is known whether the model or the process has changed.
        tolerance: By how much they may differ from it, as a part of its norm.
        fitted: What a user gets, where it is not the values.
        shapes: What the shapes of that should be; those of what is expected where it is None.
        said: How a remark on the values begins.
    """

    values: Any
    expected: Callable[[], Expected]
    tolerance: float = 1e-3
    fitted: Any = None
    shapes: list | None = None
    said: str = "the values are"


@dataclasses.dataclass
class Setting:
    """A model and samples."""

    name: str

    def __post_init__(self):
        self.case = grid.CASES[self.name]
        self.model = grid.model_of(self.case)
        # Of these scores, as logits and as probabilities, no sample's Grad-CAM is zero.
        self.index = {"single sigmoid": 0, "1-D": 1, "nested": 0, "several outputs": 0}.get(self.name, 2)
        self.x = keras.tree.map_structure(lambda array: array[:NUM_SAMPLES], self.case.x)
        self.background = keras.tree.map_structure(lambda array: array[NUM_SAMPLES : 2 * NUM_SAMPLES], self.case.x)
        self.activated = self.name in ACTIVATED
        self.half = self.name == "mixed_float16"

    @functools.cached_property
    def twin(self):
        """The same model again, which no library has seen."""
        return grid.model_of(self.case)

    @functools.cached_property
    def single(self):
        """The same again in single precision: the model of half precision differs from that with a softmax in nothing else."""
        return grid.model_of(grid.CASES["final softmax"]) if self.half else self.twin

    def flattened(self, model=None):
        """The workaround for models whose structure a library does not take."""
        model = model or self.model
        return keras.Model(model.inputs, model.outputs)

    def first_output(self):
        """The workaround for several outputs."""
        return keras.Model(self.model.inputs, self.model.outputs[0])

    def tolerance(self, wanted=1e-3):
        """Half precision rounds to 1e-3."""
        return max(wanted, 0.01) if self.half else wanted

    def sample(self, number):
        return keras.tree.map_structure(lambda array: array[number], self.x)


def layers_of(model, prefix=""):
    for layer in model.layers:
        yield prefix + layer.name, layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer, f"{prefix}{layer.name}/")


def state(model) -> dict[str, Any]:
    """What a call should leave as it was, by name."""
    from tensorflow.python.eager import backprop, context, execute
    from tensorflow.python.framework import ops

    registry = ops._gradient_registry._registry
    return {
        "the model's weights": [value.tobytes() for value in model.get_weights()],
        "the model's layers": [path for path, _ in layers_of(model)],
        "activations of the model's layers": [id(getattr(layer, "activation", None)) for _, layer in layers_of(model)],
        "`call` of the model's layers": [id(getattr(layer.call, "__func__", layer.call)) for _, layer in layers_of(model)],
        "`result`, which is added to the model's layers": ["result" in layer.__dict__ for _, layer in layers_of(model)],
        "what of the model is trained, and in what precision": [
            (layer.trainable, layer.dtype_policy.name) for _, layer in layers_of(model)
        ],
        # TensorFlow adds an entry itself for each custom gradient of a graph.
        "TensorFlow's gradient registry": {
            name: id(entry["type"]) for name, entry in registry.items() if not name.startswith("CustomGradient")
        },
        "how TensorFlow records gradients": [
            id(getattr(module, name, None))
            for module in (execute, backprop)
            for name in ("record_gradient", "_record_gradient")
        ],
        "NumPy's global random state": [str(part) for part in np.random.get_state()],  # noqa: NPY002 - it is what is looked at
        "Python's global random state": random.getstate(),
        "TensorFlow's global random state": context.context()._rng.getstate(),
        "Keras' settings": (
            keras.config.floatx(),
            keras.config.epsilon(),
            keras.config.dtype_policy().name,
            keras.config.image_data_format(),
            keras.config.is_traceback_filtering_enabled(),
        ),
        "whether functions run eagerly": __import__("tensorflow").config.functions_run_eagerly(),
        "NumPy's error settings": sorted(np.geterr().items()),
    }
