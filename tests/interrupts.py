"""Ctrl-C at random moments of long calls. Run with the number of interrupts per call and the names of calls: it prints a line for each.

Nothing may stay changed, and the same object must give the right result afterwards, bit by bit.
"""

import collections
import gc
import random
import reprlib
import signal
import sys
import threading
import time
import traceback
import types
import warnings

import keras
import numpy as np
import pandas as pd
from keras import layers

from keras_xai import metrics
from keras_xai.attribution import LIME, GradientTimesInput, PermutationImportance
from keras_xai.backend import EXCLUSIVE
from keras_xai.diagnosis import Protocol, diagnose
from keras_xai.features import (
    TSNE,
    Ascent,
    Dream,
    activations,
    attention_maps,
    deep_dream,
    extreme_examples,
    maximize_activation,
    reconstruct,
    tsne_map,
)
from keras_xai.layers import RBMDense
from keras_xai.models import FBIModel
from keras_xai.openbox import OpenBox, fidelity_curve, flatten_regions, merge_regions, prune_regions
from keras_xai.pretraining import ContrastiveDivergence, pretrain
from keras_xai.report import Page
from tests.attribution.grid import CASES, METHODS, OF_ATTENTION, WITH_ATTENTION, Case
from tests.metrics import contract
from tests.public import concrete
from tests.state import state

X = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype("float32")
TABLE = np.random.default_rng(1).normal(size=(40, 4)).astype("float32")
Y = np.arange(40) % 2
IMAGES, ATTENDING = Case("images", lambda: None, X, layer="conv2"), CASES[WITH_ATTENTION]


