"""Transfer pretrained networks to other images, and diagnose layer by layer the changes and where one network falls behind.

    python examples/transfer_diagnosis.py                     # two small networks and scikit-learn's digits, half a minute
    python examples/transfer_diagnosis.py --data cifar10      # SqueezeNet and MobileNet, from the folder KERAS_XAI_DATA
    python examples/transfer_diagnosis.py --data cifar10 --backbone VGG16 --backbone my_network.keras:caffe

A backbone is the name of a network in keras.applications, whose weights Keras downloads, or a file followed by a colon and the mode of
preprocessing, as in `keras.applications.imagenet_utils.preprocess_input`: caffe, tf or torch; or scale, for the range from 0 to 1.
The layers after its last hidden block are replaced by a linear classifier. The classifier is fitted first, then the whole network is
fine-tuned, by default with the learning rate, batch size and epochs of Wang & Liu, "Refining Deep Neural Networks via Interpretability
Using Transfer Learning" (2024), table 2. Before and after, `diagnose` measures how well each hidden layer separates the classes. The script
prints tables and writes a page of pictures, transfer_diagnosis.html.
"""

import argparse
import dataclasses
import inspect
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression

from keras_xai.diagnosis import Diagnosis, NetworkComparison, Protocol, block_ends, compare_networks, diagnose
from keras_xai.features import TSNE, reconstruct
from keras_xai.openbox import UnsupportedLayerError
from keras_xai.report import Page, deconvnet_plot, depth_plot

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PREPARATIONS = ("caffe", "tf", "torch", "scale")
SMALL = {"wide": (16, 32, 64), "narrow": (4, 4, 8)}  # maps of their three convolutions
REAL = {"SqueezeNet": "squeezenet_v1.1.keras:caffe", "MobileNet": "mobilenet_v1_to_conv_pw_12.keras:tf"}
# Bars in a terminal, lines in a file.
VERBOSE = 1 if sys.stdout.isatty() else 2


