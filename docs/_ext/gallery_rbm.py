"""Draws filters and reconstructions of a restricted Boltzmann machine."""

import io

import keras
import numpy as np
from matplotlib.image import imread, imsave
from sklearn.datasets import load_digits

from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, pretrain
from keras_xai.report import filters_plot, reconstructions_plot


def draw_machine(filters_path, reconstructions_path):
    """The filters of a layer before and after pretraining on digits, and its reconstructions of test digits."""
    x = load_digits().data / 16
    keras.utils.set_random_seed(0)
    layer = RBMDense(64, "sigmoid")
    model = keras.Sequential([keras.Input((64,)), layer])
    # One limit for both, so that they can be compared; few weights are larger.
    pictures = [_pixels(filters_plot(layer.kernel, (8, 8), limit=1.0, title="at random initialization"))]
    rule = ContrastiveDivergence(sampling=True, weight_cost=3e-3, fit_visible_bias=True)
    pretrain(model, x[:1500], rule, epochs=30, batch_size=32, optimizer=keras.optimizers.SGD(0.1, momentum=0.9), verbose=0)
    pictures.append(_pixels(filters_plot(layer.kernel, (8, 8), limit=1.0, title="after pretraining")))
    imsave(filters_path, np.concatenate(pictures, axis=1))
    reconstructions_plot(x[1500:], layer.reconstruct(x[1500:]), (8, 8)).savefig(reconstructions_path, dpi=150)


def _pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=150)
    file.seek(0)
    return imread(file)
