"""The strip of pictures at the top of the README: a photograph, a sentence, a table, and the pieces of a network.

KERAS_XAI_DATA=... python benchmarks/readme_strip.py --output docs/strip.jpg    # two minutes on two cores
"""

import argparse
import pathlib

import keras
import method_pictures
import numpy as np
import photos
from sklearn.datasets import make_moons

from keras_xai import attribution
from keras_xai.openbox import OpenBox
from keras_xai.report.colors import SIGNED
from keras_xai.report.figure import new_figure
from keras_xai.report.words import draw_words

INK, BAR = "#1f2937", "#3b6fb6"
WIDTHS = (1, 1, 1, 2.5, 1.3, 1.2)


def draw_photographs(grid):
    """The temple, and where two methods find its class."""
    _, x, _ = method_pictures.squeezenet()
    photo = photos.shown(x[:1])[0]
    gray = 0.35 + 0.65 * photo.mean(axis=-1)
    grid[0].imshow(photo)
    for axes, name in zip(grid[1:], ("GradCAM", "LRP EpsilonPlus"), strict=True):
        values = method_pictures.explained(name).values[0].sum(axis=-1)
        limit = SIGNED.limit(values)
        colors = SIGNED.of(values, limit)
        colors[..., 3] = np.clip(np.abs(values) / limit, 0, 1) ** 0.7
        axes.imshow(gray, cmap="gray", vmin=0, vmax=1)
        axes.imshow(colors)
    for axes, title in zip(grid, ("“stupa”", "Grad-CAM", "LRP"), strict=True):
        axes.set_title(title, fontsize=10, color=INK)
        axes.axis("off")


def draw_sentences(grid):
    """The words of two sentences by what they say for and against the class of each."""
    model, x, vocabulary = method_pictures.transformer()
    found = attribution.LRP(model, composite=attribution.AttnLRP())(x)
    for axes, tokens, values, label in zip(grid, x, found.values, found.target, strict=True):
        draw_words(axes, [(i, vocabulary[token]) for i, token in enumerate(tokens) if token], values)
        axes.set_title(("“negative”", "“positive”")[label], fontsize=10, color=INK)


def draw_table(axes):
    """The columns that a network rests on."""
    found, names = method_pictures.importance()
    order = np.argsort(found.mean)[-6:]
    axes.barh([names[i] for i in order], found.mean[order], xerr=found.std[order], color=BAR, height=0.6)
    axes.tick_params(labelsize=8, length=0, colors=INK)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title("columns of a table", fontsize=10, color=INK)


def draw_pieces(axes):
    """The plane of a small ReLU network, divided into the linear classifiers that it consists of."""
    x, y = make_moons(120, noise=0.12, random_state=0)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(12, "relu") for _ in range(2)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=60, batch_size=32, verbose=0)
    corners = np.array([[-1.7, -1.4], [2.7, -1.4], [-1.7, 1.9]])
    plane = OpenBox(model, dtype="float64").plane(*corners, verbose=0)
    rng = np.random.default_rng(0)
    for polygon, coef, intercept in zip(plane.polygons, plane.coef, plane.intercept, strict=True):
        points = polygon @ (corners[1:] - corners[0]) + corners[0]
        scores = coef @ polygon.mean(axis=0) + intercept
        base = np.array([0.85, 0.92, 1.0]) if scores[1] > scores[0] else np.array([1.0, 0.92, 0.84])
        axes.fill(*points.T, facecolor=base * rng.uniform(0.86, 1), edgecolor="white", linewidth=0.4)
    axes.scatter(*x.T, s=7, c=np.array(["#c2410c", "#1d4ed8"])[y], edgecolors="white", linewidths=0.3, zorder=3)
    axes.set(xlim=(-1.7, 2.7), ylim=(-1.4, 1.9))
    axes.set_title("exact linear pieces", fontsize=10, color=INK)
    axes.axis("off")


def main(arguments: list[str] | None = None) -> None:
    """Draws the strip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the picture")
    options = parser.parse_args(arguments)
    figure = new_figure(figsize=(14, 1.95), layout="constrained")
    cells = figure.add_gridspec(1, len(WIDTHS), width_ratios=WIDTHS)
    draw_photographs([figure.add_subplot(cells[i]) for i in range(3)])
    draw_sentences(cells[3].subgridspec(2, 1).subplots())
    draw_table(figure.add_subplot(cells[4]))
    draw_pieces(figure.add_subplot(cells[5]))
    figure.savefig(options.output, dpi=120, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