@dataclasses.dataclass
class Images:
    """Images `(n, height, width, channels)` from 0 to 255, and their classes `(n,)`, for training and test."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: Sequence[str]


@dataclasses.dataclass
class Backbone:
    """A pretrained network.

    Attributes:
        name: Its name.
        model: The network, with or without its original classifier.
        prepare: Preprocesses images from 0 to 255, of any size.
    """

    name: str
    model: keras.Model
    prepare: Callable

    def prepared(self, images):
        """Preprocessed images in their own size, with the number of channels of the network."""
        channels = self.model.input_shape[-1]
        images = np.repeat(images, channels, axis=-1) if images.shape[-1] == 1 else images
        return np.asarray(self.prepare(np.array(images, "float32")), "float32")

    @property
    def is_bgr(self):
        """Whether the channels are in BGR order, from the position of red after preprocessing."""
        red = np.array([[[[255.0, 0.0, 0.0]]]], "float32")
        return self.model.input_shape[-1] == 3 and int(np.argmax(self.prepare(red) - self.prepare(0 * red))) == 2


@dataclasses.dataclass
class Transferred:
    """A network before and after fine-tuning.

    Attributes:
        backbone: Its pretrained backbone.
        model: The network after fine-tuning.
        right: `(n,)` bool under `"before"` and `"after"`: which test images are classified correctly.
        diagnoses: Diagnoses on the test images under `"before"` and `"after"`.
        change: The comparison of after and before, for each layer.
    """

    backbone: Backbone
    model: keras.Model
    right: dict[str, np.ndarray]
    diagnoses: dict[str, Diagnosis]
    change: NetworkComparison


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed tables, by name.
    """
    options = parse(arguments)
    keras.utils.set_random_seed(options.seed)
    tsne = TSNE(
        initialization="random", iterations=options.iterations
    )  # so that repeats measure the effect of the initialization
    tsne.check(options.samples)
    protocol = Protocol(samples=None, seed=options.seed, repeats=options.repeats, tsne=tsne)
    images = load(options)
    # All of them before any work, so that errors of the last one are raised at once.
    models = [(each, with_new_classifier(each, len(images.classes))) for each in backbones(options)]
    found = {each.name: transfer(each, model, images, protocol, options) for each, model in models}
    numbers: dict[str, float] = {}
    for name, each in found.items():
        for state, right in each.right.items():
            numbers[f"accuracy {state}, {name}"] = float(right.mean())
        for pair in each.change.pairs:
            numbers[f"hit before, {name}, {pair.b.path}"] = pair.b.neighborhood_hit.mean
            numbers[f"hit after, {name}, {pair.a.path}"] = pair.a.neighborhood_hit.mean
        print(f"\n{name}\n{aligned(layer_rows(each), LAYER_HEADER)}\n{change_words(each)}")
    print(f"\n{aligned(accuracy_rows(found), ACCURACY_HEADER)}")
    comparisons = [
        compare_networks(*(found[name].diagnoses["after"] for name in pair), names=pair)
        for pair in itertools.combinations(found, 2)
    ]
    for comparison in comparisons:
        print(f"\n{comparison.summary}\n{order_words(comparison, found)}")
    path = draw(found, comparisons, images, options).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=tuple(SOURCES), default="digits", help="which images (default: %(default)s)")
    parser.add_argument(
        "--backbone",
        action="append",
        metavar="NAME | FILE:PREPARATION",
        help="a network of keras.applications, or a file and one of " + ", ".join(PREPARATIONS) + "; once for each network "
        "(default: two small networks, pretrained here; for CIFAR-10 SqueezeNet and MobileNet from KERAS_XAI_DATA)",
    )
    parser.add_argument("--train", type=positive, help="training images (default: 400; for CIFAR-10 2000)")
    parser.add_argument(
        "--samples",
        type=positive,
        help="test images for diagnosis and accuracies (default: 300; for CIFAR-10 1000)",
    )
    parser.add_argument(
        "--learning-rate", type=rate, help="learning rate of fine-tuning (default: 0.003; for CIFAR-10 1e-5, as in the paper)"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=16, help="batch size of fine-tuning (default: %(default)s, as in the paper)"
    )
    parser.add_argument(
        "--epochs", type=positive, default=10, help="epochs of fine-tuning (default: %(default)s, as in the paper)"
    )
    parser.add_argument("--repeats", type=positive, default=3, help="t-SNE maps of each layer (default: %(default)s)")
    parser.add_argument("--iterations", type=positive, help="iterations of t-SNE (default: 500; for CIFAR-10 1000)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="transfer_diagnosis.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    if len(set(options.backbone or [])) < len(options.backbone or []):
        parser.error("--backbone: the same network twice; name another one, or only one")
    small = options.data == "digits"
    options.train = options.train or (400 if small else 2000)
    options.samples = options.samples or (300 if small else 1000)
    options.iterations = options.iterations or (500 if small else 1000)
    options.learning_rate = options.learning_rate or (3e-3 if small else 1e-5)
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def rate(text):
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text!r}")
    return number


def load(options):
    """The requested numbers of training and test images."""
    generator = np.random.default_rng(options.seed)
    x, y, x_test, y_test, classes = SOURCES[options.data](generator)
    parts = []
    for name, arrays, count in (("train", (x, y), options.train), ("samples", (x_test, y_test), options.samples)):
        if count > len(arrays[0]):
            raise ValueError(
                f"Expected --{name} to be at most {len(arrays[0])}, the number of available images. Received: {count}."
            )
        chosen = generator.permutation(len(arrays[0]))[:count]
        parts += [array[chosen] for array in arrays]
    missing = [classes[c] for c in range(len(classes)) if c not in parts[1]]
    if missing:
        raise ValueError(f"Expected images of all classes to train on. Received: none of {missing}. Take a larger --train.")
    return Images(*parts, classes)


