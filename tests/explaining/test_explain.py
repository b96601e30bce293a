"""What `explain` picks, finds and shows, beside the same methods called directly."""

import html
import re
import time

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import keras_xai
from keras_xai.attribution import LRP, DeepSHAP, GradCAM, IntegratedGradients
from keras_xai.explaining import candidates
from keras_xai.explaining.ratings import CONTROL, Reversed, is_better, trust_in
from keras_xai.explaining.selection import spread
from keras_xai.explaining.subject import read_subject
from keras_xai.metrics import IROF, Deletion
from tests.explaining.models import CLASSES, images, series, table, texts

UNKNOWN = dict.fromkeys(("target", "background", "class_names", "feature_names", "vocabulary", "preprocessing"))


@pytest.fixture(scope="module")
def of_images():
    model, x, y = images()
    return keras_xai.explain(model, x[:2], y[:2], class_names=CLASSES, verbose=0)


@pytest.fixture(scope="module")
def of_table():
    model, frame, y = table()
    labels = y.copy()
    labels[7] = 1 - labels[7]  # a mistake
    return keras_xai.explain(model, frame[:60], labels[:60], class_names=["no", "yes"], verbose=0)


def test_values_are_those_of_the_methods(of_images, of_table):
    model, x, _ = images()
    found = of_images.comparison.explanations
    assert list(found) == ["Grad-CAM", "Occlusion", "LRP", CONTROL]
    for name, method in {"Grad-CAM": GradCAM(model), "LRP": LRP(model)}.items():
        np.testing.assert_allclose(found[name].values, method(x[:2]).values, rtol=1e-4, atol=1e-6)
    model, frame, _ = table()
    background = frame[:60].to_numpy()[np.sort(np.random.default_rng(0).permutation(60)[:50])]
    target = (model.predict(frame[:50].to_numpy(), verbose=0)[:, 0] >= 0.5).astype(int)
    found = of_table.comparison.explanations
    for name, method, baseline in (
        ("DeepSHAP", DeepSHAP(model), background),
        ("Integrated gradients", IntegratedGradients(model, steps=32), background.mean(axis=0)),
    ):
        direct = method(frame[:50], target, baseline)
        np.testing.assert_allclose(found[name].values, direct.values, rtol=1e-3, atol=1e-5)
        assert found[name].feature_names == ["age", "height", "income", "rooms"]


def test_ratings_are_those_of_the_metric(of_images):
    model, _, _ = images()
    metric = IROF(model, segments=20, verbose=0)
    explanation = of_images.comparison.explanations["Grad-CAM"]
    np.testing.assert_allclose(of_images.comparison.values["IROF"]["Grad-CAM"], metric(explanation), atol=1e-5)
    (least,) = set(of_images.comparison.values) - {"IROF"}
    assert least == Reversed(metric).label
    np.testing.assert_allclose(
        of_images.comparison.values[least]["LRP"], Reversed(metric)(of_images.comparison.explanations["LRP"]), atol=1e-5
    )


def test_the_control_is_rated_worse(of_images, of_table):
    for report in (of_images, of_table):
        first, last = report.comparison.values.values()
        sign = 1 if next(iter(report.comparison.higher_is_better.values())) else -1
        gaps = {name: float(np.mean(sign * (first[name] - last[name]))) for name in first}
        assert gaps[CONTROL] == min(gaps.values())
        assert max(gaps.values()) > gaps[CONTROL] + 0.1
        assert "better than chance" in report.html()


def test_an_explanation_that_is_no_better_than_chance_is_told():
    gaps = np.random.default_rng(0).normal(size=(6, 30))
    assert trust_in(gaps[0], gaps[1:]).level == 0
    assert trust_in(gaps[0] + 10, gaps[1:]).level == 2
    assert trust_in(gaps[0] - 10, gaps[1:]).wins == 0


def test_reversed_is_the_metric_of_negated_values():
    model, frame, _ = table()
    explanation = IntegratedGradients(model, steps=4)(frame[:3])
    metric = Deletion(model, steps=4)
    rates = Reversed(metric)
    assert rates.higher_is_better and not metric.higher_is_better
    # Nothing is hidden and everything is hidden at the ends of both curves.
    assert (rates(explanation) >= metric(explanation) - 1e-6).all()


def test_predictions(of_images, of_table):
    model, x, y = images()
    predicted = model.predict(x[:2], verbose=0)
    table_of = of_images.predictions
    assert table_of["prediction"].tolist() == [CLASSES[i] for i in predicted.argmax(axis=1)]
    np.testing.assert_allclose(table_of["probability"], predicted.max(axis=1), atol=1e-5)
    assert table_of["label"].tolist() == [CLASSES[i] for i in y[:2]]
    assert len(of_table.predictions) == 60 and not of_table.predictions["correct"][7]


