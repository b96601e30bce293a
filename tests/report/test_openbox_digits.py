"""The example: its numbers hold, and its page shows them."""

import functools

import numpy as np
import pytest

from tests.examples import load_example


@pytest.fixture(scope="module")
def openbox_digits():
    return load_example("openbox_digits")


def shorten(openbox_digits, monkeypatch):
    """Less of what takes long, and would be checked no better by more of it."""
    monkeypatch.setattr(openbox_digits, "NUM_DIRECTIONS", 3)
    monkeypatch.setattr(openbox_digits, "TIMED_IMAGES", 8)
    monkeypatch.setattr(openbox_digits, "measure_times", functools.partial(openbox_digits.measure_times, repeats=1))


@pytest.mark.slow
def test_openbox_digits(openbox_digits, monkeypatch, tmp_path, capsys):
    shorten(openbox_digits, monkeypatch)
    path = tmp_path / "page.html"
    numbers = openbox_digits.main(["--epochs", "3", "--samples", "60", "--report", str(path)])
    assert numbers["test accuracy"] > 0.8
    assert 1 <= numbers["regions"] <= 60
    assert numbers["images with radius 0"] == 0
    # The trap that dequantization is for is there without it.
    assert numbers["original images with radius 0"] > 0
    assert numbers["points inside"] == 180
    assert numbers["contained, inside"] == 1.0
    assert numbers["worst error, inside"] < 1e-10
    assert numbers["wrong, inside"] == 0
    assert numbers["worst error inside, probabilities"] < 1e-4
    for where in ("beyond", "twice"):
        assert numbers[f"contained, {where}"] == 0
        assert numbers[f"worst error, {where}"] > 1e-7
    assert 0.2 < numbers["wrong, beyond"] <= numbers["wrong, twice"]
    radii = [numbers[f"radius, {percent}% quantile"] for percent in (5, 50, 95)]
    assert 0 < radii[0] <= radii[1] <= radii[2]
    printed, source = capsys.readouterr().out, path.read_text(encoding="utf-8")
    for name, value in openbox_digits.table(numbers):
        assert f"{name.strip()}  " in printed and f" {value}\n" in printed
        assert f"<td>{value}</td>" in source
    assert source.count('<section class="panel">') == 10
    assert str(tmp_path) not in source


def test_shown_images_are_correct_where_possible(openbox_digits):
    labels = np.repeat(np.arange(10), 3)
    predicted = labels.copy()
    predicted[0] = 9  # the first 0 is wrong, the second is right
    chosen, remark = openbox_digits.choose_images(predicted, labels)
    assert chosen == [1, *range(3, 30, 3)] and remark.endswith("correctly.")
    predicted[3:6] = 0  # no 1 is right
    chosen, remark = openbox_digits.choose_images(predicted, labels)
    assert chosen[1] == 3 and "for 1 of the digits none is" in remark


def test_dequantization_keeps_gray_levels_in_their_steps(openbox_digits):
    x = np.arange(17.0).reshape(1, 17, 1, 1)
    spread = openbox_digits.dequantize(np.repeat(x, 1000, axis=0), 17, np.random.default_rng(0))
    assert spread.min() >= 0 and spread.max() <= 1
    steps = spread * 17 - x
    assert steps.min() > -1e-5 and steps.max() < 1 + 1e-5
    np.testing.assert_allclose(spread.mean(axis=0), (x[0] + 0.5) / 17, atol=0.005)


def test_mnist_comes_from_the_folder_named(openbox_digits, monkeypatch, tmp_path):
    images, labels = np.zeros((4, 28, 28), "uint8"), np.arange(4, dtype="uint8")
    monkeypatch.setenv("KERAS_XAI_DATA", str(tmp_path))
    options = openbox_digits.parse(["--data", "mnist"])
    with pytest.raises(FileNotFoundError, match="mnist.npz.*unset the variable"):
        openbox_digits.load(options)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    (x_train, y_train), (x_test, y_test), num_levels = openbox_digits.load(options)
    assert (x_train.shape, x_test.shape, num_levels) == ((4, 28, 28, 1), (2, 28, 28, 1), 256)
    assert (len(y_train), len(y_test)) == (4, 2)


def test_bad_options_are_refused_before_work(openbox_digits, tmp_path, capsys):
    with pytest.raises(SystemExit):
        openbox_digits.parse(["--report", str(tmp_path / "missing" / "page.html")])
    assert "does not exist; create it first" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        openbox_digits.parse(["--epochs", "0"])
    assert "expected a positive whole number, received '0'" in capsys.readouterr().err
