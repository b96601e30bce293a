"""Training state in a weights file that the plain model can read as well."""

from collections.abc import Mapping
from typing import Any

import h5py
import keras
from keras import ops

_GROUP = "keras_xai"


def save_state(path: Any, variables: Mapping[str, Any], optimizer: keras.optimizers.Optimizer | None) -> None:
    """Adds variables and an optimizer's state to a weights file, which Keras ignores when loading."""
    with h5py.File(path, "a") as file:
        group = file.require_group(_GROUP)
        for name, variable in variables.items():
            group[name] = ops.convert_to_numpy(variable)
        if optimizer is not None and optimizer.built:
            optimizer.save_own_variables(group.require_group("optimizer"))


def seeds_of(model: keras.Model) -> list:
    """The states of a model's random generators, such as those of `Dropout`, which Keras does not save."""
    others = {id(variable) for variable in [*model.weights, *model.metrics_variables]}
    return [variable for variable in model.variables if id(variable) not in others]


def load_state(path: Any, variables: Mapping[str, Any], optimizer: keras.optimizers.Optimizer | None) -> None:
    """Restores variables and an optimizer saved by `save_state`; files without state leave them unchanged."""
    with h5py.File(path, "r") as file:
        group = file.get(_GROUP)
        if group is None:
            return
        for name, variable in variables.items():
            if name in group:  # the file may be that of a model with fewer random generators
                variable.assign(group[name][()])
        if optimizer is not None and optimizer.built and "optimizer" in group:
            optimizer.load_own_variables(group["optimizer"])
