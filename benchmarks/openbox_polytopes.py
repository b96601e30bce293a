"""What descriptions of polytopes cost: all facets against one linear program for each row, and the nearest facets of an image.

    python benchmarks/openbox_polytopes.py --output docs/benchmarks/openbox_polytopes.md    # half an hour on two cores
    python benchmarks/openbox_polytopes.py --quick                                          # about two minutes

Networks of two hidden layers of 242 ReLUs, 484 constraints in all, are trained on data of 2, 5, 30 and 64 features. For each of 20
samples the facets of its polytope are found twice, without and with an input box: by `Polytope.facets()`, and by one linear
program for each row over all other rows, the plain way, with the same solver (SciPy's HiGHS). The two are timed in turn.
Results are kept in a folder (`--cache`), so that a run that was interrupted goes on where it stopped.
"""

import json
import os
import pathlib
import platform
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import scipy
import sklearn.datasets
from keras import layers
from scipy.optimize import linprog

from keras_xai.openbox import OpenBox

UNITS = (242, 242)
GOAL_RATIO, GOAL_NEAREST = 2.0, 0.1


def moons():
    return sklearn.datasets.make_moons(1000, noise=0.15, random_state=0)


def five():
    return sklearn.datasets.make_classification(
        1000, n_features=5, n_informative=5, n_redundant=0, n_clusters_per_class=3, random_state=0
    )


def cancer():
    return sklearn.datasets.load_breast_cancer(return_X_y=True)


def digits():
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    return images + np.random.default_rng(0).uniform(size=images.shape), labels  # dequantized: no ties


DATA = {2: moons, 5: five, 30: cancer, 64: digits}


def trained(data) -> tuple[keras.Model, np.ndarray]:
    """A network trained on standardized data, and the data."""
    x, y = data()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(units, "relu") for units in UNITS]
    model = keras.Sequential([keras.Input((x.shape[1],)), *hidden, layers.Dense(int(y.max()) + 1, "softmax")])
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=20, verbose=0)
    return model, np.random.default_rng(1).permutation(x)


def plain_facets(rows: np.ndarray, values: np.ndarray) -> list[int]:
    """The rows without which the others would hold for more points: one linear program for each row."""
    lengths = np.linalg.norm(rows, axis=1)
    rows, values = rows / lengths[:, np.newaxis], values / lengths
    kept = []
    for i in range(len(rows)):
        others = np.delete(np.arange(len(rows)), i)
        result = linprog(rows[i], A_ub=-rows[others], b_ub=values[others], bounds=(None, None), method="highs")
        if result.status not in (0, 3):
            raise RuntimeError(result.message)
        if result.status == 3 or result.fun + values[i] < -1e-7 * abs(values[i]):
            kept.append(i)
    return kept


def measure_region(num_dims: int, bounds: tuple | None, index: int, cache: pathlib.Path) -> dict:
    """Number of facets, whether both ways agree, and the seconds that each took."""
    file = cache / f"facets-{num_dims}-{'box' if bounds else 'free'}-{index}.json"
    if file.exists():
        return json.loads(file.read_text())
    local = _pieces(num_dims)
    polytope = local.polytope(index, bounds=bounds)
    rows = polytope.normals
    started = time.perf_counter()
    found = polytope.facets()
    ours = time.perf_counter() - started
    started = time.perf_counter()
    plain = plain_facets(rows, polytope.values)
    theirs = time.perf_counter() - started
    expected = {(polytope.label(i).layer, polytope.label(i).unit, polytope.label(i).reason) for i in plain}
    agree = expected == set(zip(found.layer, found.unit, found.reason, strict=True)) and len(found) == len(plain)
    result = {"rows": len(polytope), "facets": len(found), "agree": agree, "ours": ours, "plain": theirs}
    file.write_text(json.dumps(result))
    return result


_PIECES: dict = {}


def _pieces(num_dims):
    if num_dims not in _PIECES:
        model, x = trained(DATA[num_dims])
        _PIECES[num_dims] = OpenBox(model, dtype="float64", batch_size=64)(x[:20], verbose=0)
    return _PIECES[num_dims]


def measure_descriptions(num_regions: int, cache: pathlib.Path) -> list[tuple[str, ...]]:
    rows = []
    for num_dims in DATA:
        for bounds in (None, (-10.0, 10.0)):
            results = []
            for index in range(num_regions):
                results.append(measure_region(num_dims, bounds, index, cache))
                print(f"d = {num_dims}, box {bounds}, region {index}: {results[-1]}", flush=True)
            ours, plain = (np.array([each[key] for each in results]) for key in ("ours", "plain"))
            rows.append(
                (
                    str(num_dims),
                    "none" if bounds is None else "-10 to 10",
                    str(results[0]["rows"]),
                    f"{np.median([each['facets'] for each in results]):.0f}",
                    f"{sum(each['agree'] for each in results)} of {len(results)}",
                    f"{np.median(ours):.2f}",
                    f"{np.median(plain):.2f}",
                    f"**{np.median(plain / ours):.1f}** ({np.min(plain / ours):.1f} to {np.max(plain / ours):.1f})",
                )
            )
    return rows


