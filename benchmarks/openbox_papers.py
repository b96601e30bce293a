"""The experiments of the OpenBox papers, against LIME, KernelSHAP and gradients: what the explanations do, and what they cost.

    python benchmarks/openbox_papers.py --cache FOLDER --output docs/benchmarks/openbox_papers.md    # half an hour
    python benchmarks/openbox_papers.py --quick                                                      # a few minutes

The measures are those of [Chu et al., 2018](https://doi.org/10.1145/3219819.3220063), who explain fully connected networks; the
data sets, MNIST and CIFAR-10, are those of Muradov et al., who extend OpenBox to convolutional ones. Both are read from the folder
in the environment variable KERAS_XAI_DATA if it has `mnist.npz` and `cifar10_subset.npz`, and through `keras.datasets` otherwise.
With `--cache`, whatever is finished is kept in a folder, and a run that was stopped goes on from there. What is kept belongs to the
weights, samples, sizes, settings and versions that it was computed with, but not to the code: after an edit, use a new folder.
"""

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import io
import os
import pathlib
import platform
import warnings
from collections.abc import Callable
from importlib import metadata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress
# One thread for every method, before the libraries start theirs: where other work shares the cores, threads that wait for each other
# slow some methods down many times more than others.
os.environ.update(
    {f"{name}_THREADS": "1" for name in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")}
)

import keras
import numpy as np
import report
import shap
import tensorflow as tf
from keras import layers
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer
from lime.wrappers.scikit_image import SegmentationAlgorithm

from keras_xai.openbox import OpenBox

SEED = 0
NUM_CLASSES = 10
TOP = 200  # features that are changed
POINTS = (20, 50, 100, 200)  # numbers of changed features in the tables
BATCH_SIZE = 64
LIME_SAMPLES, LIME_TRAINING_IMAGES, LIME_SEGMENTS = 1000, 5000, 100
STEPS = 50  # of integrated gradients
BACKGROUND = 100  # training images that GradientExplainer starts from
LIME_GOAL, SHAP_GOAL = 50, 100  # how many times less than these an explanation by OpenBox should cost
FILES = {"mnist": "mnist.npz", "cifar10": "cifar10_subset.npz"}
CIFAR_IMAGES = (10_000, 2_000)  # for training and test: as many as the subset has
PERCENT = (5, 25, 50, 75, 95)
# What results depend on.
CONSTANTS = (SEED, TOP, BATCH_SIZE, LIME_SAMPLES, LIME_TRAINING_IMAGES, LIME_SEGMENTS, STEPS, BACKGROUND)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is done for one network."""

    epochs: int
    test_images: int  # of which those predicted correctly are explained
    common: int  # samples that all methods explain
    certified: int  # samples whose certified radius is computed
    rounds: int  # of timing; 0 leaves the slow methods out

    @property
    def quick(self) -> "Sizes":
        return Sizes(1, 100, 4, 8, min(self.rounds, 2))


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the benchmark."""

    title: str
    dataset: str
    build: Callable[[], keras.Model]
    sizes: Sizes


def mlp(*units: int) -> keras.Model:
    """Fully connected, for MNIST."""
    hidden = [layers.Dense(width, activation="relu") for width in units]
    head = layers.Dense(NUM_CLASSES, activation="softmax")
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *hidden, head])


def cnn(*shape: int) -> keras.Model:
    """Two convolutions, each with max pooling, and two dense layers."""
    body = []
    for filters in (16, 32):
        body += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(2)]
    head = [layers.Dense(64, activation="relu"), layers.Dropout(0.3), layers.Dense(NUM_CLASSES, activation="softmax")]
    return keras.Sequential([keras.Input(shape), *body, layers.Flatten(), *head])


NETWORKS = {
    "mlp": Network("MLP 784-256-128-100-10", "mnist", lambda: mlp(256, 128, 100), Sizes(10, 500, 50, 500, 15)),
    "cnn": Network("CNN, MNIST", "mnist", lambda: cnn(28, 28, 1), Sizes(8, 500, 50, 256, 15)),
    "cifar": Network("CNN, CIFAR-10", "cifar10", lambda: cnn(32, 32, 3), Sizes(20, 1000, 25, 128, 8)),
    # So small that images share regions, which is where exactness implies consistency.
    "narrow": Network("MLP 784-8-10", "mnist", lambda: mlp(8), Sizes(5, 500, 50, 500, 0)),
}


