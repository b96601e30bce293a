"""Real photographs and networks, from the folder named by `KERAS_XAI_DATA`."""

import csv
import json
import os
import pathlib
import sys

import keras
import numpy as np

from keras_xai.data.preprocessing import Preprocessing

# What SqueezeNet subtracts from blue, green and red.
MEANS = np.array([104, 117, 123], "float32")
PREPROCESSING = Preprocessing("bgr", 1.0, (-104.0, -117.0, -123.0))


def folder() -> pathlib.Path:
    """The folder of real data."""
    named = os.environ.get("KERAS_XAI_DATA")
    if not named or not pathlib.Path(named).is_dir():
        sys.exit("This needs photographs and pretrained networks: set KERAS_XAI_DATA to their folder.")
    return pathlib.Path(named)


def squeezenet() -> keras.Model:
    """SqueezeNet 1.1 with the weights it learned on ImageNet; images of 227 x 227 as `prepared` returns them."""
    return keras.models.load_model(folder() / "models" / "squeezenet_v1.1.keras", compile=False)


def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Photographs `(50, 227, 227, 3)`, red, green and blue from 0 to 255, and their classes `(50,)`."""
    images, labels = [], []
    with (folder() / "photos" / "labels.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            images.append(
                keras.utils.img_to_array(keras.utils.load_img(folder() / "photos" / row["file"], target_size=(227, 227)))
            )
            labels.append(int(row["class_index"]))
    return np.stack(images), np.array(labels)


def objects() -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Objects in photographs: images `(n, 227, 227, 3)`, masks `(n, 227, 227)`, and the classes that name each object."""
    with np.load(folder() / "coco_objects.npz", allow_pickle=False) as file:
        return file["images"].astype("float32"), file["masks"], [json.loads(each) for each in file["imagenet_classes"]]


def prepared(images: np.ndarray) -> np.ndarray:
    """Photographs as SqueezeNet takes them: blue, green and red, without their means."""
    return images[..., ::-1] - MEANS


def shown(x: np.ndarray) -> np.ndarray:
    """The opposite of `prepared`, from 0 to 1, to be drawn."""
    return np.clip((x + MEANS)[..., ::-1] / 255, 0, 1)
