"""What the linear pieces of a batch cost: time against forward passes, and memory.

    python benchmarks/openbox_speed.py --output docs/benchmarks/openbox_speed.md    # a quarter of an hour on two cores
    python benchmarks/openbox_speed.py --quick                                      # about a minute

F is the time of one forward pass of a batch: one call of `tf.function(lambda x: model(x, training=False))`, compiled for
batches of any size, from a NumPy array in float32 to a NumPy array. C + 1 = 11 of them, one after the other, are the unit:
one forward pass and C vector-Jacobian products are the least that C coefficients can cost. Against them stands the public
call `box(x, verbose=0)` of `OpenBox(model, batch_size=len(x))` on the same array, with the checks of the input, the names of
regions and the copies, and within it the compiled program alone. The two are timed in turn, so that each ratio is of
neighbors in time.

Weights are random and inputs normal: what arithmetic costs does not depend on the numbers.
"""

import argparse
import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

import keras
import numpy as np
import report
import tensorflow as tf
from keras import layers

from keras_xai.openbox import OpenBox

NUM_CLASSES = 10
GOAL, GOAL_WITH_MAX_POOLING = 1.25, 1.6
MOST_REPEATS = 100
MIB = 2**20


def mlp() -> keras.Model:
    """784-256-128-100-10."""
    hidden = [layers.Dense(units, activation="relu") for units in (256, 128, 100)]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(NUM_CLASSES, activation="softmax")])


