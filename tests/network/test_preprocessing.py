"""What a model tells of the preprocessing of its images."""

import keras
import numpy as np
import pytest
from keras import applications, layers

from keras_xai.data.preprocessing import PREPROCESSINGS, Preprocessing
from keras_xai.network.preprocessing import find_preprocessing, preprocessing_of

ATOL = 2e-3  # gray levels, in float32
NETWORKS = {
    "ResNet50": applications.resnet,
    "ResNet50V2": applications.resnet_v2,
    "VGG16": applications.vgg16,
    "VGG19": applications.vgg19,
    "DenseNet121": applications.densenet,
    "MobileNet": applications.mobilenet,
    "MobileNetV2": applications.mobilenet_v2,
    "MobileNetV3Small": applications.mobilenet_v3,
    "InceptionV3": applications.inception_v3,
    "InceptionResNetV2": applications.inception_resnet_v2,
    "Xception": applications.xception,
    "NASNetMobile": applications.nasnet,
    "EfficientNetB0": applications.efficientnet,
    "EfficientNetV2B0": applications.efficientnet_v2,
    "EfficientNetV2S": applications.efficientnet_v2,
    "ConvNeXtTiny": applications.convnext,
}


def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")


def classifier(*steps):
    return keras.Sequential([keras.Input((16, 16, 3)), *steps, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])


def check_network(name, **options):
    """By itself, renamed and cut off, and inside a model that preprocesses."""
    module = NETWORKS[name]
    network = getattr(applications, name)(weights=None, include_top=False, **options)
    expected = module.preprocess_input(images())
    np.testing.assert_allclose(find_preprocessing(network).apply(images()), expected, atol=ATOL)
    cut = keras.Model(network.input, network.layers[len(network.layers) // 2].output, name="mine")
    np.testing.assert_allclose(find_preprocessing(cut).apply(images()), expected, atol=ATOL)
    image = keras.Input(network.input_shape[1:])
    flipped = layers.RandomFlip()(image)
    inside = keras.Model(image, layers.GlobalAveragePooling2D()(network(module.preprocess_input(flipped))))
    np.testing.assert_allclose(find_preprocessing(inside).apply(images()), images(), atol=ATOL)


def test_networks_of_keras_applications():
    check_network("VGG16", input_shape=(32, 32, 3))
    check_network("MobileNet", input_shape=(32, 32, 3), alpha=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_all_networks_of_keras_applications(name):
    check_network(name, input_shape=(224, 224, 3) if name == "NASNetMobile" else (96, 96, 3))


def test_what_a_model_does_itself():
    for steps in (
        [layers.Rescaling(1 / 255)],
        [layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)],
        [layers.Normalization(mean=[124, 116, 104], variance=[3400, 3200, 3300])],
        [layers.ZeroPadding2D(), layers.Rescaling(1, [-123.7, -116.8, -103.9])],
    ):
        assert find_preprocessing(classifier(*steps)) == PREPROCESSINGS["raw"]
    for steps in ([layers.Rescaling(2, -1)], [layers.Normalization(mean=[0.5] * 3, variance=[0.06] * 3)]):
        assert find_preprocessing(classifier(*steps)) == PREPROCESSINGS["unit"]


def test_it_is_undone_by_what_the_model_does_before_a_known_network():
    network = applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    image = keras.Input((32, 32, 3))
    unit = keras.Model(image, network(layers.Rescaling(2, -1)(image)))
    assert find_preprocessing(unit) == PREPROCESSINGS["unit"]
    turned = keras.Model(image, network(image[..., ::-1]))
    assert find_preprocessing(turned) == Preprocessing("bgr", 1 / 127.5, -1)
    mixed = keras.Model(image, network(keras.ops.roll(image, 1, axis=-1)))
    assert find_preprocessing(mixed) is None


def test_nothing_is_guessed():
    gray = keras.Sequential([keras.Input((16, 16, 1)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Flatten()])
    flat = keras.Sequential([keras.Input((4,)), layers.Rescaling(1 / 255), layers.Dense(2)])
    image = keras.Input((16, 16, 3))
    nonlinear = layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(keras.ops.square(image)))
    both = keras.ops.concatenate([layers.Conv2D(2, 3)(image), layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image))])
    for model in (
        classifier(),
        classifier(layers.Rescaling(1e-6)),
        classifier(layers.Rescaling(1.0, 5.0)),
        classifier(layers.Rescaling([1 / 255, 1.0, 1.0])),
        gray,
        flat,
        keras.Model(image, nonlinear),
        keras.Model(image, both),
    ):
        assert find_preprocessing(model) is None
    # Named as those of VGG, with other kernels.
    steps = [
        layers.Conv2D(8, 3, name="block1_conv1"),
        layers.Conv2D(8, 3, name="block1_conv2"),
        layers.MaxPooling2D(name="block1_pool"),
    ]
    assert find_preprocessing(keras.Sequential([keras.Input((16, 16, 3)), *steps])) is None


def test_given_or_found():
    model = classifier(layers.Rescaling(1 / 255))
    assert preprocessing_of(None, model) == PREPROCESSINGS["raw"] and preprocessing_of("tf", model) == PREPROCESSINGS["tf"]
    assert preprocessing_of(None) is None and preprocessing_of(Preprocessing("bgr")) == Preprocessing("bgr")
    with pytest.raises(ValueError, match="`preprocessing` to be one of"):
        preprocessing_of("mine", model)


def test_channels_first():
    image = keras.Input((3, 16, 16))
    model = keras.Model(image, classifier(layers.Rescaling(1 / 255))(layers.Permute((2, 3, 1))(image)))
    assert find_preprocessing(model) == PREPROCESSINGS["raw"]


@pytest.mark.slow
def test_tasks_of_keras_hub():
    keras_hub = pytest.importorskip("keras_hub")
    backbone = keras_hub.models.ResNetBackbone([64], [3], [64], [1], [1], "basic_block", image_shape=(32, 32, 3))
    converter = keras_hub.layers.ResNetImageConverter(scale=[0.017, 0.018, 0.019], offset=[-2.1, -2.0, -1.8])
    preprocessor = keras_hub.models.ResNetImageClassifierPreprocessor(converter)
    task = keras_hub.models.ResNetImageClassifier(backbone, num_classes=2, preprocessor=preprocessor)
    np.testing.assert_allclose(find_preprocessing(task).apply(images()), converter(images()), atol=1e-4)
    plain = keras_hub.models.ResNetImageClassifier(backbone, num_classes=2, preprocessor=None)
    assert find_preprocessing(plain) is None
