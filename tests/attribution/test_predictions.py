"""What an explanation says of the model's prediction is what the model predicts."""

import keras
import numpy as np
import pytest

from keras_xai.attribution import Explanation, Part, Saliency
from keras_xai.graph.target import Target
from tests.attribution.grid import CASES, METHODS, case_of, model_of
from tests.slow import quickly

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def network(activation, units=3):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation)])


@pytest.mark.parametrize("name", quickly([*METHODS], "Saliency", "CAM", "Occlusion"))
def test_probabilities_are_those_of_the_model(name):
    case = case_of(name, "final softmax")
    model = model_of(case)
    expected = np.asarray(model(case.x))
    if model.layers[-1].activation is not keras.activations.softmax:  # the transformer
        pytest.skip("without a softmax")
    for target in (None, [2, 0, 1, 3, 2, 0, 1, 3, 2]):
        found = METHODS[name](model, case)(case.x, target)
        classes = expected.argmax(axis=1) if target is None else target
        np.testing.assert_allclose(found.probability, expected[np.arange(len(expected)), classes], atol=1e-5)
        np.testing.assert_array_equal(found.predicted_class, expected.argmax(axis=1))
        np.testing.assert_allclose(found.predicted_probability, expected.max(axis=1), atol=1e-5)
    assert found.prediction is None


@pytest.mark.parametrize("name", quickly([*METHODS], "GradCAM", "VarGrad", "Saliency", "HSICAttribution"))
def test_methods_say_whether_values_are_negative(name):
    case = case_of(name)
    method = METHODS[name](model_of(case), case)
    found = [method(case.x, target) for target in (0, 1)]
    lowest = min(each.values.min() for each in found)
    assert (lowest >= 0) == method.nonnegative and {each.nonnegative for each in found} == {method.nonnegative}


def test_a_method_that_has_the_scores_needs_no_further_pass(monkeypatch):
    model, passes = network("softmax"), []
    predictions = Target.predictions

    def counted(self, outputs, indices):
        passes.append(outputs)
        return predictions(self, outputs, indices)

    monkeypatch.setattr(Target, "predictions", counted)
    found = Saliency(model)(X)
    assert len(passes) == 1
    assert found.predicted_class.tolist() == np.asarray(model(X)).argmax(axis=1).tolist()

    class Other(Saliency):
        def _prepare(self, target):
            explain = super()._prepare(target)

            def without(batch):
                part = explain(batch)
                return Part(part.values, part.indices, part.convergence_delta, part.num_forward_passes)

            return without

    assert Other(model)(X) == Saliency(model)(X).__class__(**{**vars(found), "method": "Other"})


def test_what_has_no_probability(tmp_path):
    logits = Saliency(network(None))(X)
    assert logits.probability is None and logits.prediction is None and logits.predicted_class is None
    several = Saliency(network("sigmoid"))(X, 1)  # of which more than one may be right
    np.testing.assert_allclose(several.probability, np.asarray(network("sigmoid")(X))[:, 1], atol=1e-6)
    assert several.predicted_class is None
    custom = Saliency(network("softmax"))(X, lambda scores: scores[:, 0])
    assert custom.probability is None and custom.predicted_class is None
    one = network("sigmoid", 1)
    for target in (0, 1):
        found = Saliency(one)(X, target)
        p = np.asarray(one(X))[:, 0]
        np.testing.assert_allclose(found.probability, p if target else 1 - p, atol=1e-6)
        np.testing.assert_array_equal(found.predicted_class, p > 0.5)
        np.testing.assert_allclose(found.predicted_probability, np.maximum(p, 1 - p), atol=1e-6)
    path = tmp_path / "found.npz"
    found.save(path)
    assert Explanation.load(path) == found
    assert found[[2, 1]].predicted_class.tolist() == found.predicted_class[[2, 1]].tolist()


def test_of_several_outputs_and_of_batches():
    case = CASES["several outputs"]
    model = model_of(case)
    found = METHODS["GradientTimesInput"](model, case, batch_size=2)(case.x, {"kind": None, "size": 0})
    expected = {name: np.asarray(each) for name, each in model(case.x).items()}
    np.testing.assert_allclose(found.probability["size"], expected["size"][:, 0], atol=1e-6)
    np.testing.assert_array_equal(found.predicted_class["kind"], expected["kind"].argmax(axis=1))
    np.testing.assert_allclose(found.predicted_probability["size"], expected["size"].max(axis=1), atol=1e-6)
