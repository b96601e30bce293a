"""The example of the FBI loss: its numbers hold, and its page shows them."""

import keras
import numpy as np
import pytest

from tests.examples import load_example


@pytest.fixture(scope="module")
def example():
    return load_example("fbi_training")


@pytest.mark.slow
def test_example(example, tmp_path, capsys):
    path = tmp_path / "page.html"
    numbers = example.main(["--epochs", "12", "--report", str(path)])
    assert min(numbers[f"accuracy, {arm}"] for arm in example.ARMS) > 0.85
    for arm in ("FBI", "activations"):
        assert numbers[f"penalty, {arm}"] < 0.85 * numbers["penalty, conventional"]
        assert numbers[f"hoyer, {arm}"] > numbers["hoyer, conventional"]
    printed, source = capsys.readouterr().out, path.read_text(encoding="utf-8")
    for arm in example.ARMS:
        accuracy = f"{numbers[f'accuracy, {arm}']:.1%}"
        assert accuracy in printed and f"<td>{accuracy}</td>" in source
    assert source.count("<img ") == 2
    assert str(tmp_path) not in source


def test_the_control_minimizes_what_its_name_says(example):
    keras.utils.set_random_seed(0)
    model = example.build((8, 8, 1))
    control = example.with_penalty_on_activations(model, 0.5)
    x = np.random.default_rng(0).uniform(size=(4, 8, 8, 1)).astype("float32")
    control(x)
    assert sum(map(float, control.losses)) == 0  # off
    for layer in control.layers:
        if isinstance(layer, example.SumOfActivations):
            layer.on.assign(1.0)
    control(x)
    maps = example.activations(model, x, [*example.CONVOLUTIONS, "dense"])
    expected = 0.5 * sum(np.abs(values).sum() for values in maps.values()) / 5 / len(x)
    assert sum(map(float, control.losses)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("arguments", [["--weight", "2"], ["--epochs", "0"], ["--report", "nowhere/page.html"]])
def test_options(example, arguments):
    with pytest.raises(SystemExit):
        example.parse(arguments)
