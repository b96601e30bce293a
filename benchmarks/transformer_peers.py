"""AttnLRP against LXT and DeepLIFT against captum, which run on PyTorch with the same weights.

    python -m venv DIR && DIR/bin/pip install torch captum && DIR/bin/pip install --no-deps lxt
    python benchmarks/transformer_peers.py --torch-python DIR/bin/python --output docs/benchmarks/transformer_peers.md    # a minute

The networks are built in Keras with random weights, biases included, and again in PyTorch, by `transformer_peers_torch.py`, of the
functions of LXT. The two halves exchange files.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import keras_hub
import numpy as np
import report
from keras import layers

from keras_xai import attribution

_NORM_EPSILON = 1e-5
_HEADS, _BLOCKS, _WIDTH = 4, 2, 32
_PATCH, _LENGTH, _NUM_WORDS = 4, 12, 50
_TINY = 1e-12  # a stabilizer that does not matter
# Of AttnLRP: types and stabilizers, `None` for the default of each library. Of DeepLIFT: poolings, baselines, and whether captum gets a
# factor of one between ReLU and pooling.
_RULES = [("float64", _TINY), ("float32", _TINY), ("float32", None)]
_CONVOLUTIONS = [("average", "random", True), ("max", "zero", True), ("max", "random", True), ("max", "random", False)]


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes the page."""
    parser = report.parser(__doc__)
    parser.add_argument("--torch-python", default=sys.executable, help="Python with torch, lxt and captum (default: this one)")
    options = parser.parse_args(arguments)
    transformers = [transformer(kind, *rules) for kind in ("vit", "bert") for rules in _RULES]
    convolutions = [cnn(*each, dtype) for each in _CONVOLUTIONS for dtype in ("float64", "float32")]
    theirs, versions = by_torch(transformers + convolutions, options.torch_python)
    rows: dict[str, list] = {"lrp": [], "deep_lift": []}
    for case, (values, scores) in zip(transformers + convolutions, theirs, strict=True):
        own, control = case.values()
        differences = [f"{distance(*pair):.1e}" for pair in ((case.scores(), scores), (own, values), (control, values))]
        if case.baseline is None:
            rows["lrp"].append((*case.title, *differences))
        else:
            rows["deep_lift"].append((*case.title, *differences, *(f"{case.lost(each):.1e}" for each in (own, values))))
    report.publish(page(rows, versions), options.output)


class Case:
    """A network with samples, and what explains it.

    Args:
        title: Its first cells in the table.
        model: The network.
        settings: What the PyTorch half has to know.
        x: The samples.
        methods: Ours, and one that must differ.
        baseline: That of the samples, for methods that take one.
    """

    def __init__(self, title, model, settings, x, methods, baseline=None):
        self.title, self.model, self.settings, self.methods = title, model, settings, methods
        self.x, self.baseline = x, baseline
        self.target = np.arange(len(x)) % model.output_shape[-1]

    def arrays(self):
        """What the PyTorch half reads: the weights by path, and the samples."""
        weights = {}
        for layer in self.model.layers:
            for variable in layer.weights:
                path = "/".join(variable.path.split("/")[-3 if isinstance(layer, layers.MultiHeadAttention) else -2 :])
                weights[_NAMES.get(path, path)] = variable.numpy()
        given = {"x": self.x, "target": self.target} | ({} if self.baseline is None else {"baseline": self.baseline})
        return weights | given

    def scores(self):
        """The scores of all classes."""
        return self.model(self.x, training=False).numpy()

    def values(self):
        """The values by each method."""
        for method in self.methods:
            baseline = {"baseline": self.baseline} if method.takes_baseline else {}
            yield method(self.x, self.target, **baseline).values

    def lost(self, values):
        """The part of the change of the score that values leave out, the largest of the samples."""
        ends = [self.model(x, training=False).numpy() for x in (self.x, self.baseline)]
        change = (ends[0] - ends[1])[np.arange(len(self.x)), self.target]
        return np.max(np.abs(change - values.sum(axis=(1, 2, 3))) / np.abs(change))


