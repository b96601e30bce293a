"""Train a convolutional network on handwritten digits, divide it into exact linear pieces, check them, and write a report.

    python examples/openbox_digits.py                  # scikit-learn's digits, no download
    python examples/openbox_digits.py --data mnist     # MNIST, from the folder KERAS_XAI_DATA or from keras.datasets

The script prints a table of results and writes a page of pictures, openbox_digits.html.
"""

import argparse
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers

from keras_xai.openbox import LinearPieces, OpenBox
from keras_xai.report import Page, openbox_page

NUM_DIRECTIONS = 10
NOTE = (
    "Beyond a wall a piece is not always wrong: if the max pooling behind a ReLU ignores the unit that switches, the "
    "scores stay the same linear function."
)
ROUNDING = 1e-10  # errors of a score above this exceed float64 rounding error
ON_A_WALL = 1e-12  # distances below this are 0 up to rounding, which breaks some ties
TIMED_IMAGES = 128


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed table, by name.
    """
    options = parse(arguments)
    keras.utils.set_random_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    (x_train, y_train), (x_test, y_test), num_levels = load(options)

    print(f"Training on {len(x_train)} images.")
    model = build_model(x_train.shape[1:])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(dequantize(x_train, num_levels, rng), y_train, epochs=options.epochs, batch_size=options.batch_size)
    x_test_spread = dequantize(x_test, num_levels, rng)
    _, accuracy = model.evaluate(x_test_spread, y_test, verbose=0)
    numbers = {"test images": len(x_test), "test accuracy": accuracy}

    x, y = x_test_spread[: options.samples], y_test[: options.samples]
    print(f"Converting at {len(x)} test images.")
    # Trained in float32 as usual, but converted in float64: the weights are the same, and the checks below can
    # distinguish a wrong piece from rounding error, 1e-14 instead of 1e-6.
    box = OpenBox(model, dtype="float64")
    local = box(x)
    numbers |= {"converted images": len(x), "regions": len(set(local.region_id))}

    print("Finding the nearest wall of each image.")
    walls = local.nearest_wall()
    for percent in (5, 50, 95):
        numbers[f"radius, {percent}% quantile"] = float(np.quantile(walls.distance, percent / 100))
    numbers["images with radius 0"] = int(np.sum(walls.distance < ON_A_WALL))
    numbers["original images with radius 0"] = count_on_a_wall(box(rescale(x_test[: len(x)], num_levels), verbose=0), rng)

    print("Checking the pieces against the network.")
    numbers |= check(local, model, rng)
    numbers |= measure_times(model, x[:TIMED_IMAGES])

    rows = table(numbers)
    width = max(len(name) for name, _ in rows)
    print("\n" + "\n".join(f"{name:<{width}}  {value}" for name, value in rows))
    print(f"\n{NOTE}")
    show, remark = choose_images(local.scores.argmax(axis=1), y)
    page = write_text(numbers, rows, options.data, remark)
    path = openbox_page(local, walls, labels=y, show=show, page=page).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits", help="which images (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, help="training epochs (default: 12; mnist: 2)")
    parser.add_argument("--samples", type=positive, help="test images to convert (default: all 450; mnist: 100)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="openbox_digits.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    small = options.data == "digits"
    options.epochs = options.epochs or (12 if small else 2)
    options.samples = options.samples or (450 if small else 100)
    options.batch_size = 32 if small else 128
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def load(options):
    """Training and test images `(n, height, width, 1)` in integer gray levels, their labels, and the number of levels."""
    if options.data == "digits":
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        x, y = load_digits(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(
            x.reshape(-1, 8, 8, 1), y, test_size=0.25, stratify=y, random_state=options.seed
        )
        return (x_train, y_train), (x_test, y_test), 17
    folder = os.environ.get("KERAS_XAI_DATA")
    if folder is None:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        path = pathlib.Path(folder, "mnist.npz")
        if not path.is_file():
            raise FileNotFoundError(
                f"Expected the file mnist.npz in the folder that KERAS_XAI_DATA names. Received: KERAS_XAI_DATA={folder!r}. "
                "Put it there, or unset the variable to have Keras download it."
            )
        with np.load(path) as file:
            x_train, y_train, x_test, y_test = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    return (x_train[..., np.newaxis], y_train), (x_test[..., np.newaxis], y_test), 256


def rescale(x, num_levels):
    """Scales integer gray levels to the range from 0 to 1."""
    return (x / (num_levels - 1)).astype("float32")


def dequantize(x, num_levels, rng):
    """Replaces integer gray levels by random points of the interval from 0 to 1 that each level covers.

    Without dequantization, neighboring background pixels are exactly equal, and so are the entries of max-pooling windows
    over them. Then the image is on a wall between two linear pieces, and its certified radius is 0.
    """
    return ((x + rng.random(x.shape, dtype="float32")) / num_levels).astype("float32")


def build_model(shape, *, softmax=True, dtype="float32"):
    """A network of two convolutions for ten classes."""
    x = inputs = keras.Input(shape, dtype=dtype)
    for i, filters in enumerate((16, 32), start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype=dtype, name=f"convolution_{i}")(x)
        # With the default momentum, 0.99, the moving statistics would lag behind in such a short training.
        x = layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"normalization_{i}")(x)
        x = layers.ReLU(dtype=dtype, name=f"relu_{i}")(x)
        x = layers.MaxPooling2D(dtype=dtype, name=f"pooling_{i}")(x)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dense(32, activation="relu", dtype=dtype, name="hidden")(x)
    x = layers.Dense(10, activation="softmax" if softmax else None, dtype=dtype, name="scores")(x)
    return keras.Model(inputs, x)


def count_on_a_wall(local: LinearPieces, rng):
    """The number of samples exactly on a wall: a line through such a sample leaves its polytope at once, on one side."""
    u = rng.normal(size=local.x.shape)
    u /= np.sqrt(np.sum(u**2, axis=(1, 2, 3), keepdims=True))
    return int(np.sum(np.minimum(local.exit_distance(u), local.exit_distance(-u)) < ON_A_WALL))


def check(local: LinearPieces, model, rng):
    """Compares the pieces with the network at points other than the images, inside and outside of the polytopes.

    Inside is up to 0.99 of the distance at which a random ray leaves the polytope; outside is just beyond that
    distance, and at twice that. Outside many pieces must be wrong, as a control.
    """
    # The network as a plain Keras model in float64 and without the softmax.
    reference = build_model(local.x.shape[1:], softmax=False, dtype="float64")
    reference.set_weights(model.get_weights())
    errors, contained, changes = {}, {}, []
    for _ in range(NUM_DIRECTIONS):
        u = rng.normal(size=local.x.shape)
        u /= np.sqrt(np.sum(u**2, axis=(1, 2, 3), keepdims=True))
        exits = local.exit_distance(u)
        # A ray that never leaves has no outside; one that leaves at once has no inside but the image itself.
        left = np.isfinite(exits) & (exits > 0)
        for where, step in (("inside", rng.uniform(0.01, 0.99, len(u))), ("beyond", 1.01), ("twice", 2.0)):
            points = local.x + (step * np.where(left, exits, 0))[:, None, None, None] * u
            predicted = local.predict(points)
            error = np.abs(predicted - evaluate(reference, points)).max(axis=1)
            errors.setdefault(where, []).extend(error[left])
            contained.setdefault(where, []).extend(local.contains(points)[left])
            if where == "inside":
                probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(predicted))
                changes.extend(np.abs(probabilities - model.predict(points, verbose=0)).max(axis=1)[left])
    numbers = {"points inside": len(errors["inside"]), "worst error inside, probabilities": float(np.max(changes))}
    for where, each in errors.items():
        numbers[f"contained, {where}"] = float(np.mean(contained[where]))
        numbers[f"worst error, {where}"] = float(np.max(each))
        numbers[f"wrong, {where}"] = float(np.mean(np.array(each) > ROUNDING))
    return numbers


def evaluate(reference, points, batch_size=128):
    """Scores of a model in its own precision; `predict` would convert the points to float32."""
    batches = [reference(points[i : i + batch_size], training=False) for i in range(0, len(points), batch_size)]
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches])


def measure_times(model, x, repeats=15):
    """Median seconds for one forward pass and for the pieces of all classes, measured alternately on one batch."""
    boxes = {dtype: OpenBox(model, dtype=dtype, batch_size=len(x)) for dtype in ("float32", "float64")}
    jobs = {"forward": lambda: model.predict_on_batch(x)}
    jobs |= {f"pieces, {dtype}": lambda box=box: box(x, verbose=0) for dtype, box in boxes.items()}
    times = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if repeat:  # the first time compiles
                times[name].append(time.perf_counter() - start)
    return {"timed images": len(x), **{f"seconds, {name}": statistics.median(each) for name, each in times.items()}}


def table(numbers):
    """The measured numbers as rows of name and value."""
    n, forward = numbers["converted images"], numbers["seconds, forward"]
    seconds = {dtype: numbers[f"seconds, pieces, {dtype}"] for dtype in ("float32", "float64")}
    radii = " / ".join(f"{numbers[f'radius, {percent}% quantile']:.1e}" for percent in (5, 50, 95))

    def errors(where):
        return [
            ("    reported as inside by contains()", f"{numbers[f'contained, {where}']:.1%}"),
            ("    worst error of the scores, against Keras in float64", f"{numbers[f'worst error, {where}']:.1e}"),
            (f"    points with an error above {ROUNDING:.0e}", f"{numbers[f'wrong, {where}']:.1%}"),
        ]

    return [
        (f"Accuracy on {numbers['test images']} test images", f"{numbers['test accuracy']:.1%}"),
        (f"Regions of {n} test images", f"{numbers['regions']}"),
        ("Images exactly on a wall (radius 0)", f"{numbers['images with radius 0']} of {n}"),
        ("    the same without dequantization", f"{numbers['original images with radius 0']} of {n}"),
        ("Certified radius: 5%, 50% and 95% quantile", radii),
        ("Checked points inside the regions, other than the images", f"{numbers['points inside']}"),
        *errors("inside"),
        (
            "    worst error of the probabilities, against model.predict in float32",
            f"{numbers['worst error inside, probabilities']:.1e}",
        ),
        ("Control: points 1% beyond the wall", f"{numbers['points inside']}"),
        *errors("beyond"),
        ("Control: points at twice the distance of the wall", f"{numbers['points inside']}"),
        *errors("twice"),
        (f"Time of one forward pass of {numbers['timed images']} images, float32", f"{forward * 1e3:.1f} ms"),
        *(
            (
                f"    of their linear pieces, all 10 classes, {dtype}",
                f"{each * 1e3:.1f} ms = {each / forward:.1f} forward passes",
            )
            for dtype, each in seconds.items()
        ),
    ]


def write_text(numbers, rows, data, remark):
    """The page without its pictures."""
    n = numbers["converted images"]
    source = "scikit-learn's 8 x 8 digits" if data == "digits" else "MNIST"
    page = Page("A convolutional network as exact linear pieces")
    page.text(
        f"A network of two convolutions, with batch normalization, ReLU and max pooling, was trained on {source}. Around every "
        "image such a network is exactly a linear classifier, valid up to the nearest wall at which one of its units switches. "
        f"OpenBox computed the linear pieces of {n} test images; they were then checked at {numbers['points inside']} other points. "
        f"{remark}"
    )
    page.text(
        f"The {n} images lie in {numbers['regions']} different regions, and the regions are small: half of the images have their "
        f"nearest wall within {numbers['radius, 50% quantile']:.1e}, for pixels from 0 to 1. So each piece is an exact "
        "explanation of the network at one image, not a rule for a digit."
    )
    on_a_wall = numbers["images with radius 0"]
    page.text(
        "Gray levels are integers, so that neighboring background pixels are exactly equal. Then entries of a "
        "max-pooling window are equal too, and the image is exactly on a wall, with radius 0. For this network this applies to "
        f"{numbers['original images with radius 0']} of the {n} images if they are only scaled to the range from 0 to 1. "
        "In training and test, each gray level was therefore replaced by a random brightness within its step, "
        "a common preprocessing step called dequantization. "
        f"With it, {on_a_wall or 'none'} of the {n} images is on a wall."
    )
    page.heading("Results")
    return page.table(
        [(name.replace("    ", "\u2003"), value) for name, value in rows],
        header=("Quantity", "Value"),
        caption=f"Distances are Euclidean, for pixels from 0 to 1. Errors are the largest over the ten classes. {NOTE}",
    )


def choose_images(predicted, labels):
    """The first correctly classified image of each class, or else its first image, and a sentence that says so."""
    correct = predicted == labels
    candidates = [np.flatnonzero(labels == c) for c in range(10)]
    chosen = [found[np.argmax(correct[found])] for found in candidates if len(found)]
    wrong = int(np.sum(~correct[chosen]))
    remark = "The pictures show the first image of each digit that is classified correctly"
    return chosen, remark + (f"; for {wrong} of the digits none is, and its first image is shown." if wrong else ".")


if __name__ == "__main__":
    main()
