"""The example of transfer: its numbers hold, its words say what they say, and its page shows them."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from tests.examples import load_example

QUICK = ("--samples", "200", "--iterations", "300", "--repeats", "2")


@pytest.fixture(scope="module")
def example():
    return load_example("transfer_diagnosis")


@pytest.fixture
def network():
    """A color network with a classifier, and with batch normalization within another model."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()], name="inner"
    )
    return keras.Sequential([keras.Input((6, 6, 3)), inner, layers.Flatten(), layers.Dense(9, activation="softmax")])


@pytest.mark.slow
def test_example(example, tmp_path, capsys):
    path = tmp_path / "page.html"
    numbers = example.main([*QUICK, "--report", str(path)])
    printed, source = capsys.readouterr().out, path.read_text(encoding="utf-8")
    assert numbers["accuracy after, wide"] > numbers["accuracy before, wide"] + 0.05
    assert numbers["accuracy after, wide"] > numbers["accuracy after, narrow"] + 0.1
    hits = {
        (state, name): numbers[f"hit {state}, {name}, features"] for state in ("before", "after") for name in example.SMALL
    }
    assert hits["after", "wide"] > hits["before", "wide"] + 0.1 and hits["after", "narrow"] > hits["before", "narrow"]
    assert hits["after", "wide"] > hits["after", "narrow"] + 0.1
    # With depth it rises in the network that has learned the digits, and what does not learn stays as it is.
    assert hits["after", "wide"] > numbers["hit after, wide, pool1"] + 0.2
    assert numbers["hit after, wide, pool1"] == pytest.approx(numbers["hit before, wide, pool1"], abs=0.05)
    sentence = "Both order the networks alike."
    assert sentence in printed and sentence in source and "narrow is behind wide" in source
    for name in example.SMALL:
        accuracy = f"{numbers[f'accuracy after, {name}']:.1%}"
        assert accuracy in printed and f"<td>{accuracy}</td>" in source
        assert f"<td>{hits['after', name]:.3f}</td>" in source
    assert source.count("<img ") == 5
    assert str(tmp_path) not in source


@pytest.mark.slow
def test_a_seed_repeats_a_run(example, tmp_path, monkeypatch):
    monkeypatch.setattr(example, "SMALL", {"tiny": (2, 2, 4)})
    arguments = ["--train", "60", "--samples", "100", "--iterations", "260", "--repeats", "1", "--epochs", "1"]
    first, second = (example.main([*arguments, "--seed", "3", "--report", str(tmp_path / "page.html")]) for _ in range(2))
    assert first == pytest.approx(second, abs=1e-3)
    images, other = (example.load(example.parse(["--train", "60", "--seed", seed])) for seed in "34")
    assert not np.array_equal(images.x, other.x)


@pytest.mark.slow
def test_real_network(example, data_folder, tmp_path):
    path, file = tmp_path / "page.html", data_folder / "models" / "squeezenet_v1.1.keras"
    arguments = ["--data", "cifar10", "--backbone", f"{file}:caffe", "--train", "60", "--epochs", "1", "--samples", "100"]
    numbers = example.main([*arguments, "--iterations", "260", "--repeats", "1", "--report", str(path)])
    assert numbers["accuracy before, squeezenet_v1.1"] > 0.25  # that of guessing is 0.1, with a standard error of 0.03
    source = path.read_text(encoding="utf-8")
    assert source.count("<img ") == 3 and "has no sheet" not in source


def test_classifiers_are_replaced(example, network):
    backbone = example.Backbone("new", network, lambda images: images)
    model = example.with_new_classifier(backbone, 4)
    assert model.output_shape == (None, 4) and model.name == "new"
    assert [layer.name for layer in model.layers[2:]] == ["features", "scores"]
    frozen = [layer for layer in example.flattened(model) if not layer.trainable]
    assert [type(layer) for layer in frozen] == [layers.BatchNormalization]
    x, y = np.random.default_rng(0).normal(size=(40, 3, 3, 3)).astype("float32"), np.arange(40) % 4
    x[..., 0] += 3 * y[:, None, None]
    others = [weights for layer in model.layers[:-1] for weights in layer.get_weights()]
    example.fit_classifier(model, x, y)
    scores = model.predict(keras.ops.image.resize(x, (6, 6)), verbose=0)
    assert (scores.argmax(axis=-1) == y).mean() > 0.9
    for before, after in zip(others, [each for layer in model.layers[:-1] for each in layer.get_weights()], strict=True):
        np.testing.assert_array_equal(before, after)
    any_size = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="images of one size"):
        example.with_new_classifier(example.Backbone("any", any_size, None), 4)