@dataclasses.dataclass
class Subject:
    """A trained network and the samples to explain: those of the first test images that it predicts correctly."""

    network: Network
    sizes: Sizes
    model: keras.Model
    x_train: np.ndarray
    x: np.ndarray
    classes: np.ndarray
    accuracy: float

    def __post_init__(self):
        signature = [tf.TensorSpec((None, *self.model.input_shape[1:]), "float32")]
        self._forward = tf.function(lambda x: self.model(x, training=False), input_signature=signature)

    @property
    def num_features(self) -> int:
        return int(np.prod(self.x.shape[1:]))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the weights and the samples, to which results belong."""
        digest = hashlib.sha256()
        for array in (*self.model.get_weights(), self.x, self.classes):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of all classes, compiled, for images or flat rows."""
        x = np.asarray(x, "float32").reshape(-1, *self.model.input_shape[1:])
        return np.concatenate([self._forward(x[start : start + 1024]).numpy() for start in range(0, len(x), 1024)])

    @functools.cached_property
    def neighbor(self) -> tuple[np.ndarray, np.ndarray]:
        """The index of each sample's nearest neighbor among the samples, and the distance to it, both `(n,)`."""
        flat = self.x.reshape(len(self.x), -1).astype("float64")
        squares = np.sum(flat**2, axis=1)
        distance = np.sqrt(np.maximum(squares[:, np.newaxis] + squares - 2 * flat @ flat.T, 0))
        np.fill_diagonal(distance, np.inf)
        return distance.argmin(axis=1), distance.min(axis=1)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """All samples, each next to its nearest neighbor, so that a part from the start has pairs of neighbors too."""
        pairs = enumerate(self.neighbor[0].tolist())
        return np.array(list(dict.fromkeys(index for pair in pairs for index in pair)))

    @property
    def common(self) -> np.ndarray:
        """The samples that all methods explain."""
        return self.order[: self.sizes.common]

    def pairs(self, samples: np.ndarray) -> np.ndarray:
        """`(k, 2)`: positions in `samples` of those whose nearest neighbor of all is there too, and of that neighbor."""
        position = {sample: i for i, sample in enumerate(samples)}
        nearest = self.neighbor[0][samples]
        return np.array([(i, position[other]) for i, other in enumerate(nearest) if other in position]).reshape(-1, 2)


# Each maker below takes a subject and returns `explain(x, classes)`, which gives weights of the shape of `x`.


def openbox(dtype: str) -> Callable:
    """The decision features of the predicted class."""

    def make(subject):
        box = OpenBox(subject.model, dtype=dtype, batch_size=BATCH_SIZE)
        return lambda x, classes: box(x, verbose=0).decision_features(classes)

    return make


def gradient(subject: Subject) -> Callable:
    """Of the probability of the class."""
    program = gradient_program(subject)
    return lambda x, classes: program(x, classes).numpy()


def gradient_program(subject):
    shape = (None, *subject.x.shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, "float32"), tf.TensorSpec((None,), "int64")])
    def program(x, classes):
        with tf.GradientTape() as tape:
            tape.watch(x)
            probability = tf.gather(subject.model(x, training=False), classes, batch_dims=1)
        return tape.gradient(probability, x)

    return program


def integrated_gradients(subject: Subject) -> Callable:
    """From a black image, of the probability of the class, by the midpoint rule."""
    program = gradient_program(subject)
    shares = ((np.arange(STEPS) + 0.5) / STEPS).astype("float32").reshape(-1, *[1] * (subject.x.ndim - 1))

    def explain(x, classes):
        points = (shares * x[:, np.newaxis]).reshape(-1, *x.shape[1:])
        gradients = program(points, np.repeat(classes, STEPS)).numpy()
        return x * gradients.reshape(len(x), STEPS, *x.shape[1:]).mean(axis=1)

    return explain


def gradient_explainer(subject: Subject) -> Callable:
    """The expected gradients of shap, of the most probable class, which is the one to explain."""
    seed_shap()
    explainer = shap.GradientExplainer(subject.model, subject.x_train[:BACKGROUND])

    def explain(x, classes):
        values, ranked = explainer.shap_values(x, ranked_outputs=1)
        if not np.array_equal(np.ravel(ranked), classes):
            raise RuntimeError("GradientExplainer ranked another class first")
        return values[..., 0]

    return explain


def lime_tabular(discretize: bool) -> Callable:
    """LIME with one feature for each entry of the image."""

    def make(subject):
        explainer = LimeTabularExplainer(
            subject.x_train[:LIME_TRAINING_IMAGES].reshape(-1, subject.num_features),
            discretize_continuous=discretize,
            sample_around_instance=not discretize,
            feature_selection="none",
            random_state=SEED,
        )

        def explain(image, label):
            options = {"labels": (label,), "num_features": image.size, "num_samples": LIME_SAMPLES}
            explanation = explainer.explain_instance(image.ravel(), subject.predict, **options)
            return by_index(explanation.local_exp[label], image.size).reshape(image.shape)

        return one_by_one(explain)

    return make


def lime_image(subject: Subject) -> Callable:
    """LIME with one feature for each segment; every entry of the image gets the weight of its segment."""
    channels = subject.x.shape[-1]
    explainer = LimeImageExplainer(random_state=SEED)
    # SLIC, as the library's own choice finds one or two segments in images this small.
    compactness = 10 if channels == 3 else 1
    segment = SegmentationAlgorithm("slic", n_segments=LIME_SEGMENTS, compactness=compactness, start_label=0)
    options = {"hide_color": 0, "num_samples": LIME_SAMPLES, "batch_size": 500, "top_labels": None, "segmentation_fn": segment}

    def explain(image, label):
        color = np.broadcast_to(image, (*image.shape[:2], 3)).astype("float64")  # what the library takes
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar cannot be switched off
            explanation = explainer.explain_instance(
                color, lambda images: subject.predict(images[..., :channels]), labels=(label,), **options
            )
        weights = by_index(explanation.local_exp[label], explanation.segments.max() + 1)
        return np.broadcast_to(weights[explanation.segments][..., np.newaxis], image.shape)

    return one_by_one(explain)


