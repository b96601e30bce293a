"""Tables: data frames, `shap.Explanation`, and what each kind of plot shows of the values."""

import keras
import numpy as np
import pandas as pd
import pytest

from keras_xai.attribution import Explanation, IntegratedGradients

RNG = np.random.default_rng(0)
COUNT, FEATURES = 9, 15
VALUES = RNG.normal(size=(COUNT, FEATURES)) * np.arange(FEATURES, 0, -1)
DATA = RNG.normal(size=(COUNT, FEATURES))
NAMES = [f"feature {i}" for i in range(FEATURES)]
BASE, DELTA = RNG.normal(size=COUNT), RNG.normal(size=COUNT)


def explained(values=VALUES, inputs=DATA, delta=DELTA, **others):
    fields = {"feature_names": NAMES, "base_score": BASE[: len(delta)]} | others
    target = fields.pop("target", np.zeros(len(delta), int))
    return Explanation(values, target, inputs, delta, None, 1.0, "Hand", **fields)


def columns():
    """Of a model of several inputs: numbers, categories and a vector."""
    x = {
        "age": np.array([[30.0], [41.0], [52.0]]),
        "kind": np.array([["a"], ["b"], ["a"]]),
        "vector": np.arange(6.0).reshape(3, 2),
    }
    values = {"age": np.array([[1.0], [2.0], [3.0]]), "kind": np.array([[-4.0], [5.0], [6.0]]), "vector": np.eye(3, 2)}
    return explained(values, x, DELTA[:3], feature_names=None)


def images():
    x = RNG.normal(size=(2, 3, 4, 3))
    return explained(x.sum(axis=-1, keepdims=True), x, DELTA[:2], feature_names=None)


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def bars(axes):
    """Starts and lengths of the bars."""
    found = [(patch.get_x(), patch.get_width()) for patch in axes.patches]
    return np.array(found).T


def test_wide_frame_has_a_column_for_each_feature():
    frame = explained().to_dataframe()
    assert list(frame.columns) == NAMES and frame.index.name == "sample"
    np.testing.assert_array_equal(frame, VALUES)
    several = columns().to_dataframe()
    assert list(several.columns) == ["age", "kind", "vector 0", "vector 1"]
    assert several.iloc[1].tolist() == [2, 5, 0, 1]
    with pytest.raises(
        ValueError, match=r"of a table: .* Received: values of 'input' of shape \(2, 3, 4, 1\). Use .*form='long'"
    ):
        images().to_dataframe()


def test_long_frame_has_a_row_for_each_entry():
    frame = columns().to_dataframe("long")
    assert list(frame.columns) == ["sample", "feature", "data", "value"] and len(frame) == 12
    found = frame.set_index(["sample", "feature"])
    assert found.loc[(1, "kind")].tolist() == ["b", 5] and found.loc[(2, "vector 1")].tolist() == [5, 0]
    wide = frame.pivot(index="sample", columns="feature", values="value")
    pd.testing.assert_frame_equal(wide, columns().to_dataframe(), check_names=False)


def test_long_frame_of_pictures_series_and_several_inputs():
    picture = images()
    frame = picture.to_dataframe("long")  # one value for a place, of which there are several channels
    assert list(frame.columns) == ["sample", "row", "column", "channel", "value"] and len(frame) == 24
    row = frame.iloc[17]
    assert picture.values[tuple(row[["sample", "row", "column", "channel"]].astype(int))] == row["value"]
    x = {"series": DATA[:, :6].reshape(9, 3, 2), "table": DATA[:, :2]}
    both = explained({"series": None, "table": DATA[:, :2]}, x, feature_names=None)
    assert list(both.to_dataframe().columns) == ["table 0", "table 1"]  # the other one is held fixed
    frame = explained(x, x, feature_names=None).to_dataframe("long")
    assert list(frame.columns) == ["sample", "input", "time", "channel", "data", "value", "feature"]
    assert len(frame) == 9 * 8 and (frame["data"] == frame["value"]).all()
    of_layer = explained(VALUES[:, :6].reshape(9, 3, 2), DATA, layer="conv", channel_axis=2)
    assert list(of_layer.to_dataframe("long").columns) == ["sample", "place", "channel", "value"]
    assert list(explained(layer="dense", channel_axis=1).to_dataframe().columns[:2]) == ["channel 0", "channel 1"]