def test_the_page(of_images, of_table, tmp_path):
    page = of_images.save(tmp_path / "report.html").read_text("utf-8")
    assert page == of_images.html()
    assert page.count('<section class="case"') >= 2
    for words in (
        "What sides&#x27;s predictions depend on",
        "What it cost",
        "The exact formula",
        "raises the lead of the first class",
        "left",
        "right",
    ):
        assert words in page
    assert "Layer diagnosis" in of_images.left_out  # too few samples
    assert "The most confident mistakes" in of_table.html() and "Row 7: " in of_table.html()
    assert "Where the classes come apart" in of_table.html()
    assert "<script" not in page and not re.search(r'(src|href)="http', page)


@pytest.mark.parametrize(
    "name, title",
    [
        ("sequential_12", "What this model&#x27;s predictions depend on"),
        ("functional", "What this model&#x27;s predictions depend on"),
        ("model_1", "What this model&#x27;s predictions depend on"),
        ("model_of_churn", "What model_of_churn&#x27;s predictions depend on"),
    ],
)
def test_names_that_keras_makes_up_are_no_title(name, title):
    model, frame, _ = table()
    renamed = keras.Sequential([keras.Input((4,)), *model.layers], name=name)
    assert f"<h1>{title}</h1>" in keras_xai.explain(renamed, frame[:1], seconds=0.5, verbose=0).html()


def test_the_samples_shown_are_of_all_classes():
    model, frame, y = table()
    order = np.argsort(y, kind="stable")[:110]  # the first 50 are of class 0
    named = frame.set_index(pd.Index([f"person {i}" for i in range(120)], name="who")).iloc[order]
    report = keras_xai.explain(model, named, y[order], class_names=["no", "yes"], verbose=0)
    first, last = np.flatnonzero(y[order] == 0), np.flatnonzero(y[order] == 1)
    np.testing.assert_array_equal(report.samples, np.sort([*first[:25], *last[:25]]))
    found = report.comparison.explanations["Integrated gradients"]
    np.testing.assert_array_equal(found.inputs, named.to_numpy()[report.samples])
    background = named.to_numpy()[np.sort(np.random.default_rng(0).permutation(110)[:50])].mean(axis=0)
    target = (model.predict(named.to_numpy(), verbose=0)[:, 0] >= 0.5).astype(int)[report.samples]
    direct = IntegratedGradients(model, steps=32)(named.to_numpy()[report.samples], target, background)
    np.testing.assert_allclose(found.values, direct.values, rtol=1e-3, atol=1e-5)
    page = report.html().split("How far to trust this")[0]
    shown = [title.split(":")[0] for title in re.findall(r"<h3>(Row [^<]*)</h3>", page)]
    expected = [first[0], last[0], first[1], last[1], first[2]]
    assert shown == [f"Row {named.index[i]}" for i in expected]
    assert "5 of them are shown, chosen from all classes." in page
    assert report.predictions.index.equals(named.index)
    (further,) = re.findall(r"Further answers.*?</table>", report.html(), re.DOTALL)
    assert [f"<td>Row {named.index[i]}</td>" in further for i in (*expected, 3, 4)] == [False] * 5 + [True] * 2


def test_the_order_of_samples_is_spread_over_the_classes():
    assert spread(np.array([2, 2, 2, 0, 2, 0, 1])).tolist() == [0, 3, 6, 1, 5, 2, 4]
    assert spread(np.zeros(3)).tolist() == [0, 1, 2]


def test_methods_that_are_rated_alike_are_not_ranked(of_table):
    gaps = np.random.default_rng(0).normal(size=30)
    around = np.tile([-1.0, 1.0], 15)
    assert not is_better(gaps + 0.1 + around, gaps) and is_better(gaps + 0.5 + around, gaps)
    assert not is_better(np.ones(1), np.zeros(1)) and not is_better(np.ones(4), np.ones(4))
    assert not is_better(np.array([1.0, np.nan]), np.zeros(2))
    model, frame, _ = table()
    page = keras_xai.explain(model, frame[:1], background=frame, verbose=0).html()
    assert "A single row does not tell which of the 3 methods here is the best." in page
    first, last = of_table.comparison.values.values()  # of Deletion, of which less is better
    gap = {name: last[name] - first[name] for name in of_table.reasons}
    best = max(gap, key=lambda name: gap[name].mean())
    tied = [name for name in gap if name != best and not is_better(gap[best], gap[name])]
    assert ("do not differ beyond their spread over 50 rows" in of_table.html()) == (len(tied) == len(gap) - 1)
    assert "The best of the" not in of_table.html()


