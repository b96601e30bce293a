"""Random models: Sequential and functional networks of most Keras layers, one for each seed.

`draw(seed)` is deterministic. It returns the model, samples, and a twin in float64 with the same weights, with which Keras itself computes
what methods must return.
"""

import contextlib
import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.network import custom_layers
from tests.network.random_layers import UNARY

NUM_SAMPLES = 3
NUM_TOKENS = 7
SUBCLASSED_EACH = 10  # every so many seeds, the model is called by a subclass
POLICIES = ("float32", "float32", "mixed_float16", "mixed_bfloat16", "bfloat16", "float64")
LARGEST = 150  # entries of a tensor, so that methods that run once for each entry are quick

LINEAR = ("linear", "relu", "relu", "leaky_relu", "relu6", "hard_tanh", "hard_sigmoid", "sparse_sigmoid", "soft_shrink")
JUMPING = ("hard_shrink",)
CURVED = ("tanh", "sigmoid", "gelu", "silu", "elu", "selu", "celu", "softplus", "softsign", "mish", "exponential", "hard_silu")
CURVED += ("log_sigmoid", "tanh_shrink", "squareplus", "sparse_plus", "softmax", "log_softmax")

# Layers of several inputs, and embeddings, that are not piecewise linear.
CURVED_MERGES = {layers.Multiply, layers.Dot, layers.Attention, layers.AdditiveAttention, layers.MultiHeadAttention}
CURVED_MERGES |= {layers.GroupQueryAttention, layers.Embedding}

# Computed in float32 in a float64 model: TensorFlow resizes in it, and has no 3-D pooling in float64 on a CPU.
SINGLE_PRECISION = {layers.UpSampling2D, layers.Resizing, layers.CenterCrop}
# How TensorFlow says that a machine has no kernel for a type or layout.
NOT_COMPUTED_HERE = (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError, TypeError)


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """A random model.

    Attributes:
        seed: The seed.
        model: The model.
        x: Samples in the structure of the model's inputs.
        twin: A float64 model of the same weights that returns the scores, before final softmax or sigmoid.
        policy: The dtype policy of the layers.
        piecewise: Whether the scores are piecewise linear in the inputs.
        continuous: Whether no activation function jumps.
        single: Whether some layer computes in float32 even in float64.
        links: For each output the final activation, `None` if there is none.
        classes: The layer classes in the model.
        tokens: For each input, whether it is tokens.
    """

    seed: int
    model: keras.Model
    x: Any
    twin: keras.Model
    policy: str
    piecewise: bool
    continuous: bool
    single: bool
    links: tuple
    classes: frozenset
    tokens: tuple

    def scores(self, x: Any) -> list[np.ndarray]:
        """The scores `(n, classes)` of each output in float64."""
        found = self.twin(keras.tree.map_structure(np.asarray, x), training=False)
        return [keras.ops.convert_to_numpy(each).astype("float64") for each in keras.tree.flatten(found)]

    def scores_from(self, baseline: Any) -> list[np.ndarray]:
        """The scores of a baseline of tokens 0, with the mask that the samples have: paths of vectors keep it."""
        given = [
            x if is_tokens else other
            for x, other, is_tokens in zip(keras.tree.flatten(self.x), keras.tree.flatten(baseline), self.tokens, strict=True)
        ]
        tables = [layer.embeddings for layer in self.twin._flatten_layers() if type(layer) is layers.Embedding]
        before = [keras.ops.convert_to_numpy(table) for table in tables]
        for table, vectors in zip(tables, before, strict=True):
            table.assign(np.broadcast_to(vectors[:1], vectors.shape))
        try:
            return self.scores(keras.tree.pack_sequence_as(self.x, given))
        finally:
            for table, vectors in zip(tables, before, strict=True):
                table.assign(vectors)


