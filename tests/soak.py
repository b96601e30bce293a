"""Many calls with changing shapes in one process. Run with the number of calls and the names of cases: it prints the memory after parts.

A process of its own, since what other tests leave would count as well.
"""

import gc
import io
import pathlib
import sys
from collections.abc import Callable

import keras
import numpy as np
from keras import layers
from tensorflow.python.framework import ops as framework
from tensorflow.python.framework.func_graph import FuncGraph

from keras_xai.attribution import LRP, DeepSHAP, GradCAM, GradientTimesInput, IntegratedGradients, Occlusion, Saliency
from keras_xai.metrics import Deletion, Sparseness
from keras_xai.openbox import OpenBox


def network():
    """For images of any size."""
    keras.utils.set_random_seed(0)
    body = [layers.Conv2D(6, 3, activation="relu", name="conv1"), layers.Conv2D(8, 3, activation="relu", name="conv2")]
    return keras.Sequential([keras.Input((None, None, 3)), *body, layers.GlobalAveragePooling2D(), layers.Dense(4)])


def cases() -> dict[str, Callable[[np.ndarray], object]]:
    """What is called, by name."""
    model = network()
    one = {
        "saliency": Saliency(model),
        "gradient": GradientTimesInput(model),
        "integrated": IntegratedGradients(model, steps=4),
    }
    occlusion, grad_cam, box, deletion = Occlusion(model, window=4), GradCAM(model), OpenBox(model), Deletion(model, steps=4)
    shap = DeepSHAP(model)

    def drawn(x):
        figure = one["saliency"](x, 1).plot()
        figure.savefig(io.BytesIO(), format="png")

    def pieces(x):
        box(x, verbose=0).radius(verbose=0)

    return {
        **{name: (lambda x, method=method: method(x, 1)) for name, method in one.items()},
        "Grad-CAM": lambda x: grad_cam(x),
        "Occlusion": lambda x: occlusion(x, 0),
        "new targets": lambda x: one["gradient"](x, lambda scores: scores[:, 0] - len(x) * scores[:, 1]),
        "Deletion": lambda x: deletion(one["saliency"](x, 2)),
        "Sparseness": lambda x: Sparseness()(one["gradient"](x, 2)),
        "plot": drawn,
        "OpenBox": pieces,
        "DeepSHAP": lambda x: shap(x, 1),
        "new GradientTimesInput": lambda x: GradientTimesInput(model)(x, 1),
        "new LRP": lambda x: LRP(model)(x, 1),
        "new OpenBox": lambda x: OpenBox(model)(x, verbose=0),
        "new model": lambda x: Saliency(network())(x, 1),
    }


def resident() -> float:
    """Resident memory in MiB, without what Python has not yet collected."""
    gc.collect()
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def graphs() -> int:
    """Number of TensorFlow's graphs that something in the process still holds."""
    gc.collect()
    return sum(isinstance(each, FuncGraph) for each in gc.get_objects())


def main(count: int, names: list[str]) -> None:
    """Calls the cases in turn."""
    found = cases()
    chosen = [found[name] for name in names or found]
    rng = np.random.default_rng(0)
    for number in range(1, count + 1):
        height, width = rng.integers(12, 40, size=2)
        chosen[number % len(chosen)](rng.normal(size=(rng.integers(1, 9), height, width, 3)).astype("float32"))
        if number % (count // 10) == 0:
            print(
                f"{number} calls: {resident():.1f} MiB, {graphs()} graphs, {len(framework._gradient_registry._registry)} gradients",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
