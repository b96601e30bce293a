"""Boxes and all that they return are pickled before and after use, and called from threads, without a difference."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_xai.openbox import OpenBox

X = np.random.default_rng(0).normal(size=(12, 4))


def made():
    """A box of a small network."""
    keras.utils.set_random_seed(0)
    units = {"one": (9, "relu"), "two": (6, "relu"), "head": (3, "softmax")}
    return OpenBox(
        keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(*each, name=name) for name, each in units.items())])
    )


# What is made of a box, and what is asked of it: results that take a compiled program among them.
OBJECTS = {
    "box": (lambda box: box, lambda box: [box(X, verbose=0).coef, box(X, verbose=0).radius(verbose=0)]),
    "pieces": (lambda box: box(X, verbose=0), lambda pieces: [pieces.coef, pieces.radius(verbose=0)]),
    "line": (
        lambda box: box.line(X[0], X[1], verbose=0),
        lambda line: [line.breakpoints, line.integrated_gradients(1, verbose=0).attribution],
    ),
    "plane": (
        lambda box: box.plane(*X[:3], verbose=0),
        lambda plane: [*plane.boundary.segments, np.array(plane.cells.classes)],
    ),
    "polytope": (
        lambda box: box(X, verbose=0).polytope(0),
        lambda polytope: [polytope.values, [f"{polytope.label(i)}" for i in range(len(polytope.values))]],
    ),
    "classifier": (lambda box: box.convert(X, verbose=0), lambda classifier: [classifier.predict_proba(X + 0.1)]),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_pickled_before_and_after_use(name):
    make, ask = OBJECTS[name]
    given = make(made())
    before = pickle.loads(pickle.dumps(given))
    expected = ask(given)
    after = pickle.loads(pickle.dumps(given))
    for loaded in (before, after, pickle.loads(pickle.dumps(after))):
        for found, value in zip(ask(loaded), expected, strict=True):
            if isinstance(value, list):
                assert found == value
            else:
                np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("name", OBJECTS)
def test_eight_threads_on_one_object(name):
    make, ask = OBJECTS[name]
    expected = ask(make(made()))
    given = make(made())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(given), range(16)))
    for answer in answers:
        for found, value in zip(answer, expected, strict=True):
            if isinstance(value, list):
                assert found == value
            else:
                np.testing.assert_allclose(found, value, rtol=0, atol=1e-6)
