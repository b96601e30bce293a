"""The networks that Keras users train today, small and with random weights: how each is built, its samples, and what is explained."""

import dataclasses
import importlib
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops, tree

from keras_xai import attribution, diagnosis, features, losses, openbox
from keras_xai.targets import Margin, Output, Probability, Region, Similarity, Token
from tests.public import concrete

LENGTH, VOCABULARY, NUM_SAMPLES = 6, 20, 2


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(NUM_SAMPLES, *shape)).astype("float32")


def tokens(length=LENGTH, *, padded=0):
    """Token ids, of which the last `padded` are 0."""
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (NUM_SAMPLES, length)).astype("int32")
    ids[:, length - padded :] = 0
    return ids


@dataclasses.dataclass(frozen=True)
class Network:
    """A network.

    Attributes:
        title: Its row in the table.
        build: Makes the model.
        x: Samples in the form that it takes.
        target: What is explained.
        layer: The layer that methods look at that look at one; `None` for their default.
        held: The inputs that are held fixed: keys, or positions.
        window: The window of occlusion for images, so that it takes few passes.
        gradients: Whether there is a derivative by the inputs.
    """

    title: str
    build: Callable[[], keras.Model]
    x: Any
    target: Any = 1
    layer: str | None = None
    held: tuple = ()
    window: Any = None
    gradients: bool = True


def hub():
    """keras-hub's models, which the package does not import."""
    return importlib.import_module("keras_hub").models


def _text(padded=2, segments=False):
    ids = tokens(padded=padded)
    x = {"token_ids": ids, "padding_mask": (ids > 0).astype("int32")}
    return x | ({"segment_ids": np.repeat([[0, 0, 0, 1, 1, 1]], NUM_SAMPLES, axis=0).astype("int32")} if segments else {})


_SMALL = {"vocabulary_size": VOCABULARY, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
_IMAGES = random(16, 16, 3)
_MASKED = ("padding_mask",)


def _vit():
    backbone = hub().ViTBackbone((16, 16, 3), (4, 4), 1, 2, 8, 16)
    return hub().ViTImageClassifier(backbone, num_classes=3)


def _bert():
    return hub().BertTextClassifier(hub().BertBackbone(**_SMALL, max_sequence_length=8), num_classes=3)


def _roberta():
    return hub().RobertaTextClassifier(hub().RobertaBackbone(**_SMALL, max_sequence_length=8), num_classes=3)


def _distil_bert():
    return hub().DistilBertTextClassifier(hub().DistilBertBackbone(**_SMALL, max_sequence_length=8), num_classes=3)


def _gpt2():
    return hub().GPT2CausalLM(hub().GPT2Backbone(**_SMALL, max_sequence_length=8))


def _gemma():
    backbone = hub().GemmaBackbone(VOCABULARY, 1, 2, 1, 8, 16, 4)
    return hub().GemmaCausalLM(backbone)


def _resnet_backbone():
    return hub().ResNetBackbone([64], [3], [64, 8, 8, 8], [1, 1, 1, 1], [1, 2, 2, 2], "basic_block", image_shape=(32, 32, 3))


def _resnet():
    return hub().ResNetImageClassifier(_resnet_backbone(), num_classes=3)


def _efficient_net():
    backbone = hub().EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 8],
        stackwise_expansion_ratios=[1, 2],
        stackwise_strides=[1, 2],
        stackwise_block_types=["v1", "v1"],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        num_features=16,
        input_shape=(16, 16, 3),
    )
    return hub().EfficientNetImageClassifier(backbone, num_classes=3)


def _segformer():
    encoder = hub().MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        image_shape=(32, 32, 3),
        hidden_dims=[4, 8],
    )
    return hub().SegFormerImageSegmenter(hub().SegFormerBackbone(encoder, projection_filters=8), num_classes=3)


def _retinanet():
    backbone = hub().RetinaNetBackbone(_resnet_backbone(), 3, 5, use_p5=False, image_shape=(32, 32, 3))
    return hub().RetinaNetObjectDetector(backbone, num_classes=3, pre_logits_num_conv_layers=1)


