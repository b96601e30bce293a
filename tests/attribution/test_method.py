"""What every method does with samples, targets, baselines and batches; on the cheapest ones."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_xai import attribution
from keras_xai.attribution import Explanation, GradientTimesInput, IntegratedGradients, Saliency
from tests.tolerance import rounding

pytestmark = pytest.mark.onednn


X = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
PAIR = {"a": X, "b": np.random.default_rng(1).normal(size=(7, 2)).astype("float32")}


def test_structures_go_in_and_come_out(two_by_two):
    explanation = Saliency(two_by_two)(PAIR, target={"left": None, "right": 0})
    assert {name: values.shape for name, values in explanation.values.items()} == {"a": (7, 4), "b": (7, 2)}
    left = two_by_two.predict(PAIR, verbose=0)["left"].argmax(axis=1)
    np.testing.assert_array_equal(explanation.target["left"], left)
    np.testing.assert_array_equal(explanation.target["right"], np.zeros(7))
    parts = [Saliency(two_by_two)(PAIR, target=each).values for each in ({"left": left}, {"right": 0})]
    for name in PAIR:
        np.testing.assert_allclose(explanation.values[name], parts[0][name] + parts[1][name], atol=1e-6)
    assert not parts[1]["a"].any()


def test_a_reloaded_model_gives_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = Saliency(model)(X).values
    np.testing.assert_allclose(Saliency(again)(X).values, expected, atol=rounding("float32", expected, 8))


def test_weights_are_read_anew(model):
    saliency = Saliency(model)
    saliency(X)
    weights = model.get_weights()
    try:
        model.set_weights([2 * weight for weight in weights])
        expected = Saliency(model)(X, target=0).values
        np.testing.assert_allclose(saliency(X, target=0).values, expected, atol=rounding("float32", expected, 8))
    finally:
        model.set_weights(weights)


def test_baselines(model):
    method = IntegratedGradients(model, steps=4)
    zero = method(X, target=0)
    assert zero.baseline.shape == X.shape
    for same in (0, 0.0, np.zeros(4), np.zeros((1, 4)), np.zeros((7, 4))):
        again = method(X, target=0, baseline=same)
        np.testing.assert_array_equal(again.baseline, zero.baseline)
        np.testing.assert_allclose(again.values, zero.values, atol=rounding("float32", zero.values, 8))
    assert np.abs(method(X, target=0, baseline=X[0]).values[0]).max() == 0


@pytest.mark.parametrize(
    "baseline, message",
    [
        (np.zeros(3), r"shape of one sample, \(4,\)"),
        (np.zeros((6, 4)), r"Received: an array of shape \(6, 4\)"),
        (np.nan, "a finite `baseline`"),
        ({"table": np.zeros(3)}, "shape of one sample"),
        ({"chair": 0}, "Expected `baseline` to have a value for each of the inputs"),
    ],
)
def test_bad_baselines(model, baseline, message):
    with pytest.raises(ValueError, match=message):
        IntegratedGradients(model)(X, baseline=baseline)


def test_a_baseline_for_a_method_that_takes_none(model):
    with pytest.raises(ValueError, match="`Saliency` does not take a `baseline`. Received: baseline="):
        Saliency(model)(X, baseline=0)


@pytest.mark.parametrize(
    "target, message",
    [
        (3, "from 0 to 2"),
        (-1, "from 0 to 2"),
        ([0, 1], "one target per sample, 7"),
        ("cat", "integer class index"),
        (0.5, "integer class index"),
        (True, "integer class index"),
        ({"scores": 0}, "integer class index"),
        (lambda scores: scores, "one value per sample"),
    ],
)
def test_bad_targets(model, target, message):
    with pytest.raises(ValueError, match=message):
        Saliency(model)(X, target=target)


@pytest.mark.parametrize("target", [None, 0, {"up": 0}, {}])
def test_bad_targets_of_several_outputs(two_by_two, target):
    with pytest.raises(ValueError, match="left"):
        Saliency(two_by_two)(PAIR, target=target)


@pytest.mark.parametrize(
    "x, message",
    [
        (X[:, :3], r"shape \(None, 4\)"),
        (X[0], "add the batch dimension"),
        (X[:0], "at least one sample"),
        (np.where(X > 1, np.nan, X), "NaN or infinity"),
        (np.full((2, 4), "word"), "real numbers"),
        ({"chair": X}, "Expected the inputs"),
    ],
)
def test_bad_samples(model, x, message):
    with pytest.raises(ValueError, match=message):
        Saliency(model)(x)


def test_scores_that_are_no_numbers():
    x = keras.Input((2,))
    model = keras.Model(x, layers.Dense(2)(keras.ops.log(x)), name="broken")
    with pytest.raises(ValueError, match="'broken'.* sample 1"):
        Saliency(model)(np.array([[1.0, 1.0], [0.0, 1.0]]))


def test_an_output_without_classes():
    x = keras.Input((6, 6, 1))
    model = keras.Model(x, layers.Conv2D(2, 3)(x))
    images = np.zeros((3, 6, 6, 1))
    with pytest.raises(ValueError, match="`target` that maps the scores"):
        Saliency(model)(images)
    assert Saliency(model)(images, target=lambda maps: maps[:, 0, 0, 1]).values.shape == images.shape


def test_models_that_cannot_be_read():
    class Net(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="never called"):
        Saliency(Net())
    with pytest.raises(TypeError, match=r"keras\.Model"):
        Saliency("model.keras")


@pytest.mark.parametrize("target", [None, {"left": 1, "right": 0}, {"left": lambda scores: scores[:, 0]}])
def test_explanations_are_saved_without_pickles(two_by_two, model, tmp_path, target):
    one = target is None
    explanation = IntegratedGradients(model, steps=3)(X) if one else GradientTimesInput(two_by_two)(PAIR, target)
    explanation.save(tmp_path / "explanation.npz")
    again = Explanation.load(tmp_path / "explanation.npz")
    assert (again.num_forward_passes, again.method, len(again)) == (explanation.num_forward_passes, explanation.method, 7)
    np.testing.assert_array_equal(again.convergence_delta, explanation.convergence_delta)
    for one, other in zip(keras.tree.flatten(again.values), keras.tree.flatten(explanation.values), strict=True):
        np.testing.assert_array_equal(one, other)
    assert keras.tree.map_structure(np.shape, again.inputs) == keras.tree.map_structure(np.shape, explanation.inputs)
    if target and callable(target["left"]):
        assert again.target["left"].__name__ == "<lambda>"
    elif target:
        assert again.target["left"].tolist() == [1] * 7
    else:
        np.testing.assert_array_equal(again.baseline, explanation.baseline)


def test_a_file_of_something_else(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"Explanation\.save"):
        Explanation.load(tmp_path / "other.npz")


def test_progress_is_shown_on_demand(model, capsys):
    Saliency(model, batch_size=2, verbose=0)(X)
    assert capsys.readouterr().out == ""
    Saliency(model, batch_size=2, verbose=1)(X)
    assert "4/4" in capsys.readouterr().out


def test_a_baseline_may_leave_out_inputs_that_are_held_fixed():
    inputs = {"mask": keras.Input((4,), dtype="bool", name="mask"), "x": keras.Input((4,), name="x")}
    model = keras.Model(inputs, layers.Dense(2)(keras.ops.where(inputs["mask"], inputs["x"], 0.0)))
    x = {"mask": np.ones((2, 4), "bool"), "x": np.random.default_rng(0).normal(size=(2, 4))}
    found = IntegratedGradients(model)(x, 0, baseline={"x": 0.5})
    expected = IntegratedGradients(model)(x, 0, baseline={"x": 0.5, "mask": 0})
    np.testing.assert_array_equal(found.values["x"], expected.values["x"])
    with pytest.raises(ValueError, match="`baseline` to have a value for each of the inputs"):
        IntegratedGradients(model)(x, 0, baseline={"mask": 0})


@pytest.mark.parametrize(
    "method, options, message",
    [
        ("LIME", {"n_samples": 3}, "Received: n_samples=.*Did you mean `num_samples`"),
        ("FeatureAblation", {"feature_mask": 3}, "Did you mean `groups`"),
        ("GradCAM", {"target_layers": [3]}, "Did you mean `layer`"),
        ("SmoothGrad", {"nois": 3}, "Did you mean `noise`"),
        ("Saliency", {"zzz": 3}, r"out of \['layer', 'unit', 'batch_size', 'verbose'\]. Received: zzz=\.\.\.\.$"),
    ],
)
def test_options_named_as_in_other_packages(method, options, message):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match=message):
        getattr(attribution, method)(model, **options)


def test_options_without_a_name_and_no_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match=r"Received: a second argument of type AttnLRP without a name"):
        attribution.LRP(model, attribution.AttnLRP())
    with pytest.raises(TypeError, match="Received: no model"):
        attribution.Saliency()


def test_explanations_by_lrp_name_the_composite():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    found = [attribution.LRP(model, composite=each)(np.ones((1, 3))).method for each in (None, attribution.AttnLRP())]
    assert found == ["LRP (EpsilonPlus)", "LRP (AttnLRP)"]