def kernel_shap(l1_reg: str | bool) -> Callable:
    """KernelSHAP with one feature for each entry of the image, against the mean training image."""

    def make(subject):
        seed_shap()
        mean = subject.x_train.mean(axis=0).reshape(1, -1)
        explainers = [
            shap.KernelExplainer(lambda rows, label=label: subject.predict(rows)[:, label], mean)
            for label in range(NUM_CLASSES)
        ]

        def explain(image, label):
            values = explainers[label].shap_values(image.reshape(1, -1), nsamples="auto", l1_reg=l1_reg, silent=True)
            return np.reshape(values, image.shape)

        return one_by_one(explain)

    return make


def seed_shap() -> None:
    """Once, and not for each sample: equal draws would make explanations of different samples similar."""
    np.random.seed(SEED)  # noqa: NPY002 - where the library draws from


def random_weights(subject: Subject) -> Callable:
    """The negative control."""
    random = np.random.default_rng(SEED)
    return lambda x, classes: random.normal(size=x.shape)


def one_by_one(explain):
    """For libraries that explain one sample at a time."""
    return lambda x, classes: np.stack([explain(image, int(label)) for image, label in zip(x, classes, strict=True)])


def by_index(pairs, size):
    """An array of pairs of index and weight."""
    weights = np.zeros(size)
    for index, weight in pairs:
        weights[index] = weight
    return weights


@dataclasses.dataclass(frozen=True)
class Method:
    """An explanation method. The fast ones explain all samples, and in batches."""

    title: str
    make: Callable[[Subject], Callable]
    fast: bool
    goal: int | None = None


TRUTH = "openbox"
METHODS = {
    TRUTH: Method("OpenBox, float64", openbox("float64"), fast=True),
    "openbox32": Method("OpenBox, float32", openbox("float32"), fast=True),
    "gradient": Method("gradient", gradient, fast=True),
    "integrated": Method("integrated gradients", integrated_gradients, fast=True),
    "expected": Method("GradientExplainer", gradient_explainer, fast=True),
    "lime": Method("LIME, tabular, default", lime_tabular(discretize=True), fast=False, goal=LIME_GOAL),
    "lime_continuous": Method("LIME, tabular, continuous", lime_tabular(discretize=False), fast=False, goal=LIME_GOAL),
    "lime_image": Method("LIME, image", lime_image, fast=False, goal=LIME_GOAL),
    "shap": Method("KernelSHAP, default", kernel_shap("num_features(10)"), fast=False, goal=SHAP_GOAL),
    "shap_all": Method("KernelSHAP, all features", kernel_shap(False), fast=False, goal=SHAP_GOAL),
    "random": Method("random weights", random_weights, fast=True),
}


class Store:
    """Keeps named dicts of arrays in a folder, so that a run that was stopped goes on where it was. No folder keeps nothing."""

    def __init__(self, folder: pathlib.Path | None):
        self._folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def arrays(self, name: str, compute: Callable[[], dict], *settings) -> dict:
        """Reads what is kept under a name and settings, or computes it."""
        versions = [metadata.version(library) for library in ("tensorflow", "keras", "numpy", "shap", "lime", "scikit-learn")]
        digest = hashlib.sha256(repr((settings, CONSTANTS, versions)).encode()).hexdigest()[:8]
        print(name, flush=True)
        if not self._folder:
            return compute()
        path = self._folder / f"{name.replace(', ', '-').replace(' ', '_')}-{digest}.npz"
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, **compute())
            part.replace(path)  # so that a file under the final name is whole
        with np.load(path) as file:
            return dict(file)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that was measured with one network."""

    subject: Subject
    pieces: dict  # region_id, radius, and the checks
    methods: dict  # name of a method -> weights, and drop and changed for each number of changed features
    costs: dict | None  # name of a method -> `(rounds, 2, 2)`: seconds for one sample or each in a batch, by the clock or CPU


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark."""
    options = parse(arguments)
    warnings.filterwarnings("ignore", message="The structure of `inputs`")  # said of every call that GradientExplainer makes
    store = Store(options.cache)
    outcomes = [measure(name, store, options.quick) for name in NETWORKS]
    text = fragment(outcomes, options)
    report.publish(text, options.output)


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(
        __doc__, output="Markdown file to write the tables to", quick="few samples and epochs, a few minutes"
    )
    parser.add_argument("--cache", type=pathlib.Path, help="folder for what is finished, to go on from after a stop")
    return parser.parse_args(arguments)