def test_a_single_score_and_its_two_classes(of_table, of_images):
    assert "Red speaks for yes where yes is predicted, and for no where no is predicted." in of_table.html()
    assert "The model has one score" not in of_images.html()


def test_unknown_colors_are_told():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    for samples, preprocessing, unknown in ((300 * x, None, True), (300 * x, "caffe", False), (x.clip(0, 1), None, False)):
        subject = read_subject(model, samples, None, **{**UNKNOWN, "preprocessing": preprocessing})
        assert subject.has_unknown_colors == unknown
    page = keras_xai.explain(model, 300 * x, verbose=0).html()
    assert "The colors of the images here may be wrong" in page and "Give it by the argument `preprocessing`" in page
    assert "may be wrong" not in keras_xai.explain(model, 300 * x, preprocessing="caffe", verbose=0).html()


def test_candidates_know_what_their_methods_divide():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((9, 1)), layers.LSTM(4), layers.Dense(2, "softmax")])
    subject = read_subject(model, np.zeros((1, 9, 1)), None, **UNKNOWN)
    assert subject.unrolled_factor > 1
    for each in (candidates.DEEP_LIFT, candidates.GRADIENT_ROLLOUT, candidates.OCCLUSION):
        factor = subject.unrolled_factor if each.method.unrolls else 1
        assert each.num_programs(subject) == each.programs * factor
    assert candidates.GRADIENT_ROLLOUT.method.unrolls and not candidates.OCCLUSION.method.unrolls


def test_in_a_notebook_it_is_in_a_frame_of_its_own(of_images):
    shown = of_images._repr_html_()
    assert shown.startswith("<iframe") and "<style" not in shown  # escaped
    (source,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(source) == of_images.html()


def test_tokens_are_words():
    model, x, _ = texts()
    vocabulary = ["", "[UNK]", "a", "good", "bad", "film", "with", "many", "long", "scenes"]
    report = keras_xai.explain(model, x[:12], vocabulary=vocabulary, verbose=0)
    assert 'class="words"' in report.html() and ">good</span>" in report.html()
    assert report.left_out["The linear region"].startswith("The network is not made of linear pieces")
    strongest = np.abs(report.comparison.explanations["Occlusion"].values).argmax(axis=1)
    with_three = (x[:12] == 3).any(axis=1)
    assert (x[np.arange(12), strongest][with_three] == 3).mean() > 0.8


@pytest.mark.slow
def test_strings_and_categories():
    words = layers.TextVectorization(20, output_sequence_length=6)
    words.adapt(["a good film", "a bad film"])
    inputs = keras.Input((1,), dtype="string")
    vectors = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(words(inputs)))
    model = keras.Model(inputs, layers.Dense(2, "softmax")(vectors))
    report = keras_xai.explain(model, ["a good film", "bad"], class_names=["bad", "good"], verbose=0)
    assert CONTROL in report.comparison.explanations and ">film</span>" in report.html()
    inputs = {"color": keras.Input((1,), dtype="string", name="color"), "size": keras.Input((1,), name="size")}
    codes = layers.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")(inputs["color"])
    model = keras.Model(inputs, layers.Dense(2, "softmax")(layers.Concatenate()([codes, inputs["size"]])))
    frame = pd.DataFrame({"color": ["red", "blue"] * 6, "size": np.arange(12.0)})
    report = keras_xai.explain(model, frame, verbose=0)
    assert CONTROL in report.comparison.explanations and "color = red" not in report.left_out


@pytest.mark.slow
def test_recurrent_layers_are_not_divided_where_that_takes_too_long():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((400, 1)), layers.LSTM(4), layers.Dense(2, "softmax")])
    start = time.perf_counter()
    report = keras_xai.explain(model, np.random.default_rng(0).normal(size=(3, 400, 1)), seconds=15, verbose=0)
    assert time.perf_counter() - start < 15.5
    assert "would have taken" in report.left_out["DeepLIFT"]


@pytest.mark.slow
def test_a_model_that_predicts_numbers():
    model, x = series()
    report = keras_xai.explain(model, x[:3], np.zeros(3), verbose=0)
    assert report.predictions.columns.tolist() == ["prediction", "label"]
    assert list(report.comparison.higher_is_better) == ["Deletion", "Deletion, least relevant first"]
    assert "a higher prediction" in report.html()


def test_models_of_which_only_scores_are_known():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2, "softmax")])
    rounded = keras.Sequential([keras.Input((4,)), Rounded(), inner])
    frame = np.random.default_rng(0).normal(size=(12, 4)).astype("float32") * 5
    report = keras_xai.explain(rounded, frame, verbose=0)
    assert list(report.reasons) == ["Kernel SHAP", "Occlusion"]
    assert report.left_out["DeepSHAP"].startswith("It does not apply to this model.")


