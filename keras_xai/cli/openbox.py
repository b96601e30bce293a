"""`keras-xai openbox`."""

from typing import TYPE_CHECKING, Any

import click

from keras_xai.cli.job import Job, add_origin, with_job

if TYPE_CHECKING:
    import numpy as np

    from keras_xai.cli.readers.data import Data
    from keras_xai.openbox import LinearPieces, OpenBox
    from keras_xai.report import Page
    from keras_xai.results import Walls

# On a page.
_MOST_PANELS = 10
_DRAWN = 0.995  # the share of the weights that the colors tell apart


@click.command(short_help="The exact linear classifiers that a ReLU network is made of.")
@click.option(
    "--layer",
    metavar="PATH",
    help="Take the pieces as functions of this hidden layer's output, such as flatten. Default: of the input.",
)
@click.option("--samples", type=click.IntRange(1), default=50, show_default=True, help="Number of samples, drawn at random.")
@with_job(".html")
def openbox(job: Job, layer: str | None, samples: int) -> None:
    """Convert MODEL into the exact linear classifier around each sample of DATA.

    A network of affine layers, ReLUs and max poolings is a linear function around each sample, up to the nearest wall, at which a unit
    switches. The page shows the weights by which that function prefers the predicted class to the runner-up, how far it holds, how many
    samples share one, and a check of the pieces against the network. Other layers, such as a sigmoid inside or attention, are refused by
    name.

    DATA are images, tables (.csv, .tsv, .parquet) or arrays (.npz with x and, optionally, y; .npy).

    \b
    Examples:
      keras-xai openbox model.keras data.npz --output pieces.html
      keras-xai openbox model.keras table.csv --labels species --classes setosa,versicolor,virginica
      keras-xai openbox model.keras digits/*.png --preprocessing unit
      keras-xai openbox model.keras data.npz --layer flatten --samples 200
    """
    model = job.loaded()
    from keras_xai.cli.classes import class_names, label_indices
    from keras_xai.openbox import OpenBox

    names = class_names(job.classes, model)
    box = OpenBox(model, layer=layer, dtype="float64")
    data = job.drawn(job.data(model), samples)
    labels = label_indices(data.y, names, model)
    from keras_xai.results.text import counted

    job.say(f"Computing the linear pieces of {counted(data.num_samples, 'sample')}")
    local = _pieces(box, data.x, job)
    job.say("Finding the nearest wall of each sample")
    walls = _walls(local, job)
    job.save(_page(job, box, local, walls, layer=layer, data=data, labels=labels, names=names))


def _pieces(box: "OpenBox", x: Any, job: Job) -> "LinearPieces":
    """The pieces, of the two highest scores where there are more: those of 1,000 classes would not fit into memory."""
    import numpy as np

    first = box(x, outputs=[0], verbose=job.verbose)
    if first.scores.shape[1] == 1:
        return first
    highest = np.argsort(-first.scores, axis=1, kind="stable")[:, :2]
    return box(x, outputs=highest, verbose=job.verbose)


def _walls(local: "LinearPieces", job: Job) -> "Walls | None":
    """The nearest walls, `None` if they would take too long."""
    try:
        return local.nearest_wall(verbose=job.verbose)
    except ValueError as error:
        if "max_passes" not in str(error):
            raise
        job.say("  Left out: it would take too long for a network of this size.")
        return None


def _page(
    job: Job,
    box: "OpenBox",
    local: "LinearPieces",
    walls: "Walls | None",
    *,
    layer: str | None,
    data: "Data",
    labels: "np.ndarray | None",
    names: list[str] | None,
) -> "Page":
    from keras_xai.report import Page, openbox_page

    page = Page(f"Linear pieces of {job.model.name}")
    page.text(
        "Around each sample the network is exactly a linear function, which holds up to the nearest wall, where a unit switches. "
        "Its weights are computed, not estimated."
    )
    page.table(_facts(box, local, walls, labels))
    is_image = local.scores.shape[1] > 1 and getattr(local.x, "ndim", 0) == 4
    images = data.images if is_image and layer is None else None
    if is_image and images is None:  # the maps of a hidden layer are no images
        is_image = local.x.shape[-1] in (1, 3)
    if is_image and walls is not None:
        openbox_page(
            local, walls, images=images, labels=None if labels is None else labels.tolist(), class_names=names, page=page
        )
    elif is_image:
        _add_images(page, local, images, names)
    else:
        from keras_xai.cli.features import add_features

        add_features(page, local, data.x, names)
        if walls is not None:
            _add_radii(page, walls)
    add_origin(page, job, data)
    return page