def draw(seed: int) -> Drawn:
    """The random model of a seed; channels-last in float32 if this machine does not compute what was drawn first."""
    choices = np.random.default_rng([seed, 0])
    policy, first = str(choices.choice(POLICIES)), bool(choices.random() < 0.15)
    for each in ((policy, first), (policy, False), ("float32", False)):
        with _policy(each[0]):
            found = _Model(seed, channels_first=each[1])
        _randomize(found.model, seed)
        x = found.samples(np.random.default_rng([seed, 2]))
        model = custom_layers.Subclassed(found.model) if seed % SUBCLASSED_EACH == SUBCLASSED_EACH - 1 else found.model
        try:
            model(x, training=False)
        except NOT_COMPUTED_HERE:
            continue
        break
    twin, single = _twin(found, seed, x, channels_first=each[1])
    classes = frozenset(type(layer) for layer in model._flatten_layers())
    return Drawn(
        seed=seed,
        model=model,
        x=x,
        twin=twin,
        policy=each[0],
        piecewise=not any(map(_is_curved, twin._flatten_layers())),
        continuous=not any(map(_jumps, twin._flatten_layers())),
        single=single or not SINGLE_PRECISION.isdisjoint(classes),
        links=tuple(found.links),
        classes=classes,
        tokens=tuple(found._tokens),
    )


def _is_curved(layer):
    functions = {keras.activations.get(name) for name in CURVED}
    return (
        type(layer) in CURVED_MERGES or (type(layer) in UNARY and UNARY[type(layer)].curved) or _activation(layer) in functions
    )


def _jumps(layer):
    functions = {keras.activations.get(name) for name in JUMPING}
    return _activation(layer) in functions or (isinstance(layer, layers.ReLU) and layer.threshold != 0)


def _activation(layer):
    return getattr(layer, "activation", None)


def classes_of(seed: int) -> frozenset[type]:
    """The layer classes in the model of a seed, without the weights and the twin."""
    return frozenset(type(layer) for layer in _Model(seed, channels_first=False).model._flatten_layers())


def _twin(found, seed, x, *, channels_first):
    for dtype in ("float64", "float32"):
        with _policy(dtype):
            other = _Model(seed, channels_first=channels_first, linked=False)
        for variable, source in zip(other.model.variables, found.model.variables, strict=True):
            if keras.backend.is_float_dtype(variable.dtype):
                variable.assign(keras.ops.convert_to_numpy(keras.ops.cast(source, "float64")))
        try:
            other.model(x, training=False)
        except NOT_COMPUTED_HERE:
            continue
        return other.model, dtype == "float32"
    raise AssertionError(f"The model of seed {seed} runs neither in float64 nor in float32.")


@contextlib.contextmanager
def _policy(name):
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float64" if name == "float64" else "float32")
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


def _randomize(model, seed):
    rng = np.random.default_rng([seed, 1])
    for variable in model.variables:
        shape, path = variable.shape, variable.path
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        if "variance" in path:
            variable.assign(rng.uniform(0.5, 2, size=shape))
        elif "gamma" in path or "scale" in path:
            variable.assign(rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1, 1, 1], size=shape))
        elif path.endswith("alpha"):
            variable.assign(rng.uniform(0.05, 0.8, size=shape))
        else:
            fan = max(1.0, float(np.prod(shape[:-1]))) if len(shape) > 1 else 4.0
            variable.assign(rng.normal(scale=1.2 / np.sqrt(fan), size=shape))


def num_entries(tensor):
    """Number of entries of a sample's tensor."""
    return int(np.prod([size or 0 for size in tensor.shape[1:]]))