def digits(generator):
    """The digits from 5 to 9 at random positions in a larger image; half of them for training."""
    from sklearn.model_selection import train_test_split

    x, y = all_digits()
    x, x_test, y, y_test = train_test_split(x[y >= 5], y[y >= 5] - 5, test_size=0.5, stratify=y[y >= 5], random_state=0)
    return placed(x, generator), y, placed(x_test, generator), y_test, [str(c) for c in range(5, 10)]


def all_digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x.reshape(-1, 8, 8, 1) * (255 / 16), y


def placed(images, generator, side=16):
    """Each image at a random position in a larger black one, so that pixels alone hardly separate the classes."""
    size = images.shape[1]
    found = np.zeros((len(images), side, side, 1), "float32")
    for canvas, image, (row, column) in zip(
        found, images, generator.integers(side - size + 1, size=(len(images), 2)), strict=True
    ):
        canvas[row : row + size, column : column + size] = image
    return found


def cifar10(generator):
    """CIFAR-10: the subset in the folder of real data, or all of it, downloaded by Keras."""
    path = pathlib.Path(os.environ.get("KERAS_XAI_DATA", "."), "cifar10_subset.npz")
    if path.is_file():
        with np.load(path) as file:
            x, y, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    else:
        (x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
    return x, y.ravel(), x_test, y_test.ravel(), CIFAR10


SOURCES = {"digits": digits, "cifar10": cifar10}


def backbones(options):
    """The pretrained networks, one by one."""
    if options.backbone:
        for given in options.backbone:
            yield from_file(given) if ":" in given or given.endswith(".keras") else from_applications(given)
    elif options.data == "digits":
        for name in SMALL:
            yield small_network(name, options.seed)
    else:
        folder = pathlib.Path(os.environ.get("KERAS_XAI_DATA", "."), "models")
        for name, file in REAL.items():
            yield dataclasses.replace(from_file(str(folder / file)), name=name)


def small_network(name, seed):
    """A network of three convolutions, pretrained on the digits from 0 to 4."""
    x, y = all_digits()
    x, y = np.repeat(x[y < 5], 3, axis=0), np.repeat(y[y < 5], 3)
    first, second, third = (
        layers.Conv2D(maps, 3, padding="same", activation="relu", name=f"conv{i + 1}") for i, maps in enumerate(SMALL[name])
    )
    hidden = [first, layers.MaxPooling2D(name="pool1"), second, layers.MaxPooling2D(name="pool2"), third]
    head = [layers.GlobalAveragePooling2D(name="features"), layers.Dense(5, activation="softmax")]
    model = keras.Sequential([keras.Input((16, 16, 1), name="image"), *hidden, *head], name=name)
    backbone = Backbone(name, model, lambda images: images / 255)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    print(f"\nPretraining the {name} network on {len(x)} images of the digits from 0 to 4.")
    x = backbone.prepared(placed(x, np.random.default_rng(seed)))
    model.fit(x, y, epochs=8, batch_size=32, verbose=VERBOSE)
    return backbone


def from_file(given):
    """A network from a file: `FILE:PREPARATION`."""
    file, _, preparation = given.rpartition(":")
    path = pathlib.Path(file)
    if preparation not in PREPARATIONS:
        raise ValueError(
            f"Expected a file, a colon and a mode of preprocessing, one of {PREPARATIONS}. Received: --backbone {given}. For example: "
            f"--backbone {pathlib.Path(given).name}:tf"
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a file of a network. Received: {path.name}, which is not in the folder '{path.parent.name}'. Set KERAS_XAI_DATA to "
            "the folder of real data, or name a network by --backbone."
        )
    model = keras.models.load_model(path, compile=False)

    def prepare(images):
        if preparation == "scale":
            return images / 255
        return keras.applications.imagenet_utils.preprocess_input(images, mode=preparation)

    return Backbone(path.stem, model, prepare)


def from_applications(name):
    """A network of keras.applications with its ImageNet weights."""
    make = vars(keras.applications).get(name)
    if not inspect.isfunction(make):
        names = [each for each, value in vars(keras.applications).items() if inspect.isfunction(value)]
        raise ValueError(
            f"Expected a network of keras.applications, one of {sorted(names)}, or FILE.keras:PREPARATION. Received: --backbone {name}"
        )
    try:
        model = make(weights="imagenet")
    except Exception as error:  # the only type that Keras raises
        raise ConnectionError(
            f"Expected a connection over which Keras can download the weights of {name}. Received: {error}. Without one, save the network "
            "elsewhere by model.save(), and give that file as --backbone FILE.keras:PREPARATION."
        ) from error
    return Backbone(name, model, inspect.getmodule(make).preprocess_input)


def transfer(backbone, model, images, protocol, options):
    """Fits the new classifier, then fine-tunes the whole network; diagnoses before and after that."""
    x, x_test = backbone.prepared(images.x), backbone.prepared(images.x_test)
    # Shares its layers with the model. Resizing is linear, so that images can be preprocessed before it.
    whole = keras.Sequential([keras.Input(x.shape[1:]), layers.Resizing(*model.input_shape[1:3]), model])
    print(f"\nFitting a classifier to the features of {backbone.name} for {len(x)} images.")
    fit_classifier(model, x, images.y)
    right, diagnoses = {}, {}

    def look(state):
        print(f"Diagnosing {backbone.name} {state} fine-tuning, on {len(x_test)} images.")
        diagnoses[state] = diagnose(model, x_test, images.y_test, protocol=protocol, verbose=VERBOSE)
        right[state] = whole.predict(x_test, verbose=VERBOSE).argmax(axis=-1) == images.y_test

    look("before")
    print(f"Fine-tuning {backbone.name} on {len(x)} images.")
    whole.compile(keras.optimizers.Adam(options.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    whole.fit(x, images.y, batch_size=options.batch_size, epochs=options.epochs, verbose=VERBOSE)
    look("after")
    change = compare_networks(
        diagnoses["after"], diagnoses["before"], {path: path for path in diagnoses["after"].layers}, names=("after", "before")
    )
    return Transferred(backbone, model, right, diagnoses, change)


def with_new_classifier(backbone, num_classes):
    """The network up to its last hidden block, followed by a linear classifier."""
    old = backbone.model
    if None in old.input_shape[1:]:
        raise ValueError(
            f"Expected a network that takes images of one size. Received: '{backbone.name}', of {old.input_shape[1:]}."
        )
    # Nested networks are kept as a whole.
    features = old.get_layer(block_ends(old)[-1].split("/")[0]).output
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D(name="features")(features)
    scores = layers.Dense(num_classes, activation="softmax", name="scores")(features)
    model = keras.Model(old.inputs, scores, name=backbone.name)
    for layer in flattened(model):
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # keeps the statistics of pretraining, as is usual for small batches
    return model


def flattened(model):
    for layer in model.layers:
        yield from flattened(layer) if isinstance(layer, keras.Model) else [layer]


def fit_classifier(model, x, y):
    """Fits the weights of the last layer by logistic regression on the features of the network."""
    scores = model.get_layer("scores")
    features = keras.Sequential(
        [keras.Input(x.shape[1:]), layers.Resizing(*model.input_shape[1:3]), keras.Model(model.inputs, scores.input)]
    ).predict(x, verbose=VERBOSE)
    scale = features.std(axis=0).mean()
    fitted = LogisticRegression(max_iter=1000).fit(features / scale, y)
    scores.set_weights([fitted.coef_.T / scale, fitted.intercept_])


LAYER_HEADER = ("layer", "hit before", "hit after", "difference", "95 % confidence interval")
ACCURACY_HEADER = ("network", "accuracy before", "accuracy after", "last layer", "hit before", "hit after")


def layer_rows(found):
    """For each layer the neighborhood hits before and after, and their difference."""
    return [
        (
            pair.a.path,
            f"{pair.b.neighborhood_hit.mean:.3f}",
            f"{pair.a.neighborhood_hit.mean:.3f}",
            f"{pair.difference.mean:+.3f}",
            f"{pair.difference.low:+.3f} to {pair.difference.high:+.3f}",
        )
        for pair in found.change.pairs
    ]


def accuracy_rows(found):
    """For each network the accuracies and the neighborhood hits of its last hidden layer."""
    return [
        (
            name,
            *(f"{right.mean():.1%}" for right in each.right.values()),
            each.change.pairs[-1].a.path,
            *(f"{last_hit(report).mean:.3f}" for report in each.diagnoses.values()),
        )
        for name, each in found.items()
    ]


def aligned(rows, header):
    """A table as lines of text."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join([f"{first:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in (header, *rows)
    )


def last_hit(report):
    return list(report.layers.values())[-1].neighborhood_hit


def change_words(found):
    """Summarizes the effect of fine-tuning."""
    pairs = found.change.pairs
    higher = [pair for pair in pairs if pair.difference.low > 0]
    lower = [pair for pair in pairs if pair.difference.high < 0]
    words = f"Fine-tuning {found.backbone.name} raises the neighborhood hit in {len(higher)} of {len(pairs)} layers"
    if higher:
        most = max(higher, key=lambda pair: pair.difference.mean)
        words += f", most in '{most.a.path}', by {most.difference.mean:.3f}"
    if lower:
        words += f", and lowers it in {', '.join(repr(pair.a.path) for pair in lower)}"
    unclear = len(pairs) - len(higher) - len(lower)
    words += f". In {unclear} of them, the difference is not significant." if unclear else "."
    if unclear == len(pairs):
        words = (
            f"Fine-tuning {found.backbone.name} does not change the neighborhood hit significantly in any of {unclear} layers."
        )
    before, after = (found.right[state] for state in ("before", "after"))
    return f"{words} The accuracy changes from {before.mean():.1%} to {after.mean():.1%}{difference_words(after, before)}."


def order_words(comparison, found):
    """Compares the order of two networks by neighborhood hit with that by accuracy."""
    one, other = comparison.names
    rights = [found[name].right["after"] for name in comparison.names]
    difference, half = paired_difference(*rights)
    by_accuracy = np.sign(difference) * (abs(difference) > half)
    hit = comparison.pairs[-1].difference
    by_hit = int(hit.low > 0) - int(hit.high < 0)
    words = (
        f"{one} has a test accuracy of {rights[0].mean():.1%}, {other} of {rights[1].mean():.1%}{difference_words(*rights)}. In "
        f"the last compared layers, their neighborhood hits are {comparison.pairs[-1].a.neighborhood_hit.mean:.3f} and "
        f"{comparison.pairs[-1].b.neighborhood_hit.mean:.3f} (difference {hit.mean:+.3f}, {hit.low:+.3f} to {hit.high:+.3f}). "
    )
    if by_accuracy and by_hit:
        return words + ("Both order the networks alike." if by_accuracy == by_hit else "They order the networks differently.")
    if by_accuracy or by_hit:
        return words + f"Only the {'accuracies' if by_accuracy else 'hits'} differ significantly."
    return words + "Neither differs significantly."


def paired_difference(one, other):
    """The mean difference of two accuracies on the same images, and half of its 95 % confidence interval."""
    each = one.astype(float) - other
    return each.mean(), 1.96 * each.std(ddof=1) / np.sqrt(len(each))


def difference_words(one, other):
    mean, half = paired_difference(one, other)
    return f" (difference {mean:+.1%}, 95 % confidence interval {mean - half:+.1%} to {mean + half:+.1%})"


def draw(found, comparisons, images, options):
    """The page."""
    what = {"digits": "the digits from 5 to 9 at random positions in a larger image", "cifar10": "CIFAR-10"}[options.data]
    pretrained = "" if options.backbone or options.data != "digits" else ", trained on the digits from 0 to 4,"
    page = Page("Transfer learning, layer by layer")
    page.text(
        f"Pretrained networks{pretrained} are transferred to {what}: {', '.join(found)}. In each, a linear classifier replaces "
        f"the layers after the last hidden block. It is fitted to {len(images.x)} images; then the whole network is fine-tuned on them for "
        f"{options.epochs} epoch{'s' * (options.epochs > 1)}, with a learning rate of {options.learning_rate:g} and a batch size of "
        f"{options.batch_size}. It is diagnosed before and after that on {len(images.x_test)} test images. The neighborhood hit "
        "of a layer is the share of the six nearest neighbors of an image, on a t-SNE map of the layer's activations, that "
        "have the class of the image."
    )
    page.table(
        accuracy_rows(found),
        header=ACCURACY_HEADER,
        caption="Accuracies and neighborhood hits, on the same images. The classifier is fitted before fine-tuning.",
    )
    for comparison in comparisons:
        page.text(order_words(comparison, found))
    curves = {f"{name} {state}": report for name, each in found.items() for state, report in each.diagnoses.items()}
    page.figure(
        depth_plot(curves),
        "Neighborhood hit by depth before and after fine-tuning, on the maps and among the activations themselves, and the accuracy "
        "of a linear classifier on each layer. Bars are 95 % confidence intervals.",
    )
    for comparison in comparisons:
        page.heading(f"{comparison.names[0]} against {comparison.names[1]}, after fine-tuning")
        page.text(comparison.summary)
        page.figure(comparison.plot(class_names=images.classes), "t-SNE maps. A point is an image, its color the class.")
    for name, each in found.items():
        page.heading(f"{name}, before and after fine-tuning")
        page.text(change_words(each))
        page.table(layer_rows(each), header=LAYER_HEADER, caption="Neighborhood hits on the t-SNE maps.")
        page.figure(each.change.plot(class_names=images.classes))
    return add_sheets(page, found, images)


def add_sheets(page, found, images):
    """Adds reconstructions of feature maps for one image after fine-tuning."""
    page.heading("Reconstructions of feature maps")
    chosen = int(
        np.argmax(np.all([each.right["after"] for each in found.values()], axis=0))
    )  # one that all classify correctly
    image = images.x_test[chosen]
    sheets = {}
    for name, each in found.items():
        size = each.model.input_shape[1:3]
        x = keras.ops.convert_to_numpy(keras.ops.image.resize(each.backbone.prepared(image[None]), size))
        try:
            sheets[name] = [
                reconstruct(each.model, x, layer=path, top=min(num_maps, 16))
                for path, num_maps in layers_of_maps(each).items()
            ]
        except UnsupportedLayerError as error:
            page.text(f"{name} has no sheet. {error}")
    if sheets:
        page.text(
            f"The image is of class {images.classes[images.y_test[chosen]]}. Each tile is the reconstruction of one feature map "
            "by a Deconvnet, with all other maps of its layer set to zero. Shown are up to sixteen of the strongest maps of a first, a "
            "middle and the last convolutional layer. Only max pooling preserves positions: with strides "
            "instead, deep layers give a regular grid."
        )
        bgr = {name: found[name].backbone.is_bgr for name in sheets}
        page.figure(deconvnet_plot(sheets, show=lambda _: image / 255, bgr=bgr))
    return page


def layers_of_maps(found):
    """A first, a middle and the last layer of feature maps, each with the number of its maps."""
    maps = {path: layer.shape[-1] for path, layer in found.diagnoses["after"].layers.items() if len(layer.shape) == 3}
    # The last one is not diagnosed if the classifier takes the means of its maps, which are diagnosed instead.
    inner = [layer for layer in found.model.layers if not isinstance(layer, (keras.Model, layers.InputLayer))]
    maps |= {layer.name: layer.output.shape[-1] for layer in [each for each in inner if len(each.output.shape) == 4][-1:]}
    paths = list(maps)
    return {paths[i]: maps[paths[i]] for i in sorted({0, len(paths) // 2, len(paths) - 1})}


if __name__ == "__main__":
    main()