def cnn(pool_size: int = 2) -> keras.Model:
    """Two convolutions, each with max pooling: the network of the Keras example "Simple MNIST convnet"."""
    body = []
    for filters in (32, 64):
        body += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(pool_size, strides=2)]
    head = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(NUM_CLASSES, activation="softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head])


def cnn_overlapping() -> keras.Model:
    """The same with pools of 3 x 3 at a stride of 2."""
    return cnn(pool_size=3)


def resnet20() -> keras.Model:
    """[He et al., 2016](https://arxiv.org/abs/1512.03385), for CIFAR-10, with projections where the size changes."""
    inputs = keras.Input((32, 32, 3))
    x = _convolve(inputs, 16)
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if block == 0 and filters > 16 else 1
            y = _convolve(_convolve(x, filters, strides=strides), filters, relu=False)
            shortcut = x if strides == 1 else _convolve(x, filters, size=1, strides=strides, relu=False)
            x = layers.ReLU()(layers.Add()([shortcut, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(NUM_CLASSES, activation="softmax")(x))


def _convolve(x, filters, *, size=3, strides=1, relu=True):
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the benchmark."""

    title: str
    build: Callable[[], keras.Model]
    goal: float  # of the ratio to C + 1 forward passes


NETWORKS = {
    "mlp": Network("MLP 784-256-128-100-10", mlp, GOAL),
    "resnet20": Network("ResNet20, 32 x 32 x 3", resnet20, GOAL),
    "cnn": Network("CNN, 28 x 28, pools 2 x 2", cnn, GOAL_WITH_MAX_POOLING),
    "cnn_overlapping": Network("CNN, 28 x 28, pools 3 x 3 / 2", cnn_overlapping, GOAL_WITH_MAX_POOLING),
}


@dataclasses.dataclass(frozen=True)
class Timing:
    """Times of each repeat in seconds, `(repeats, 2)`: by the clock, and of all CPU cores together."""

    network: Network
    batch_size: int
    forwards: np.ndarray  # C + 1 forward passes
    call: np.ndarray
    program: np.ndarray  # what the compiled program within the call took

    @property
    def ratios(self) -> np.ndarray:
        return self.call[:, 0] / self.forwards[:, 0]

    @property
    def met(self) -> bool:
        return bool(np.median(self.ratios) <= self.network.goal)

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        low, middle, high = np.quantile(self.ratios, (0.25, 0.5, 0.75))
        forwards, call = np.median(self.forwards, axis=0), np.median(self.call, axis=0)
        program = np.median(self.program[:, 0] / self.forwards[:, 0])
        rest = np.median((self.call - self.program)[:, 0] / self.forwards[:, 0])
        return (
            self.network.title,
            str(self.batch_size),
            f"{forwards[0] / (NUM_CLASSES + 1) * 1e3:.2f}",
            f"{call[0] * 1e3:.1f}",
            f"**{middle:.2f}** ({low:.2f} to {high:.2f})",
            f"{program:.2f}",
            f"{rest:.2f}",
            f"{call[1] / forwards[1]:.2f}",
            f"{self.network.goal:.2f}",
            "yes" if self.met else "no",
        )


TIMING_HEADER = ("network", "batch", "F, ms", "call, ms", "call / (C+1) F", "program", "rest", "in CPU time", "goal", "met")


@dataclasses.dataclass(frozen=True)
class Memory:
    """MiB that a call takes beyond what the process had before, for one network, number of samples and batch size."""

    network: Network
    num_samples: int
    batch_size: int
    peak: float
    results: float

    @property
    def rest(self) -> float:
        """What is not results."""
        return self.peak - self.results

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        sizes = (self.peak, self.results, self.rest)
        return self.network.title, str(self.num_samples), str(self.batch_size), *(f"{size:.0f}" for size in sizes)


MEMORY_HEADER = ("network", "samples", "batch size", "peak, MiB", "of which results", "the rest")


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark, or, as a subprocess of itself, one measurement of memory."""
    options = parse(arguments)
    if options.memory:
        name, num_samples, batch_size = options.memory
        print(*take_memory(NETWORKS[name], int(num_samples), int(batch_size)))
        return
    # Memory first: on Linux a new process starts with its parent's peak as its own, which must be below what is measured.
    memories = measure_memories(options.quick)
    timings = measure_times(options.quick)
    text = fragment(timings, memories, options)
    report.publish(text, options.output)


def parse(arguments):
    """The options of the command line."""
    parser = report.parser(
        __doc__,
        output="Markdown file to write the tables to",
        quick="few repeats of small batches, about a minute on two cores",
    )
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measure_times(quick: bool) -> list[Timing]:
    """One `Timing` for each network and batch size."""
    batch_sizes, seconds, least = ((32,), 2.0, 5) if quick else ((32, 128, 512), 10.0, 15)
    timings = []
    for network in NETWORKS.values():
        model = network.build()
        for batch_size in batch_sizes:
            print(f"{network.title}, batches of {batch_size}")
            timings.append(take_times(network, model, batch_size, seconds, least))
            print("  ".join(timings[-1].cells()).replace("**", ""))
    return timings


def take_times(network: Network, model: keras.Model, batch_size: int, seconds: float, least: int) -> Timing:
    """Times forward passes and the call in turn, for some seconds and at least so many times."""
    x = normal(model, batch_size)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), "float32")]
    forward = tf.function(lambda x: model(x, training=False), input_signature=signature)
    box = OpenBox(model, batch_size=batch_size)
    watch = Stopwatch(box.programs.pieces)
    box.programs.pieces = watch

    def pair():
        forwards = report.clocked(lambda: [forward(x).numpy() for _ in range(NUM_CLASSES + 1)])
        call = report.clocked(lambda: box(x, verbose=0))
        return forwards, call, watch.times

    report.compile_by(pair)
    repeats = int(np.clip(seconds / sum(times[0] for times in pair()[:2]), least, MOST_REPEATS))
    bar = keras.utils.Progbar(repeats, unit_name="repeat")
    results = []
    for repeat in range(repeats):
        results.append(pair())
        bar.update(repeat + 1)
    return Timing(network, batch_size, *np.array(results).transpose(1, 0, 2))


class Stopwatch:
    """A function that remembers how long its last call took."""

    def __init__(self, function: Callable):
        self._function = function
        self.times = (0.0, 0.0)

    def __call__(self, *args):
        results: list = []
        self.times = report.clocked(lambda: results.append(self._function(*args)))
        return results.pop()