class _Model:
    """The architecture of a seed, made of layers of the current dtype policy.

    Attributes:
        model: The model.
        allow_curved: Whether layers that are not piecewise linear are drawn.
        links: The final activation of each output.
    """

    def __init__(self, seed, *, channels_first, linked=True):
        self.rng = np.random.default_rng([seed, 3])
        self.allow_curved = self.rng.random() < 0.5
        self.first = channels_first
        self.links: list = []
        self._linked = linked
        self._layers: list = []  # that can be shared, with the shape that they take
        self._tokens: list[bool] = []
        self.model = self._sequential() if self.rng.random() < 0.25 else self._functional()

    # Choices.

    def pick(self, values):
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability):
        return bool(self.rng.random() < probability)

    def activation(self):
        """The name of an activation function, as layers take it."""
        groups = [LINEAR, LINEAR, JUMPING if self.chance(0.2) else LINEAR, *([CURVED] if self.allow_curved else [])]
        return self.pick(self.pick(groups))

    def format(self):
        return {"data_format": "channels_first" if self.first else "channels_last"}

    @property
    def channels(self):
        return 1 if self.first else -1

    # Architecture.

    def samples(self, rng):
        arrays = [
            # The tokens of a sample differ: equal ones are ties before a maximum, and rounding in another batch chooses another of them.
            np.stack([rng.permutation(NUM_TOKENS)[: tensor.shape[1]] for _ in range(NUM_SAMPLES)]).astype(tensor.dtype)
            if tokens
            # `predict` casts to `keras.config.floatx()`, so that other numbers would not reach a float64 model.
            else rng.normal(size=(NUM_SAMPLES, *tensor.shape[1:])).astype("float32").astype(tensor.dtype)
            for tensor, tokens in zip(self.model.inputs, self._tokens, strict=True)
        ]
        struct = self.model._inputs_struct if hasattr(self.model, "_inputs_struct") else self.model._functional._inputs_struct
        return keras.tree.pack_sequence_as(struct, arrays) if len(arrays) > 1 else arrays[0]

    def _input_shape(self, rank):
        places, channels = [(), (5,), (5, 4), (3, 3, 2)][rank - 1], int(self.rng.integers(1, 4))
        if rank == 1:
            return (int(self.rng.integers(3, 8)),)
        return (channels, *places) if self.first else (*places, channels)

    def _input(self, name=None):
        """An input, and what is made of it first."""
        if self.allow_curved and self.chance(0.15):
            self._tokens.append(True)
            x = keras.Input((5,), dtype=self.pick(["int32", None]), name=name)
            return x, layers.Embedding(NUM_TOKENS, 3, mask_zero=self.chance(0.3))(x)
        self._tokens.append(False)
        x = keras.Input(self._input_shape(self.pick([1, 1, 2, 3, 3, 3, 4])), name=name)
        return x, x

    def _sequential(self):
        x, y = self._input()
        model = keras.Sequential([x] + ([y._keras_history.operation] if y is not x else []))
        for _ in range(int(self.rng.integers(1, 5))):
            layer, y = self._unary(y)
            model.add(layer)
        for layer in self._head(y):
            model.add(layer)
        return model

    def _functional(self):
        named = self.chance(0.5)
        ends = [self._input(f"input_{i}" if named else None) for i in range(2 if self.chance(0.3) else 1)]
        inputs, pool = [x for x, _ in ends], [y for _, y in ends]
        for _ in range(int(self.rng.integers(2, 6))):
            pool.append(self._step(pool))
        used = [*pool[: len(inputs)], pool[-1]] if len(inputs) > 1 else pool[-1:]
        if len(used) > 1:
            used = [layers.Concatenate()([layers.Flatten()(y) for y in used])]
        (y,) = used
        outputs = []
        for _ in range(2 if self.chance(0.2) else 1):
            z = y
            for layer in self._head(y):
                z = layer(z)
            outputs.append(z)
        dictionary = {f"out_{i}": z for i, z in enumerate(outputs)}
        struct = {x.name: x for x in inputs} if named and len(inputs) > 1 else inputs if len(inputs) > 1 else inputs[0]
        return keras.Model(struct, dictionary if len(outputs) > 1 else outputs[0])

    def _step(self, pool):
        x = self.pick(pool[-3:])
        roll = self.rng.random()
        if roll < 0.1:
            known = [layer for layer, shape in self._layers if shape == x.shape]
            if known:
                return self.pick(known)(x)
        if roll < 0.2 and num_entries(x) < LARGEST:
            return self._nested(x)
        if roll < 0.55:
            merged = self._merge(x, pool)
            if merged is not None:
                return merged
        return self._unary(x)[1]

    def _nested(self, x):
        inner, outside = keras.Input(x.shape[1:], dtype=x.dtype), list(self._layers)
        if self.chance(0.5):
            y = inner
            for _ in range(int(self.rng.integers(1, 3))):
                _, y = self._unary(y)
            block = keras.Model(inner, y)
        else:
            parts, y = [], inner
            for _ in range(int(self.rng.integers(1, 3))):
                layer, y = self._unary(y)
                parts.append(layer)
            block = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype), *parts])
        # Keras cannot load what it saved of a layer that a nested model and the model around it share.
        self._layers = [*outside, (block, x.shape)]
        return block(x)

    def _merge(self, x, pool):
        same = [y for y in pool if y.shape == x.shape and y is not x]
        dense = layers.Dense(x.shape[-1], activation=self.activation())
        other = self.pick(same) if same and self.chance(0.7) else dense(x)
        rank = len(x.shape) - 1
        names = [layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum, layers.Concatenate]
        if self.allow_curved:
            names += [layers.Multiply, layers.Dot]
            names += [layers.Attention, layers.AdditiveAttention, *[layers.MultiHeadAttention] * 4] if rank == 2 else []
            names += [layers.GroupQueryAttention] if rank == 2 else []
        cls = self.pick(names)
        if cls is layers.Concatenate:
            if num_entries(x) * 2 > LARGEST:
                return None
            return cls(axis=self.pick([-1, *range(1, rank + 1)]))([x, other])
        if cls is layers.Dot:
            if rank > 2:
                return None
            return cls(axes=rank, normalize=self.chance(0.3))([x, other])
        if cls in (layers.Attention, layers.AdditiveAttention):
            return cls()([x, other])
        if cls is layers.MultiHeadAttention:
            masks = [{}, {"use_causal_mask": True}, {"attention_mask": self._mask(x.shape[1])}]
            return cls(int(self.rng.integers(1, 3)), 2)(x, other, **self.pick(masks))
        if cls is layers.GroupQueryAttention:
            return cls(2, 2, self.pick([1, 2]))(x, other)
        return cls()([x, other])

    def _mask(self, length):
        # Where a place attends to none, large negative numbers are all that is left to compare.
        return (self.rng.random((1, length, length)) < 0.5) | np.eye(length, dtype=bool)

    def _unary(self, x):
        """A random layer that takes the tensor, and its output."""
        rank = len(x.shape) - 1
        fitting = [cls for cls, entry in UNARY.items() if rank in entry.ranks and (self.allow_curved or not entry.curved)]
        own = [cls for cls in fitting if len(UNARY[cls].ranks) < 3]  # there are many, of few ranks each
        unknown = [cls for cls in fitting if cls.__module__ == custom_layers.__name__]
        while True:
            some = unknown if self.chance(0.1) else own if self.chance(0.6) else fitting
            cls = self.pick(some or fitting)
            try:
                layer = UNARY[cls].make(self, x.shape[1:])
                y = layer(x)
            except ValueError:  # a window is larger than the tensor
                continue
            if 0 < num_entries(y) <= LARGEST and 0 < len(y.shape) - 1 <= 4:
                self._layers.append((layer, x.shape))
                return layer, y

    def _head(self, x):
        """The last layers, the score of which is before a final softmax or sigmoid."""
        rank = len(x.shape) - 1
        pools = {2: layers.GlobalAveragePooling1D, 3: layers.GlobalAveragePooling2D, 4: layers.GlobalAveragePooling3D}
        body = []
        if rank > 1:
            body.append(pools[rank](**self.format()) if self.chance(0.5) else layers.Flatten())
        link = self.pick([None, "softmax", "softmax", "sigmoid"])
        units = 1 if link != "softmax" and self.chance(0.4) else 3
        how = self.pick(["fused", "activation", "layer" if link == "softmax" else "fused"])
        self.links.append(link)
        if how == "fused" or link is None:
            return [*body, layers.Dense(units, activation=link if self._linked else None)]
        # The twin has a layer in its place: the depth of layers orders the variables.
        end = (
            layers.Activation("linear")
            if not self._linked
            else layers.Softmax()
            if how == "layer"
            else layers.Activation(link)
        )
        return [*body, layers.Dense(units), end]
