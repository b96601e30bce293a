"""What the FBI loss does to a network: accuracy, activations, explanations, against controls.

    python benchmarks/fbi_mnist.py --output docs/benchmarks    # all arms, five seeds: an hour and a half on two cores
    python benchmarks/fbi_mnist.py --quick                     # ten minutes: whether it runs

The paper (Yoo, Kim and Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification") trains
"an AlexNet model with minor modification in kernel and channel sizes" on MNIST, with 16, 16 and 32 filters in the first three of
five convolutions, a weight of 0.001, and the penalty counting from a validation accuracy of 70 % on. The rest is ours: kernels of
3 x 3, 32 and 64 filters in the last two, pooling after the first, second and fifth convolution, a dense layer of 128, ReLU, Adam,
batches of 128. Each arm starts from the weights of its seed and sees the batches in the same order.

Finished runs are kept in `--runs`, one JSON object a line: what was interrupted goes on with the next run. Processes that share the
file can each do some of the arms or seeds; with TF_NUM_INTRAOP_THREADS=1, two of them are faster on two cores than one.
"""

import dataclasses
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import fbi_figures
import keras
import numpy as np
import report
from fbi_tables import fragment
from keras import layers, ops
from mnist import NUM_VALIDATION, mnist_arrays
from runs import Runs

from keras_xai.callbacks import FBIWarmUp
from keras_xai.callbacks.activation_statistics import activation_statistics
from keras_xai.features import activations
from keras_xai.losses import fbi_penalty
from keras_xai.models import FBIModel
from keras_xai.report import activations_plot

NUM_EXPLAINED = 200  # test images in figures about explanations
NUM_MEASURED = 1_000  # test images in figures about activations
CONVOLUTIONS = {"conv1": 16, "conv2": 16, "conv3": 32, "conv4": 32, "conv5": 64}
POOLED = ("conv1", "conv2", "conv5")


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        weight: Of the penalty.
        options: Of `FBIModel`; `{}` for no penalty, `None` for one in its place that adds up the absolute activations.
        late: Epoch from which the penalty counts, in the place of a validation accuracy of 70 %.
    """

    weight: float = 0.0
    options: dict | None = dataclasses.field(default_factory=dict)
    late: int | None = None


PAPER_WEIGHT = 1e-3
ARMS = {
    "none": Arm(),
    **{
        f"{rule} {target} {reduction}": Arm(PAPER_WEIGHT, {"rule": rule, "target": target, "reduction": reduction})
        for rule in ("z", "zplus")
        for target in ("label", "all")
        for reduction in ("mean", "sum")
    },
    "z label mean, weight 0.1": Arm(0.1, {"rule": "z", "target": "label", "reduction": "mean"}),
    "activations L1": Arm(PAPER_WEIGHT, None),
    "late start": Arm(PAPER_WEIGHT, {"rule": "z", "target": "label", "reduction": "sum"}, late=3),
}
"""The arm `activations L1` is the control: it makes activations as sparse, and does not ask for relevance."""
COMPARED_ON_TEXTURES = ("none", "z label mean", "z label sum", "zplus label sum", "activations L1")


def main(arguments: list[str] | None = None) -> None:
    """Makes the runs that are not there yet, and shows all."""
    options = parse(arguments)
    data = {name: split(name == "textured", options) for name in options.data}
    runs = Runs(
        options.runs,
        lambda data_name, images, **settings: train(data[data_name], options.models, data_name=data_name, **settings),
    )
    found = {
        (name, arm, seed): runs.get(data_name=name, arm=arm, seed=seed, epochs=options.epochs, images=options.images)
        for seed in options.seeds
        for name in options.data
        for arm in arms_of(name, options)
    }
    text = fragment(found, options)
    print(f"\n{text}")
    if options.output:
        (options.output / "fbi_mnist.md").write_text(text, encoding="utf-8")
        if options.models:
            draw(data["plain"], options.models).savefig(options.output / "fbi_filters.png", dpi=110)


def parse(arguments):
    """The options of the command line."""
    quick = "one seed, two epochs, few images and arms"
    parser = report.parser(__doc__, output="folder to write the tables to", quick=quick, runs="fbi_mnist.jsonl")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--data", nargs="+", choices=("plain", "textured"), default=["plain", "textured"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=12_000, help="to train on (default: %(default)s)")
    parser.add_argument("--models", type=pathlib.Path, help="folder to save the networks of the first seed to")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.epochs, options.images = [0], 2, 6_000
        options.arms = ["none", "z label sum", "zplus label sum", "activations L1"]
        options.runs = report.quick_runs(options.runs, "fbi_mnist")
    return options


def arms_of(data_name, options):
    """The arms that are trained on plain or on textured images."""
    return [arm for arm in options.arms if data_name == "plain" or arm in COMPARED_ON_TEXTURES]


def split(textured, options) -> dict:
    """Images `(n, 28, 28, 1)` from 0 to 1 and labels to train on, to validate on and to test on, and where the digits are."""
    x, y, x_test, y_test = mnist_arrays()
    # The validation images are the last ones, whatever number is trained on.
    chosen = np.r_[: options.images, len(x) - NUM_VALIDATION : len(x)]
    x, y = (x[chosen] / 255).astype("float32"), y[chosen].astype("int32")
    x_test, y_test = (x_test / 255).astype("float32"), y_test.astype("int32")
    masks = x_test > fbi_figures.INK
    if textured:
        x, _ = fbi_figures.textured(x, seed=1)
        x_test, masks = fbi_figures.textured(x_test, seed=2)
    x, x_test = x[..., None], x_test[..., None]
    return {
        "train": (x[: options.images], y[: options.images]),
        "validation": (x[options.images :], y[options.images :]),
        "test": (x_test, y_test),
        "masks": masks,
    }


def network() -> keras.Sequential:
    """The paper's network, as far as it is known."""
    model = keras.Sequential([keras.Input((28, 28, 1), name="image")])
    for name, filters in CONVOLUTIONS.items():
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu", name=name))
        if name in POOLED:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(128, "relu", name="dense"))
    model.add(layers.Dense(10, "softmax", name="scores"))
    return model


