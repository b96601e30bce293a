"""`explain`: methods that suit a model and its data, their ratings, and a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_xai.data.checks import Verbose, check_positive, check_seed, check_verbose
from keras_xai.data.imagenet import ClassNames
from keras_xai.data.preprocessing import Preprocessing, PreprocessingName
from keras_xai.data.progress import Bar
from keras_xai.explaining.budget import Budget
from keras_xai.explaining.page import page_of
from keras_xai.explaining.report import ExplanationReport
from keras_xai.explaining.subject import read_subject
from keras_xai.explaining.work import Work


def explain(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    target: Any = None,
    background: Any = None,
    class_names: ClassNames | None = None,
    feature_names: Sequence[str] | None = None,
    vocabulary: Sequence[str] | None = None,
    preprocessing: Preprocessing | PreprocessingName | None = None,
    seconds: float = 60,
    seed: int = 0,
    verbose: Verbose = "auto",
) -> ExplanationReport:
    """Explains what a model answers, by methods that suit it, and says how far they can be trusted.

    Looks at the model and at the samples, picks two or three methods, and says why. A method that does not apply to the model makes room
    for the next one. Each explanation is rated beside random values: the parts that it marks most are hidden first, and the faster the
    answer falls, the better. The result shows itself in a notebook, and is saved as one HTML file.

    Work is done in the order of its importance, and only if it is expected to end in time, by the measured cost of a pass. What is left
    out, and why, is on the page.

    Args:
        model: A built model of images, volumes, series, tables, tokens or texts.
        x: The samples in the form that the model takes, as for every attribution method: arrays, a `DataFrame`, strings, a dataset. A
            page has room for some of them; if there are more, they are chosen from all classes, those of `y` or else the predicted ones.
            Rows of a `DataFrame` are named by its index.
        y: Their labels, if they are known, one for each sample: integers, one-hot rows, or names out of `class_names`; numbers for a model
            that predicts numbers. With labels, the page has the most confident mistakes, and with enough samples the layer diagnosis.
        target: The score to explain, as for every attribution method. By default the predicted class of each sample, 0 or 1 for a model of
            a single sigmoid output, of which attribution methods explain class 1 by default.
        background: Typical rows of a table, such as training samples. By default some of `x`, if there are at least ten.
        class_names: The names of the classes, or `"imagenet"` for those of ImageNet.
        feature_names: The names of the columns of a table; by default those of a `DataFrame`.
        vocabulary: The word of each token, such as `TextVectorization.get_vocabulary()`.
        preprocessing: How images were brought to the form that the model takes, so that they are shown in their colors: `"caffe"`, `"tf"`,
            `"torch"`, `"unit"` for 0 to 1, `"raw"` for 0 to 255, or a `Preprocessing`. By default what the model and the samples tell.
        seconds: The seconds that the call may take. It asks the model once at least, whatever that takes.
        seed: Seed of all that is drawn at random.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Returns:
        An `ExplanationReport`: `predictions`, `comparison`, `reasons`, `left_out`, `seconds` and the page.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, samples, labels, target or names do not fit it, or it answers with NaN or infinity.

    Example:

    >>> import keras, numpy as np
    >>> import keras_xai
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(4, 3, activation="relu"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> x = np.random.default_rng(0).random((4, 8, 8, 1))
    >>> report = keras_xai.explain(model, x, class_names=["cat", "dog", "bird"])
    >>> list(report.reasons)
    ['Grad-CAM', 'Occlusion', 'LRP']
    >>> report.predictions.columns.tolist()
    ['prediction', 'probability']
    """
    budget = Budget(check_positive("seconds", seconds))
    check_seed(seed)
    check_verbose(verbose)
    subject = read_subject(
        model,
        x,
        y,
        target=target,
        background=background,
        class_names=class_names,
        feature_names=feature_names,
        vocabulary=vocabulary,
        preprocessing=preprocessing,
    )
    work = Work(subject, budget, seed)
    stages: list[Callable[[], None]] = work.stages()
    with Bar(len(stages) + 1, verbose) as bar:
        for stage in stages:
            stage()
            bar.add(1)
        page = page_of(work)
        bar.add(1)
    reasons: Mapping[str, str] = {each.candidate.name: each.candidate.why for each in work.picked}
    return ExplanationReport(
        predictions=work.answers.table(),
        comparison=work.comparison(),
        samples=np.sort(work.order[: work.count]) if work.picked else np.zeros(0, int),
        reasons=dict(reasons),
        left_out=dict(work.left_out),
        seconds=budget.used,
        page=page,
    )