def _application(name, size, **options):
    def build():
        backbone = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), include_top=False, pooling="avg", **options
        )
        return keras.Sequential([keras.Input((size, size, 3)), backbone, layers.Dense(3, activation="softmax")])

    return build


class SubclassedCNN(keras.Model):
    """A convolutional network as Keras' guide on subclassing has them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = layers.Conv2D(4, 3, activation="relu", padding="same")
        self.pool = layers.MaxPooling2D()
        self.conv2 = layers.Conv2D(5, 3, activation="relu", padding="same", name="conv2")
        self.average = layers.GlobalAveragePooling2D()
        self.drop = layers.Dropout(0.5)
        self.head = layers.Dense(3, activation="softmax")

    def call(self, inputs, training=False):
        x = self.average(self.conv2(self.pool(self.conv1(inputs))))
        return self.head(self.drop(x, training=training))


def subclassed_cnn():
    model = SubclassedCNN()
    model(_IMAGES[:1])
    return model


def functional_twin(model):
    """The functional model of the same layers as a `SubclassedCNN`."""
    x = keras.Input((16, 16, 3))
    y = model.average(model.conv2(model.pool(model.conv1(x))))
    return keras.Model(x, model.head(model.drop(y)))


class Block(layers.Layer):
    """A block of a transformer, of layers and `keras.ops`."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, width // 2)
        self.norm1 = layers.LayerNormalization()
        self.norm2 = layers.LayerNormalization()
        self.wide = layers.Dense(2 * width, activation="gelu")
        self.narrow = layers.Dense(width)

    def build(self, shape):
        self.attention.build(shape, shape)
        self.norm1.build(shape)
        self.norm2.build(shape)
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 2 * shape[-1]))
        super().build(shape)

    def call(self, x):
        x = self.norm1(x + self.attention(x, x))
        return self.norm2(x + self.narrow(self.wide(x)))


