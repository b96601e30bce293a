"""Images of any mode, size and orientation become what the model takes."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.images import read_images
from keras_xai.cli.readers.takes import Takes

COLORS = np.random.default_rng(0).integers(0, 256, size=(8, 6, 3), dtype="uint8")


@pytest.fixture(scope="module")
def color(models):
    return Takes.of(keras.saving.load_model(models / "color.keras"))


def _read(image, path, takes, preprocessing="raw", **options):
    image.save(path, **options)
    return read_images([path], takes, preprocessing)


def test_an_image_of_the_right_kind_is_taken_as_it_is(tmp_path, color):
    data = _read(Image.fromarray(COLORS), tmp_path / "a.png", color)
    np.testing.assert_array_equal(data.x, COLORS[np.newaxis].astype("float32"))
    assert data.x.dtype == "float32" and data.names == ["a.png"]
    assert data.notes == ("Preprocessing: raw, as given by --preprocessing.",)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("unit", COLORS / 255),
        ("tf", COLORS / 127.5 - 1),
        ("caffe", COLORS[..., ::-1] - np.array([103.939, 116.779, 123.68])),
        ("torch", (COLORS / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])),
    ],
)
def test_preprocessing(tmp_path, color, name, expected):
    data = _read(Image.fromarray(COLORS), tmp_path / "a.png", color, name)
    np.testing.assert_allclose(data.x[0], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(data.images[0], COLORS)


def test_preprocessing_is_found_from_the_model_or_asked_for(tmp_path, models, color):
    Image.fromarray(COLORS).save(tmp_path / "a.png")
    found = read_images([tmp_path / "a.png"], Takes.of(keras.saving.load_model(models / "rescaled.keras")), None)
    assert found.notes == ("Preprocessing: raw, found from the model.",)
    np.testing.assert_array_equal(found.x[0], COLORS)
    with pytest.raises(Failure, match="(?s)by --preprocessing:.*caffe.*unit   0 to 1"):
        read_images([tmp_path / "a.png"], color, None)


def test_gray_models_that_begin_by_rescaling_take_bytes(tmp_path):
    for first in (keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=128.0, variance=4000.0)):
        model = keras.Sequential([keras.Input((8, 6, 1)), first, keras.layers.Flatten(), keras.layers.Dense(2)])
        data = _read(Image.fromarray(COLORS[..., 0]), tmp_path / "a.png", Takes.of(model), None)
        np.testing.assert_array_equal(data.x[0, ..., 0], COLORS[..., 0])


def test_transparent_parts_are_white(tmp_path, color):
    alpha = np.full((8, 6, 1), 255, "uint8")
    alpha[:, :2], alpha[0, 5] = 0, 128
    data = _read(Image.fromarray(np.concatenate([COLORS, alpha], axis=-1)), tmp_path / "a.png", color)
    np.testing.assert_array_equal(data.x[0, :, :2], 255)
    np.testing.assert_array_equal(data.x[0, 1:, 2:], COLORS[1:, 2:])
    np.testing.assert_allclose(data.x[0, 0, 5], COLORS[0, 5] / 2 + 127.5, atol=2)
    assert "transparent parts laid on white" in data.notes[0]


def test_transparent_palettes_are_white_too(tmp_path, color):
    image = Image.fromarray(np.arange(48, dtype="uint8").reshape(8, 6) % 3, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = _read(image, tmp_path / "a.png", color, transparency=0)
    np.testing.assert_array_equal(data.x[0, 0, :3], [[255, 255, 255], [0, 255, 0], [0, 0, 255]])


def test_16_bits_are_rescaled_and_not_clipped(tmp_path, color):
    levels = np.linspace(0, 65535, 48).reshape(8, 6).astype("uint16")
    data = _read(Image.fromarray(levels), tmp_path / "a.png", color)
    np.testing.assert_array_equal(data.x[0], np.rint(levels / 257)[..., np.newaxis].repeat(3, axis=-1))
    assert "16 bits, rescaled to 8 bits" in data.notes[0]


def test_images_of_fractions(tmp_path, color):
    levels = np.linspace(0, 1, 48, dtype="float32").reshape(8, 6)
    data = _read(Image.fromarray(levels), tmp_path / "a.tif", color)
    np.testing.assert_array_equal(data.x[0, ..., 0], np.rint(levels * 255))
    with pytest.raises(Failure, match="has values from -1e\\+06 to 0. Expected an image of 8 or 16 bits"):
        _read(Image.fromarray(levels * 1e6 - 1e6), tmp_path / "a.tif", color)


def test_exif_rotation(tmp_path, color):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    data = _read(Image.fromarray(np.rot90(COLORS).copy()), tmp_path / "a.png", color, exif=exif)
    np.testing.assert_array_equal(data.x[0], COLORS)
    assert "turned upright" in data.notes[0]


def test_other_sizes_are_cropped_in_the_middle_and_resized(tmp_path, color):
    large = np.zeros((16, 40, 3), "uint8")
    large[:, 14:26] = 200  # the middle part in the proportions 8 x 6
    data = _read(Image.fromarray(large), tmp_path / "a.png", color)
    assert data.x.shape == (1, 8, 6, 3)
    np.testing.assert_array_equal(data.x[0], 200)
    assert data.notes[0] == "a.png: 40 x 16 pixels, cropped to its middle 12 x 16 and resized to 6 x 8."


def test_gray_models_take_colors_as_gray_levels_and_the_other_way_around(tmp_path, models, color):
    gray = Takes.of(keras.saving.load_model(models / "gray.keras"))
    level = np.full((8, 8, 3), (200, 100, 50), "uint8")
    data = _read(Image.fromarray(level), tmp_path / "a.png", gray, "unit")
    assert data.x.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(data.x, round(0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255, rtol=1e-6)
    with pytest.raises(Failure, match="is for three colors. The model takes gray images: tf, unit or raw"):
        _read(Image.fromarray(level), tmp_path / "a.png", gray, "caffe")
    data = _read(Image.fromarray(level[:, :6, 0]), tmp_path / "a.png", color)
    np.testing.assert_array_equal(data.x, 200)


def test_what_is_no_image_is_refused_by_name(tmp_path, models, color):
    (tmp_path / "no.jpg").write_text("not an image")
    with pytest.raises(Failure, match="no.jpg' is no image"):
        read_images([tmp_path / "no.jpg"], color, "raw")
    Image.fromarray(COLORS.repeat(40, axis=0)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:200])
    with pytest.raises(Failure, match="The image .*cut.png' cannot be read"):
        read_images([tmp_path / "cut.png"], color, "raw")
    with pytest.raises(Failure, match="'.*no.jpg' is an image. The model takes rows of 4 numbers"):
        read_images([tmp_path / "no.jpg"], Takes.of(keras.saving.load_model(models / "table.keras")), None)