def test_backbones(example, network, tmp_path, monkeypatch):
    file = tmp_path / "mine.keras"
    network.save(file)
    gray = np.full((2, 3, 3, 1), 51)
    for preparation, expected, is_bgr in (("scale", 0.2, False), ("tf", -0.6, False), ("caffe", 51 - 103.939, True)):
        backbone = example.from_file(f"{file}:{preparation}")
        assert backbone.name == "mine" and backbone.is_bgr == is_bgr
        prepared = backbone.prepared(gray)
        assert prepared.shape == (2, 3, 3, 3) and prepared[..., 0] == pytest.approx(expected, abs=1e-5)
    assert gray.dtype != "float32" and (gray == 51).all()

    def vgg16(weights):
        if weights != "imagenet":
            raise AssertionError
        return network

    vgg16.__module__ = keras.applications.VGG16.__module__
    monkeypatch.setattr(keras.applications, "VGG16", vgg16)
    found = example.from_applications("VGG16")
    assert found.model is network and found.is_bgr
    monkeypatch.setattr(keras.applications, "VGG16", lambda weights: keras.utils.get_file(origin="file:///nowhere/at_all.h5"))
    with pytest.raises(ConnectionError, match=r"weights of VGG16.*--backbone FILE.keras:PREPARATION"):
        example.from_applications("VGG16")
    with pytest.raises(ValueError, match=r"one of .*'ResNet50'.*--backbone ResNet5"):
        example.from_applications("ResNet5")
    for given in (str(file), f"{file}:best"):
        with pytest.raises(ValueError, match="a colon and a mode of preprocessing"):
            example.from_file(given)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras, which is not in"):
        example.from_file("nowhere.keras:tf")


def test_missing_data(example, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_XAI_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"squeezenet_v1.1.keras.*KERAS_XAI_DATA"):
        list(example.backbones(example.parse(["--data", "cifar10"])))
    with pytest.raises(ValueError, match="--train to be at most 448"):
        example.load(example.parse(["--train", "449"]))
    with pytest.raises(ValueError, match=r"none of \[.*larger --train"):
        example.load(example.parse(["--train", "3"]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--samples", "0"],
        ["--learning-rate", "0"],
        ["--backbone", "VGG16", "--backbone", "VGG16"],
        ["--report", "nowhere/page.html"],
    ],
)
def test_options(example, arguments):
    with pytest.raises(SystemExit):
        example.parse(arguments)


def test_too_few_samples_are_told_before_work(example, capsys):
    with pytest.raises(ValueError, match="less than a third of the number of samples"):
        example.main(["--samples", "90"])
    assert not capsys.readouterr().out


def test_digits_are_somewhere(example):
    images = np.arange(1, 129).reshape(2, 8, 8, 1) * np.ones((300, 1, 1, 1, 1))
    images = images.reshape(-1, 8, 8, 1)
    found = example.placed(images, np.random.default_rng(0))
    assert found.shape == (600, 16, 16, 1)
    np.testing.assert_array_equal(found.sum(axis=(1, 2, 3)), images.sum(axis=(1, 2, 3)))
    first = {tuple(np.argwhere(each[..., 0])[0]) for each in found}
    assert first == {(row, column) for row in range(9) for column in range(9)}


def pair_of(mean, low, high):
    """A pair of layers with a difference."""
    layer = types.SimpleNamespace(path="last", neighborhood_hit=types.SimpleNamespace(mean=0.5))
    return types.SimpleNamespace(a=layer, b=layer, difference=types.SimpleNamespace(mean=mean, low=low, high=high))


def test_words_on_order(example):
    good, bad = np.arange(100) >= 5, np.arange(100) >= 40
    clear, unclear = (0.2, 0.1, 0.3), (0.2, -0.1, 0.5)
    for rights, hit, expected in (
        ((good, bad), clear, "Both order the networks alike."),
        ((bad, good), clear, "They order the networks differently."),
        ((good, bad), unclear, "Only the accuracies differ significantly."),
        ((good, np.roll(good, 9)), clear, "Only the hits differ significantly."),
        ((good, good), unclear, "Neither differs significantly."),
    ):
        found = {name: types.SimpleNamespace(right={"after": right}) for name, right in zip("AB", rights, strict=True)}
        words = example.order_words(types.SimpleNamespace(names=("A", "B"), pairs=[pair_of(*hit)]), found)
        assert words.endswith(expected)
    assert "A has a test accuracy of 95.0%, B of 95.0% (difference +0.0%" in words


def test_words_on_change(example):
    pairs = [pair_of(*each) for each in ((0.1, 0.05, 0.15), (0.3, 0.2, 0.4), (-0.2, -0.3, -0.1), (0.0, -0.1, 0.1))]
    found = types.SimpleNamespace(
        change=types.SimpleNamespace(pairs=pairs),
        backbone=types.SimpleNamespace(name="A"),
        right={"before": np.arange(100) < 50, "after": np.arange(100) < 75},
    )
    words = example.change_words(found)
    assert "in 2 of 4 layers, most in 'last', by 0.300, and lowers it in 'last'. In 1 of them, the difference is not" in words
    # Of 100 differences, 25 are 1: their standard deviation is 0.435.
    assert "from 50.0% to 75.0% (difference +25.0%, 95 % confidence interval +16.5% to +33.5%)" in words
    found.change.pairs = pairs[-1:]
    assert example.change_words(found).startswith(
        "Fine-tuning A does not change the neighborhood hit significantly in any of 1 layers."
    )