class SubclassedTransformer(keras.Model):
    """A text classifier of tokens and their positions."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.tokens = layers.Embedding(VOCABULARY, 8)
        self.positions = layers.Embedding(LENGTH, 8)
        self.block = Block(8)
        self.head = layers.Dense(3)

    def call(self, inputs):
        x = self.tokens(inputs) + self.positions(ops.arange(ops.shape(inputs)[1]))
        return self.head(ops.mean(self.block(x), axis=1))


def _subclassed_transformer():
    model = SubclassedTransformer()
    model(tokens()[:1])
    return model


def _encoder():
    """Tokens, an encoder of `MultiHeadAttention`, and a mask of padding that Keras passes on."""
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = layers.Embedding(VOCABULARY, 8, mask_zero=True)(ids)
    y = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    y = layers.LayerNormalization()(layers.Add()([y, layers.Dense(8, activation="gelu")(y)]))
    return keras.Model(ids, layers.Dense(3)(layers.GlobalAveragePooling1D()(y)))


def _series(*body):
    return keras.Sequential([keras.Input((LENGTH, 3)), *body, layers.Dense(3, activation="softmax")])


def _conv_lstm():
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.ConvLSTM2D(3, 3, padding="same")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def _recurrent_text(layer):
    return keras.Sequential(
        [keras.Input((LENGTH,), dtype="int32"), layers.Embedding(VOCABULARY, 8, mask_zero=True), layer, layers.Dense(3)]
    )


def _u_net():
    inputs = keras.Input((8, 8, 3))
    fine = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    coarse = layers.Conv2D(6, 3, padding="same", activation="relu")(layers.MaxPooling2D()(fine))
    up = layers.Conv2DTranspose(4, 2, strides=2, activation="relu")(coarse)
    joined = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([up, fine]))
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(joined))


def _siamese():
    one, other = keras.Input((8, 8, 1), name="one"), keras.Input((8, 8, 1), name="other")
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
            layers.UnitNormalization(),
        ]
    )
    return keras.Model([one, other], layers.Dot(axes=1)([encoder(one), encoder(other)]))


def _retrieval():
    x = keras.Input((8, 8, 1))
    return keras.Model(x, layers.Dense(5)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(x))))


def _table():
    """The columns of a table as `FeatureSpace` encodes them, and a network behind it."""
    space = keras.utils.FeatureSpace(
        {
            "age": keras.utils.FeatureSpace.float_normalized(),
            "kind": keras.utils.FeatureSpace.integer_categorical(num_oov_indices=0),
        },
        output_mode="concat",
    )
    import tensorflow as tf

    columns = {"age": np.linspace(20, 70, 8).astype("float32"), "kind": np.arange(8) % 3}
    space.adapt(tf.data.Dataset.from_tensor_slices(columns))
    encoded = space.get_encoded_features()
    hidden = layers.Dense(8, activation="relu")(encoded)
    return keras.Model(space.get_inputs(), layers.Dense(1, activation="sigmoid")(hidden))


def _series_transformer():
    inputs = keras.Input((LENGTH, 3))
    x = layers.Dense(8)(inputs)
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(y, y)])
    y = layers.Conv1D(8, 1, activation="relu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, y])
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def _autoencoder():
    inputs = keras.Input((8, 8, 1))
    code = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    back = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid")(code)
    return keras.Model(inputs, back)


def _dense():
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu", name="hidden"), layers.Dense(3)])


def _lora():
    model = _dense()
    model.layers[0].enable_lora(2)
    return model


def _quantized():
    model = _dense()
    model.quantize("int8")
    return model


def _half():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return _series_transformer()
    finally:
        keras.config.set_dtype_policy(before)


_SERIES, _DIGITS = random(LENGTH, 3), random(8, 8, 1)
_NEXT = Token(LENGTH - 3, 3)

NETWORKS = {
    "bert": Network("keras-hub `BertTextClassifier`", _bert, _text(segments=True), held=("padding_mask", "segment_ids")),
    "gpt2": Network("keras-hub `GPT2CausalLM`", _gpt2, _text(), _NEXT, held=_MASKED),
    "vit": Network("keras-hub `ViTImageClassifier`", _vit, _IMAGES, window=4),
    "lstm": Network("LSTM", lambda: _series(layers.LSTM(5)), _SERIES),
    "subclassed CNN": Network("Subclassed CNN", subclassed_cnn, _IMAGES, layer="conv2", window=4),
    "roberta": Network("keras-hub `RobertaTextClassifier`", _roberta, _text(), held=_MASKED),
    "distilbert": Network("keras-hub `DistilBertTextClassifier`", _distil_bert, _text(), held=_MASKED),
    "gemma": Network("keras-hub `GemmaCausalLM`", _gemma, _text(), _NEXT, held=_MASKED),
    "resnet": Network("keras-hub `ResNetImageClassifier`", _resnet, random(32, 32, 3), window=8),
    "efficientnet": Network("keras-hub `EfficientNetImageClassifier`", _efficient_net, _IMAGES, window=4),
    "segformer": Network(
        "keras-hub `SegFormerImageSegmenter`", _segformer, random(32, 32, 3), Region(1, np.eye(32) > 0), window=8
    ),
    "retinanet": Network(
        "keras-hub `RetinaNetObjectDetector`", _retinanet, random(32, 32, 3), {"cls_logits": Output((5, 1))}, window=8
    ),
    "subclassed transformer": Network("Subclassed transformer", _subclassed_transformer, tokens()),
    "encoder": Network("Encoder with `MultiHeadAttention`, masked", _encoder, tokens(padded=2)),
    "gru": Network("GRU", lambda: _series(layers.GRU(5)), _SERIES),
    "bilstm": Network(
        "Bidirectional LSTM, masked text", lambda: _recurrent_text(layers.Bidirectional(layers.LSTM(4))), tokens(padded=2)
    ),
    "convlstm": Network("ConvLSTM", _conv_lstm, random(3, 6, 6, 2), window=3),
    "u-net": Network("U-Net", _u_net, random(8, 8, 3), Region(1, np.eye(8) > 0), window=4),
    "siamese": Network("Siamese pair", _siamese, [_DIGITS, random(8, 8, 1, seed=1)], Output(0), window=4),
    "retrieval": Network("Image encoder, similarity", _retrieval, _DIGITS, Similarity([1.0, 0.5, -1.0, 2.0, 0.0]), window=4),
    "table": Network(
        "`FeatureSpace` table",
        _table,
        {"age": np.float32([[30.0], [61.0]]), "kind": np.int64([[0], [2]])},
        None,
    ),
    "series transformer": Network("Time-series transformer", _series_transformer, _SERIES, Margin(1, 2)),
    "autoencoder": Network("Autoencoder", _autoencoder, _DIGITS, Output((3, 4, 0)), window=4),
    "lora": Network("LoRA-tuned model", _lora, random(4), layer="hidden"),
    "quantized": Network("Quantized model, int8", _quantized, random(4), gradients=False),
    "half": Network("Time-series transformer, `mixed_float16`", _half, _SERIES, Probability(1)),
}

# The smallest of each family, at a size that it takes.
APPLICATIONS = {
    name: Network(f"`keras.applications` {name}", _application(name, size, **options), random(size, size, 3), window=size // 2)
    for name, size, options in (
        ("VGG16", 32, {}),
        ("ResNet50", 32, {}),
        ("ResNet50V2", 32, {}),
        ("InceptionV3", 75, {}),
        ("InceptionResNetV2", 75, {}),
        ("Xception", 71, {}),
        ("MobileNet", 32, {"alpha": 0.25}),
        ("MobileNetV2", 32, {"alpha": 0.35}),
        ("MobileNetV3Small", 32, {}),
        ("DenseNet121", 32, {}),
        ("NASNetMobile", 32, {}),
        ("EfficientNetB0", 32, {}),
        ("EfficientNetV2B0", 32, {}),
        ("ConvNeXtTiny", 32, {}),
    )
}


ALL = {**NETWORKS, **APPLICATIONS}


def model_of(network: Network) -> keras.Model:
    """The model of a network; its weights larger than at the start of training, so that the inputs matter, and biases that are not 0."""
    keras.utils.set_random_seed(0)
    model = network.build()
    for variable in model.trainable_variables:
        noise = np.random.default_rng(0).normal(size=variable.shape) * 0.1
        larger = 10 if np.std(variable) < 0.03 else 2  # keras-hub starts with small weights
        variable.assign(variable * larger if len(variable.shape) > 1 else variable + noise)
    return model


# Options with which a method takes less time.
_OPTIONS: dict[str, dict[str, Any]] = {
    "SmoothGrad": {"num_samples": 3, "seed": 0},
    "GradientSHAP": {"num_samples": 4, "seed": 0},
    "LIME": {"num_samples": 150, "seed": 0},
    "SHAP": {"num_samples": 300, "seed": 0},
    "VarGrad": {"num_samples": 3, "seed": 0},
    "RISE": {"num_samples": 60, "seed": 0},
    "SobolAttribution": {"num_samples": 2, "groups": 4, "seed": 0},
    "HSICAttribution": {"num_samples": 60, "seed": 0},
    "ShapleyValueSampling": {"num_samples": 2, "groups": 4, "seed": 0},
}
# Of large networks, one method of each way to read a model.
OF_EACH_WAY = ("GradCAM", "GradientTimesInput", "LRP", "Occlusion")
METHODS = concrete(attribution, attribution.Method)


def explain(method: str, network: Network, model: keras.Model, **options: Any) -> attribution.Explanation:
    """The explanation of a network's samples by the method of that name."""
    options = _OPTIONS.get(method, {}) | options
    parameters = inspect.signature(METHODS[method]).parameters
    if network.layer and "layer" in parameters and "unit" not in parameters:  # with a unit, values would be those of the layer
        options["layer"] = network.layer
    if network.window and method == "Occlusion":
        options["window"] = network.window
    return METHODS[method](model, verbose=0, **options)(network.x, network.target)