class Rounded(layers.Layer):
    """Has no derivative."""

    def call(self, x):
        return keras.ops.round(x)


@pytest.mark.slow
def test_columns_as_several_inputs():
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((1,), name=name) for name in ("age", "income")}
    model = keras.Model(inputs, layers.Dense(2, "softmax")(layers.Concatenate()(list(inputs.values()))))
    x = {name: np.random.default_rng(0).normal(size=(12, 1)).astype("float32") for name in inputs}
    report = keras_xai.explain(model, x, verbose=0)
    assert set(report.comparison.explanations["DeepSHAP"].values) == {"age", "income"}


@pytest.mark.slow
def test_several_outputs_need_a_target():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"a": layers.Dense(2, name="a")(inputs), "b": layers.Dense(3, name="b")(inputs)})
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    with pytest.raises(ValueError, match="pass a dict from output name to target"):
        keras_xai.explain(model, x)
    report = keras_xai.explain(model, x, target={"b": None}, class_names=["x", "y", "z"], verbose=0)
    assert set(report.predictions["prediction"]) <= {"x", "y", "z"}


@pytest.mark.slow
def test_same_seed_same_report(of_images):
    model, x, y = images()
    again = keras_xai.explain(model, x[:2], y[:2], class_names=CLASSES, verbose=0)
    for name, values in of_images.comparison.values.items():
        for method, each in values.items():
            np.testing.assert_allclose(again.comparison.values[name][method], each, atol=1e-5)


def test_explain_is_found_without_its_package():
    assert keras_xai.explain is keras_xai.explaining.explain and "explain" in dir(keras_xai)


def test_a_method_that_marks_nothing_makes_room_for_the_next():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    shapes = [each.shape for each in model.get_weights()]
    model.set_weights([np.ones(shapes[0]), np.ones(shapes[1]), np.full(shapes[2], -0.01), np.array([9.0, 0.0])])
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    assert not GradCAM(model)(x).values.any()  # all maps lower the score
    report = keras_xai.explain(model, x, verbose=0)
    assert "Grad-CAM" not in report.reasons and len(report.reasons) >= 2
    assert report.left_out["Grad-CAM"] == "It marks nothing here: all its values are zero."


def test_methods_are_rated_if_none_fits_the_first_place():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    x = np.random.default_rng(0).random((2, 8, 8, 1))
    report = keras_xai.explain(model, x, verbose=0)
    assert "Grad-CAM" in report.left_out and list(report.reasons) == ["Occlusion", "LRP"]
    metric = IROF(model, segments=20, verbose=0)
    explanation = report.comparison.explanations["Occlusion"]
    np.testing.assert_allclose(report.comparison.values["IROF"]["Occlusion"], metric(explanation), atol=1e-5)
    assert "were not rated" not in report.html()


def test_the_page_says_why_nothing_is_rated(monkeypatch):
    def refuse(*_):
        raise ValueError("It cannot be rated.")

    monkeypatch.setattr(IROF, "_rate", refuse)
    model, x, _ = images()
    report = keras_xai.explain(model, x[:2], verbose=0)
    assert "The methods were not rated. Take what they mark as suggestions. It cannot be rated." in report.html()
    assert report.left_out["How far to trust the methods"] == "It cannot be rated."


@pytest.mark.parametrize("target", [None, 0])
def test_weights_of_linear_pieces_are_those_of_the_predicted_class(monkeypatch, target):
    model, frame, _ = table()
    x = frame[:5].to_numpy()
    probability = model.predict(x, verbose=0)[:, 0]
    drawn = []

    def draw(subject, named, row):
        drawn.append((named, row))

    monkeypatch.setattr("keras_xai.explaining.page.picture_of", draw)
    page = keras_xai.explain(model, frame[:5], target=target, class_names=["no", "yes"], verbose=0).html()
    weights = [(named["weights"], row) for named, row in drawn if "weights" in named]
    assert len(weights) == 3
    # The network is linear on each piece, so that its logit changes by the weights times a small step.
    step = 1e-3 * np.eye(4)
    logit = keras.Model(model.inputs, model.layers[-2].output).predict
    last, _ = model.layers[-1].get_weights()
    for shown, row in weights:
        predicted = int(probability[row] >= 0.5)
        slope = ((logit(x[row] + step, verbose=0) - logit(x[row] - step, verbose=0)) @ last)[:, 0] / 2e-3
        np.testing.assert_allclose(shown.values[row], slope * (1 if predicted else -1), rtol=0.02, atol=0.01)
        assert shown.target[row] == predicted
        np.testing.assert_allclose(shown.probability[row], max(probability[row], 1 - probability[row]), rtol=1e-4)
        names = ("yes", "no") if predicted else ("no", "yes")
        assert f"Row {row}: for {names[0]} and against {names[1]}" in page