def image_network() -> tuple[keras.Model, np.ndarray]:
    """A CNN on 28 x 28 images: 8 and 16 filters of 3 x 3, each with max pooling; scikit-learn's digits, enlarged."""
    images, labels = digits()
    large = np.kron(images.reshape(-1, 8, 8), np.ones((1, 3, 3)))
    x = np.pad(large, ((0, 0), (2, 2), (2, 2))) + np.random.default_rng(2).uniform(size=(len(images), 28, 28))
    x = x[..., np.newaxis] / 18
    keras.utils.set_random_seed(0)
    body = []
    for filters in (8, 16):
        body += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(2)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *body, layers.Flatten(), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, labels, epochs=3, verbose=0)
    return model, x


def measure_nearest(repeats: int) -> tuple[list[tuple[str, ...]], float]:
    """Milliseconds for 10 certified facets of one image, and for the parts of that."""
    model, x = image_network()
    box = OpenBox(model)
    forward = lambda: model(x[:1].astype("float32"), training=False)  # noqa: E731
    local = [box(x[i : i + 1], verbose=0) for i in range(repeats)]
    calls = {
        "10 nearest facets, certified": lambda each: each.nearest_facets(10, verbose=0),
        "the nearest wall": lambda each: each.nearest_wall(verbose=0),
        "all constraints as arrays (`polytope`)": lambda each: each.polytope(0),
        "exit distance along one direction": lambda each: each.exit_distance(each.x),
    }
    rows = []
    for name, call in calls.items():
        call(local[0])
        seconds = [_seconds(lambda each=each, call=call: call(each)) for each in local]
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75]) * 1000
        rows.append((name, f"{middle:.0f}", f"{low:.0f} to {high:.0f}"))
        print(rows[-1], flush=True)
    rows.append(("one eager forward pass of the model", f"{np.median([_seconds(forward) for _ in range(20)]) * 1000:.0f}", ""))
    seconds = float(rows[0][1]) / 1000
    return rows, seconds


def _seconds(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure_counterfactuals(num_samples: int) -> list[tuple[str, ...]]:
    rows = []
    for num_dims in DATA:
        local = _pieces(num_dims)
        started = time.perf_counter()
        found = local.counterfactuals(verbose=0)
        seconds = (time.perf_counter() - started) / len(local)
        rows.append(_counterfactual_row(f"{num_dims}", "", found, seconds))
        print(rows[-1], flush=True)
    model, x = image_network()
    local = OpenBox(model)(x[:num_samples], verbose=0)
    plane = np.median(local.counterfactuals(within=1e-9, verbose=0).plane_distance)
    for factor in (1.0, 1.5):
        started = time.perf_counter()
        found = local.counterfactuals(within=factor * plane, verbose=0)
        seconds = (time.perf_counter() - started) / num_samples
        rows.append(_counterfactual_row("784, the CNN", f"{factor * plane:.2f}", found, seconds))
        print(rows[-1], flush=True)
    return rows


def _counterfactual_row(name, within, found, seconds):
    there = np.isfinite(found.distance)
    distance = f"{np.median(found.distance[there]):.3g}" if there.any() else ""
    verified = f"{int(found.verified.sum())} of {int(there.sum())}"
    return (
        name,
        within,
        f"{there.sum()} of {len(there)}",
        verified,
        f"{np.median(found.plane_distance):.3g}",
        distance,
        f"{1000 * seconds:.0f}",
    )


DESCRIPTIONS = ("d", "box", "constraints", "facets", "agree", "s", "one LP a row, s", "ratio")
NEAREST = ("call", "ms", "quartiles, ms")
COUNTERFACTUALS = ("d", "within", "found", "verified", "median plane distance", "median distance", "ms a sample")


def page(options, descriptions, nearest, seconds, counterfactuals) -> str:
    """The page of the documentation."""
    return f"""# Polytopes

Made by `{report.command_line("openbox_polytopes", options)}`
on {os.cpu_count()} CPU cores ({platform.machine()}) with SciPy {scipy.__version__}, Keras {keras.__version__}.

**All facets.** Networks d-242-242-classes, trained on moons, `make_classification`, breast cancer and dequantized digits; medians over
regions of {options.regions} samples, and in parentheses the smallest and largest ratio. The reference solves one linear program per
row over all other rows. "agree" counts the regions in which both find the same facets. The two were timed in turn, on a machine
that had other work to do as well.

{report.table(DESCRIPTIONS, descriptions)}

The goal was a ratio of {GOAL_RATIO:.0f} at d = 64.

**One image.** A CNN with 784 inputs (filters 8 and 16, max pooling), one image at a time, batches of 32.

{report.table(NEAREST, nearest)}

The goal for the facets was {1000 * GOAL_NEAREST:.0f} ms: {"met" if seconds <= GOAL_NEAREST else "missed"} here.

**Counterfactuals** in the 2-norm, without a box. The plane distance is the distance to the decision boundary of the unbounded
piece. The distance is that to the nearest point of the boundary inside the region.

{report.table(COUNTERFACTUALS, counterfactuals)}
"""


def main() -> None:
    parser = report.parser(__doc__, output="where to write the page", quick="two regions of each network")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/openbox_polytopes"), help="finished regions")
    options = parser.parse_args()
    options.regions = 2 if options.quick else 20
    options.cache.mkdir(parents=True, exist_ok=True)
    nearest, seconds = measure_nearest(5 if options.quick else 20)
    descriptions = measure_descriptions(options.regions, options.cache)
    counterfactuals = measure_counterfactuals(2 if options.quick else 10)
    text = page(options, descriptions, nearest, seconds, counterfactuals)
    report.publish(text, options.output)


if __name__ == "__main__":
    main()
