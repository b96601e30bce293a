"""A trained network tells classes apart better layer by layer, its untrained twin does not; and what a diagnosis is made of is right."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.metrics import pairwise_distances

from keras_xai.data.fields import write_fields
from keras_xai.diagnosis import Diagnosis, Protocol, compare_networks, diagnose, neighborhood_hit
from keras_xai.diagnosis.sampling import draw
from keras_xai.diagnosis.vectors import Extractor
from keras_xai.features import TSNE, activations
from keras_xai.graph.trace import trace
from tests.diagnosis.networks import NUM_TRAINING, network, shifted_digits, trained_network

QUICK = TSNE(perplexity=10, iterations=300, initialization="random")
PROTOCOL = Protocol(samples=250, repeats=2, tsne=QUICK)
IMAGES, LABELS = (array[NUM_TRAINING:] for array in shifted_digits())


@pytest.fixture(scope="module")
def trained():
    return trained_network()


@pytest.fixture(scope="module")
def reports(trained):
    return [diagnose(model, IMAGES, LABELS, protocol=PROTOCOL) for model in (trained, network("untrained"))]


def test_training_tells_classes_apart_with_depth(reports):
    trained, untrained = (list(report.layers.values()) for report in reports)
    assert [layer.path for layer in trained] == ["pooling1", "pooling2", "hidden"]
    for attribute in ("neighborhood_hit", "activation_hit", "probe_accuracy"):
        first, last = (getattr(trained[place], attribute) for place in (0, -1))
        assert last.low > first.high, attribute
        first, last = (getattr(untrained[place], attribute) for place in (0, -1))
        assert last.mean < first.mean + 0.05, attribute
    compared = compare_networks(*reports)
    assert compared.paired and compared.pairs[-1].difference.low > 0.1
    assert "untrained is behind trained from" in compared.summary


def test_figures_are_those_of_the_points_and_activations(reports, trained):
    report = reports[0]
    layer = report.layers["pooling2"]
    vectors = activations(trained, IMAGES[report.samples], ["pooling2"])["pooling2"].reshape(250, -1)
    labels = LABELS[report.samples]
    np.testing.assert_array_equal([report.classes[code] for code in report.labels], labels)
    # Up to three neighbors that are all but equally far as others, among which rounding decides.
    assert layer.activation_hit.mean == pytest.approx(neighborhood_hit(vectors, labels), abs=2e-3)
    assert layer.neighborhood_hit.mean == pytest.approx(np.mean([neighborhood_hit(points, labels) for points in layer.points]))
    assert layer.points.shape == (2, 250, 2) and layer.length == 288 and layer.vectors == "flattened"
    distances = pairwise_distances(vectors)
    near = distances.argsort(axis=1)[:, 1:7]  # the six nearest, without the point itself
    kept = [len(set(near[i]) & set(pairwise_distances(layer.points[0])[i].argsort()[1:7])) / 6 for i in range(250)]
    assert (layer.trustworthiness > 0.7).all() and np.mean(kept) > 0.25  # at random 6 of 249 would be: 0.02


def test_table_and_pictures(reports):
    table = reports[0].table
    assert table.index.tolist() == ["pooling1", "pooling2", "hidden"]
    for name in ("neighborhood hit", "in activations", "linear probe"):
        assert (table[name]["low"] < table[name]["mean"]).all() and (table[name]["mean"] < table[name]["high"]).all()
    assert table["layer"]["depth"].tolist() == [0.25, 0.5, 0.75]
    figure = reports[0].plot(class_names=list("abcdefghij"))
    assert [axes.get_title() for axes in figure.axes] == ["pooling1", "pooling2", "hidden"]
    assert figure.axes[0].get_xlabel().startswith(f"neighborhood hit {table['neighborhood hit']['mean']['pooling1']:.2f} ± ")
    curve = reports[0].plot_depth().axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), table["neighborhood hit"]["mean"])
    for options, message in (
        (
            {"class_names": ["a", "b", "c"]},
            r"list of 10 names, one for each class. Received: 3 names, class_names=\['a', 'b', 'c'\]",
        ),
        ({"repeat": 2}, "from 0 to 1. Received: repeat=2"),
    ):
        with pytest.raises(ValueError, match=message):
            reports[0].plot(**options)


def test_file(reports, tmp_path):
    reports[0].save(tmp_path / "report.npz")
    loaded = Diagnosis.load(tmp_path / "report")
    assert loaded.protocol == reports[0].protocol and repr(loaded) == repr(reports[0])
    assert loaded.table.equals(reports[0].table)
    assert compare_networks(loaded, reports[1]).summary == compare_networks(*reports).summary
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "text.npz").write_text("text", encoding="utf-8")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(ValueError, match=f"written by `Diagnosis.save`. Received: .*{name}"):
            Diagnosis.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Diagnosis.load(tmp_path / "missing")
    fields = reports[0].to_fields()
    fields["protocol"]["tsne"]["engine"] = "openTSNE"  # a setting of before the first release
    write_fields(tmp_path / "old.npz", fields, "Diagnosis")
    with pytest.raises(ValueError, match="written by `Diagnosis.save`. Received: .*old.npz") as caught:
        Diagnosis.load(tmp_path / "old.npz")
    assert "unexpected keyword argument 'engine'" in str(caught.value.__cause__)


def test_seeds_repeat_and_nothing_is_changed(reports, trained):
    weights = [weight.copy() for weight in trained.get_weights()]
    nodes = {layer.name: len(layer._inbound_nodes) for layer in trained.layers}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    again = diagnose(trained, IMAGES, LABELS, ["hidden"], protocol=Protocol(samples=250, repeats=2, tsne=QUICK, batch_size=7))
    one, other = again.layers["hidden"], reports[0].layers["hidden"]
    np.testing.assert_array_equal(again.samples, reports[0].samples)
    assert one.activation_hit.mean == pytest.approx(
        other.activation_hit.mean, abs=2e-3
    )  # other sums in batches of another size
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert {layer.name: len(layer._inbound_nodes) for layer in trained.layers} == nodes
    for weight, before in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)
    assert compare_networks(again, reports[0]).paired  # the size of batches changes nothing


def test_small_images_are_resized_and_datasets_are_read_once(trained):
    """As if the images had been resized before; and from a dataset each sample with the same chance, none more than is kept."""
    small = IMAGES[:60, ::2, ::2]
    drawn = draw(small, LABELS[:60], trace(trained), 50, seed=0)
    extract = Extractor(trained, ["pooling2"], "auto")
    large = keras.ops.convert_to_numpy(keras.ops.image.resize(small[drawn.indices], (12, 12)))
    found = extract(drawn, batch_size=16)["pooling2"].values
    np.testing.assert_allclose(found, activations(trained, large, ["pooling2"])["pooling2"].reshape(50, -1), atol=1e-5)

    reads = []
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES[:300], LABELS[:300])).batch(32)
    dataset = dataset.map(lambda x, y: (tf.numpy_function(lambda x: reads.append(1) or x, [x], tf.float32), y))
    drawn = draw(dataset, None, trace(trained), 100, seed=0)
    assert len(reads) == 10 and len(set(drawn.indices)) == 100
    np.testing.assert_array_equal(drawn.inputs[0], IMAGES[drawn.indices])
    np.testing.assert_array_equal(np.array(drawn.classes)[drawn.codes], LABELS[drawn.indices])
    assert 120 < np.mean(drawn.indices) < 180  # those that come late are not left out


def test_labels_and_inputs_of_all_sorts():
    """Texts of a dataset, images beside a vector under names in another order, samples that are copied and not held by batch."""
    vector, image = keras.Input((2,), name="vector"), keras.Input((6, 6, 3), name="image")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    joined = layers.Dense(5, activation="relu", name="joined")(layers.Concatenate()([vector, pooled]))
    model = keras.Model([vector, image], layers.Dense(2)(joined))
    generator = np.random.default_rng(0)
    x = {"vector": generator.normal(size=(20, 2)), "image": generator.uniform(size=(20, 9, 9, 3))}
    words = np.array(["cat", "dog"] * 10)
    drawn = draw(x, words, trace(model), 12, seed=0)
    assert [batch[0][1].shape for batch in drawn.batches(8)] == [(8, 6, 6, 3), (4, 6, 6, 3)]
    dataset = tf.data.Dataset.from_tensor_slices((x, words)).batch(10)
    drawn = draw(dataset, None, trace(model), 12, seed=0)
    assert drawn.classes == ["cat", "dog"] and all(array.base is None for array in drawn.inputs)
    for bad, message in (
        (dataset.repeat(), "a finite dataset"),
        (dataset.map(lambda x, y: (x, (y, y))), "one label for each sample. Received: 2"),
        (
            tf.data.Dataset.range(4).map(lambda i: ((tf.zeros((2, i)), tf.zeros((2, 6, 6, 3))), tf.zeros(2))),
            "samples of the same shape",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            draw(bad, None, trace(model), None, seed=0)


def test_only_images_are_resized():
    """Not what has its channels first, nor series of series."""
    model = keras.Sequential([keras.Input((3, 16, 8)), layers.Dense(4, activation="relu", name="hidden"), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"an array of shape \(None, 3, 16, 8\)"):
        draw(np.zeros((6, 5, 16, 8)), [0, 1] * 3, trace(model), None, 0)


def test_maps_become_vectors_of_bounded_length():
    inputs = keras.Input((40, 40, 3))
    wide = layers.Conv2D(32, 3, padding="same", name="wide")(inputs)
    any_size = keras.Input((None, None, 3))
    open_map = layers.Conv2D(4, 3, name="open")(any_size)
    x = np.random.default_rng(0).normal(size=(6, 40, 40, 3)).astype("float32")
    model = keras.Model(inputs, wide)
    for kind, description, shape in (
        ("auto", "means of 2x2 places", (6, 20 * 20 * 32)),
        ("flat", "flattened", (6, 40 * 40 * 32)),
        ("mean", "mean of each map", (6, 32)),
    ):
        extract = Extractor(model, ["wide"], kind)
        found = extract(draw(x, [0, 1] * 3, trace(model), None, 0), 4)["wide"]
        assert (found.description, found.values.shape, found.shape) == (description, shape, (40, 40, 32))
        maps = activations(model, x, ["wide"])["wide"]
        expected = {"auto": maps.reshape(6, 20, 2, 20, 2, 32).mean(axis=(2, 4)), "flat": maps, "mean": maps.mean(axis=(1, 2))}[
            kind
        ]
        np.testing.assert_allclose(found.values, expected.reshape(6, -1), atol=1e-5)
    extract = Extractor(keras.Model(any_size, open_map), ["open"], "auto")
    found = extract(draw(x, [0, 1] * 3, trace(keras.Model(any_size, open_map)), None, 0), 4)["open"]
    assert found.description == "mean of each map" and found.values.shape == (6, 4)


def test_a_layer_that_is_constant_is_told_and_has_the_hit_of_chance():
    model = network()
    model.get_layer("hidden").set_weights([np.zeros((288, 32)), np.full(32, -1.0)])
    with pytest.warns(UserWarning, match="'hidden' returns the same values for all 250 samples"):
        report = diagnose(model, IMAGES, LABELS, ["hidden"], protocol=PROTOCOL)
    layer = report.layers["hidden"]
    assert layer.activation_hit.mean == pytest.approx(report.chance) and layer.neighborhood_hit.mean == pytest.approx(
        report.chance
    )
    assert np.isnan(layer.trustworthiness).all() and np.isnan(layer.explained)
    report.plot()


def test_standard_normalization_and_few_samples_of_a_class(trained):
    few = np.concatenate([np.flatnonzero(LABELS == 0)[:1], np.flatnonzero(LABELS == 1)[:35]])
    x = IMAGES[few]
    protocol = Protocol(normalization="standard", tsne=QUICK, repeats=1)
    report = diagnose(trained, x, LABELS[few], ["conv1"], protocol=protocol)
    layer = report.layers["conv1"]
    assert np.isnan(layer.probe_accuracy.mean)  # one sample cannot be both learned from and tested on
    vectors = activations(trained, x, ["conv1"])["conv1"].reshape(36, -1)
    deviation = vectors.std(axis=0)
    standard = (vectors - vectors.mean(axis=0))[:, deviation > 0] / deviation[deviation > 0]
    assert layer.activation_hit.mean == pytest.approx(neighborhood_hit(standard, LABELS[few]), abs=1 / (36 * 6))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": LABELS[:5]}, "a label for each of 397 samples. Received: 5 labels"),
        ({"y": None}, "labels `y`, one for each sample. Received: y=None"),
        ({"y": np.zeros(397)}, "at least two classes"),
        ({"layers": ["pool"]}, r"Received: path='pool'. The nearest paths are \['pooling"),
        ({"layers": []}, "a list of different paths"),
        ({"layers": "conv1"}, "layers='conv1'"),
        ({"k": 250}, "from 1 to 249, for 250 points. Received: k=250"),
        ({"protocol": Protocol(samples=30, tsne=QUICK)}, "perplexity=10 and 30 samples"),
        ({"x": IMAGES * np.nan}, "NaN or infinity in 397 of 397"),
        ({"x": IMAGES[..., 0, 0]}, r"Received: an array of shape \(397, 12\)"),
        ({"x": np.repeat(IMAGES, 3, axis=3)}, r"Received: an array of shape \(397, 12, 12, 3\)"),
        ({"verbose": 3}, "verbose=3"),
    ],
)
def test_bad_input(trained, change, message):
    arguments = {"x": IMAGES, "y": LABELS, "protocol": PROTOCOL} | change
    with pytest.raises(ValueError, match=message):
        diagnose(trained, arguments.pop("x"), arguments.pop("y"), **arguments)


def test_bad_models():
    model = network()
    model.get_layer("conv1").set_weights([np.full((3, 3, 1, 16), 1e30), np.zeros(16)])
    model.get_layer("conv2").set_weights([np.full((3, 3, 16, 32), 1e30), np.zeros(32)])
    with pytest.raises(ValueError, match="activations of 'conv2' are NaN or infinite for sample"):
        diagnose(model, IMAGES, LABELS, ["conv2"], protocol=PROTOCOL)
    with pytest.raises(TypeError):
        diagnose(lambda x: x, IMAGES, LABELS)
    with pytest.raises(TypeError, match="Expected `protocol` to be a"):
        diagnose(network(), IMAGES, LABELS, protocol={"samples": 5})
    with pytest.raises(ValueError, match="a dataset whose elements are batches"):
        diagnose(network(), tf.data.Dataset.from_tensor_slices(IMAGES).batch(9), protocol=PROTOCOL)
    with pytest.raises(ValueError, match="Expected y=None with a dataset"):
        diagnose(network(), tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(9), LABELS, protocol=PROTOCOL)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"samples": 0}, "samples=0"),
        ({"repeats": 0}, "repeats=0"),
        ({"components": 2.0}, "components=2.0"),
        ({"maps": "pooled"}, "maps='pooled'"),
        ({"normalization": "none"}, "normalization='none'"),
        ({"tsne": 30}, "tsne=30"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_protocols(change, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**change)
