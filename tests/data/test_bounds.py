"""Batches larger than the samples cost nothing, datasets without end are refused at once."""

import contextlib
import tracemalloc

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai.layers import RBMDense
from keras_xai.pretraining import PersistentContrastiveDivergence, pretrain
from tests.attribution.grid import OF_ATTENTION
from tests.data import test_entry_points as entries
from tests.data.kinds import dataset
from tests.slow import quickly

images, table, transformer = entries.images, entries.table, entries.transformer


@contextlib.contextmanager
def _little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", [None, pytest.param(PersistentContrastiveDivergence(), marks=pytest.mark.slow)])
def test_pretraining_with_all_in_one_batch(rule):
    x = np.random.default_rng(0).uniform(size=(8, 6))
    found = []
    for batch_size in (8, 10**9):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6,)), RBMDense(3, "linear"), layers.Dense(2)])
        with _little_memory():
            pretrain(model, x, rule, epochs=1, batch_size=batch_size, verbose=0, jit_compile=False)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", quickly(entries.METHODS, "IntegratedGradients", "Occlusion", "SHAP"))
def test_methods_with_all_in_one_batch(name, images, transformer):
    options = dict(entries.DRAWN.get(name, {}))
    method = entries.METHODS[name](transformer if name in OF_ATTENTION else images, batch_size=10**9, **options)
    with _little_memory():
        assert len(method(entries.X)) == len(entries.X)


@pytest.mark.parametrize("name", entries.METHODS)
def test_methods_refuse_what_does_not_end(name, images, transformer):
    method = entries.METHODS[name](transformer if name in OF_ATTENTION else images)
    with pytest.raises(ValueError, match="Expected a finite dataset"):
        method(dataset(entries.X).repeat())


@pytest.mark.parametrize("entry", quickly(entries.ENTRIES, "activations", "OpenBox", "fbi_penalty"))
def test_entries_refuse_what_does_not_end(entry, images, transformer):
    model = transformer if entry == "attention_maps" else images
    with pytest.raises(ValueError, match="Expected a finite dataset"):
        entries.ENTRIES[entry](model, dataset(entries.X).repeat())


def test_pretraining_refuses_what_does_not_end_but_for_a_number_of_steps():
    model = keras.Sequential([keras.Input((4,)), RBMDense(3), layers.Dense(2)])
    with pytest.raises(ValueError, match="Expected a finite dataset"):
        pretrain(model, dataset(entries.TABLE).repeat(), epochs=1, verbose=0)
    history = pretrain(model, dataset(entries.TABLE).repeat(), epochs=1, verbose=0, steps_per_epoch=2, jit_compile=False)
    assert len(history) == 1
