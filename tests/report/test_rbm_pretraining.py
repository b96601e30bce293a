"""The example of pretraining: its numbers hold, and its page shows them."""

import keras
import numpy as np
import pytest

from tests.examples import load_example


@pytest.fixture(scope="module")
def example():
    return load_example("rbm_pretraining")


def runs_of(**accuracies):
    """Runs as far as `judge` looks at them, from the accuracies of each arm."""
    return [
        {arm: {"accuracy": values[i]} for arm, values in accuracies.items()}
        for i in range(len(next(iter(accuracies.values()))))
    ]


@pytest.mark.slow
def test_example(example, monkeypatch, tmp_path, capsys):
    path = tmp_path / "page.html"
    numbers = example.main(
        ["--units", "20", "--pretraining-epochs", "2", "--epochs", "10", "--seeds", "1", "--report", str(path)]
    )
    for arm in example.ARMS:
        assert 0.2 < numbers[f"accuracy, {arm}"] <= 1
        # The same weights at the beginning, and other ones only where there was pretraining.
        assert numbers[f"error before, {arm}"] == numbers["error before, BP"]
        changed = numbers[f"error after, {arm}"] < 0.9 * numbers[f"error before, {arm}"]
        assert changed == (arm != "BP")
    assert numbers["largest delta"] < 1e-4 * numbers["largest difference"]
    printed, source = capsys.readouterr().out, path.read_text(encoding="utf-8")
    for arm in example.ARMS:
        accuracy = f"{100 * numbers[f'accuracy, {arm}']:.1f}"
        assert f"{arm}: " in printed and f" {accuracy} " in printed
        assert f"<td>{accuracy}</td>" in source
    for text in ("One seed cannot show", "64-20-10 with sigmoid units", "SHAP values of an image should add up to"):
        assert text in printed and text in source
    assert source.count("<img ") == 6
    assert str(tmp_path) not in source


def test_values_add_up_to_the_scores(example, monkeypatch):
    """Of a linear model they are known: the weights times the distance from the mean of the background."""
    monkeypatch.setattr(example, "BACKGROUND", 50)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(50, 16)).astype("float32")
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(10)])
    explanation = example.explain(model, {"all": (x, None), "test": (x[:2], np.arange(2))})
    expected = (x[:2] - x.mean(axis=0))[..., np.newaxis] * model.layers[0].get_weights()[0]
    np.testing.assert_allclose(explanation["values"], expected, atol=1e-5)
    assert explanation["largest delta"] < 1e-5
    assert example.shap_plot(explanation, (4, 4)).axes


def test_verdicts(example):
    baseline = [0.90, 0.91, 0.92]
    verdict = example.judge(runs_of(BP=baseline, PBP=[0.92, 0.93, 0.941], PPBP=[0.88, 0.891, 0.90], HPBP=[0.93, 0.90, 0.92]))
    assert "PBP (+1.9 to +2.2) helps; pretraining by PPBP (-2.1 to -1.8) hurts; " in verdict
    assert "HPBP (-4.5 to +5.8) makes no significant difference." in verdict
    verdict = example.judge(runs_of(BP=baseline, PBP=[0.92, 0.9, 0.93], PPBP=baseline, HPBP=baseline))
    assert verdict.endswith("Pretraining does not help significantly with these seeds.")
    assert "PBP (" in verdict and "PPBP (+0.0 to +0.0) and HPBP (+0.0 to +0.0) makes no significant difference" in verdict
    assert "did not help" in example.judge(runs_of(BP=[0.9], PBP=[0.9], PPBP=[0.8], HPBP=[0.9]))
    assert "PBP and HPBP did better than BP" in example.judge(runs_of(BP=[0.9], PBP=[0.91], PPBP=[0.8], HPBP=[0.92]))


@pytest.mark.parametrize("epochs, first", [(2, 1), (10, 7), (20, 14)])
def test_hybrid_divides_its_epochs_as_the_paper_does(example, epochs, first):
    stages = example.rule_of("HPBP", epochs).stages("hidden", epochs)
    assert [(type(rule).__name__, count) for rule, count in stages] == [
        ("ContrastiveDivergence", first),
        ("ReconstructionError", epochs - first),
    ]


def test_labels_are_of_all_digits(example):
    y = np.array([0] * 50 + [1] * 4 + [2] * 50)
    chosen = example.choose_labeled(y, 30, 0)
    assert len(set(chosen)) == 30
    assert np.bincount(y[chosen]).tolist() == [13, 4, 13]
    assert sorted(example.choose_labeled(y, len(y), 0)) == list(range(len(y)))
    assert set(example.choose_labeled(y, 30, 1)) != set(chosen)


def test_shown_images_are_correct_where_possible(example):
    labels = np.repeat(np.arange(10), 3)
    predicted = labels.copy()
    predicted[0] = 9  # the first 0 is wrong, the second is right
    predicted[3:6] = 0  # no 1 is right
    assert example.choose_images(predicted, labels) == [1, *range(3, 30, 3)]


def test_mnist_comes_from_the_folder_named(example, monkeypatch, tmp_path):
    images, labels = np.full((4, 28, 28), 255, "uint8"), np.arange(4, dtype="uint8")
    monkeypatch.setenv("KERAS_XAI_DATA", str(tmp_path))
    options = example.parse(["--data", "mnist", "--labels", "3"])
    assert (options.units, options.seeds) == ([500, 500], 1)
    with pytest.raises(FileNotFoundError, match="mnist.npz.*unset the variable"):
        example.load(options, 0)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    data = example.load(options, 0)
    assert (data["all"][0].shape, data["labeled"][0].shape, data["test"][0].shape) == ((4, 784), (3, 784), (2, 784))
    assert data["all"][0].max() == 1 and data["all"][0].dtype == "float32"
    with pytest.raises(ValueError, match="Expected --labels to be at most 4, .* Received: 5"):
        example.load(example.parse(["--data", "mnist", "--labels", "5"]), 0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--report", "missing/page.html"], "does not exist; create it first"),
        (["--epochs", "0"], "expected a positive whole number, received '0'"),
        (["--pretraining-epochs", "1"], "expected at least 2, since HPBP divides them"),
    ],
)
def test_bad_options_are_refused_before_work(example, monkeypatch, tmp_path, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        example.parse(arguments)
    assert message in capsys.readouterr().err
