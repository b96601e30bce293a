"""What LRP and DeepLIFT cost in multiples of a bare compiled gradient, on a CNN, a vision transformer and BERT.

    python benchmarks/rules_cost.py --output docs/benchmarks/rules_cost.md    # three minutes on one core

The explained classes are given, and programs are compiled before the clock starts. Each ratio is that of CPU seconds of one turn, in
which all methods and the gradient run one after the other; the table has the medians over turns.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import attribution_speed
import keras
import keras_hub
import numpy as np
import report
import tensorflow as tf

from keras_xai import attribution

METHODS = {
    "LRP, `EpsilonPlus`": lambda model, **options: attribution.LRP(model, composite=attribution.EpsilonPlus(), **options),
    "LRP, `CPLRP`": lambda model, **options: attribution.LRP(model, composite=attribution.CPLRP(), **options),
    "LRP, `AttnLRP`": lambda model, **options: attribution.LRP(model, composite=attribution.AttnLRP(), **options),
    "LRP, `AttnLRP(gamma=0.25)`": lambda model, **options: attribution.LRP(
        model, composite=attribution.AttnLRP(gamma=0.25), **options
    ),
    "DeepLIFT": attribution.DeepLIFT,
}


def networks():
    """Each network with its samples, and what its gradient is taken by: the samples, or the table of the tokens' vectors."""
    rng = np.random.default_rng(0)
    yield "CNN, 64 images of 28 x 28", attribution_speed.small_cnn(), rng.normal(size=(64, 28, 28, 1)).astype("float32"), None
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.ViTBackbone((64, 64, 3), (8, 8), 4, 4, 128, 256)
    model = keras_hub.models.ViTImageClassifier(backbone, num_classes=10, preprocessor=None)
    yield "ViT, 16 images of 64 x 64", model, rng.normal(size=(16, 64, 64, 3)).astype("float32"), None
    backbone = keras_hub.models.BertBackbone(1000, 4, 4, 128, 256, max_sequence_length=64)
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=10, preprocessor=None)
    ids = rng.integers(1, 1000, (16, 64))
    x = {"token_ids": ids, "padding_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    yield "BERT, 16 texts of 64 tokens", model, x, backbone.token_embedding.embeddings.value


def bare(model, x, target, table):
    """A compiled gradient of the explained scores."""

    @tf.function
    def gradient(x):
        by = x if table is None else table
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(by)
            score = tf.gather(model(x, training=False), target, batch_dims=1)
        found = tape.gradient(score, by)
        return found if table is None else found.values

    point = tf.nest.map_structure(tf.constant, x)
    return lambda: gradient(point).numpy()


def main(arguments: list[str] | None = None) -> None:
    """Measures, and shows the table."""
    parser = report.parser(__doc__, turns=21)
    options = parser.parse_args(arguments)
    rows = []
    for title, model, x, table in networks():
        target = np.arange(len(keras.tree.flatten(x)[0])) % 10
        made = {name: make(model, batch_size=len(target), verbose=0) for name, make in METHODS.items()}
        tasks = {"gradient": bare(model, x, target, table)}
        tasks |= {name: lambda method=method, x=x, target=target: method(x, target) for name, method in made.items()}
        seconds = report.in_turn(tasks, options.turns, cpu=True)
        for name in made:
            ratio = np.median(seconds[name] / seconds["gradient"])
            cells = (f"{1e3 * np.median(seconds[each]):.0f}" for each in (name, "gradient"))
            rows.append((title, name, *cells, f"{ratio:.2f}"))
            print(*rows[-1], flush=True)
    above = [f"{row[1]} on {row[0].partition(',')[0]}" for row in rows if float(row[-1]) > 3]
    most = max(float(row[-1]) for row in rows)
    lines = [
        "# LRP and DeepLIFT: cost",
        "",
        "CPU milliseconds of an explanation and of a compiled gradient of the same batch, by a plain `tf.GradientTape`, and the median "
        "of their ratios in {options.turns} turns. The vision transformer and BERT, of keras-hub, have four blocks of width 128.",
        "",
        report.table(["network", "method", "method, ms", "gradient, ms", "ratio"], rows, num_texts=2),
        "",
        f"The largest ratio is {most:.2f}; above 3: {', '.join(above) or 'none'}. `Gamma` takes twice as many products where inputs have "
        "both signs, as in transformers.",
    ]
    report.publish(report.page(lines, "python benchmarks/rules_cost.py"), options.output)


if __name__ == "__main__":
    main()