_NAMES = {"words/embeddings": "words", "positions/embeddings": "positions"}


def transformer(kind, dtype, epsilon):
    """A vision transformer with pre-normalization, or a text transformer with post-normalization and a pooled first token, as BERT."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    if kind == "vit":
        inputs = keras.Input((16, 16, 3), dtype=dtype)
        x = layers.Conv2D(_WIDTH, _PATCH, strides=_PATCH, name="patches")(inputs)
        x = layers.Reshape((-1, _WIDTH))(x)
        x = blocks(x + keras_hub.layers.PositionEmbedding(16, name="positions")(x), norm_first=True)
        x = layers.GlobalAveragePooling1D()(norm("last_norm")(x))
        samples = rng.normal(size=(4, 16, 16, 3)).astype(dtype)
    else:
        inputs = keras.Input((_LENGTH,), dtype="int32")
        x = layers.Embedding(_NUM_WORDS, _WIDTH, name="words")(inputs)
        x = norm("first_norm")(x + keras_hub.layers.PositionEmbedding(_LENGTH, name="positions")(x))
        x = layers.Dense(_WIDTH, activation="tanh", name="pooled")(blocks(x, norm_first=False)[:, 0])
        samples = rng.integers(1, _NUM_WORDS, (4, _LENGTH))
    model = keras.Model(inputs, layers.Dense(5, name="scores")(x))
    vary(model)
    keras.config.set_dtype_policy(before)
    options = {} if epsilon is None else {"epsilon": epsilon, "product": attribution.Uniform(epsilon)}
    settings = {
        "kind": kind,
        "num_heads": _HEADS,
        "num_blocks": _BLOCKS,
        "norm_first": kind == "vit",
        "norm_epsilon": _NORM_EPSILON,
        "patch": _PATCH,
        "epsilon": epsilon,
    }
    composites = [attribution.AttnLRP(**options), attribution.CPLRP()]
    title = "vision transformer" if kind == "vit" else "BERT", dtype, "default" if epsilon is None else f"{epsilon:.0e}"
    return Case(title, model, settings, samples, [attribution.LRP(model, composite=each) for each in composites])


def blocks(x, norm_first):
    """The blocks of an encoder."""
    for number in range(_BLOCKS):
        name = f"block_{number}"
        attention = layers.MultiHeadAttention(_HEADS, _WIDTH // _HEADS, name=f"{name}_attention")
        wide = layers.Dense(2 * _WIDTH, activation="gelu", name=f"{name}_wide")
        narrow = layers.Dense(_WIDTH, name=f"{name}_narrow")
        norms = norm(f"{name}_norm_1"), norm(f"{name}_norm_2")
        if norm_first:
            y = norms[0](x)
            x = x + attention(y, y)
            x = x + narrow(wide(norms[1](x)))
        else:
            x = norms[0](x + attention(x, x))
            x = norms[1](x + narrow(wide(x)))
    return x


def norm(name):
    """A layer normalization."""
    return layers.LayerNormalization(epsilon=_NORM_EPSILON, name=name)


def cnn(pooling, reference, apart, dtype):
    """Two convolutions, a pooling, and two dense layers, with ReLU and tanh."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    pool = layers.MaxPooling2D(2) if pooling == "max" else layers.AveragePooling2D(2)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3), dtype=dtype),
            layers.Conv2D(8, 3, activation="relu", name="first"),
            pool,
            layers.Conv2D(12, 3, activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(16, activation="tanh", name="hidden"),
            layers.Dense(5, name="scores"),
        ]
    )
    vary(model)
    keras.config.set_dtype_policy(before)
    x, baseline = np.random.default_rng(0).normal(size=(2, 4, 16, 16, 3)).astype(dtype)
    baseline = baseline if reference == "random" else np.zeros_like(x)
    methods = [attribution.DeepLIFT(model), attribution.IntegratedGradients(model, steps=8)]
    settings = {"kind": "cnn", "pooling": pooling, "apart": apart}
    return Case(
        (f"{pooling} pooling", "x 1" if apart else "as it is", reference, dtype), model, settings, x, methods, baseline
    )