def images():
    """A small network of images."""
    return keras.Sequential(  # with a name, which results hold
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", name="conv1"),
            layers.Conv2D(3, 2, activation="relu", name="conv2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ],
        name="images",
    )


def table():
    """A small network of columns."""
    return keras.Sequential([keras.Input((4,)), layers.Dense(6, "relu", name="hidden"), layers.Dense(2)], name="table")


def machines():
    """Two layers to pretrain."""
    return keras.Sequential([keras.Input((4,)), RBMDense(5, "sigmoid", visible_activation="linear"), RBMDense(3, "sigmoid")])


def explaining(name, make):
    case = ATTENDING if name in OF_ATTENTION else IMAGES

    def call(model, held):
        if "method" not in held:
            held["method"] = make(model, case)
        return held["method"](case.x, 1)

    return images if case is IMAGES else case.build, call


def measuring(metric):
    case = contract.CASES["image"]

    def call(model, held):
        if "metric" not in held:
            method = GradientTimesInput(model)
            given = types.SimpleNamespace(model=model, method=method, masks=case.masks)
            held["explanation"] = method(case.x)
            held["metric"] = contract.make(metric, given)
        return held["metric"](held["explanation"])

    return case.build, call


def boxed(ask):
    def call(model, held):
        if "box" not in held:
            held["box"] = OpenBox(model, dtype="float64")
        return ask(held["box"])

    return table, call


def comparing(model, held):
    methods = [GradientTimesInput(model), LIME(model, num_samples=60, seed=0)]
    return metrics.compare_methods(model, X, methods, [metrics.Deletion(model, steps=3)]).explanations


def diagnosing(model, held):
    protocol = Protocol(tsne=TSNE(perplexity=8, iterations=260), repeats=1)
    report = diagnose(model, TABLE + 2 * Y[:, None], Y, protocol=protocol)
    return [report.layers[path].activation_influence for path in report.layers]


def page(model, held):
    found = GradientTimesInput(model)(X, 1)
    text = Page("page").figure(found.plot(), "map").html()
    return [found.values, len(text) > 1000]


def trained(model, held):
    """Training changes the weights, and so begins from those that the model had."""
    held.setdefault("weights", model.get_weights())
    model.set_weights(held["weights"])
    keras.utils.set_random_seed(1)
    regularized = FBIModel(model, 0.3)
    regularized.compile("adam", "mse")
    regularized.fit(TABLE, np.eye(2)[Y], epochs=2, batch_size=10, verbose=0)
    assert not hasattr(regularized, "validates")
    return model.get_weights()


def pretrained(model, held):
    """As `trained`."""
    held.setdefault("weights", model.get_weights())
    model.set_weights(held["weights"])
    keras.utils.set_random_seed(1)
    pretrain(model, TABLE, ContrastiveDivergence(sampling=True), epochs=2, batch_size=10, verbose=0)
    return model.get_weights()


def pieces_of(box):
    local = box(TABLE, verbose=0)
    return [local.coef, local.intercept, local.radius(verbose=0), local.nearest_wall(verbose=0)]


def regions_of(box):
    converted = box.convert(TABLE, verbose=0)
    return [converted.regions_.names, converted.predict_proba(TABLE)]


def flat(box):
    groups = merge_regions(box, TABLE, 3, verbose=0)
    return [groups.coef, flatten_regions(groups, TABLE, verbose=0).model.get_weights()]


ASCENT, DREAM = Ascent(steps=6, start=np.zeros((6, 6, 1))), Dream(octaves=1, steps=4, jitter=1)
TRAINING = {"FBIModel.fit": (table, trained), "pretrain": (machines, pretrained)}
CALLS = {
    **{name: explaining(name, make) for name, make in METHODS.items() if name != "CAM"},
    **{f"metrics.{name}": measuring(metric) for name, metric in concrete(metrics, metrics.Metric).items()},
    "compare_methods": (images, comparing),
    "diagnose": (table, diagnosing),
    "activations": (images, lambda model, held: activations(model, X, layers=["conv2"])),
    "tsne_map": (table, lambda model, held: tsne_map(model, TABLE, layer="hidden", perplexity=5, seed=0)),
    "maximize_activation": (
        images,
        lambda model, held: maximize_activation(model, [0, 1], layer="conv2", ascent=ASCENT, seed=0),
    ),
    "deep_dream": (images, lambda model, held: deep_dream(model, np.abs(X) / 4, layers="conv1", dream=DREAM, seed=0)),
    "reconstruct": (images, lambda model, held: reconstruct(model, X, layer="conv2", top=2)),
    "attention_maps": (ATTENDING.build, lambda model, held: attention_maps(model, ATTENDING.x).maps),
    "PermutationImportance": (
        table,
        lambda model, held: PermutationImportance(model, metric="mse", seed=0)(TABLE, np.eye(2)[Y]).importances,
    ),
    "extreme_examples": (images, lambda model, held: extreme_examples(model, X, layer="conv2", k=2)),
    "OpenBox": boxed(pieces_of),
    "OpenBox facets": boxed(lambda box: box(TABLE[:2], verbose=0).nearest_facets(2)),
    "OpenBox counterfactuals": boxed(lambda box: box(TABLE[:5], verbose=0).counterfactuals()),
    "OpenBox.convert": boxed(regions_of),
    "OpenBox.line": boxed(lambda box: box.line(TABLE[0], TABLE[1], verbose=0).breakpoints),
    "OpenBox.plane": boxed(lambda box: box.plane(*TABLE[:3], verbose=0).region_id),
    "merge_regions, flatten_regions": boxed(flat),
    "prune_regions": boxed(lambda box: prune_regions(box, TABLE, 3, verbose=0).coef),
    "fidelity_curve": boxed(lambda box: fidelity_curve(box, TABLE, sizes=[2, 3], methods=["merge"], verbose=0)),
    "page": (images, page),
    **TRAINING,
}


def built(build):
    keras.utils.set_random_seed(0)
    model = build()
    model.compile("adam", "mse")
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.1, 0.4, size=variable.shape))
    return model


def surroundings(model, name):
    """What must be as before. Training draws, and changes weights."""
    from matplotlib import pyplot

    found = state(model)
    if name in TRAINING:
        found = {each: found[each] for each in ("config", "trainable", "policy", "floatx", "registry", "eager")}
    found["names"] = None  # numbers of automatic names, which a call that ends uses up as well
    free = []
    thread = threading.Thread(target=lambda: free.append(EXCLUSIVE.acquire(timeout=1) and EXCLUSIVE.release() is None))
    thread.start()
    thread.join()
    compiled = (model.compiled, id(model.optimizer) if model.compiled else None)
    return {
        **found,
        "lock": free,
        "figures": pyplot.get_fignums(),
        "filters": list(warnings.filters),
        "errors": np.geterr(),
        "compiled": compiled,
        "attributes": sorted(vars(model)),
    }