def measure_memories(quick: bool) -> list[Memory]:
    """Peaks against the batch size, and against the number of samples, each in a process of its own."""
    names, batch_sizes, counts = ("cnn",), (32, 256), (256, 512)
    if not quick:
        names, batch_sizes, counts = ("cnn", "resnet20"), (8, 32, 128, 512), (512, 1024, 2048)
    cases = [(name, counts[0], batch_size) for name in names for batch_size in batch_sizes]
    cases += [(name, count, 32) for name in names for count in counts[1:]]
    print("Memory")
    bar = keras.utils.Progbar(len(cases), unit_name="process")
    memories = []
    for name, count, batch_size in cases:
        command = [sys.executable, __file__, "--memory", name, str(count), str(batch_size)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        peak, results = map(float, output.split()[-2:])
        memories.append(Memory(NETWORKS[name], count, batch_size, peak, results))
        bar.update(len(memories))
    return memories


def take_memory(network: Network, num_samples: int, batch_size: int) -> tuple[float, float]:
    """The MiB by which a call raises this process's peak, and those of the arrays in its result."""
    model = network.build()
    x = normal(model, num_samples)
    box = OpenBox(model, batch_size=batch_size)
    report.compile_by(lambda: box(x[:1], verbose=0))
    before = report.peak_memory()
    local = box(x, verbose=0)
    results = (local.x, local.coef, local.intercept, local.scores, local.region_id, local.outputs)
    return report.peak_memory() - before, sum(array.nbytes for array in results) / MIB


def normal(model: keras.Model, num_samples: int) -> np.ndarray:
    """Random samples of a model's input shape."""
    return np.random.default_rng(0).normal(size=(num_samples, *model.input_shape[1:])).astype("float32")


def fragment(timings: list[Timing], memories: list[Memory], options: argparse.Namespace) -> str:
    """The Markdown that the documentation includes."""
    repeats = min(len(timing.call) for timing in timings)
    command = report.command_line("openbox_speed", options)
    return f"""# Pieces

Made by `{command}` on {os.cpu_count()} CPU cores ({platform.machine()}) with TensorFlow {tf.__version__},
Keras {keras.__version__}, NumPy {np.__version__}.

F is one forward pass of the batch in a compiled function, from NumPy array to NumPy array. The call is `box(x)` on the same
batch, all C = {NUM_CLASSES} outputs, in float32, compiled before. The table has medians of {repeats} to {MOST_REPEATS} repeats,
each next to {NUM_CLASSES + 1} forward passes, and in parentheses the quartiles. The ratio is the sum of that of the compiled
program and that of the rest: checks of the input, ids of regions, copies. The ratio in CPU time, summed over all cores, is
less affected by other load on the machine.

{report.table(TIMING_HEADER, [timing.cells() for timing in timings])}

{read_times(timings)}

Peak memory is the increase of the peak resident size of a fresh process in which the program is already compiled. The
results are the arrays that the call returns. They grow with the number of samples.

{report.table(MEMORY_HEADER, [memory.cells() for memory in memories])}

{read_memories(memories)}
"""


def read_times(timings: list[Timing]) -> str:
    """Which goals are met and which are not, in words."""
    lines = [f"The goals, for medians, are {GOAL} (C+1) F without max pooling and {GOAL_WITH_MAX_POOLING} (C+1) F with it."]
    for network in dict.fromkeys(timing.network for timing in timings):
        own = [timing for timing in timings if timing.network is network]
        missed = [f"{np.median(timing.ratios):.2f} at batches of {timing.batch_size}" for timing in own if not timing.met]
        worst = max(np.median(timing.ratios) for timing in own)
        verdict = f"missed: {', '.join(missed)}" if missed else f"met, {worst:.2f} at most"
        lines.append(f"- {network.title}: {verdict}{'; met otherwise' if 0 < len(missed) < len(own) else ''}.")
    return "\n".join([lines[0], "", *lines[1:]])


def read_memories(memories: list[Memory]) -> str:
    """What peaks follow, in words."""
    lines = []
    for network in dict.fromkeys(memory.network for memory in memories):
        own = [memory for memory in memories if memory.network is network]
        small, *_, large = [memory for memory in own if memory.num_samples == own[0].num_samples]
        few, *_, many = [memory for memory in own if memory.batch_size == own[-1].batch_size]
        lines.append(
            f"- {network.title}: from batches of {small.batch_size} to {large.batch_size}, the memory beyond the results goes "
            f"from {small.rest:.0f} to {large.rest:.0f} MiB.\n"
            f"  From {few.num_samples} to {many.num_samples} samples at batches of {few.batch_size}, it goes from "
            f"{few.rest:.0f} to {many.rest:.0f} MiB, and the results grow by {many.results - few.results:.0f} MiB."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