def test_to_shap():
    found = explained().to_shap()
    np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_array_equal(found.data, DATA)
    np.testing.assert_array_equal(found.base_values, BASE)
    assert list(found.feature_names) == NAMES
    assert columns().to_shap().data[1].tolist() == [41, "b", 2, 3]
    picture = images()
    np.testing.assert_array_equal(picture.to_shap().data, picture.inputs)
    both = explained({"a": DATA.reshape(9, 3, 5), "b": DATA}, {"a": DATA.reshape(9, 3, 5), "b": DATA})
    with pytest.raises(ValueError, match=r"Received: values of the inputs \['a', 'b'\]"):
        both.to_shap()


@pytest.mark.slow
def test_shap_draws_it():
    import shap
    from matplotlib import pyplot

    for draw, given in ((shap.plots.waterfall, explained().to_shap()[0]), (shap.plots.beeswarm, explained().to_shap())):
        draw(given, show=False)
        assert NAMES[np.abs(VALUES[0]).argmax()] in "".join(labels(pyplot.gca()))
        pyplot.close("all")


def test_waterfall_goes_from_the_base_score_to_the_score():
    axes = explained().plot([4], kind="waterfall").axes[0]
    starts, lengths = bars(axes)
    order = np.argsort(-np.abs(VALUES[4]))
    np.testing.assert_allclose(lengths[:12], VALUES[4][order[:12]])
    np.testing.assert_allclose(lengths[12:], [VALUES[4][order[12:]].sum(), DELTA[4]])
    np.testing.assert_allclose(starts, BASE[4] + np.concatenate([[0], np.cumsum(lengths)[:-1]]))
    score = BASE[4] + VALUES[4].sum() + DELTA[4]
    assert starts[-1] + lengths[-1] == pytest.approx(score)
    assert labels(axes)[12:] == ["3 other features", "not explained"]
    assert labels(axes)[0] == f"feature {order[0]} = {DATA[4, order[0]]:.3g}"
    texts = [text.get_text() for text in axes.texts]
    assert f"base score {BASE[4]:.3g}" in texts and f"score {score:.3g}" in texts and f"{DELTA[4]:+.3g}" in texts
    (ends,) = axes.lines
    np.testing.assert_allclose(ends.get_xdata(), [BASE[4], score])


def test_a_single_feature_is_not_hidden():
    thirteen = explained(VALUES[:, :13], DATA[:, :13], feature_names=NAMES[:13], delta=0 * DELTA)
    expected = {name.split(" = ")[0] for name in NAMES[:13]}
    for kind, samples in (("waterfall", 1), ("bar", None), ("beeswarm", None), ("bars", 1)):
        axes = thirteen.plot(samples, kind=kind).axes[0]
        assert {name.split(" = ")[0] for name in labels(axes)} == expected
        assert "other" not in axes.get_xlabel() and "largest of" not in axes.get_xlabel()
    fourteen = explained(VALUES[:, :14], DATA[:, :14], feature_names=NAMES[:14], delta=0 * DELTA).plot(kind="waterfall")
    assert labels(fourteen.axes[0])[12:] == ["2 other features"]


def test_a_delta_of_rounding_is_told_and_not_drawn():
    few = explained(VALUES[:, :3], DATA[:, :3], 1e-9 * DELTA, feature_names=list("abc"))
    figure = few.plot([0, 2], kind="waterfall", class_names=["cat", "dog"], title="Two")
    assert [len(axes.patches) for axes in figure.axes] == [3, 3]
    assert f"convergence delta {1e-9 * DELTA[2]:.2g}" in figure.axes[1].get_xlabel()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["sample 0 by Hand: cat", "sample 2 by Hand: cat"]
    assert figure.get_suptitle() == "Two"
    assert len(few.plot(kind="waterfall").axes) == 1  # the first sample by default


