"""Layers correspond by depth, differences are told apart from chance, and words say what the figures do."""

import dataclasses

import numpy as np
import pytest

from keras_xai.diagnosis import Diagnosis, LayerDiagnosis, Protocol, compare_networks

COUNT = 400
LABELS = np.arange(COUNT) % 4


def report(name, hits, depths=None, *, seed=0, **changes):
    """A network whose layers have certain neighborhood hits, without running one."""
    depths = depths or np.linspace(0.2, 1, len(hits))
    generator = np.random.default_rng(seed)
    ease = generator.normal(size=COUNT) * 0.3  # what is peculiar to a sample, in every layer and network
    layers = {}
    for i, (hit, depth) in enumerate(zip(hits, depths, strict=True)):
        influence = hit + ease + np.random.default_rng([i, len(name)]).normal(size=(2, COUNT)) * 0.05
        influence += hit - influence.mean()
        layers[f"{name}{i}"] = LayerDiagnosis(
            path=f"{name}{i}",
            depth=float(depth),
            shape=(3,),
            vectors="as it is",
            length=3,
            explained=1.0,
            points=generator.normal(size=(2, COUNT, 2)),
            map_influence=influence,
            activation_influence=influence[0],
            trustworthiness=np.ones(2),
            divergence=np.ones(2),
            probe=np.ones(COUNT, bool),
        )
    fields = {"samples": np.arange(COUNT), "labels": LABELS, "classes": [0, 1, 2, 3], "k": 6, "protocol": Protocol(repeats=2)}
    return Diagnosis(name=name, layers=layers, seconds={}, **fields | changes)


def test_layers_of_about_the_same_depth_are_compared():
    found = compare_networks(report("a", [0.2] * 5), report("b", [0.2] * 3, [0.1, 0.62, 0.98]))
    assert [(pair.a.path, pair.b.path) for pair in found.pairs] == [("a0", "b0"), ("a2", "b1"), ("a4", "b2")]
    found = compare_networks(report("a", [0.2] * 2), report("b", [0.2] * 2), {"a1": "b0"})
    assert [(pair.a.path, pair.b.path) for pair in found.pairs] == [("a1", "b0")]


def test_pairs_are_in_the_order_of_depth():
    """Also where layers were named in another one."""
    found = compare_networks(report("a", [0.2] * 2, [0.9, 0.1]), report("b", [0.2] * 2, [0.2, 0.8]))
    assert [(pair.a.path, pair.b.path) for pair in found.pairs] == [("a1", "b0"), ("a0", "b1")]
    found = compare_networks(found.a, found.b, {"a0": "b1", "a1": "b0"})
    assert [pair.a.path for pair in found.pairs] == ["a1", "a0"]


def test_differences_of_the_same_samples_are_sharper():
    a, b = report("a", [0.3, 0.5]), report("b", [0.3, 0.48])
    found = compare_networks(a, b)
    assert found.paired
    assert found.pairs[1].difference.mean == pytest.approx(0.02)
    assert found.pairs[1].difference.low > 0  # though each interval alone is ± 0.03
    apart = compare_networks(a, dataclasses.replace(b, samples=np.arange(COUNT) + COUNT))
    assert not apart.paired
    assert apart.pairs[1].difference.mean == pytest.approx(0.02) and apart.pairs[1].difference.low < 0
    # A control: influences that are shuffled have nothing to pair.
    layer = b.layers["b1"]
    shuffled = dataclasses.replace(layer, map_influence=np.random.default_rng(5).permutation(layer.map_influence, axis=1))
    mixed = compare_networks(a, dataclasses.replace(b, layers={"b0": b.layers["b0"], "b1": shuffled}))
    assert mixed.pairs[1].difference.low < 0