class SumOfActivations(layers.Layer):
    """Adds the sum of a sample's absolute activations to the loss, with a weight that can be turned on."""

    def __init__(self, name, share):
        super().__init__(name=f"{name}_sum")
        self._share = share
        self.on = self.add_weight(name="on", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.add_loss(self.on * self._share * ops.sum(ops.absolute(x)) / ops.cast(ops.shape(x)[0], x.dtype))
        return x


class TurnOn(keras.callbacks.Callback):
    """`FBIWarmUp` for the control."""

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_accuracy"] > 0.7:
            for layer in self.model.layers:
                if isinstance(layer, SumOfActivations):
                    layer.on.assign(1.0)


def train(data, folder, *, data_name, arm, seed, epochs) -> dict:
    """One run."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    model = network()
    trained, callbacks = regularized(model, ARMS[arm])
    trained.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=10)
    history = trained.fit(
        *data["train"], batch_size=128, epochs=epochs, validation_data=data["validation"], verbose=0, callbacks=callbacks
    ).history
    seconds = time.perf_counter() - start
    if folder and seed == 0:
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / f"{data_name} {arm}.keras")
    x, y = data["test"]
    results = {
        "accuracy": 100 * float(np.mean(model.predict(x, batch_size=1000, verbose=0).argmax(-1) == y)),
        "val_accuracy": history["val_accuracy"],
        "penalty": measured_penalties(model, x[:NUM_MEASURED], y[:NUM_MEASURED]),
        "activations": {
            name: activation_statistics(values)
            for name, values in activations(model, x[:NUM_MEASURED], list(CONVOLUTIONS), batch_size=200).items()
        },
        "seconds": seconds,
    }
    results |= explained(model, x[:NUM_EXPLAINED], y[:NUM_EXPLAINED], data["masks"][:NUM_EXPLAINED])
    print({"accuracy": results["accuracy"], "penalty": results["penalty"], "seconds": round(seconds)}, flush=True)
    return results


def regularized(model, arm):
    """What to call `fit()` of, so that `model` is trained as an arm says, and with which callbacks."""
    if arm.options is None:
        hidden = (*CONVOLUTIONS, "dense")
        return with_sums(model, dict.fromkeys(hidden, arm.weight / (len(hidden) + 1)))  # the input counts as a term, as in FBI
    if not arm.options:
        return model, []
    warm_up = FBIWarmUp() if arm.late is None else FBIWarmUp(monitor=None, epoch=arm.late)
    return FBIModel(model, arm.weight, **arm.options), [warm_up]


def with_sums(model, shares):
    """A model of the same layers that also minimizes their absolute activations, from a validation accuracy of 70 % on."""
    x = model.inputs[0]
    for layer in model.layers:
        x = layer(x)
        if layer.name in shares:
            x = SumOfActivations(layer.name, shares[layer.name])(x)
    return keras.Model(model.inputs, x), [TurnOn()]


def draw(data, folder):
    """Figure 2 of the paper: the first three convolutions' filters for a 7, in two trainings and the control."""
    arms = {"conventional": "none", "FBI, z label sum": "z label sum", "control": "activations L1"}
    x, y = data["test"]
    seven = x[y == 7][:1]
    paths = list(CONVOLUTIONS)[:3]
    maps = {
        title: activations(keras.saving.load_model(folder / f"plain {arm}.keras"), seven, paths) for title, arm in arms.items()
    }
    return activations_plot(maps)


def measured_penalties(model, x, y):
    """The mean penalty of a network by its own labels, whatever it was trained with."""
    return {
        f"{rule} {reduction}": float(np.mean(fbi_penalty(model, x, y, rule=rule, reduction=reduction)))
        for rule in ("z", "zplus")
        for reduction in ("mean", "sum")
    }


def explained(model, x, y, masks):
    """What explanations of the network are worth, by method."""
    random = np.random.default_rng(0).normal(size=x.shape[:3]).astype("float32")
    figures = {}
    for method, values in ({"random": random} | fbi_figures.attributions(model, x, y)).items():
        deletion, insertion = fbi_figures.deletion_insertion(model, x, y, values)
        figures[method] = {
            "deletion": float(deletion.mean()),
            "insertion": float(insertion.mean()),
            "mass": float(fbi_figures.relevance_mass(values, masks).mean()),
            "rank": float(fbi_figures.relevance_rank(values, masks).mean()),
        }
    return {"explanations": figures}


if __name__ == "__main__":
    main()