def _facts(box, local, walls, labels) -> list[tuple[str, object]]:
    """Numbers of the pieces, and a check of them at other points than the samples."""
    import numpy as np

    counts = np.unique(local.region_id, return_counts=True)[1]
    rows: list[tuple[str, object]] = [
        ("Samples", len(local)),
        ("Different linear pieces", len(counts)),
        ("Most samples on one piece", int(counts.max())),
    ]
    if labels is not None:
        scores = local.scores
        predicted = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
        rows.append(("Accuracy", f"{np.mean(predicted == labels):.1%}"))
    if walls is None:
        return rows
    rows.append(("Distance to the nearest wall, median", f"{np.median(walls.distance):.2g}"))
    rows.append(
        (
            "Largest difference between piece and network, 90 % of the way to the wall",
            f"{_largest_error(box, local, walls):.1e}",
        )
    )
    return rows


def _largest_error(box, local, walls):
    import keras
    import numpy as np

    steps = 0.9 * np.where(np.isfinite(walls.distance), walls.distance, 1)

    def moved(x, direction):
        return x + steps.reshape(-1, *[1] * (x.ndim - 1)) * np.nan_to_num(direction)

    points = keras.tree.map_structure(moved, local.x, walls.direction)
    scores = box(points, outputs=[0], verbose=0).scores
    return float(np.abs(local.predict(points) - np.take_along_axis(scores, local.outputs, axis=1)).max())


def _add_images(page, local, images, names):
    """Decision features without radii."""
    import numpy as np

    from keras_xai.cli.features import pair
    from keras_xai.data.layout import Layout
    from keras_xai.report import Panel, color_bar, heatmap, picture
    from keras_xai.report.heatmap import shared_limit

    part = local[np.arange(min(_MOST_PANELS, len(local)))]
    layout = Layout(part.space.layouts[0])
    shown = layout.channels_last(part.x) if images is None else images
    features = layout.channels_last(part.decision_features(against="runner-up")).sum(axis=-1)
    # Single pixels of a photograph have weights many times those of all others.
    limit = float(np.quantile(np.abs(features), _DRAWN)) or shared_limit([features])
    page.heading("Decision features of the linear pieces")
    page.text(
        "The weights by which the linear piece at each image prefers the predicted class to the runner-up, summed over colors: a "
        "brighter pixel raises the score difference where it is red, and lowers it where it is blue. The nearest walls were left out: in "
        "a network of this size they would take too long. All pictures share this scale; the largest 0.5 % of the weights exceed it:"
    )
    page.figure(color_bar(limit, "change of the score difference for a change of the pixel by 1"))
    page.panels(
        Panel(
            pair(part, i, names),
            [picture(shown[i]), heatmap(features[i], limit)],
            f"Ahead by {_margin(part, i):.3g} in score.",
        )
        for i in range(len(part))
    )


def _margin(local, i):
    first, second = sorted(local.scores[i, local.outputs[i]], reverse=True)[:2]
    return first - second


def _add_radii(page, walls):
    import numpy as np

    from keras_xai.report.plots import histogram

    page.heading("How far each piece holds")
    usual = np.isfinite(walls.distance) & (walls.distance > 0)
    text = "Distance from each sample to the nearest wall, within which the network equals the linear piece."
    left_out = int((~usual).sum())
    if left_out:
        text += f" {left_out} samples are not shown, because they lie on a wall or have none."
    if usual.any():
        page.figure(histogram(walls.distance, "certified radius (Euclidean distance, logarithmic scale)"), text)
    else:
        page.text(text)
