"""The fused optimizer against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xai.backend import FusedSGD


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.5},
        {"momentum": 0.9, "weight_decay": 0.1, "clipnorm": 0.5},
        {"momentum": 0.0},
        {"momentum": 0.9, "nesterov": True},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_those_of_keras(options, dtype):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(5, 3)), rng.normal(size=(4, 5, 3)).astype(dtype)
    found = []
    for optimizer in (FusedSGD(0.1, **options), keras.optimizers.SGD(0.1, **options)):
        variable = keras.Variable(start, dtype=dtype)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply_gradients([(keras.ops.convert_to_tensor(gradient), variable)])
        found.append([variable.numpy(), *(each.numpy() for each in optimizer.momentums if each is not None)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert not np.allclose(found[0][0], start, atol=0.01)


def test_the_step_is_one_operation():
    """Otherwise it would be Keras' own step."""
    variable, optimizer = keras.Variable(np.ones(3)), FusedSGD(0.1, momentum=0.5)
    optimizer.build([variable])
    graph = tf.function(lambda: optimizer.apply_gradients([(tf.ones(3), variable)])).get_concrete_function().graph
    assert "ResourceApplyKerasMomentum" in [each.type for each in graph.get_operations()]
