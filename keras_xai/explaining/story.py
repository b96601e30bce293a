"""Sentences of the page of `explain`."""

import numpy as np

from keras_xai.explaining.work import Picked, Work
from keras_xai.results.text import counted

_NOUNS = {"image": "image", "volume": "volume", "series": "series", "text": "text", "table": "row", "mixed": "sample"}
_PARTS = {
    "image": "areas",
    "volume": "areas",
    "series": "stretches of time",
    "text": "words",
    "table": "columns",
    "mixed": "parts",
}
_FEW = 40  # comparisons, below which the rating is an impression


def noun(work: Work) -> str:
    """What a sample is called."""
    return _NOUNS[work.subject.kind]


def parts(work: Work) -> str:
    """What the parts of a sample are called."""
    return _PARTS[work.subject.kind]


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}" if word == "series" else counted(count, word)


def summary(work: Work, most: int) -> str:
    """What the page is about."""
    count, shown = len(work.subject), min(work.count, most)
    pictures = f" The first {shown} have a picture." if shown < count else ""
    return (
        f"The model was asked about {_number(count, noun(work))}. This page shows what it answered, which {parts(work)} speak for the "
        f"answers, and how far that can be trusted.{pictures}"
    )


def answered(work: Work) -> tuple[str, str]:
    """The answers as a statement and a note."""
    answers, labels = work.answers, work.subject.labels
    count = len(answers)
    if not answers.has_classes:
        low, high = float(answers.outputs.min()), float(answers.outputs.max())
        what = "Predictions" if answers.kind == "value" else "Scores"
        value = f"{low:.4g}" if count == 1 else f"{what} from {low:.4g} to {high:.4g}"
        if labels is None:
            return value, f"For {_number(count, noun(work))}."
        error = float(np.abs(answers.outputs[:, 0] - labels[:count]).mean())
        return value, f"On average {error:.3g} away from the true values."
    sure = (
        f"On average it gives its answer a probability of {float(answers.confidence.mean()):.0%}."
        if answers.are_probabilities
        else ""
    )
    if labels is not None:
        right = int((answers.predicted == labels[:count]).sum())
        return f"{right:,} of {count:,} right", sure
    classes, counts = np.unique(answers.predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    names = [answers.name(int(classes[i])) + (f" ({counts[i]:,})" if count > len(classes) else "") for i in order]
    return ", ".join(names) + (", ..." if len(classes) > 3 else ""), sure


def reading(work: Work) -> str:
    """How to read the pictures."""
    binary = work.answers.has_classes and work.subject.target is None
    what = (
        "the predicted class" if binary else "a higher prediction" if work.answers.kind == "value" else "the explained score"
    )
    against = (
        " Against which rows they are compared: " + work.subject.background_is + "." if work.subject.background_is else ""
    )
    return (
        f"Red {parts(work)} speak for {what}, blue ones against it, pale ones hardly matter. Each picture has a color scale of its own, so "
        f"that shades can be compared within a picture and not between two.{against}"
    )


def measured(work: Work) -> str:
    """How the methods were rated."""
    if work.controls is None:
        return "There was no time to rate the methods: take the pictures as suggestions."
    few = (
        f" With {_number(work.count, noun(work))} this is an impression and no proof; more give a safer rating."
        if len(work.controls) * 2 * work.count < _FEW
        else ""
    )
    falls = "the answer" if work.answers.has_classes else "the prediction"
    return (
        f"A picture that looks right is no evidence. So the {parts(work)} that a method marks most were hidden first, and then once "
        f"more last. If the marks are right, {falls} falls fast in the first case and slowly in the second. The same was done with random marks, "
        f"which show what chance does.{few}"
    )


def hidden(work: Work, found: Picked) -> str:
    """What hiding parts does to the answer, for a method that was rated."""
    if found.values is None or found.trust is None or work.controls is None:
        return ""
    first, last = (_left(work, float(np.nanmean(each))) for each in found.values)
    of_random = _left(work, float(np.nanmean(work.controls)))
    wins = round(found.trust.wins * found.trust.comparisons)
    return (
        f"{_left_is(work)} {first} on average while the {parts(work)} that it marks most are hidden first, and {last} while they are "
        f"hidden last; {of_random} with random marks. Better than these in {wins:,} of {found.trust.comparisons:,} comparisons."
    )


def _left(work, value):
    if work.metrics[0].higher_is_better:  # the share of the probability that is lost
        return f"{1 - value:.0%}"
    return f"{value:.0%}" if work.answers.are_probabilities and work.answers.has_classes else f"{value:.3g}"


def _left_is(work):
    if work.metrics[0].higher_is_better:
        return "Of the probability is left"
    return "The probability is" if work.answers.are_probabilities and work.answers.has_classes else "The score is"


def pieces(work: Work) -> tuple[str, str]:
    """The linear pieces as a statement and a note."""
    region = work.region
    assert region is not None
    note = (
        f"This network is made of linear pieces: near each {noun(work)} its scores are exactly a weighted sum of the entries, with the "
        "weights below. They are no approximation; they are the network, up to rounding."
    )
    if region.radius is None:
        return "", f"{note} How far each piece reaches would have taken too long to compute."
    radius = float(np.median(region.radius))
    return (
        f"Exact up to a distance of {radius:.2g}",
        f"{note} The distance is the median to the nearest place where the weights change.",
    )


def diagnosed(work: Work) -> str:
    """The layer diagnosis in words."""
    found = work.diagnosis
    assert found is not None
    hits = {path: layer.activation_hit.mean for path, layer in found.layers.items()}
    best = max(hits, key=lambda path: hits[path])
    first, last = next(iter(hits)), list(hits)[-1]
    return (
        f"In each layer, the share of a sample's nearest neighbors that have its class tells how well the layer separates the classes. By "
        f"chance it would be {found.chance:.0%}. It is {hits[first]:.0%} in {first} and {hits[last]:.0%} in {last}, and highest in {best} "
        f"({hits[best]:.0%}). A layer from which on it does not rise adds little to the separation."
    )


def cost(work: Work) -> str:
    """What the call cost."""
    return (
        f"Seconds for one {noun(work)}, once the programs are compiled. The whole page took {work.budget.used:.0f} seconds of "
        f"{work.budget.seconds:g} allowed; a pass through the network takes {1000 * work.budget.pass_seconds:.3g} milliseconds."
    )