def test_columns_of_several_inputs_are_one_table():
    figure = columns().plot([1], kind="waterfall")
    assert labels(figure.axes[0]) == ["kind = b", "age = 41", "vector 1 = 3", "vector 0 = 2", "not explained"]
    assert sorted(labels(columns().plot(1, kind="bars").axes[0]))[:2] == ["age = 30", "kind = a"]
    named = columns().plot([1], kind="waterfall", feature_names=["A", "K", "v", "w"])
    assert labels(named.axes[0])[:2] == ["K = b", "A = 41"]


def test_bar_is_the_mean_of_absolute_values():
    (axes,) = explained().plot([1, 5, 6], kind="bar", title="mine").axes
    sizes = np.abs(VALUES[[1, 5, 6]]).mean(axis=0)
    np.testing.assert_allclose(bars(axes)[1], np.sort(sizes)[::-1][:12])
    assert labels(axes) == [NAMES[i] for i in np.argsort(-sizes)[:12]]
    assert f"3 other features add up to {np.sort(sizes)[:3].sum():.3g}" in axes.get_xlabel()
    assert axes.get_title(loc="left") == "mine"


def test_beeswarm_has_a_dot_for_each_value_in_the_color_of_its_feature():
    figure = explained().plot(kind="beeswarm")
    axes, bar = figure.axes
    order = np.argsort(-np.abs(VALUES).mean(axis=0))[:12]
    assert labels(axes) == [NAMES[i] for i in order]
    for row, (dots, i) in enumerate(zip(axes.collections, order, strict=True)):
        x, y = np.asarray(dots.get_offsets()).T
        np.testing.assert_allclose(x, VALUES[:, i])
        assert (np.abs(y - row) <= 0.4).all()
        luminance = dots.get_facecolors()[:, :3] @ [
            0.2,
            0.7,
            0.1,
        ]  # of larger values it is larger, whatever colors one tells apart
        assert (np.diff(luminance[np.argsort(DATA[:, i])]) >= -1e-9).all()
    assert bar.get_ylabel() == "feature value" and "the 12 largest of 15 features" in axes.get_xlabel()


def test_beeswarm_draws_categories_and_missing_values_in_gray():
    data = np.array([[1.0, "x", "3"], [np.nan, "y", "4"], [None, "x", "3"], [2.0, "x", "3"]], dtype=object)
    frame = explained(VALUES[:4, :3], data, DELTA[:4], feature_names=["number", "word", "code"])
    axes = frame.plot(kind="beeswarm").axes[0]
    dots = {
        name: [(len(each.get_offsets()), *each.get_facecolors()[0][:3]) for each in axes.collections if _row(each) == row]
        for row, name in enumerate(labels(axes))
    }
    gray = dots["word"][0][1:]
    assert np.ptp(gray) < 0.1 and [each[0] for each in dots["word"]] == [4]
    assert dots["code"] == dots["word"]  # digits that name something
    assert dots["number"][0] == (2, *gray) and dots["number"][1][0] == 2 and dots["number"][1][1:] != gray
    assert "gray: categories, missing values" in axes.get_xlabel()


def _row(dots):
    return round(float(np.asarray(dots.get_offsets())[:, 1].mean()))


def test_equal_values_lie_apart():
    equal = explained(np.zeros((40, 1)), np.arange(40.0)[:, None], np.zeros(40), feature_names=["a"], base_score=np.zeros(40))
    y = np.asarray(equal.plot(kind="beeswarm").axes[0].collections[0].get_offsets())[:, 1]
    assert len(np.unique(y.round(6))) == 40 and np.abs(y).max() <= 0.4


def test_the_score_is_named():
    def told(class_names=None, **fields):
        return explained(**fields).plot(kind="bar", class_names=class_names).axes[0].get_xlabel()

    assert "contribution to the score of class 0, 9 samples" in told()
    assert "contribution to the score of cat" in told(["cat", "dog"])
    assert "of each sample's explained class" in told(["cat", "dog"], target=np.arange(9) % 2)
    assert "derivative of the score of class 0" in told(derivatives=True)
    assert "contribution to the prediction" in told(prediction=BASE)
    assert "contribution to price" in told(["price"], prediction=BASE)
    assert "contribution to the explained score" in told(target=len)


