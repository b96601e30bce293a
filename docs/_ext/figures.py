"""Draws the figures of the guides at every build, so that they match the code."""

import pathlib

import gallery_features
import gallery_groups
import gallery_partition
import gallery_rbm
import gallery_regions
import keras
import matplotlib
import numpy as np
from matplotlib import patches
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

from keras_xai.openbox import OpenBox

_CLASSES = np.array(["#c2410c", "#1d4ed8"])
_INK = "#1f2937"
_WIDE = (-1.7, 2.7, -1.4, 1.9)


def draw_polytopes(path):
    """The plane of a small network divided into its linear pieces, and a close-up of one of them."""
    x, y = make_moons(120, noise=0.12, random_state=0)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(12, "relu") for _ in range(2)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=60, batch_size=32, verbose=0)
    box = OpenBox(model, dtype="float64", batch_size=4096)

    local = box(x, verbose=0)
    wall = local.nearest_wall(verbose=0)
    # The sample in the middle of the data whose piece is largest.
    central = (np.abs(x[:, 0] - 0.5) < 1.2) & (x[:, 1] > -0.2) & (x[:, 1] < 0.9)
    index = np.argmax(np.where(central, wall.distance, -1))
    zoom = 2.6 * wall.distance[index]
    center = x[index]
    shape = (_WIDE[1] - _WIDE[0]) / (_WIDE[3] - _WIDE[2])
    close = (center[0] - zoom * shape, center[0] + zoom * shape, center[1] - zoom, center[1] + zoom)

    figure = Figure(figsize=(10, 4.6), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    for axes, limits in ((left, _WIDE), (right, close)):
        _regions(axes, box, limits, own=local.region_id[index])
        axes.set(xlim=limits[:2], ylim=limits[2:], aspect="equal", xticks=[], yticks=[])
    left.scatter(*x.T, s=14, c=_CLASSES[y], edgecolors="white", linewidths=0.5, zorder=3)
    left.add_patch(
        patches.Rectangle(
            (close[0], close[2]), close[1] - close[0], close[3] - close[2], fill=False, ec=_INK, lw=1.2, zorder=4
        )
    )
    _one_piece(right, box, center, wall.distance[index] * wall.direction[index])
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


def _regions(axes, box, limits, *, own, resolution=600):
    """Every linear piece in its own shade, one of them emphasized, and the decision boundary as a black line."""
    across = np.linspace(*limits[:2], resolution)
    up = np.linspace(*limits[2:], round(resolution * (limits[3] - limits[2]) / (limits[1] - limits[0])))
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    local = box(grid.reshape(-1, 2), verbose=0)
    names = local.region_id.reshape(grid.shape[:2])
    margin = (local.scores[:, 1] - local.scores[:, 0]).reshape(grid.shape[:2])
    # A shade computed from the piece's id is the same in both panels.
    shade = np.array([int(name[:8], 16) / 16**8 for name in local.region_id]).reshape(names.shape)
    warm, cool = np.array([1.0, 0.92, 0.84]), np.array([0.85, 0.92, 1.0])
    color = np.where(margin[..., np.newaxis] < 0, warm, cool) * (0.86 + 0.14 * shade[..., np.newaxis])
    color[names == own] *= np.array([0.86, 1.0, 0.88])
    walls = np.zeros(names.shape, bool)
    walls[:-1] |= names[:-1] != names[1:]
    walls[:, :-1] |= names[:, :-1] != names[:, 1:]
    color[walls] = 1.0
    axes.imshow(color, origin="lower", extent=limits, interpolation="antialiased", zorder=0)
    axes.contour(across, up, margin, levels=[0], colors=_INK, linewidths=1.4)


def _one_piece(axes, box, center, to_wall):
    """A sample, the certified balls around it, and the ends of rays that leave its piece."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    here = box(np.tile(center, (len(rays), 1)), verbose=0)
    ends = center + here.exit_distance(rays, verbose=0)[:, np.newaxis] * rays
    for end in ends:
        axes.plot(*np.stack([center, end]).T, color=_INK, lw=0.5, alpha=0.4)
    two, one, largest = (here.radius(norm, verbose=0)[0] for norm in (2, 1, np.inf))
    axes.scatter(*center, s=40, color="black", zorder=5, label="the sample")
    axes.scatter(*ends.T, s=9, color=_INK, zorder=4, label="exit_distance(direction)")
    axes.scatter(*(center + to_wall), marker="X", s=60, color="#047857", zorder=5, label="nearest_wall()")
    axes.add_patch(patches.Circle(center, two, fill=False, ec="#047857", lw=2, label="radius(2)"))
    axes.add_patch(patches.RegularPolygon(center, 4, radius=one, fill=False, ec="#7c3aed", lw=2, ls="--", label="radius(1)"))
    corner = center - largest
    axes.add_patch(
        patches.Rectangle(corner, 2 * largest, 2 * largest, fill=False, ec="#b45309", lw=2, ls=":", label="radius(inf)")
    )


def _draw(app):
    folder = pathlib.Path(app.srcdir) / "_build" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"font.size": 10}):
        draw_polytopes(folder / "polytopes.png")
        gallery_features.draw_features(folder / "decision_features.png", folder / "boundary_features.png")
        gallery_groups.draw_groups(folder / "groups_circles.png", folder / "fidelity_circles.png")
        gallery_regions.draw_coefficients(folder / "region_coefficients.png")
        gallery_rbm.draw_machine(folder / "rbm_filters.png", folder / "rbm_reconstructions.png")
        gallery_partition.draw_plane_moons(folder / "plane_moons.png")
        gallery_partition.draw_plane_digits(folder / "plane_digits.png")
        gallery_partition.draw_line_digits(folder / "line_digits.png")
        gallery_partition.draw_gradients_digits(folder / "gradients_digits.png")


def setup(app):
    app.connect("builder-inited", _draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
