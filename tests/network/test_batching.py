"""Automatic batch sizes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import config
from keras_xai.attribution import Saliency
from keras_xai.graph.trace import trace
from keras_xai.metrics import Deletion
from keras_xai.network.batching import batch_size_for
from keras_xai.openbox import OpenBox


def network(width=1000):
    return keras.Sequential([keras.Input((6,)), layers.Dense(width), layers.Dense(2)])


def test_the_largest_power_of_two_whose_tensors_fit(monkeypatch):
    graph = trace(network())
    # Of each sample 6 + 1000 + 2 numbers are kept, in float64 of 8 bytes, and with two gradients 12 more.
    for budget, expected in ((1008 * 4 * 64, 64), (1008 * 4 * 64 - 1, 32), (1008 * 4, 1), (1, 1), (10**9, 256)):
        monkeypatch.setattr(config, "_memory_budget", budget)
        assert batch_size_for(graph) == expected
    monkeypatch.setattr(config, "_memory_budget", 1008 * 4 * 64)
    assert batch_size_for(graph, dtype="float64") == 32
    assert batch_size_for(graph, copies=2) == 32
    assert batch_size_for(graph, 57) == 57


def test_whole_numbers_have_their_own_size(monkeypatch):
    tokens = keras.Input((10,), dtype="int32")
    graph = trace(keras.Model(tokens, layers.Flatten()(layers.Embedding(5, 3)(tokens))))
    monkeypatch.setattr(config, "_memory_budget", (10 * 4 + 2 * 30 * 8) * 8)
    assert batch_size_for(graph, dtype="float64") == 8


def test_of_inputs_of_several_sizes():
    image = keras.Input((None, None, 1))
    graph = trace(keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(image))))
    assert batch_size_for(graph) == 32


@pytest.mark.parametrize("make", [Saliency, Deletion, OpenBox])
def test_methods_metrics_and_boxes_follow_it(make, monkeypatch):
    monkeypatch.setattr(config, "_memory_budget", 2**16)
    assert make(network(2))._batch_size == 256
    assert make(network(1000))._batch_size in (8, 16)
    with pytest.raises(ValueError, match="`batch_size` to be an integer of at least 1. Received: batch_size=0"):
        make(network(2), batch_size=0)


def test_the_batch_size_changes_nothing():
    model, x = network(20), np.random.default_rng(0).normal(size=(7, 6))
    np.testing.assert_allclose(Saliency(model)(x).values, Saliency(model, batch_size=3)(x).values, rtol=1e-5, atol=1e-7)


def test_the_budget_can_be_set():
    before = config.memory_budget()
    try:
        config.set_memory_budget(1008 * 4 * 16)
        assert config.memory_budget() == 1008 * 4 * 16
        assert batch_size_for(trace(network())) == 16
        for value in (0, -1, 1.5, "1", None, True):
            with pytest.raises(ValueError, match="`num_bytes` to be an integer of at least 1. Received: num_bytes="):
                config.set_memory_budget(value)
        assert config.memory_budget() == 1008 * 4 * 16
    finally:
        config.set_memory_budget(before)