def vary(model):
    """Gives biases, scales and shifts other values than those at the start of training."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * rng.normal(size=variable.shape))


def by_torch(cases, python):
    """Values and scores of each case by the PyTorch half, and the versions of what it used."""
    arrays = {f"{number}:{key}": each for number, case in enumerate(cases) for key, each in case.arrays().items()}
    settings = json.dumps({number: case.settings for number, case in enumerate(cases)})
    with tempfile.TemporaryDirectory() as folder:
        source, destination = (pathlib.Path(folder) / name for name in ("inputs.npz", "outputs.npz"))
        np.savez(source, settings=settings, **arrays)
        script = pathlib.Path(__file__).with_name("transformer_peers_torch.py")
        subprocess.run([python, script, source, destination], check=True, env=os.environ | {"PYTHONPATH": ""})
        with np.load(destination) as file:
            found = [(file[f"{number}:values"], file[f"{number}:scores"]) for number in range(len(cases))]
            return found, json.loads(str(file["versions"]))


def distance(ours, theirs):
    """The largest difference over the largest value."""
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def page(rows, versions):
    """The tables, and how they are read."""
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    header = ["network", "dtype", "epsilon", "scores", "`AttnLRP`", "control, `CPLRP`"]
    deep_header = [
        "network",
        "captum",
        "baseline",
        "dtype",
        "scores",
        "`DeepLIFT`",
        "control",
        "lost by ours",
        "lost by captum",
    ]
    lines = [
        "# AttnLRP and DeepLIFT against PyTorch",
        "",
        "The same weights in Keras and in PyTorch: `LRP` with `AttnLRP` against "
        "[LXT](https://github.com/rachtibat/LRP-eXplains-Transformers) by the authors of AttnLRP, and `DeepLIFT` against "
        "[captum](https://captum.ai). The networks are small, with random weights and "
        f"biases that are not zero. Differences are the largest of all entries over the largest value. With {listed}.",
        "",
        "## AttnLRP",
        "",
        f"A vision transformer with pre-normalization and mean pooling, and a text transformer built as BERT, with post-normalization and "
        f"a pooled first token: {_BLOCKS} blocks of width {_WIDTH}. The PyTorch side is written with the rules of `lxt.explicit`: epsilon "
        "for dense layers, residual sums and means, the uniform rule for products, Taylor for softmax, identity for activations, and "
        "layer normalizations whose deviation is a constant.",
        "",
        report.table(header, rows["lrp"], num_texts=3),
        "",
        "With the same, negligible epsilon, both are equal up to rounding. With the defaults they differ by about a thousandth, "
        "because of the stabilizer. Both use 1e-6 for layers with weights, but here epsilon has the sign of the denominator, as in the "
        "LRP paper, while LXT always adds it. LXT uses 1e-8 for products and sums. The control is `CPLRP`, which holds attention "
        "weights constant and must differ.",
        "",
        "## DeepLIFT",
        "",
        "Two convolutions with ReLU, a pooling after the first, a dense layer with tanh, and the scores. *Lost* is the share of the "
        "score difference that the values do not include, the maximum over the samples. The control is integrated gradients.",
        "",
        report.table(deep_header, rows["deep_lift"], num_texts=4),
        "",
        "Both are equal up to rounding if PyTorch has a multiplication by one between the ReLU and the max pooling. Without it, "
        "captum's values do not add up to the score difference: if one hooked module directly follows another, such as max pooling "
        "after a ReLU, the first one does not see the multipliers of the second. keras_xai does not need the multiplication.",
    ]
    return report.page(lines, "python benchmarks/transformer_peers.py --torch-python DIR/bin/python")


if __name__ == "__main__":
    main()