def test_long_names_leave_room_for_the_bars():
    name = "a long name of a column that nobody would type by hand in a notebook"
    for kind in ("bars", "waterfall", "bar", "beeswarm"):
        figure = explained(VALUES[:, :2], DATA[:, :2], feature_names=[name, "b"]).plot(kind=kind)
        figure.canvas.draw()  # warns if there is none
        assert figure.axes[0].get_window_extent().width > 150
        assert any("..." in label for label in labels(figure.axes[0]))


def test_what_is_no_table_or_adds_up_to_no_score():
    with pytest.raises(ValueError, match="Expected an explanation of a table"):
        images().plot(kind="bars")
    with pytest.raises(ValueError, match="for kind='waterfall'. Received: one by Hand, which does not distribute a score"):
        explained(base_score=None).plot(kind="waterfall")
    with pytest.raises(ValueError, match=r"one of \['bars', 'waterfall', 'bar', 'beeswarm'\]. Received: kind='violin'"):
        explained().plot(kind="violin")
    with pytest.raises(ValueError, match=r"Received: \['vocabulary'\], kind='bar'"):
        explained().plot(kind="bar", vocabulary=["a"])
    with pytest.raises(ValueError, match="15 names, one for each feature"):
        explained().plot(kind="bar", feature_names=["a"])
    with pytest.raises(ValueError, match="finite values"):
        explained(np.log(VALUES - VALUES.min())).plot(kind="beeswarm")


@pytest.mark.parametrize(
    "kind, refused",
    [
        ("bars", {"alpha": 0.5, "percentile": 90, "preprocessing": "tf", "show": abs}),
        ("waterfall", {"sign": "absolute", "percentile": 90}),
        ("bar", {"labels": np.zeros(COUNT, int), "cmap": "PiYG", "sign": "positive", "columns": 2}),
        ("beeswarm", {"labels": list(range(COUNT)), "columns": 2}),
    ],
)
def test_a_kind_refuses_the_options_that_it_does_not_have(kind, refused):
    for name, value in refused.items():
        with pytest.raises(ValueError, match=rf"Received: \['{name}'\], kind='{kind}'"):
            explained().plot(kind=kind, **{name: value})
    explained().plot(kind=kind, alpha=1, sign="both", percentile=99, class_names=["a"], title="t")  # the defaults


def test_kinds_have_the_options_of_pictures(tmp_path):
    from matplotlib import colormaps

    figure = explained().plot(5, kind="waterfall", columns=2, labels=[1] * COUNT, cmap="PiYG", path=tmp_path / "a.png")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"sample {i} by Hand: class 0, true: class 1" for i in range(5)] + [""]
    assert [axes.get_subplotspec().rowspan.start for axes in figure.axes] == [0, 0, 1, 1, 2, 2]
    largest = max(VALUES[0], key=abs)
    np.testing.assert_allclose(figure.axes[0].patches[0].get_facecolor(), colormaps["PiYG"](float(largest > 0)), atol=0.01)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    dots = explained().plot(kind="beeswarm", cmap="gray").axes[0].collections[0]
    np.testing.assert_allclose(dots.get_facecolors()[:, 0], dots.get_facecolors()[:, 2])
    with pytest.raises(ValueError, match="`cmap` to be the name of a color map"):
        explained().plot(kind="beeswarm", cmap="rainbows")
    bars = explained().plot(2, kind="bars", sign="absolute", columns=2).axes
    assert len(bars[0].patches) == 12 and all(patch.get_width() >= 0 for patch in bars[0].patches)
    assert bars[1].get_subplotspec().rowspan.start == 0
    with pytest.raises(ValueError, match="`labels` to be a class index"):
        explained().plot(kind="waterfall", labels=[1])


def test_methods_with_a_data_frame():
    frame = pd.DataFrame({"age": [3.0, 1.0], "income": [-1.0, 2.0]})
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1, "sigmoid")])
    explanation = IntegratedGradients(model, steps=4)(frame)
    assert list(explanation.to_dataframe().columns) == ["age", "income"]
    axes = explanation.plot([1], kind="waterfall", class_names=["no", "yes"]).axes[0]
    assert {"age = 1", "income = 2"} <= set(labels(axes)) and "yes (p = " in axes.get_title(loc="left")
