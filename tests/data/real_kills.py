"""Processes that are killed at random moments. Run with a folder, the number of kills and the names of cases: it prints what it found.

Each is a fork of this process, which has imported everything, so that it starts in milliseconds.
Measured results are in `docs/benchmarks/robustness.md`.
"""

import contextlib
import os
import pathlib
import random
import select
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable

import keras
import numpy as np

from keras_xai.attribution import Saliency
from keras_xai.callbacks import ExplanationLogger
from keras_xai.data import archive
from keras_xai.layers import RBMDense
from keras_xai.models import FBIModel
from keras_xai.openbox import OpenBox
from keras_xai.pretraining.contrastive_divergence import ContrastiveDivergence
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.trainer import RBMTrainer
from keras_xai.report import Page
from tests.data import test_resuming
from tests.results.examples import RESULTS

PATIENCE = 10  # seconds, after which a fork is taken for stalled


def fork(action: Callable[[], None]) -> int:
    """Runs an action in a process of its own; its number."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        action()
        status = 0
    finally:
        os._exit(status)


def killed_after(number: int, seconds: float) -> bool:
    """Kills a process when so many seconds have passed; whether it was, and had not ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(number, os.WNOHANG)[0]:
            return False
        time.sleep(min(0.002, seconds / 20))
    os.kill(number, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(number, 0)[1])


def raise_unless(condition, message) -> None:
    """An `assert` that says what was found."""
    if not condition:
        raise AssertionError(message)


def content(path: pathlib.Path) -> object:
    """What a file holds, without the times at which it was written."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        raise_unless(opened.testzip() is None, f"{path} is damaged")
        return {entry.filename: entry.CRC for entry in opened.infolist() if entry.filename != "metadata.json"}


def writes() -> dict[str, tuple[str, Callable[[int, pathlib.Path], object]]]:
    """By name: the suffix of a file and what writes its version 0 or 1."""
    # Another result is the version that was there before.
    found = {
        name: (".npz", lambda number, path, make=make: (make if number else RESULTS["Walls"])().save(path))
        for name, make in RESULTS.items()
        if name != "Walls"
    }
    explanation = RESULTS["Explanation"]()
    pages = [Page(f"version {number}").figure(explanation.plot()) for number in range(2)]  # drawing takes longer than writing
    found["Page"] = (".html", lambda number, path: pages[number].save(path))
    found["figure"] = (".png", lambda number, path: explanation[: 1 + number].plot().savefig(path))
    found["figure as PDF"] = (
        ".pdf",
        lambda number, path: explanation[: 1 + number].plot().savefig(path, metadata={"CreationDate": None}),
    )
    dense = [keras.Sequential([keras.Input((64,)), keras.layers.Dense(200, "relu"), keras.layers.Dense(3)]) for _ in range(2)]
    regularized = [FBIModel(model, weight) for model, weight in zip(dense, (0.1, 0.2), strict=True)]
    for model in regularized:
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    found["FBIModel.save_weights"] = (".weights.h5", lambda number, path: regularized[number].save_weights(path))
    found["FBIModel.save"] = (".keras", lambda number, path: regularized[number].save(path))
    found["RBMTrainer"] = (".weights.h5", lambda number, path: trainers[number].save_weights(path))
    trainers = [trainer(number) for number in range(2)]
    box = OpenBox(keras.Sequential([keras.Input((6,)), keras.layers.Dense(40, "relu"), keras.layers.Dense(3)]))
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    regions = [box.convert(x[: 200 + 100 * number], verbose=0) for number in range(2)]
    found["RegionClassifier"] = (".npz", lambda number, path: regions[number].save(path))
    return found


def trainer(number: int) -> RBMTrainer:
    """Of a layer."""
    from keras_xai.graph import trace

    model = keras.Sequential([keras.Input((64,)), RBMDense(100 + number, "sigmoid")])
    (stage,) = plan(trace(model), ContrastiveDivergence(), 1)
    return RBMTrainer(stage, 8, number)


def kill_saves(folder: pathlib.Path, count: int, names: list[str]) -> None:
    """Kills processes while they replace a file, at random moments of writing it; prints how many left something behind."""
    cases = writes()
    for name in names or cases:
        suffix, write = cases[name]
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)  # of a run before
        place.mkdir(parents=True)
        path = place / f"file{suffix}"
        versions = []
        for number in (1, 0):
            write(number, path)  # for the first time, which takes longer
            versions.append(content(path))
        seconds, abandoned, old = seconds_of(write, path), 0, 0
        killed, stalled = 0, 0
        while killed < count:
            raise_unless(stalled < 10, f"{name}: {stalled} forks have not begun or ended within {PATIENCE} s")
            write(0, path)
            left = [each.name for each in place.iterdir()]
            raise_unless(left == [path.name], f"{name}: {left}")
            begun, beginning = os.pipe()
            after = random.uniform(0, 1.5 * seconds)
            child = fork(
                lambda write=write, path=path, beginning=beginning, after=after: write_and_die(write, path, beginning, after)
            )
            os.close(beginning)
            # The fork of a process with threads may wait for ever for a lock that one of them held; that one does not count.
            has_begun = bool(select.select([begun], [], [], PATIENCE)[0])
            raise_unless(not has_begun or os.read(begun, 1), f"{name}: failed in a process of its own")
            os.close(begun)
            ended = signal_of(child)
            raise_unless(ended in (signal.SIGALRM, signal.SIGKILL), f"{name}: ended without a kill")
            killed += ended == signal.SIGALRM
            stalled += ended == signal.SIGKILL
            found = content(path)
            raise_unless(found in versions, f"{name}: neither the old nor the new file")
            old += found == versions[1]
            abandoned += len(list(place.iterdir())) - 1
        print(
            f"{name}: {count} kills, {abandoned} left a temporary file, {old} the old file, {stalled} forks stalled; "
            f"{seconds * 1000:.0f} ms",
            flush=True,
        )


def seconds_of(write: Callable[[int, pathlib.Path], object], path: pathlib.Path) -> float:
    """How long writing a file takes, from the moment at which it begins to; the shortest of some times."""
    found = []
    for _ in range(5):
        moments: list[float] = []
        with at_each_write(lambda moments=moments: moments.append(time.monotonic())):
            write(1, path)
        found.append(time.monotonic() - moments[0])
    return min(found)


@contextlib.contextmanager
def at_each_write(action: Callable[[], object]):
    """Context manager in which an action is called whenever a temporary file is about to be written."""
    before = archive._remove_abandoned

    def called(folder):
        before(folder)
        action()

    archive._remove_abandoned = called
    try:
        yield
    finally:
        archive._remove_abandoned = before


def write_and_die(write: Callable[[int, pathlib.Path], object], path: pathlib.Path, beginning: int, after: float) -> None:
    """Replaces a file again and again, until so many seconds after the first write began.

    The system ends the process by a timer's signal, for which there is no handler, as it does by SIGKILL: no code of the process runs.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.write(beginning, b"!")
    armed: list[bool] = []

    def arm():
        if not armed:
            armed.append(True)
            signal.setitimer(signal.ITIMER_REAL, max(after, 1e-6))

    with at_each_write(arm):
        while True:
            for number in (1, 0):
                write(number, path)


