"""`keras-xai diagnose`."""

from typing import TYPE_CHECKING

import click

from keras_xai.cli.job import Job, add_origin, with_job

if TYPE_CHECKING:
    from keras_xai.cli.readers.data import Data
    from keras_xai.report import Page
    from keras_xai.results import Diagnosis


@click.command(short_help="How well each hidden layer separates the classes.")
@click.option(
    "--layers", metavar="A,B,C", help="Paths of the layers to diagnose, such as block1_pool. Default: the ends of the blocks."
)
@click.option(
    "--samples", type=click.IntRange(10), default=1000, show_default=True, help="Number of samples, drawn at random."
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Runs of t-SNE for each layer.")
@click.option("--neighbors", type=click.IntRange(1), default=6, show_default=True, help="Number of nearest neighbors.")
@with_job(".html", ".npz")
def diagnose(job: Job, layers: str | None, samples: int, repeats: int, neighbors: int) -> None:
    """Measure how well each hidden layer of MODEL separates the classes of DATA.

    For each layer: the share of a sample's nearest neighbors that have its class, on a t-SNE map of the layer's activations and among the
    activations themselves, and the accuracy of a linear classifier. DATA are samples with labels: an .npz file with x and y, a table
    (.csv, .tsv, .parquet) with a column of labels, images or texts (.txt) with a file of labels.

    The output is a page (.html), or the results for later comparison with another network (.npz, which keras_xai.diagnosis.Diagnosis.load
    reads).

    \b
    Examples:
      keras-xai diagnose model.keras data.npz --output diagnosis.html
      keras-xai diagnose model.keras mnist.npz --preprocessing unit --samples 500
      keras-xai diagnose model.keras iris.csv --labels species --layers dense,dense_1
      keras-xai diagnose model.keras photos/*.jpg --labels labels.txt --classes cat,dog
    """
    model = job.loaded()
    from keras_xai.cli.classes import class_names, written
    from keras_xai.cli.errors import Failure
    from keras_xai.diagnosis import Protocol
    from keras_xai.diagnosis import diagnose as measure
    from keras_xai.statistics.tsne import TSNE

    names = class_names(job.classes, model)
    data = job.data(model)
    if data.y is None:
        raise Failure("A diagnosis needs labels. Add --labels, or an array y to the .npz file.")
    count = min(samples, data.num_samples)
    if count <= neighbors + 1:
        raise Failure(f"A diagnosis by {neighbors} neighbors needs more than {neighbors + 1} samples. Received: {count}.")
    # t-SNE needs three times as many samples.
    tsne = TSNE(initialization="random", perplexity=min(30.0, max(2.0, (count - 1) // 3)))
    job.say(f"Diagnosing {model.name} on {count} samples")
    report = measure(
        model,
        data.x,
        written(data.y, names),
        None if layers is None else [path.strip() for path in layers.split(",")],
        k=neighbors,
        protocol=Protocol(samples=samples, seed=job.seed, repeats=repeats, tsne=tsne),
        verbose=job.verbose,
    )
    if job.output.suffix.lower() == ".npz":
        report.save(job.output)
    else:
        job.save(_page(job, report, data, names))


def _page(job, report: "Diagnosis", data: "Data", names: list[str] | None) -> "Page":
    from keras_xai.report import Page
    from keras_xai.results.text import counted

    classes = _shown_classes(report, names)
    hits = {path: layer.neighborhood_hit for path, layer in report.layers.items()}
    best = max(hits, key=lambda path: hits[path].mean)
    page = Page(f"Layer diagnosis of {report.name}")
    page.text(
        f"How well each hidden layer separates the {len(report.classes)} classes of {len(report.labels)} samples. The neighborhood hit is "
        f"the share of a sample's {report.k} nearest neighbors, on a t-SNE map of the layer's activations, that have its class. By chance "
        f"it would be {report.chance:.2f}. It is highest in {best}, {hits[best].mean:.2f}."
    )
    page.figure(
        report.plot_depth(),
        "By depth: the neighborhood hit on the maps, the same among the activations themselves, and the accuracy of a linear classifier "
        "on the layer's activations for samples that it was not fitted to. Bars are 95 % confidence intervals, the gray line is the level "
        "of shuffled labels.",
    )
    page.heading("The layers")
    page.table(
        [_row(path, layer) for path, layer in report.layers.items()],
        header=("layer", "output", "neighborhood hit", "in activations", "linear classifier", "trustworthiness"),
        caption="With 95 % confidence intervals. Trustworthiness tells how far neighbors on a map are neighbors among the activations, "
        "from 0 to 1: where it is low, the map misleads.",
    )
    page.figure(report.plot(class_names=classes), "One t-SNE map of each layer. A point is a sample, its color the class.")
    add_origin(page, job, data)
    protocol = report.protocol
    page.text(
        f"t-SNE ran {counted(protocol.repeats, 'time')} a layer, with perplexity {protocol.tsne.perplexity:g}, on at most "
        f"{protocol.components} principal components. Seed {protocol.seed}. "
        "Networks can be compared if all of this and the samples are the same."
    )
    return page


def _row(path, layer):
    return (
        path,
        " x ".join("any" if size is None else str(size) for size in layer.shape),
        _interval(layer.neighborhood_hit),
        _interval(layer.activation_hit),
        _interval(layer.probe_accuracy),
        f"{layer.trustworthiness.mean():.2f}",
    )


def _interval(found):
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def _shown_classes(report, names):
    """The name of each class that there is, which may not be all that the model has."""
    if names is None or not all(isinstance(each, int) for each in report.classes):
        return None
    in_range = all(0 <= each < len(names) for each in report.classes)
    return [names[each] for each in report.classes] if in_range else None