def measure(name: str, store: Store, quick: bool) -> Outcome:
    """Trains a network, explains its predictions with all methods, and times them."""
    network = NETWORKS[name]
    sizes = network.sizes.quick if quick else network.sizes
    subject = train(name, network, sizes, store)
    settings = (sizes, subject.fingerprint)
    pieces = store.arrays(f"{name}, pieces", lambda: measure_pieces(subject), settings)
    slow = sizes.rounds > 0
    methods = {
        key: store.arrays(f"{name}, {key}", lambda method=method: measure_method(subject, method), settings)
        for key, method in METHODS.items()
        if method.fast or slow
    }
    costs = store.arrays(f"{name}, costs", lambda: measure_costs(subject), settings) if slow else None
    return Outcome(subject, pieces, methods, costs)


def train(name, network, sizes, store) -> Subject:
    """The network with its weights, and the samples."""
    (x_train, y_train), (x_test, y_test) = dequantized(network.dataset)
    keras.utils.set_random_seed(SEED)
    model = network.build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def fit():
        model.fit(x_train, y_train, batch_size=128, epochs=sizes.epochs, verbose=2)
        return {f"{i:02d}": weight for i, weight in enumerate(model.get_weights())}

    kept = store.arrays(f"{name}, weights", fit, sizes.epochs, model.to_json(), float(x_train.sum(dtype="float64")))
    model.set_weights([kept[key] for key in sorted(kept)])
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    x, y = x_test[: sizes.test_images], y_test[: sizes.test_images]
    subject = Subject(network, sizes, model, x_train, x, y, accuracy)
    correct = subject.predict(x).argmax(axis=1) == y
    return dataclasses.replace(subject, x=x[correct], classes=y[correct])


