"""The examples of attribution: their numbers hold where the answer is known, and their pages show them."""

import types

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from tests.examples import load_example

NAMES = ("photographs", "series", "table", "text")


@pytest.fixture(scope="module")
def examples():
    return {name: load_example(f"attribution_{name}") for name in NAMES}


def run(example, tmp_path, *arguments):
    """The numbers and the page."""
    path = tmp_path / "page.html"
    numbers = example.main([*arguments, "--report", str(path)])
    source = path.read_text(encoding="utf-8")
    assert str(tmp_path) not in source
    return numbers, source


@pytest.mark.slow
def test_photographs(examples, tmp_path):
    numbers, source = run(examples["photographs"], tmp_path, "--samples", "20", "--steps", "8")
    assert numbers["accuracy"] > 0.9
    for method in ("integrated gradients", "LRP", "occlusion"):
        assert numbers[f"deletion, {method}"] < 0.6 * numbers["deletion, random"]
        assert numbers[f"insertion, {method}"] > 1.2 * numbers["insertion, random"]
    assert source.count("<img ") == 1


@pytest.mark.slow
def test_series(examples, tmp_path):
    numbers, source = run(examples["series"], tmp_path, "--samples", "12")
    assert numbers["accuracy"] > 0.9
    chance = numbers["event part of the time"]
    for method in ("Grad-CAM", "integrated gradients", "occlusion", "LIME"):
        assert numbers[f"mass in event, {method}"] > chance + 0.5 * (1 - chance)
    assert source.count("<img ") == 2


@pytest.mark.slow
def test_table(examples, tmp_path):
    numbers, source = run(examples["table"], tmp_path, "--samples", "6")
    assert numbers["accuracy"] > 0.9
    assert numbers["delta, IG"] < 0.02
    assert max(numbers[f"delta, {which}"] for which in ("DeepSHAP", "SHAP (kernel)")) < 1e-3
    assert min(value for name, value in numbers.items() if name.startswith("agreement")) > 0.8
    assert source.count("<img ") == 4


@pytest.mark.slow
def test_text(examples, tmp_path, capsys):
    numbers, source = run(examples["text"], tmp_path, "--samples", "12")
    assert numbers["accuracy"] > 0.95
    for method in ("integrated gradients", "occlusion", "LIME"):
        assert numbers[f"on opinion, {method}"] > 4 * numbers["opinion, part of the words"]
    lines = dict(line.split(": ") for line in capsys.readouterr().out.splitlines() if line.startswith("most "))
    found = {title: set(words.split(", ")) for title, words in lines.items()}
    assert len(found["most negative"] & set(examples["text"].NEGATIVE)) >= 7
    assert len(found["most positive"] & set(examples["text"].POSITIVE)) >= 7
    assert source.count("<img ") == 2


@pytest.mark.parametrize("name", NAMES)
def test_options(examples, name):
    for arguments in (["--samples", "0"], ["--epochs", "none"], ["--report", "nowhere/page.html"]):
        with pytest.raises(SystemExit):
            examples[name].parse(arguments)