def lost(explanation: attribution.Explanation) -> tuple[np.ndarray, np.ndarray]:
    """The convergence delta of each sample and the change of its score from the baseline, both `(n,)` and without sign."""
    values = [each for each in tree.flatten(explanation.values) if each is not None]
    distributed = sum(each.reshape(len(each), -1).astype("float64").sum(axis=1) for each in values)
    delta = np.asarray(explanation.convergence_delta, "float64")
    return np.abs(delta), np.abs(distributed + delta)


def diagnosed(network: Network, model: keras.Model) -> diagnosis.Diagnosis:
    """The diagnosis of a network's layers on 24 samples near the network's."""
    rng = np.random.default_rng(0)

    def varied(x):
        x = np.repeat(x, 12, axis=0)
        return x + rng.normal(size=x.shape).astype(x.dtype) if x.dtype.kind == "f" else x

    protocol = diagnosis.Protocol(repeats=1, components=4, tsne=features.TSNE(perplexity=5))
    x = tree.map_structure(varied, network.x)
    return diagnosis.diagnose(model, x, np.repeat([0, 1], 12), protocol=protocol, verbose=0)


# What else is done with a network: its pieces, its diagnosis, the FBI loss, and the activations of its layers.
TASKS: dict[str, Callable[[Network, keras.Model], Any]] = {
    "OpenBox": lambda network, model: openbox.OpenBox(model)(network.x, outputs=[0], verbose=0),
    "diagnose": diagnosed,
    "fbi_penalty": lambda network, model: losses.fbi_penalty(model, network.x, np.arange(NUM_SAMPLES)),
    "activations": lambda network, model: features.activations(model, network.x, verbose=0),
    "attention_maps": lambda network, model: features.attention_maps(model, network.x, verbose=0),
}


