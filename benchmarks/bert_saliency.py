"""Saliency of a transformer of BERT's size, next to a bare `GradientTape`: seconds, and peak memory in processes of their own.

    python benchmarks/bert_saliency.py            # prints the ratios; about five minutes on two cores

The network is keras-hub's BertTextClassifier with the sizes of BERT base and random weights, on 128 tokens. The tape differentiates the
same score by the rows of the embedding table that the tokens look up.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import report
import tensorflow as tf

SIZES = {
    "base": {"num_layers": 12, "num_heads": 12, "hidden_dim": 768, "intermediate_dim": 3072, "vocabulary_size": 30522},
    "small": {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "vocabulary_size": 1000},
}
TOKENS = 128


def network(size):
    import keras_hub

    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.BertBackbone(**SIZES[size], max_sequence_length=512)
    return keras_hub.models.BertTextClassifier(backbone=backbone, num_classes=2, preprocessor=None)


def samples(size, count):
    tokens = np.random.default_rng(0).integers(1, SIZES[size]["vocabulary_size"], (count, TOKENS))
    return {"token_ids": tokens, "padding_mask": np.ones_like(tokens), "segment_ids": np.zeros_like(tokens)}


def by_tape(model):
    """The gradients of the score of class 1 by the vectors of the tokens, `(n * tokens, units)`."""
    table = model.backbone.token_embedding.embeddings.value

    @tf.function
    def gradient(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(table)
            score = model(x, training=False)[:, 1]
        return tape.gradient(score, table).values

    return lambda x: gradient({name: tf.constant(each) for name, each in x.items()}).numpy()


def by_package(model):
    from keras_xai.attribution import Saliency

    method = Saliency(model, batch_size=64, verbose=0)
    return lambda x: method(x, target=1).values["token_ids"]


WAYS = {"tape": by_tape, "keras_xai": by_package}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="base", help="size of the network (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=4, help="texts at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="calls of each, in turns (default: %(default)s)")
    parser.add_argument("--memory", choices=tuple(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    x = samples(options.size, options.samples)
    if options.memory:
        call = WAYS[options.memory](network(options.size))
        for _ in range(2):
            call(x)
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        return
    # First of all: a process inherits the peak of the one that starts it.
    arguments = [sys.executable, __file__, "--size", options.size, "--samples", str(options.samples), "--memory"]
    memory = {name: float(subprocess.check_output([*arguments, name], text=True).splitlines()[-1]) for name in WAYS}
    model = network(options.size)
    calls = {name: make(model) for name, make in WAYS.items()}
    for call in calls.values():
        report.compile_by(call, x)
    found = {name: call(x) for name, call in calls.items()}
    norms = np.linalg.norm(found["tape"], axis=-1).reshape(options.samples, TOKENS)
    print(f"largest difference: {np.abs(found['keras_xai'] - norms).max() / norms.max():.2e} of the largest value")
    seconds = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            start = time.process_time()
            call(x)
            seconds[name].append(time.process_time() - start)
    ratios = [ours / theirs for ours, theirs in zip(seconds["keras_xai"], seconds["tape"], strict=True)]
    print(f"CPU seconds, median: { ({name: round(statistics.median(each), 2) for name, each in seconds.items()}) }")
    print(f"ratio of CPU seconds, median of {len(ratios)}: {statistics.median(ratios):.2f}")
    print(f"peak memory in MiB: { ({name: round(each) for name, each in memory.items()}) }")
    print(f"ratio of peak memory: {memory['keras_xai'] / memory['tape']:.2f}")


if __name__ == "__main__":
    main()