def signal_of(number: int) -> int | None:
    """The signal that ends a process, SIGKILL if it does not end by itself; `None` if it ends without."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        time.sleep(0.001)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return signal.SIGKILL


def logging(folder: pathlib.Path, **options) -> list:
    """Training that writes pictures."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    logger = ExplanationLogger(Saliency(model), test_resuming.X[:2], 0, folder=folder / "pictures")
    model.fit(test_resuming.X, np.zeros((12, 2)), epochs=4, verbose=0, callbacks=[logger])
    return model.get_weights()


def check_pictures(folder: pathlib.Path, ended: bool) -> None:
    """Each picture is whole, and nothing else is there once training has ended."""
    from PIL import Image

    for path in folder.glob("pictures/*"):
        if path.name.startswith("."):
            raise_unless(not ended, f"{path} was left")
        else:
            with Image.open(path) as image:
                image.load()


TRAININGS = {**test_resuming.TRAININGS, "ExplanationLogger": logging}


def kill_trainings(folder: pathlib.Path, count: int, names: list[str]) -> None:
    """Kills training, and what resumes it, at random moments until it ends; its weights are those of training without a kill."""
    for name in names or TRAININGS:
        place, result = folder / name, folder / f"{name}.npz"
        shutil.rmtree(place, ignore_errors=True)  # of a run before
        place.parent.mkdir(parents=True, exist_ok=True)

        def train(name=name, place=place, result=result, **options):
            np.savez(result, *TRAININGS[name](place, **options))

        times = [time.monotonic()]
        for _ in range(2):
            raise_unless(os.waitpid(fork(lambda train=train: train(backup=False)), 0)[1] == 0, f"{name}: failed")
            times.append(time.monotonic())
        seconds, killed, ended = min(np.diff(times)), 0, 0
        expected = content(result)
        while killed < count or not ended:
            result.unlink(missing_ok=True)
            # Another seed does not matter once there is a backup.
            seed = 9 if name != "ExplanationLogger" and test_resuming._has_backup(name, place) else 1
            child = fork(lambda train=train, seed=seed: train(seed=seed))
            if killed_after(child, random.uniform(0.4, 1.1) * seconds):
                killed += 1
            else:
                raise_unless(result.exists(), f"{name}: failed after a kill")
                raise_unless(content(result) == expected, f"{name}: other weights than without a kill")
                ended += 1
            check_pictures(place, False)  # what a kill has left is there until the next picture is written
            if result.exists():
                check_pictures(place, True)
                raise_unless(name == "ExplanationLogger" or not place.exists(), f"{name}: the backup was left")
                shutil.rmtree(place, ignore_errors=True)
        print(f"{name}: {killed} kills, {ended} trainings ended with the same weights; {seconds * 1000:.0f} ms", flush=True)


def main(folder: pathlib.Path, count: int, what: str, names: list[str]) -> None:
    """Runs the cases."""
    with contextlib.suppress(ImportError):
        import matplotlib.pyplot  # noqa: F401  a process of its own need not import it again
    (kill_trainings if what == "trainings" else kill_saves)(folder, count, names)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