@functools.cache
def dequantized(dataset: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test part: images `(n, height, width, channels)` in [0, 1], with noise of one gray level, and labels `(n,)`."""
    random = np.random.default_rng(SEED)
    parts = []
    for x, y in read(dataset):
        noisy = (x + random.uniform(size=x.shape)) / 256
        parts.append((noisy.astype("float32").reshape(*x.shape[:3], -1), y.ravel().astype("int64")))
    return parts


def read(dataset: str):
    """Training and test part: images and labels as they are in the file."""
    path = local_file(dataset)
    if path:
        with np.load(path) as file:
            return [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    try:
        parts = getattr(keras.datasets, dataset).load_data()
    except Exception as error:
        raise RuntimeError(
            f"Expected {FILES[dataset]} in the folder that the environment variable KERAS_XAI_DATA names, or a connection to "
            f"download it by `keras.datasets.{dataset}`. Received: KERAS_XAI_DATA={os.environ.get('KERAS_XAI_DATA')!r}"
        ) from error
    limits = CIFAR_IMAGES if dataset == "cifar10" else (None, None)
    return [(x[:limit], y[:limit]) for (x, y), limit in zip(parts, limits, strict=True)]


def local_file(dataset: str) -> pathlib.Path | None:
    """Where a data set lies, if it need not be downloaded."""
    folder = os.environ.get("KERAS_XAI_DATA")
    path = pathlib.Path(folder) / FILES[dataset] if folder else None
    return path if path and path.is_file() else None


def measure_pieces(subject: Subject) -> dict:
    """Regions, certified radii, and whether the pieces are the network."""
    box = OpenBox(subject.model, dtype="float64", batch_size=BATCH_SIZE)
    certified = box(subject.x[subject.order[: subject.sizes.certified]], verbose=0)
    return {
        "region_id": box(subject.x, verbose=1).region_id.astype(str),
        "radius": certified.radius(2, verbose=1),
        **check(box, subject.x[subject.common].astype("float64"), subject.classes[subject.common]),
    }


def check(box: OpenBox, x: np.ndarray, classes: np.ndarray) -> dict:
    """Holds pieces against the network at other points of their regions, where agreement is no tautology."""
    local = box(x, verbose=0)
    direction = np.random.default_rng(SEED).normal(size=x.shape)
    distance = local.exit_distance(direction)
    distance[np.isinf(distance)] = 1  # such a line never leaves the region
    step = distance.reshape(-1, *[1] * (x.ndim - 1)) * direction
    inside, outside = box(x + 0.9 * step, verbose=0), box(x + 1.1 * step, verbose=0)
    change = inside.scores - local.scores
    strange = np.roll(local.coef, 1, axis=0).reshape(*change.shape, -1)  # the negative control: another sample's piece
    wrong = np.einsum("nkd,nd->nk", strange, 0.9 * step.reshape(len(x), -1))
    features, others = local.decision_features(classes), inside.decision_features(classes)
    length = np.linalg.norm(change, axis=1)
    return {
        "error": np.linalg.norm(local.predict(x + 0.9 * step) - inside.scores, axis=1) / length,
        "wrong_error": np.linalg.norm(wrong - change, axis=1) / length,
        "inside": inside.region_id == local.region_id,
        "outside": outside.region_id == local.region_id,
        "cosine": cosine(features.reshape(len(x), -1), others.reshape(len(x), -1)),
    }


def measure_method(subject: Subject, method: Method) -> dict:
    """The weights of a method, and what changing the top features does."""
    samples = subject.order if method.fast else subject.common
    x, classes = subject.x[samples], subject.classes[samples]
    explain = method.make(subject)
    weights = []
    starts = range(0, len(x), BATCH_SIZE if method.fast else 1)
    bar = keras.utils.Progbar(len(starts), unit_name="call")
    for start in starts:
        rows = slice(start, start + (BATCH_SIZE if method.fast else 1))
        weights.append(explain(x[rows], classes[rows]))
        bar.add(1)
    flat = np.concatenate(weights).reshape(len(x), -1).astype("float64")
    return {"weights": flat, **change_top(subject, x, classes, flat)}


def change_top(subject: Subject, x: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> dict:
    """Sets the features of largest weight one after the other to 0 where it is positive, and to 1 where it is negative.

    Returns:
        By how much that lowers the probability of the class, `(n, TOP)`, and whether the label changes, `(n, TOP)`.
    """
    drop, changed = np.zeros((len(x), TOP)), np.zeros((len(x), TOP), bool)
    before = subject.predict(x)[np.arange(len(x)), classes]
    for i, label in enumerate(classes):
        top = np.argsort(-np.abs(weights[i]), kind="stable")[:TOP]
        flat = x[i].ravel()
        # A weight of zero names no direction: the feature stays as it is.
        target = np.select([weights[i][top] > 0, weights[i][top] < 0], [0, 1], flat[top])
        rows = np.repeat(flat[np.newaxis], TOP, axis=0)
        rows[:, top] = np.where(np.tri(TOP, dtype=bool), target, rows[:, top])
        after = subject.predict(rows)
        drop[i], changed[i] = before[i] - after[:, label], after.argmax(axis=1) != label
    return {"drop": drop, "changed": changed}


def measure_costs(subject: Subject) -> dict:
    """Seconds for one sample and, for the fast methods, for each sample of a batch, all methods in turn."""
    methods = {key: method for key, method in METHODS.items() if key != "random"}
    explain = {key: method.make(subject) for key, method in methods.items()}
    batch = subject.order[:BATCH_SIZE]
    times: dict = {key: [] for key in methods}

    def seconds(key, samples):
        return np.array(report.clocked(explain[key], subject.x[samples], subject.classes[samples]))

    for key, method in methods.items():
        for samples in (batch[:1], batch) if method.fast else (batch[:1],):
            report.compile_by(seconds, key, samples)
    bar = keras.utils.Progbar(subject.sizes.rounds, unit_name="round")
    for sample in subject.order[: subject.sizes.rounds]:
        for key, method in methods.items():
            one = seconds(key, sample[np.newaxis])
            each = seconds(key, batch) / len(batch) if method.fast else np.full(2, np.nan)
            times[key].append((one, each))
        bar.add(1)
    return {key: np.array(rounds) for key, rounds in times.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of rows; 0 with a row of zeros."""
    return np.sum(unit(a, 2) * unit(b, 2), axis=1)


def unit(a: np.ndarray, norm: int) -> np.ndarray:
    """Rows of norm 1; zeros stay zeros."""
    length = np.linalg.norm(a, norm, axis=1, keepdims=True)
    return a / np.where(length > 0, length, 1)


def fragment(outcomes: list[Outcome], options: argparse.Namespace) -> str:
    """The Markdown that the documentation includes."""
    with_slow = [outcome for outcome in outcomes if outcome.costs]
    command = report.command_line("openbox_papers", options)
    return f"""# Against other methods

Made by `{command}` on {os.cpu_count()} CPU cores ({platform.machine()}) with TensorFlow {tf.__version__},
Keras {keras.__version__}, NumPy {np.__version__}, shap {shap.__version__} and lime {metadata.version("lime")}.
The measures are those of [Chu et al., 2018](https://doi.org/10.1145/3219819.3220063), and the data those of Muradov et al.: MNIST and
{cifar_note()}.

{read_settings()}

{table(SUBJECT_HEADER, [subject_cells(outcome) for outcome in outcomes])}

{read_check(outcomes)}

## Changing the top features

{read_protocol()}

### Changes on the samples that all methods explain

{table(CHANGE_HEADER, [change_cells(outcome, key, whole=False) for outcome in with_slow for key in shown(outcome)])}

{read_changes(with_slow)}

### Changes on all samples

{table(CHANGE_HEADER, [change_cells(outcome, key, whole=True) for outcome in outcomes for key in shown(outcome, fast=True)])}

## Consistency, and distance to the truth

{read_consistency_protocol()}

### Where pieces are shared, and how large they are

{table(REGION_HEADER, [region_cells(outcome, whole) for outcome in outcomes for whole in (False, True) if whole or outcome.costs])}

{read_regions(outcomes)}

### Consistency on the samples that all methods explain

{table(CONSISTENCY_HEADER, [consistency_cells(outcome, key, whole=False) for outcome in with_slow for key in outcome.methods])}

{read_consistency(with_slow)}

### Consistency on all samples

{table(CONSISTENCY_HEADER, [consistency_cells(o, key, whole=True) for o in outcomes for key in o.methods if METHODS[key].fast])}

## Seconds for an explanation

{read_cost_protocol(with_slow)}

{table(COST_HEADER, [cost_cells(outcome, key) for outcome in with_slow for key in outcome.costs])}

{read_goals(with_slow)}
"""


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; network and method are texts."""
    return report.table(header, rows, sum(name in ("network", "method") for name in header))


def cifar_note() -> str:
    """Which part of CIFAR-10 it was."""
    train, test = CIFAR_IMAGES
    copies = ", decoded from JPEG copies" if local_file("cifar10") else ""
    return f"CIFAR-10 (the first {train:,} training and {test:,} test images{copies})"


def read_settings() -> str:
    """What was explained, and how."""
    return f"""Networks are trained here with Adam and a fixed seed. The CNNs have two blocks of a 3 x 3 convolution (16 and 32 filters),
ReLU and 2 x 2 max pooling, then 64 ReLU units. Images are dequantized, (gray level + uniform noise) / 256, in training and in
everything below: constant patches of raw images lie exactly on walls of max poolings, where regions are ambiguous and
radii 0. MLP 784-8-10 is so small that images share regions; only fast methods explain it.

A feature is one entry of the input array: a pixel in MNIST, one channel of a pixel in CIFAR-10. The methods explain
the first test images that the network predicts correctly, for the predicted class c. Slow methods explain only the first of them,
each together with its nearest neighbor. Every method computes in one thread.

- **OpenBox**: the decision features $D_c$, against the mean of the other classes, of scores before the softmax. All methods
  below explain the probability of c.
- **gradient**, by the input. **integrated gradients**: {STEPS} steps from a black image. **GradientExplainer** of shap: from
  {BACKGROUND} training images, 200 draws (the default).
- **LIME, tabular**: {LIME_SAMPLES:,} samples, a feature for each entry, statistics of {LIME_TRAINING_IMAGES:,} training images, no
  feature selection. *default* cuts features into quartiles; *continuous* does not, and samples around the image; its weights
  are per standard deviation of a feature.
- **LIME, image**: {LIME_SAMPLES:,} samples, segments by SLIC ({LIME_SEGMENTS} asked for), hidden ones black. Each entry gets the
  weight of its segment.
- **KernelSHAP**: against one background, the mean training image, which is the cheapest; `nsamples="auto"`, that is 2 d + 2048 for d
  features. *default* keeps 10 of them, as `l1_reg="num_features(10)"` is the default; *all features* is `l1_reg=False`.
- **random weights**, normal: the negative control."""


SUBJECT_HEADER = ("network", "parameters", "features", "test accuracy", "tested", "explained", "by all methods")


def subject_cells(outcome: Outcome) -> tuple[str, ...]:
    """What a network is."""
    subject = outcome.subject
    counts = (subject.sizes.test_images, len(subject.x))
    common = str(len(subject.common)) if outcome.costs else "only the fast"
    accuracy = f"{subject.accuracy:.1%}"
    return (
        subject.network.title,
        f"{subject.model.count_params():,}",
        f"{subject.num_features:,}",
        accuracy,
        *map(str, counts),
        common,
    )


def read_check(outcomes) -> str:
    """Whether the pieces are the truth that the other methods are held against."""
    names = ("error", "wrong_error", "inside", "outside", "cosine")
    error, wrong, inside, outside, cosines = (np.concatenate([o.pieces[name] for o in outcomes]) for name in names)
    return f"""The decision features of OpenBox in float64 are the ground truth. This is checked first, on {len(error)} samples,
at nine tenths of the distance at which a random line leaves the region, where agreement is not a tautology. The error of the piece
is at most
{error.max():.0e} of the change of the scores (the piece of another sample: {np.median(wrong):.2f} in the median). `region_id` is
that of the sample for {inside.sum()} of these points, and the cosine of the decision features there and here is 1 within
{np.abs(1 - cosines).max():.0e}. At eleven tenths of the distance, `region_id` is that of the sample for {outside.sum()} points."""


def read_protocol() -> str:
    """How the top features are changed."""
    return f"""The features with the largest absolute weights, up to {TOP}, are set one after the other to 0 where the weight is
positive, and to 1 where it is negative. A feature with weight zero is not changed; of equal weights the first comes first. CPP, the
change of prediction probability, is the mean of $|p_c(x) - p_c(x')|$ for the changed image $x'$; NLCI is the number of
label-changed instances (and their share). The numbers in the heading are numbers of changed features; *1 to {TOP}* is the mean of
the whole curve of CPP.

The protocol treats the sign as that of a slope. An attribution against a baseline (integrated gradients, GradientExplainer,
KernelSHAP) or for a quartile (LIME, tabular, default) has another meaning: a dark pixel with a positive
contribution has a positive value, and setting it to 0 changes little. Their results here reflect the protocol, not their quality."""


def shown(outcome: Outcome, *, fast: bool = False) -> list[str]:
    """Methods in the tables of changes: float32 is the same explanation."""
    return [key for key in outcome.methods if key != "openbox32" and (METHODS[key].fast or not fast)]


CHANGE_HEADER = (
    "network", "method", "n", *(f"CPP, {number}" for number in POINTS), f"1 to {TOP}", *(f"NLCI, {number}" for number in POINTS)
)  # fmt: skip


def change_cells(outcome: Outcome, key: str, *, whole: bool) -> tuple[str, ...]:
    """The line of the table."""
    drop, changed = (part(outcome, outcome.methods[key][name], whole) for name in ("drop", "changed"))
    change = [f"{np.abs(drop[:, number - 1]).mean():.3f}" for number in POINTS]
    labels = [f"{changed[:, number - 1].sum()} ({changed[:, number - 1].mean():.0%})" for number in POINTS]
    curve = f"{np.abs(drop).mean():.3f}"
    return outcome.subject.network.title, METHODS[key].title, str(len(drop)), *change, curve, *labels


def part(outcome: Outcome, array: np.ndarray, whole: bool) -> np.ndarray:
    """The rows of all samples, or those of the samples that all methods explain, which come first."""
    return array if whole else array[: len(outcome.subject.common)]


def read_changes(outcomes) -> str:
    """Who comes first, in words."""
    errors, lines = [], []
    for outcome in outcomes:
        drops = {key: np.abs(part(outcome, outcome.methods[key]["drop"], whole=False)) for key in shown(outcome)}
        errors += [drop.std(axis=0).max() / np.sqrt(len(drop)) for drop in drops.values()]
        places = [place({key: drop[:, number - 1].mean() for key, drop in drops.items()}) for number in POINTS]
        ends = [f"{text} with {number} features" for number, text in zip(POINTS, places, strict=True)]
        lines.append(f"- {outcome.subject.network.title}: " + ";\n  ".join(ends) + ".")
    return "\n".join([f"OpenBox by CPP (standard errors of the means are at most {max(errors):.3f}):", "", *lines])


def place(values: dict) -> str:
    """Where OpenBox stands among methods, and which are ahead."""
    ahead = [key for key in sorted(values, key=values.get, reverse=True) if values[key] > values[TRUTH]]
    names = "; ahead: " + ", ".join(f"{METHODS[key].title} {values[key]:.3f}" for key in ahead) if ahead else ""
    return f"place {len(ahead) + 1} of {len(values)} ({values[TRUTH]:.3f}{names})"


def read_consistency_protocol() -> str:
    """How explanations are compared."""
    return """CS is the cosine between the explanations of a sample and of its nearest neighbor (Euclidean) among all explained samples,
each for its own predicted class; the tables show the mean and quantiles. If only some of the samples are explained, a pair
counts if both samples are. For the distance to the truth both vectors are scaled to an L1 norm of 1, so that the distance is between
0 and 2; the cosine to the truth needs no scaling. The tables show medians of both. Methods that explain the probability, or attribute it
to features, do not estimate $D_c$: their distances show how different the results are, not how wrong."""


REGION_HEADER = (
    "network", "samples", "regions", "regions / samples", "not alone", "pairs", "same class", "same region", "neighbor at",
    "r: n", "least", "5 %", "50 %", "95 %",
)  # fmt: skip


def region_cells(outcome: Outcome, whole: bool) -> tuple[str, ...]:
    """The line of the table."""
    subject = outcome.subject
    samples = part(outcome, subject.order, whole)
    _, where, counts = np.unique(outcome.pieces["region_id"][samples], return_inverse=True, return_counts=True)
    first, second = subject.pairs(samples).T
    classes = subject.classes[samples]
    radius = part(outcome, outcome.pieces["radius"], whole)
    counted = (
        len(samples),
        len(counts),
        f"{len(counts) / len(samples):.3f}",
        np.sum(counts[where] > 1),
        len(first),
        np.sum(classes[first] == classes[second]),
        np.sum(where[first] == where[second]),
        f"{np.median(subject.neighbor[1][samples]):.1f}",
        len(radius),
    )
    quantiles = [f"{quantile:.1e}" for quantile in np.quantile(radius, (0, 0.05, 0.5, 0.95))]
    return subject.network.title, *map(str, counted), *quantiles


def read_regions(outcomes) -> str:
    """The pairs that share a region, whose cosines must be 1."""
    lines = []
    for outcome in outcomes:
        subject, weights = outcome.subject, outcome.methods[TRUTH]["weights"]
        first, second = subject.pairs(subject.order).T
        ids, classes = outcome.pieces["region_id"][subject.order], subject.classes[subject.order]
        shared = ids[first] == ids[second]
        same = shared & (classes[first] == classes[second])
        text = f"{shared.sum()} of {len(first)} pairs share a region"
        if same.any():
            off = np.abs(1 - cosine(weights[first[same]], weights[second[same]])).max()
            text += f", {same.sum()} of them also the class; the cosines of these are 1 within {off:.0e}"
        lines.append(f"- {subject.network.title}: {text}.")
    intro = """*not alone* counts samples that share their region with another. *pairs* are the samples with their nearest neighbors of the
tables below, and *neighbor at* is the median distance between them. r is the certified radius in the 2-norm, of n samples: the
linear piece is certified not to change within it. Exactness makes $D_c$ the same within a region, but not in two regions:
"""
    return "\n".join([intro, *lines])


CONSISTENCY_HEADER = (
    "network", "method", "n", "L1 to truth", "cosine to truth", "pairs", "mean CS", *(f"{p} %" for p in PERCENT)
)  # fmt: skip


def consistency_cells(outcome: Outcome, key: str, *, whole: bool) -> tuple[str, ...]:
    """The line of the table."""
    weights, truth = (part(outcome, outcome.methods[name]["weights"], whole) for name in (key, TRUTH))
    distance = np.abs(unit(weights, 1) - unit(truth, 1)).sum(axis=1)
    similarity = neighbor_cosine(outcome, key, whole)
    return (
        outcome.subject.network.title,
        METHODS[key].title,
        str(len(weights)),
        "0" if key == TRUTH else f"{np.median(distance):.2g}",
        "1" if key == TRUTH else f"{np.median(cosine(weights, truth)):.3f}",
        str(len(similarity)),
        f"{similarity.mean():.3f}",
        *(f"{quantile:.3f}" for quantile in np.percentile(similarity, PERCENT)),
    )


def neighbor_cosine(outcome: Outcome, key: str, whole: bool) -> np.ndarray:
    """CS of each pair of neighbors."""
    weights = outcome.methods[key]["weights"]
    first, second = outcome.subject.pairs(part(outcome, outcome.subject.order, whole)).T  # weights are in this order
    return cosine(weights[first], weights[second])


def read_consistency(outcomes) -> str:
    """Who is more consistent than OpenBox, in words."""
    lines = [
        f"- {o.subject.network.title}: {place({key: neighbor_cosine(o, key, whole=False).mean() for key in shown(o)})}."
        for o in outcomes
    ]
    return "\n".join(["OpenBox by mean CS on these pairs:", "", *lines])


def read_cost_protocol(outcomes) -> str:
    """How time is taken."""
    rounds = " or ".join(str(count) for count in dict.fromkeys(outcome.subject.sizes.rounds for outcome in outcomes))
    return f"""In each of {rounds} rounds every method explains the same sample, one after the other; the fast ones then explain a
batch of {BATCH_SIZE} as well, and the time per sample counts. Work that is done once (compilation, statistics of training
images) is done before and does not count. The table has medians over rounds, in wall time. The ratios are relative to OpenBox
in float64 for the same sample or batch of a round, with quartiles in parentheses. They are also given in CPU time, which is less
affected by other load on the machine: a long call is interrupted, a short one is not. LIME and KernelSHAP explain one sample at a
time; their ratio
in a batch is that of one sample to each sample of OpenBox's batch. The goals are that LIME costs at least {LIME_GOAL} times as much
as OpenBox, and KernelSHAP {SHAP_GOAL} times. A goal is met if it is met both in wall time and in CPU time."""


COST_HEADER = (
    "network", "method", "one, ms", "in a batch, ms", "ratio, one", "in CPU time", "ratio, batch", "in CPU time",
    "goal", "met, one", "met, batch",
)  # fmt: skip


def ratios(outcome: Outcome, key: str) -> np.ndarray:
    """`(rounds, 2, 2)`: how many times the cost of OpenBox, one at a time or in batches, by the clock or in CPU time."""
    own, base = outcome.costs[key], outcome.costs[TRUTH]
    return np.where(np.isnan(own), own[:, :1], own) / base


def worst_ratios(outcome: Outcome, key: str) -> np.ndarray:
    """`(2,)`: the lesser of the medians by the clock and in CPU time, one at a time and in batches."""
    return np.median(ratios(outcome, key), axis=0).min(axis=1)


def cost_cells(outcome: Outcome, key: str) -> tuple[str, ...]:
    """The line of the table."""
    one, each = np.median(outcome.costs[key][:, :, 0], axis=0) * 1e3
    low, middle, high = np.quantile(ratios(outcome, key), (0.25, 0.5, 0.75), axis=0)
    compared = []
    for i in (0, 1):
        compared += [f"{short(middle[i, 0])} ({short(low[i, 0])} to {short(high[i, 0])})", short(middle[i, 1])]
    goal = METHODS[key].goal
    verdicts = [verdict(ratio, goal) for ratio in worst_ratios(outcome, key)] if goal else ["", ""]
    shown_each = "" if np.isnan(each) else f"{each:.2f}"
    return outcome.subject.network.title, METHODS[key].title, f"{one:.1f}", shown_each, *compared, str(goal or ""), *verdicts


def short(number: float) -> str:
    """Three digits, or all of a large number."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def verdict(ratio: float, goal: int) -> str:
    """Whether a goal is met, and else how much of it."""
    return "yes" if ratio >= goal else f"no, {ratio / goal:.0%} of it"


def read_goals(outcomes) -> str:
    """Which goals are met and which are not, in words."""
    lines = []
    for outcome in outcomes:
        worst = {key: worst_ratios(outcome, key) for key in outcome.costs if METHODS[key].goal}
        for i, way in enumerate(("one at a time", "in batches")):
            missed = [
                f"{METHODS[key].title} costs {short(ratio[i])} times as much, not {METHODS[key].goal}"
                for key, ratio in worst.items()
                if ratio[i] < METHODS[key].goal
            ]
            text = "goals missed: " + ";\n  ".join(missed) if missed else "all goals met"
            lines.append(f"- {outcome.subject.network.title}, OpenBox {way}: {text}.")
    return "\n".join(["By the lesser of the two ratios:", "", *lines])


if __name__ == "__main__":
    main()
