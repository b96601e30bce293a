"""`keras-xai explain`."""

import pathlib

import click

from keras_xai.cli.job import Job, add_origin, with_job

_EXISTING = click.Path(exists=True, path_type=pathlib.Path)


@click.command(short_help="Why a model answers as it does, by methods that suit it.")
@click.option(
    "--target", metavar="CLASS", help="The class to explain, by name or index. Default: the predicted class of each sample."
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60, show_default=True, help="The time that explaining may take."
)
@click.option(
    "--background", type=_EXISTING, multiple=True, help="Further data of the same kind to compare with. May be repeated."
)
@with_job(".html")
def explain(job: Job, target: str | None, seconds: float, background: tuple[pathlib.Path, ...]) -> None:
    """Explain the answers of MODEL for DATA.

    Picks two or three methods that suit the model and the data, says why, explains, and rates them against a random control. The page shows
    the predictions, the explanations, and how far to trust them; with labels also the most confident mistakes.

    MODEL is a .keras or .h5 file, or the folder of a keras-hub preset. DATA are images (.jpg, .png, ...), tables (.csv, .tsv, .parquet),
    texts (.txt, one in each line) or arrays (.npz with x and, optionally, y; .npy).

    \b
    Examples:
      keras-xai explain model.keras photo1.jpg photo2.jpg --classes imagenet --output report.html
      keras-xai explain model.keras photo.jpg --classes imagenet --target "tabby cat"
      keras-xai explain model.keras iris.csv --labels species --classes setosa,versicolor,virginica
      keras-xai explain model.keras reviews.txt --classes negative,positive
      keras-xai explain model.keras series.npz --seconds 30
    """
    model = job.loaded()
    import keras_xai
    from keras_xai.cli.classes import class_names, label_indices, numbers, predicts_number, target_index
    from keras_xai.results.text import counted

    names = class_names(job.classes, model)
    chosen = target_index(target, names, model)
    data = job.data(model)
    others = job.background(model, background) if background else None
    labels = numbers(data.y) if predicts_number(model) else label_indices(data.y, names, model)
    job.say(f"Explaining {counted(data.num_samples, 'sample')}, for at most {seconds:g} s")
    report = keras_xai.explain(
        model,
        data.x,
        labels,
        target=chosen,
        background=None if others is None else others.x,
        class_names=names,
        vocabulary=data.vocabulary,
        preprocessing=data.preprocessing,
        seconds=seconds,
        seed=job.seed,
        verbose=job.verbose,
    )
    for method, reason in report.reasons.items():
        job.say(f"  {method}: {reason}")
    for part, reason in report.left_out.items():
        job.say(f"  Left out: {part}. {reason}")
    add_origin(report.page, job, data)
    job.save(report.page)
