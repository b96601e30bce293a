"""What a method or metric must leave as it was."""

import random

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.framework import ops


def state(model):
    """What must not change: the model, bit by bit, and everything global that a method might touch."""
    weights = [keras.ops.convert_to_numpy(variable).tobytes() for variable in model.variables]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model._flatten_layers()]
    return {
        "weights": weights,
        "nodes": nodes,
        "config": model.to_json(),
        "trainable": [layer.trainable for layer in model._flatten_layers()],
        "numpy": [np.asarray(part).tobytes() for part in np.random.get_state()[1:2]],  # noqa: NPY002  the global state is meant
        "random": random.getstate(),
        "keras": str(global_state.get_global_attribute("global_seed_generator")),
        "names": dict(global_state.get_global_attribute("object_name_uids") or {}),
        "policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "losses": len(model.losses),
        "registry": gradient_registry(),
        "eager": tf.config.functions_run_eagerly(),
    }


def gradient_registry():
    """The derivatives that TensorFlow knows. It adds one of its own for each custom gradient that it compiles."""
    return {name: ops.gradient_registry.lookup(name) for name in ops.gradient_registry.list() if "Custom" not in name}
