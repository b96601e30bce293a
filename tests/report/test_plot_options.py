"""Options of pictures of explanations: true colors, names, scales, and where the pictures are."""

import dataclasses
import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from keras_xai.attribution import CAM, Explanation, GradCAM, Saliency
from keras_xai.data.imagenet import imagenet_names
from keras_xai.data.preprocessing import PREPROCESSINGS
from keras_xai.metrics import Sparseness, compare_methods
from keras_xai.report import explanations_plot, words_html
from keras_xai.report.classes import PALETTE, class_colors


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def explained(inputs, values, **others):
    return Explanation(values, np.arange(len(inputs)) % 3, inputs, None, None, 1.0, "Hand", **others)


def images_of(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images if axes.get_label() != "<colorbar>"]


def bar_of(figure):
    (bar,) = (axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    return bar.get_xlim(), [label.get_text() for label in bar.get_xticklabels()]


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_true_colors(name, rng, tmp_path):
    """By name, and without a word where the model tells."""
    rgb = rng.uniform(40, 200, size=(3, 6, 5, 3))
    x = PREPROCESSINGS[name].apply(rgb)
    found = explained(x, rng.normal(size=x.shape))
    told = dataclasses.replace(found, preprocessing=PREPROCESSINGS[name])
    told.save(tmp_path / "told.npz")
    for figure in (
        found.plot(preprocessing=name),
        told.plot(),
        told[[0, 1]].plot(),
        Explanation.load(tmp_path / "told.npz").plot(),
    ):
        np.testing.assert_allclose(images_of(figure)[0], rgb[0] / 255, atol=1e-6)
    shown = told.plot(show=lambda image: np.zeros((6, 5)) + image.mean() * 0)
    assert not np.any(images_of(shown)[0])
    if name != "unit":  # as which colors from 0 to 1 are drawn anyway
        assert not np.allclose(images_of(found.plot())[0], rgb[0] / 255, atol=0.02)
    # Samples that are not preprocessed so are drawn as if nothing was known.
    wrong = dataclasses.replace(told, inputs=1000 * x)
    np.testing.assert_array_equal(
        images_of(wrong.plot())[0], images_of(dataclasses.replace(wrong, preprocessing=None).plot())[0]
    )


def test_a_method_asks_the_model(rng):
    layers = [keras.Input((6, 6, 3)), keras.layers.Rescaling(1 / 127.5, -1), keras.layers.Conv2D(2, 3)]
    model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")])
    x = rng.uniform(0, 200, size=(2, 6, 6, 3)).astype("float32")
    found = Saliency(model)(x)
    assert found.preprocessing == PREPROCESSINGS["raw"] and not found.nonnegative
    np.testing.assert_allclose(images_of(found.plot())[0], x[0] / 255, atol=1e-6)
    assert GradCAM(model)(x).nonnegative and CAM(model)(x).nonnegative
    probability = np.asarray(model(x)).max(axis=1)
    labels = [found.plot(class_names=list("abc")).axes[i].get_ylabel() for i in (0, 2)]
    assert labels == [
        f"{'abc'[k]} (p = {p:.3g})" for k, p in zip(np.asarray(model(x)).argmax(axis=1), probability, strict=True)
    ]


def test_preprocessing_is_of_images_of_three_colors(rng):
    gray, table = rng.random((1, 4, 4, 1)), rng.random((1, 4))
    for x in (gray, table):
        with pytest.raises(ValueError, match="`preprocessing` for images of three colors"):
            explained(x, x).plot(preprocessing="tf")


def test_rows_name_what_is_explained_predicted_and_true(rng):
    x = rng.random((3, 4, 4, 1))
    found = explained(
        x,
        x,
        probability=np.array([0.25, 0.5, 0.125]),
        predicted_class=np.array([1, 1, 2]),
        predicted_probability=np.array([0.75, 0.5, 0.125]),
    )
    figure = found.plot(class_names=["cat", "dog", "bird"], labels=[1, 0, 2])
    assert [figure.axes[i].get_ylabel() for i in (0, 2, 4)] == [
        "cat (p = 0.25)\npredicted: dog\n(p = 0.75)\ntrue: dog",
        "dog (p = 0.5)\ntrue: cat",
        "bird (p = 0.125)\ntrue: bird",
    ]
    named = found.plot(labels=np.array(["a", "b", "c"]), samples=[2])
    assert named.axes[0].get_ylabel() == "class 2 (p = 0.125)\ntrue: c"
    assert found[1:].plot(class_names="imagenet").axes[0].get_ylabel().startswith(imagenet_names()[1])
    for labels in ([1, 0], "abc", [0.5, 1.0, 2.0], [[0], [1, 2], [3]], 3):
        with pytest.raises(ValueError, match="`labels` to be a class index, or the name of a class, for each of 3"):
            found.plot(labels=labels)


def test_rows_name_what_several_explanations_have_in_common(rng):
    x, names = rng.random((2, 4, 4, 1)), ["cat", "dog", "bird"]
    known = {
        "probability": np.array([0.75, 0.25]),
        "predicted_class": np.array([0, 2]),
        "predicted_probability": np.array([0.75, 0.5]),
    }
    first = explained(x, x, **known)
    other = dataclasses.replace(first, target=np.array([1, 2]), probability=np.array([0.125, 0.5]))
    worse = dataclasses.replace(first, probability=np.array([0.5, 0.25]), predicted_probability=np.array([0.5, 0.5]))

    def labels(*explanations, **options):
        figure = explanations_plot(dict(zip("abc", explanations, strict=False)), class_names=names, **options)
        return [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]

    assert labels(first, first) == ["cat (p = 0.75)", "dog (p = 0.25)\npredicted: bird\n(p = 0.5)"]
    assert labels(first, explained(x, x)) == labels(first, first)  # a control, which knows no probability
    assert labels(first, other) == ["predicted: cat\n(p = 0.75)", "predicted: bird\n(p = 0.5)"]
    assert labels(first, other, labels=[0, 0], samples=[1]) == ["predicted: bird\n(p = 0.5)\ntrue: cat"]
    assert labels(first, worse, samples=[0]) == ["cat"]  # of another model
    assert labels(explained(x, x), dataclasses.replace(explained(x, x), target=np.array([1, 2]))) == []


def test_a_scale_from_zero_for_methods_without_negative_values(rng):
    x, values = rng.random((2, 4, 4, 1)), rng.random((2, 4, 4, 1))
    heat, signed = explained(x, values, nonnegative=True), explained(x, values - 0.5)
    assert bar_of(heat.plot()) == ((0, 1), ["0", "positive"])
    assert bar_of(signed.plot()) == ((-1, 1), ["negative", "0", "positive"])
    assert bar_of(explanations_plot({"a": heat, "b": signed})) == ((-1, 1), ["negative", "0", "positive"])
    # The same color as on the scale with both signs.
    both = images_of(explanations_plot({"a": heat, "b": signed}))
    np.testing.assert_allclose(images_of(heat.plot())[1], both[1], atol=0.02)
    # One picture, one scale, with numbers.
    limit = np.percentile(values[0], 90)
    (low, high), ticks = bar_of(heat.plot(samples=1, percentile=90))
    assert (low, ticks) == (0, ["0", f"{limit:.3g}"]) and high == pytest.approx(limit)


def test_signs_color_maps_and_opacity():
    x, values = np.ones((1, 1, 3, 1)), np.array([-2.0, 0.0, 2.0]).reshape(1, 1, 3, 1)
    found = explained(x, values)
    both, positive, absolute = (images_of(found.plot(sign=sign))[1][0] for sign in ("both", "positive", "absolute"))
    assert both[0, 2] > both[0, 0] + 0.2 and both[2, 0] > both[2, 2] + 0.2
    np.testing.assert_allclose(positive[0], positive[1])
    np.testing.assert_allclose(absolute[0], absolute[2])
    assert bar_of(found.plot(sign="absolute", samples=[0]))[1] == ["0", "2"]
    from matplotlib import colormaps

    np.testing.assert_allclose(images_of(found.plot(cmap="PiYG"))[1][0, 2], colormaps["PiYG"](1.0)[:3])
    np.testing.assert_allclose(images_of(found.plot(cmap="viridis", sign="positive"))[1][0, 2], colormaps["viridis"](1.0)[:3])
    none, half, full = (images_of(found.plot(alpha=alpha))[1][0] for alpha in (0, 0.5, 1))
    np.testing.assert_allclose(none[0], none[1])
    np.testing.assert_allclose(half, (none + full) / 2)
    with pytest.raises(ValueError, match="`cmap` to be the name of a color map.*Received: cmap='rainbows'"):
        found.plot(cmap="rainbows")


def test_signs_of_series_tables_and_words():
    for x in (np.random.default_rng(0).normal(size=(1, 9, 1)), np.ones((1, 4)), np.array([[1, 2, 3, 4]])):
        values = np.linspace(-1, 1, x.size).reshape(x.shape)
        for sign in ("both", "positive", "absolute"):
            figure = explained(x, values).plot(sign=sign)
            low = -1 if sign == "both" else 0
            assert bar_of(figure)[0][0] == pytest.approx(low, abs=0.06) and (bar_of(figure)[0][0] < 0) == (sign == "both")
    bars = explained(np.ones((1, 3)), np.array([[-3.0, 1.0, 2.0]])).plot(sign="absolute").axes[0].patches
    assert [bar.get_width() for bar in bars] == [3, 2, 1]


def test_columns(rng):
    x = rng.random((5, 4, 4, 3))
    found = {name: explained(x, rng.normal(size=x.shape)) for name in "abc"}
    figure = explanations_plot(found, samples=2, columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["input", "a", "b", "", "", "", "input", "c", "", "", ""]
    one = found["a"].plot(5, columns=3, labels=[0, 1, 2, 3, 4])
    assert [axes.get_title(loc="left") for axes in one.axes[:10:2]] == [f"class {k % 3}\ntrue: class {k}" for k in range(5)]
    np.testing.assert_allclose(images_of(one)[6], x[3])
    tops = [axes.get_subplotspec().rowspan.start for axes in one.axes[:10]]
    assert tops == [0] * 6 + [1] * 4 and one._suptitle.get_text() == "Hand"
    assert len(found["a"].plot(1, columns=3).axes) == 3


def test_metrics_are_below_their_method(rng):
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    methods = {"a": Saliency(model), "b": GradCAM(model), "c": Saliency(model)}
    found = compare_methods(model, rng.random((2, 4, 4, 1)), methods, [Sparseness()], verbose=0)
    figure = found.plot(samples=1, columns=2)
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes if axes.texts]
    assert [column[0] for column in texts] == [
        "Sparseness ↑",
        *(_cell(found, name) for name in "ab"),
        "Sparseness ↑",
        _cell(found, "c"),
    ]


def _cell(found, name):
    row = found.table.loc[name, "Sparseness"]
    return f"{row['mean']:.3g} ± {row['high'] - row['mean']:.2g}"


def test_pictures_are_saved(tmp_path, rng):
    x = rng.random((1, 4, 4, 1))
    for name in ("a.png", "b.pdf", "c"):
        explained(x, x).plot(path=tmp_path / name)
    explanations_plot({"a": explained(x, x)}, path=str(tmp_path / "d.svg"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.pdf", "c.png", "d.svg"]
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")
    for wrong in (tmp_path, "", "picture.docx"):
        with pytest.raises(ValueError, match=re.escape(f"Received: path={wrong!r}")):
            explained(x, x).plot(path=wrong)
    with pytest.raises(TypeError, match="`path`"):
        explained(x, x).plot(path=3)


class Words(HTMLParser):
    """The words of spans with the red and blue of their backgrounds, and tags that are neither spans nor divisions."""

    def __init__(self, text):
        super().__init__()
        self.words, self.others, self._color = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "span":
            self._color = to_rgb(re.search(r"background: (#\w+)", dict(attrs)["style"])[1])
        elif tag != "div":
            self.others.append(tag)

    def handle_endtag(self, tag):
        self._color = None

    def handle_data(self, data):
        if self._color is not None:
            self.words.append((data, self._color[0] - self._color[2]))


def test_words_as_html():
    tokens = np.array([[2, 3, 1, 0], [3, 3, 2, 2]])
    values = np.array([[5.0, -5.0, 0.0, 9.0], [1.0, 1.0, -1.0, 1.0]])
    found = explained(tokens, values)
    words = Words(
        words_html(found, samples=1, vocabulary=["", "[UNK]", "<script>good", "bad & ugly"], class_names=["<b>", "b", "c"])
    )
    (good, red), (bad, blue), (unknown, pale) = words.words
    assert (good, bad, unknown) == ("<script>good", "bad & ugly", "[UNK]") and words.others == []
    assert red > 0.2 and blue < -0.2 and abs(pale) < 0.05
    assert [word for word, _ in Words(words_html(found)).words] == ["2", "3", "1", "3", "3", "2", "2"]
    # A notebook has the words instead of a picture, and of other samples a picture.
    page = found._repr_html_()
    assert page.count("<span") == 7 and "<img" not in page
    strings = explained(np.array([["a", "<i>"], ["c", ""]]), values[:, :2])
    assert [word for word, _ in Words(strings._repr_html_()).words] == ["a", "<i>", "c"]
    pixels = explained(np.ones((1, 3, 3, 1)), np.ones((1, 3, 3, 1)))
    assert "<span" not in pixels._repr_html_() and "<img" in pixels._repr_html_()
    with pytest.raises(ValueError, match="an explanation of texts or tokens"):
        words_html(pixels)
    with pytest.raises(ValueError, match="finite values"):
        words_html(explained(tokens, np.full(tokens.shape, np.nan)))


# Severity 1 of Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009.
SEEN = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def nearest(colors, matrix):
    """The smallest difference of two colors, CIEDE2000, as seen."""
    colors = np.array([to_rgb(color) for color in colors])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(matrix), 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]
    return min(deltaE_ciede2000(lab[i], lab[j]) for i in range(len(lab)) for j in range(i))


@pytest.mark.parametrize("sight", SEEN)
def test_colors_of_classes_are_told_apart(sight):
    assert len(PALETTE) == 10 and nearest(PALETTE, SEEN[sight]) > 10
    # The negative control: the ten colors of matplotlib.
    from matplotlib import colormaps

    if sight != "normal":
        assert nearest(colormaps["tab10"].colors, SEEN[sight]) < 10


def test_more_classes_than_colors():
    np.testing.assert_allclose(class_colors(10)[:, :3], [to_rgb(color) for color in PALETTE])
    brightness = class_colors(30)[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) > 0).all()
