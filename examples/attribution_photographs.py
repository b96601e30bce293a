"""Explain the predictions of a convolutional network for images by four methods, and evaluate the explanations.

    python examples/attribution_photographs.py                       # scikit-learn's digits and a small network, seconds
    python examples/attribution_photographs.py --data photographs    # SqueezeNet and photographs, from the folder KERAS_XAI_DATA
    python examples/attribution_photographs.py --data cifar10        # MobileNet with a new head, on CIFAR-10, from that folder

For your own network, write another function like `digits`. The script prints a table and writes a page of pictures,
attribution_photographs.html.
"""

import argparse
import csv
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers
from sklearn.linear_model import LogisticRegression

from keras_xai import attribution
from keras_xai.attribution import LRP, GradCAM, IntegratedGradients, Occlusion
from keras_xai.metrics import Deletion, Insertion, compare_methods
from keras_xai.report import Page

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SQUEEZENET_MEANS = np.array([104, 117, 123], "float32")  # of blue, green and red


@dataclasses.dataclass
class Task:
    """A model and the images to explain.

    Attributes:
        model: The model.
        x: Images as model inputs, `(n, height, width, channels)`.
        y: Class indices `(n,)`.
        classes: Names of the classes.
        show: Converts a model input to a displayable image; `None` if no conversion is needed.
        composite: LRP rules that suit the network.
    """

    model: keras.Model
    x: np.ndarray
    y: np.ndarray
    classes: Sequence[str]
    show: Callable | None
    composite: attribution.Composite


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed table, by name.
    """
    options = parse(arguments)
    keras.utils.set_random_seed(options.seed)
    task = SOURCES[options.data](options)
    model = task.model
    right = model.predict(task.x, verbose=0).argmax(axis=-1) == task.y
    x, y = task.x[right][: options.samples], task.y[right][: options.samples]

    # The default baseline, zero, is the background of the digits, and a medium color for the two pretrained networks.
    window = max(2, x.shape[1] // 8)
    methods = {
        "Grad-CAM": GradCAM(model),
        "integrated gradients": IntegratedGradients(model),
        "LRP": LRP(model, composite=task.composite),
        "occlusion": Occlusion(model, window=window, stride=window // 2),
    }
    metrics = {"deletion": Deletion(model, steps=options.steps), "insertion": Insertion(model, steps=options.steps)}
    print(f"Accuracy: {right.mean():.1%}. Explaining {len(x)} of the correctly classified images.")
    comparison = compare_methods(model, x, methods, metrics, verbose=1)
    table = comparison.table

    # A control: values that do not depend on the network. Methods have to be better.
    noise = np.random.default_rng(options.seed).normal(size=x.shape)
    noise = dataclasses.replace(comparison.explanations["Grad-CAM"], values=noise, method="random")
    chance = {name: float(metric(noise).mean()) for name, metric in metrics.items()}

    numbers = {"accuracy": float(right.mean()), **{f"{metric}, random": value for metric, value in chance.items()}}
    numbers |= {f"{metric}, {name}": table[metric]["mean"][name] for metric in metrics for name in methods}
    print(
        f"\n{table.round(3).to_string()}\n\nRandom values: {', '.join(f'{name} {value:.3f}' for name, value in chance.items())}"
    )
    chosen = list(range(len(x))) if len(x) <= 6 else [int(np.flatnonzero(y == c)[0]) for c in np.unique(y)[:6]]
    figure = comparison.plot(samples=chosen, show=task.show, class_names=task.classes)
    path = draw(figure, comparison, chance, numbers, options).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", choices=tuple(SOURCES), default="digits", help="which images and network (default: %(default)s)"
    )
    parser.add_argument("--samples", type=positive, help="images to explain (default: 60; with photographs or cifar10: 6)")
    parser.add_argument("--steps", type=positive, default=16, help="steps of deletion and insertion (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, default=8, help="training epochs on the digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--report", default="attribution_photographs.html", help="file to write the page to (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    options.samples = options.samples or (60 if options.data == "digits" else 6)
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def real_file(*names):
    """The path of a file in the folder of real data."""
    folder = os.environ.get("KERAS_XAI_DATA")
    path = pathlib.Path(folder or ".", *names)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the file {'/'.join(names)} in the folder that KERAS_XAI_DATA names. Received: KERAS_XAI_DATA={folder!r}. Put it "
            "there, or leave out --data to use scikit-learn's digits."
        )
    return path


def digits(options):
    """A small network, trained here, and test images."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8, 1) / 16).astype("float32")
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=options.seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pooling"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv3"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax", name="scores"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    print(f"Training on {len(x)} images.")
    model.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
    return Task(model, x_test, y_test, [str(c) for c in range(10)], None, attribution.EpsilonAlpha2Beta1())