@pytest.mark.parametrize(
    "hits, words",
    [
        ([0.3, 0.4, 0.5], "In the last layers compared, 'a2' and 'b2', the networks do not differ significantly"),
        (
            [0.3, 0.3, 0.3],
            "b is behind a from 'b1' on, at 60% of its depth, in the last 2 of 3 pairs of layers. The difference is largest in 'a2'",
        ),
        ([0.2, 0.3, 0.3], "b is behind a from 'b0' on, at 20% of its depth, in all 3 pairs"),
        (
            [0.3, 0.4, 0.7],
            "a is behind b from 'a2' on, at 100% of its depth, in the last of 3 pairs of layers. The difference is largest in",
        ),
        ([0.4, 0.4, 0.3], "b is behind a from 'b2' on, at 100% of its depth, in the last of 3 pairs"),
        ([0.4, 0.4, 0.5], "do not differ significantly: .* b is ahead in 'a0' and 'b0'."),
    ],
)
def test_words(hits, words):
    found = compare_networks(report("a", [0.3, 0.4, 0.5]), report("b", hits))
    assert words.split(".*")[0] in found.summary and words.split(".*")[-1] in found.summary
    if hits == [0.4, 0.4, 0.3]:
        assert "b is ahead in 'a0' and 'b0'." in found.summary
    inner = "is ahead there, too." if "last of 3" in words else "pairs." if "behind" in words else ""
    assert found.summary.endswith(inner)
    assert repr(found).startswith("<NetworkComparison of 'a' and 'b' in 3 pairs of layers: ") and len(repr(found)) < 200


def test_table_and_pictures():
    found = compare_networks(report("same", [0.3, 0.5]), report("same", [0.3, 0.4]))
    assert found.names == ("same (1)", "same (2)")
    assert "'same1': +0.100" in found.summary  # both layers have this name: it is said once
    found = compare_networks(found.a, found.b, names=("before", "after"))
    table = found.table
    assert table["before"]["layer"].tolist() == ["same0", "same1"]
    np.testing.assert_allclose(table["difference"]["mean"], [0, 0.1], atol=1e-9)
    figure = found.plot(class_names=list("wxyz"), title="two networks")
    assert [axes.get_ylabel() for axes in figure.axes] == ["before", "", "after", ""]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list("wxyz")
    curves = [container.lines[0].get_ydata() for container in found.plot_depth().axes[0].containers]
    np.testing.assert_allclose(curves, [[0.3, 0.5], [0.3, 0.4]])


def test_many_classes_are_drawn():
    many = {"labels": np.arange(COUNT) % 40, "classes": list(range(40))}
    figure = compare_networks(report("a", [0.3], **many), report("b", [0.3], **many)).plot()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0", "39"]


def test_bad_input():
    a, b = report("a", [0.3, 0.4]), report("b", [0.3, 0.4])
    for other, options, message in (
        (dataclasses.replace(b, k=5), {}, "the same protocol. Received: k=6 and k=5"),
        (dataclasses.replace(b, protocol=Protocol(repeats=2, seed=1)), {}, "Received: seed=0 and seed=1"),
        (
            dataclasses.replace(b, classes=[1, 2, 3, 4]),
            {},
            "the same 4 classes. Received: another one with 4 classes, 3 of them in common",
        ),
        (b, {"mapping": {}}, "Received: mapping={}"),
        (b, {"mapping": {"a7": "b0"}}, r"layers with a diagnosis in `a`: \['a0', 'a1'\]. Received: \['a7'\] in `mapping`"),
        (b, {"mapping": {"a0": "b7"}}, r"layers with a diagnosis in `b`.*Received: \['b7'\]"),
        (dataclasses.replace(b, k=5, protocol=Protocol(repeats=2, batch_size=3)), {}, "Received: k=6 and k=5.$"),
        (b, {"names": ("x", "x")}, r"two different names. Received: names=\('x', 'x'\)"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_networks(a, other, **options)
    with pytest.raises(TypeError, match="Expected `b` to be a `Diagnosis`"):
        compare_networks(a, b.table)