def outcome(name: str, network: Network, model: keras.Model) -> str:
    """What comes of a method or task: "yes", or the reason for which it is refused."""
    try:
        TASKS[name](network, model) if name in TASKS else explain(name, network, model)
    except ValueError as error:
        return reason(error)
    return "yes"


REASONS = {
    "layer": "there is no rule for one of its layers, which the error lists",
    "pooling": "CAM needs global average pooling before the scores",
    "maps": "no layer keeps the positions of an input, or several do and `layer` has to name one",
    "derivative": "there is no derivative by the input, as of quantized layers",
    "padding": "nothing is left where all tokens are padding: give a `baseline`",
    "layers": "it has no convolutional layers: name them by `layers`",
    "scores": "it takes one vector of scores for each sample",
    "outputs": "it has several outputs: name one, or make a model of one",
    "attention": "it has no attention",
    "tokens": "its attention layers do not all relate the same tokens",
}
_SIGNS = {
    "model with attention": "attention",
    "the same tokens to each other": "tokens",
    "ends in global average pooling": "pooling",
    "feature maps": "maps",
    "not padding": "padding",
    "convolutional layers": "layers",
    "derivative": "derivative",
    "differentiable": "derivative",
    "class indices": "scores",
    "one score per class": "scores",
    "hidden layers": "layers",
    "outputs, [": "outputs",
    "one output": "outputs",
}


def reason(error: ValueError) -> str:
    """The reason of a refusal, a key of `REASONS`; the message itself if it is none of them."""
    if type(error).__name__ == "UnsupportedLayerError":
        return "layer"
    return next((key for sign, key in _SIGNS.items() if sign in str(error)), str(error).splitlines()[0])


PAGE = pathlib.Path(__file__).parents[2] / "docs/benchmarks/today_grid.md"


def documented(network: Network) -> dict[str, str]:
    """What comes of each method and task that was run, by the table in the documentation: "yes", or a key of `REASONS`."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    header, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")] or [[]]
    for row in rows:
        if row[0] == network.title:
            return {name.strip("`"): cell for name, cell in zip(header[1:], row[1:], strict=True) if cell}
    return {}