def photographs(options):
    """SqueezeNet with its ImageNet weights, and photographs of 50 of its classes."""
    model = keras.models.load_model(real_file("models", "squeezenet_v1.1.keras"), compile=False)
    labels = real_file("photos", "labels.csv")
    with labels.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(options.seed).permutation(len(rows))
    images = [
        keras.utils.load_img(labels.with_name(rows[i]["file"]), target_size=(227, 227), interpolation="bilinear")
        for i in order
    ]
    x = np.stack([keras.utils.img_to_array(image) for image in images])[..., ::-1] - SQUEEZENET_MEANS
    names = {int(row["class_index"]): row["class_name"].replace("_", " ") for row in rows}
    classes = [names.get(c, f"class {c}") for c in range(model.output_shape[-1])]
    y = np.array([int(rows[i]["class_index"]) for i in order])
    return Task(model, x, y, classes, as_photograph, attribution.EpsilonPlusFlat())


def as_photograph(x):
    return np.clip((x + SQUEEZENET_MEANS)[..., ::-1] / 255, 0, 1)


def cifar10(options, num_training=600, num_test=60):
    """MobileNet with its ImageNet weights and a head that is fitted here to some images of CIFAR-10."""
    backbone = keras.models.load_model(real_file("models", "mobilenet_v1_to_conv_pw_12.keras"), compile=False)
    with np.load(real_file("cifar10_subset.npz")) as file:
        x, y, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))

    def prepared(images):
        return keras.ops.convert_to_numpy(keras.ops.image.resize(images.astype("float32"), (224, 224))) / 127.5 - 1

    inputs = keras.Input((224, 224, 3), name="image")
    features = layers.GlobalAveragePooling2D(name="features")(backbone(inputs))
    head = layers.Dense(10, activation="softmax", name="scores")
    model = keras.Model(inputs, head(features))
    print(f"Fitting a head to {num_training} images.")
    x, y = x[:num_training], y[:num_training, 0]
    found = keras.Model(inputs, features).predict(prepared(x), verbose=1)  # the backbone is not trained: one pass suffices
    fitted = LogisticRegression(max_iter=1000).fit(found, y)
    head.set_weights([fitted.coef_.T, fitted.intercept_])
    # The usual rules lose nearly all relevance in depthwise convolutions, whose small windows often have no positive contribution.
    flat = {
        f"{backbone.name}/{layer.name}": attribution.Flat()
        for layer in backbone.layers
        if isinstance(layer, layers.DepthwiseConv2D)
    }
    composite = attribution.RoleComposite(
        dense=attribution.Epsilon(bias=False),
        convolution=attribution.ZPlus(bias=False),
        first=attribution.Flat(),
        layers=flat,
    )
    return Task(model, prepared(x_test[:num_test]), y_test[:num_test, 0], CIFAR10, lambda image: (image + 1) / 2, composite)


SOURCES = {"digits": digits, "photographs": photographs, "cifar10": cifar10}


def draw(figure, comparison, chance, numbers, options):
    """The page."""
    what = {
        "digits": "A network of three convolutions, trained on scikit-learn's digits,",
        "photographs": "SqueezeNet 1.1 with its ImageNet weights",
        "cifar10": "MobileNet with its ImageNet weights, and a head fitted to 600 images of CIFAR-10,",
    }
    page = Page("Attribution for images")
    page.text(
        f"{what[options.data]} classifies {numbers['accuracy']:.1%} of the images correctly. The methods explain the score of the true "
        "class, printed beside each image, for some of these: red is a positive contribution, blue a negative one. Grad-CAM weights the "
        "feature maps of the last convolution; integrated gradients attribute the score difference from a blank image to the pixels; LRP "
        "propagates the score back layer by layer; occlusion is the decrease of the score when a window is blank."
    )
    page.figure(figure, f"The numbers are means over {options.samples} images, with half of the 95% confidence interval.")
    page.heading("Metrics")
    rows = [
        (
            name,
            *(f"{row[metric]['mean']:.3f}" for metric in chance),
            f"{row['cost']['num_forward_passes']:.0f}",
            f"{row['cost']['seconds']:.3f}",
        )
        for name, row in comparison.table.iterrows()
    ]
    page.table(
        [*rows, ("random values", *(f"{value:.3f}" for value in chance.values()), "", "")],
        header=("", *chance, "forward passes", "seconds"),
        caption="Deletion: mean probability while pixels are blanked, the most relevant first; lower is better. Insertion: mean "
        "probability while they are inserted into a blank image; higher is better. Random values are the control.",
    )
    beaten = [name for name in comparison.table.index if comparison.table["deletion"]["mean"][name] >= chance["deletion"]]
    beaten += [name for name in comparison.table.index if comparison.table["insertion"]["mean"][name] <= chance["insertion"]]
    if beaten:
        page.text(
            f"Not better than random values by one of the two: {', '.join(dict.fromkeys(beaten))}. Such an explanation need not be wrong: "
            "blank pixels can contribute to a class, but deleting them has no effect; and scattered blank pixels, as with random "
            "values, disturb a network more than a blank patch."
        )
    return page


if __name__ == "__main__":
    main()
