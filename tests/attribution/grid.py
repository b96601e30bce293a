"""Every attribution method on every sort of model, and which cells are errors on purpose: the one place that says so.

`test_conformance.py` checks each cell, and the documentation draws the table.
"""

import dataclasses
import inspect
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_xai import attribution
from tests.public import concrete

NUM_SAMPLES = 9
_RNG = np.random.default_rng(0)
_IMAGES = _RNG.normal(size=(NUM_SAMPLES, 8, 8, 1)).astype("float32")
_TABLE = _RNG.normal(size=(NUM_SAMPLES, 3)).astype("float32")
_SERIES = _RNG.normal(size=(NUM_SAMPLES, 16, 1)).astype("float32")


@dataclasses.dataclass(frozen=True)
class Case:
    """A sort of model.

    Attributes:
        title: Of its column in the table.
        build: Makes the model.
        x: Samples.
        layer: The layer that methods look at that look at one.
        target: What is explained.
    """

    title: str
    build: Callable[[], keras.Model]
    x: Any
    layer: str = "conv2"
    target: Any = None


def _body(x):
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(5, 2, activation="relu", name="conv2")(x)
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 2, activation="relu", name="conv2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )


def _functional(activation=None, units=4):
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, padding="same", name="conv1")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    z = layers.Conv2D(4, 3, padding="same", activation="relu", name="side")(y)
    y = layers.Conv2D(4, 3, activation="relu", name="conv2")(layers.Add()([y, z]))
    return keras.Model(x, layers.Dense(units, activation=activation, name="head")(layers.GlobalAveragePooling2D()(y)))


def _nested():
    x = keras.Input((8, 8, 1))
    backbone = keras.Model(x, _body(x), name="backbone")
    return keras.Sequential([keras.Input((8, 8, 1)), backbone, layers.Dense(4, activation="softmax")])


def _reloaded():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        _functional("softmax").save(path)
        return keras.models.load_model(path)


def _several_inputs():
    image, table = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="table")
    joined = layers.Concatenate()([_body(image), layers.Dense(4, activation="relu")(table)])
    return keras.Model({"image": image, "table": table}, layers.Dense(4)(joined))


def _several_outputs():
    x = keras.Input((8, 8, 1))
    y = _body(x)
    outputs = {
        "kind": layers.Dense(4, activation="softmax", name="kind_head")(y),
        "size": layers.Dense(2, activation="softmax", name="size_head")(y),
    }
    return keras.Model(x, outputs)


def _series():
    return keras.Sequential(
        [
            keras.Input((16, 1)),
            layers.Conv1D(4, 3, activation="relu", name="conv1"),
            layers.MaxPooling1D(),
            layers.Conv1D(5, 3, activation="relu", name="conv2"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def transformer(activation=None, units=4):
    """A vision transformer of patches of 2 x 2 pixels."""
    x = keras.Input((8, 8, 1))
    y = layers.Reshape((16, 6))(layers.Conv2D(6, 2, strides=2, name="conv2")(x))
    for number in range(2):
        z = layers.LayerNormalization()(y)
        y = layers.Add()([y, layers.MultiHeadAttention(2, 3, name=f"attention{number}")(z, z)])
    pooled = layers.GlobalAveragePooling1D()(y)
    return keras.Model(x, layers.Dense(units, activation=activation, name="head")(pooled), name="transformer")


def _mixed():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return _functional("softmax")
    finally:
        keras.config.set_dtype_policy(policy)


CASES = {
    "sequential": Case("Sequential", _sequential, _IMAGES),
    "functional": Case("Functional", _functional, _IMAGES),
    "nested": Case("nested backbone", _nested, _IMAGES, layer="backbone/conv2"),
    "reloaded": Case("reloaded", _reloaded, _IMAGES),
    "several inputs": Case("several inputs", _several_inputs, {"image": _IMAGES, "table": _TABLE}),
    "several outputs": Case("several outputs", _several_outputs, _IMAGES, target={"kind": None, "size": 0}),
    "1-D": Case("1-D", _series, _SERIES),
    "mixed_float16": Case("mixed_float16", _mixed, _IMAGES),
    "single sigmoid": Case("single sigmoid", lambda: _functional("sigmoid", units=1), _IMAGES),
    "final softmax": Case("final softmax", lambda: _functional("softmax"), _IMAGES),
    "transformer": Case("transformer", transformer, _IMAGES),
}


# Variants of a method that are rows of their own, and options with which it takes less time.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "SmoothGrad": {"SmoothGrad": {"num_samples": 3, "seed": 0}},
    "VarGrad": {"VarGrad": {"num_samples": 3, "noise": 0.5, "seed": 0}},
    "RISE": {"RISE": {"num_samples": 60, "seed": 0}},
    "SobolAttribution": {"SobolAttribution": {"num_samples": 2, "groups": 4, "seed": 0}},
    "HSICAttribution": {"HSICAttribution": {"num_samples": 40, "seed": 0}},
    "ShapleyValueSampling": {"ShapleyValueSampling": {"num_samples": 2, "groups": 4, "seed": 0}},
    "IntegratedGradients": {"IntegratedGradients": {"steps": 4}},
    "GradientSHAP": {"GradientSHAP": {"num_samples": 8, "seed": 0}},
    "LIME": {"LIME": {"num_samples": 60, "seed": 0}},
    "SHAP": {
        "SHAP kernel": {"explainer": "kernel", "num_samples": 140, "seed": 0},
        "SHAP partition": {"explainer": "partition", "num_samples": 60, "seed": 0},
    },
}


def _made(method, **fixed):
    """A function that makes a method for a case: one that looks at a layer gets that of the case, but not one that has values of it."""
    options = inspect.signature(method).parameters
    takes_layer = "layer" in options and "unit" not in options

    def make(model, case, **options):
        return method(model, **({"layer": case.layer} if takes_layer else {}), **fixed, **options)

    return make


def rows() -> dict[str, Callable]:
    """What makes each exported method for a model and its case, by the title of its row."""
    return {
        label: _made(method, **options)
        for name, method in concrete(attribution, attribution.Method).items()
        for label, options in VARIANTS.get(name, {name: {}}).items()
    }


METHODS = rows()

# Methods that need attention, and a sort of model that has it.
OF_ATTENTION = ("AttentionRollout", "GradientRollout")
WITH_ATTENTION = "transformer"

# What is refused, by method and sort of model: a part of the error's message.
REFUSED = {
    ("CAM", "several inputs"): "CAM needs a model that ends in global average pooling",
    ("DecisionFeatures", "transformer"): "cannot be divided into linear pieces",
    **dict.fromkeys(
        ((method, "transformer") for method in ("GuidedBackprop", "Deconvnet", "GuidedGradCAM")),
        "defined for networks of rectifiers, poolings and affine layers",
    ),
    **{
        (method, name): "Expected a model with attention"
        for method in OF_ATTENTION
        for name in CASES
        if name != WITH_ATTENTION
    },
}


def case_of(method: str, name: str = "functional") -> Case:
    """A sort of model; a transformer for the methods that need attention."""
    return CASES[WITH_ATTENTION if method in OF_ATTENTION else name]


def model_of(case: Case) -> keras.Model:
    """The model of a case, its weights and statistics drawn at random, rather positive so that scores are."""
    keras.utils.set_random_seed(0)
    model = case.build()
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if "variance" in variable.path:
            variable.assign(rng.uniform(0.5, 2, size=variable.shape))
        elif keras.backend.is_float_dtype(variable.dtype):
            variable.assign(rng.normal(0.1, 0.4, size=variable.shape))
    return model