@pytest.mark.parametrize(
    "name, data, missing",
    [
        ("photographs", "photographs", "models/squeezenet_v1.1.keras"),
        ("photographs", "cifar10", "models/mobilenet_v1_to_conv_pw_12.keras"),
        ("series", "GunPoint", "ucr/GunPoint.npz"),
        ("table", "heloc", "heloc.npz"),
        ("text", "rt-polarity", "text/rt-polarity.pos.txt"),
    ],
)
def test_missing_data(examples, name, data, missing, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_XAI_DATA", str(tmp_path))
    example = examples[name]
    options = example.parse(["--data", data])
    with pytest.raises(FileNotFoundError, match=missing):
        example.SOURCES[data](options) if name == "photographs" else example.load(options)


def test_series_have_their_event_where_it_says(examples):
    x, y, event = examples["series"].make(300, np.random.default_rng(0))
    assert x.shape == (300, 128, 1) and set(y) == {0, 1, 2}
    inside = [x[i, event[i], 0] for i in range(300)]
    assert np.mean(x[..., 0][~event]) == pytest.approx(0, abs=0.05)
    rises = [np.polyfit(np.arange(len(each)), each, 1)[0] * len(each) for each in inside]
    for c, (mean, rise) in enumerate([(6, 0), (3, 6), (3, -6)]):
        of_class = np.flatnonzero(y == c)
        assert np.mean([inside[i].mean() for i in of_class]) == pytest.approx(mean, abs=0.3)
        assert np.mean([rises[i] for i in of_class]) == pytest.approx(rise, abs=0.6)


def test_sentences_say_what_their_label_says(examples):
    example, rng = examples["text"], np.random.default_rng(0)
    for _ in range(100):
        text, label, deciding = example.make(rng, 20)
        words = text.split()
        opinion = [word for word, each in zip(words, deciding, strict=False) if each]
        assert len(deciding) == 20 and len(words) <= 20 and opinion[0] == "was"
        assert label == ((opinion[-1] in example.POSITIVE) != ("not" in opinion))


def test_values_of_words(examples):
    example = examples["text"]
    tokens = np.array([[2, 3, 0], [3, 3, 2]])
    values = np.array([[1.0, -1.0, 9.0], [-2.0, -3.0, 3.0]])
    assert example.word_values(values, tokens, ["", "[UNK]", "good", "bad"], least=2) == [("bad", -2.0, 3), ("good", 2.0, 2)]
    assert example.word_values(values, tokens, ["", "[UNK]", "good", "bad"], least=3) == [("bad", -2.0, 3)]
    mask = np.array([[True, False, False], [True, True, False]])
    assert example.share_on(mask, values) == pytest.approx((1 / 11 + 5 / 8) / 2)


def test_relative_deltas_and_agreements(examples):
    example, rng = examples["table"], np.random.default_rng(0)
    exact, other = rng.normal(size=(2, 5, 8))
    values = {"IG": exact, "half": exact / 2, "other": other}
    explanations = {name: types.SimpleNamespace(values=each, convergence_delta=np.zeros(5)) for name, each in values.items()}
    deltas = example.relative_deltas(explanations)
    assert deltas[:2] == pytest.approx([0, 0.5]) and deltas[2] > 0.1
    agreement = example.agreements(explanations)
    expected = np.mean([spearmanr(a, b)[0] for a, b in zip(exact, other, strict=True)])
    expected = pd.DataFrame([[1, 1, expected], [1, 1, expected], [expected, expected, 1]], list(values), list(values))
    pd.testing.assert_frame_equal(agreement, expected, check_dtype=False)


@pytest.mark.slow
def test_words_that_decide_are_found_in_a_subclassed_transformer(examples, tmp_path):
    numbers, _ = run(examples["text"], tmp_path, "--network", "transformer", "--samples", "30")
    assert numbers["accuracy"] > 0.95
    for method in ("integrated gradients", "occlusion", "LIME"):
        assert numbers[f"on opinion, {method}"] > 0.6 > 2 * numbers["opinion, part of the words"]


@pytest.mark.slow
def test_real_data(examples, data_folder):
    """What is read from files is what the networks take."""
    (x, y), (x_test, _), event, names = examples["series"].load(examples["series"].parse(["--data", "GunPoint"]))
    assert x.shape == (50, 150, 1) and len(x_test) == 150 and len(y) == 50 and event is None and len(names) == 2
    x, y, features, _ = examples["table"].load(examples["table"].parse(["--data", "heloc"]))
    assert x.shape == (9871, 23) and len(features) == 23 and np.isfinite(x).all() and x.min() >= 0 and len(y) == 9871
    (texts, y), (test_texts, _), deciding = examples["text"].load(examples["text"].parse(["--data", "rt-polarity"]))
    assert len(texts) == len(y) == 9662 and len(test_texts) == 1000 and deciding is None
    example = examples["photographs"]
    task = example.photographs(example.parse(["--data", "photographs"]))
    assert np.mean(task.model.predict(task.x, verbose=0).argmax(axis=-1) == task.y) >= 0.68
    shown = task.show(task.x[0])
    assert not task.classes[task.y[0]].startswith("class") and shown.min() >= 0 and shown.max() <= 1