_HUNG = 60  # seconds


def raise_unless(condition, message):
    """An `assert` that says what was found, also outside of pytest."""
    if not condition:
        raise AssertionError(message)


def check_surroundings(model, name, before):
    after = surroundings(model, name)
    changed = {each: (before[each], after[each]) for each in after if after[each] != before[each]}
    raise_unless(not changed, f"{name}: changed: {reprlib.repr(changed)}")


def interrupted(action, seconds):
    """The error with which a Ctrl-C after so many seconds of computing has ended an action, and what the action returned otherwise."""
    came = []

    def interrupt(*_):
        came.append(True)
        signal.raise_signal(signal.SIGINT)

    # Time of the process, not of the clock: on a busy machine the moments are as evenly distributed as on an idle one.
    before = signal.signal(signal.SIGPROF, interrupt)
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore it
    # A Ctrl-C that TensorFlow swallows within the lock of a graph leaves that lock held, and only the next Ctrl-C ends the wait for it.
    signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.alarm(_HUNG)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            result = action()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
    except BaseException as error:
        # TensorFlow's C++ code turns a Ctrl-C during tracing into other errors, with plain Keras models as well: a `RuntimeError`
        # ("MISMATCH of original and normalized active exception types: ... REPLACED BY KeyboardInterrupt"), a `SystemError` ("bad argument
        # to internal function") or a `TypeError` ("Failed to convert elements of (None, -1) to Tensor"). All must leave nothing behind.
        if not came:
            raise
        return ("waited for another Ctrl-C" if len(came) > 1 else type(error).__name__), None
    finally:
        signal.signal(signal.SIGPROF, before)
        signal.signal(signal.SIGINT, ctrl_c)
    return None, result


def equal(found, expected):
    """Bit by bit."""
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        equal(list(found.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        for each, other in zip(found, expected, strict=True):
            equal(each, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        raise_unless(found == expected, f"Expected {expected!r}. Received: {found!r}")


def check_interrupts(name: str, count: int) -> tuple[float, collections.Counter]:
    """Interrupts a call as often as told, at random moments; the seconds that the whole call takes, and the errors it ended with."""
    gc.collect()
    gc.freeze()  # what is there already, which is most, is not looked through after each interrupt
    try:
        return _check_interrupts(name, count)
    finally:
        gc.unfreeze()


def _check_interrupts(name, count):
    build, call = CALLS[name]
    model = built(build)
    start = time.process_time()
    expected = call(model, {})
    seconds = time.process_time() - start  # with imports
    draw, errors, held = random.Random(name), collections.Counter(), {}
    model = built(build)
    before = surroundings(model, name)
    for _ in range(20 * count):
        is_new, start = not held, time.process_time()
        stopped, result = interrupted(lambda: call(model, held), draw.uniform(0, seconds))  # noqa: B023  called at once
        took = time.process_time() - start
        gc.collect()
        check_surroundings(model, name, before)
        if stopped:
            errors[stopped] += 1
            if errors.total() == count:
                break
        else:
            equal(result, expected)
            if is_new:  # others have compiled before
                seconds = min(seconds, took)
            held = {}  # a new object, whose first call takes as long
            model = built(build)
            before = surroundings(model, name)
    raise_unless(errors.total() == count, f"{name}: only {errors.total()} calls were interrupted")
    equal(call(model, held), expected)
    check_surroundings(model, name, before)
    return seconds, errors


def main(count: int, names: list[str]) -> None:
    """Interrupts the calls."""
    for name in names or CALLS:
        start = time.process_time()
        try:
            seconds, errors = check_interrupts(name, count)
        except Exception:
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
            continue
        took, others = time.process_time() - start, {each: n for each, n in errors.items() if each != "KeyboardInterrupt"}
        print(
            f"{name}: {count} interrupts of a call of {seconds:.2f} s, {took:.0f} s in all, of processor time"
            + (f", as {others}" if others else ""),
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
