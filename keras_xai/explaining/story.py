"""Sentences of the page of `explain`."""

import re

import numpy as np

from keras_xai.data.preprocessing import PREPROCESSINGS
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
# What hidden parts are replaced by.
_INSTEAD = {
    "image": "a hidden area takes the mean color",
    "volume": "a hidden area takes the mean value",
    "series": "a hidden stretch takes the mean value",
    "text": "a hidden word becomes padding",
    "table": "a hidden column takes its typical value",
    "mixed": "a hidden part takes its typical value, or becomes padding",
}
_AUTOMATIC = re.compile(r"(sequential|functional|model)(_\d+)?")  # names that Keras makes up
_FEW = 40  # comparisons, below which the rating is an impression


def noun(work: Work) -> str:
    """What a sample is called."""
    return _NOUNS[work.subject.kind]


def parts(work: Work) -> str:
    """What the parts of a sample are called."""
    return _PARTS[work.subject.kind]


def numbered(count: int, word: str) -> str:
    """A number of samples."""
    return f"{count:,} {word}" if word == "series" else counted(count, word)


def title(work: Work) -> str:
    """The title of the page, with the name of the model unless Keras has made it up."""
    name = work.subject.model.name
    return f"What {'this model' if _AUTOMATIC.fullmatch(name) else name}'s predictions depend on"


def named(work: Work, sample: int) -> str:
    """What a sample is called in titles."""
    return f"{noun(work).capitalize()} {work.subject.row_name(sample)}"


def summary(work: Work) -> str:
    """What the page is about."""
    count, shown = len(work.subject), work.shown
    of_classes = ", chosen from all classes" if work.answers.has_classes else ", the first ones"
    pictures = f" {shown} of them are shown{of_classes}." if shown < count else ""
    return (
        f"The model was asked about {numbered(count, noun(work))}. This page shows what it answered, which {parts(work)} speak for the "
        f"answers, and how far that can be trusted.{pictures}"
    )


def answered(work: Work) -> tuple[str, str]:
    """The answers as a statement and a note."""
    answers, labels = work.answers, work.subject.labels
    count = len(answers)
    if not answers.has_classes:
        low, high = float(answers.outputs.min()), float(answers.outputs.max())
        value = f"{low:.4g}" if count == 1 else f"From {low:.4g} to {high:.4g}"
        if labels is None:
            return value, f"For {numbered(count, noun(work))}."
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
    classes, first, counts = np.unique(answers.predicted, return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))[:3]
    names = [answers.name(int(classes[i])) + (f" ({counts[i]:,})" if counts.max() > 1 else "") for i in order]
    return ", ".join(names) + (", ..." if len(classes) > 3 else ""), sure


def ranked(work: Work) -> str:
    """How the best method was rated beside the others."""
    rated, tied = work.rated, work.tied
    over = numbered(work.count, noun(work))
    if len(rated) == 1:
        return "No other method was rated."
    if work.count == 1:
        return f"A single {noun(work)} does not tell which of the {len(rated)} methods here is the best."
    if not tied:
        return f"Rated best of the {len(rated)} methods here."
    if len(tied) == len(rated) - 1:
        return f"The ratings of the {len(rated)} methods here do not differ beyond their spread over {over}."
    others = [each.candidate.name for each in rated if each is not work.best and each.candidate.name not in tied]
    return f"Rated better than {' and '.join(others)}; {' and '.join(tied)} does not differ from it beyond the spread over {over}."


def reading(work: Work) -> str:
    """How to read the pictures."""
    answers = work.answers
    what = (
        "the predicted class"
        if answers.has_classes
        else "a higher prediction"
        if answers.kind == "value"
        else "the explained score"
    )
    if work.subject.target is not None:
        what = "what is explained"
    compared = f" Rows are compared with typical ones: {work.subject.background_is}." if work.subject.background_is else ""
    scale = "text" if work.subject.kind == "text" else "picture"
    return (
        f"Red {parts(work)} speak for {what}, blue ones against it, and pale ones hardly matter. Shades can be compared within a {scale}, "
        f"not between two, since each has a scale of its own.{compared}"
    )


def two_classes(work: Work) -> str:
    """Of a single score: which sign speaks for which class, since methods alone explain class 1."""
    answers = work.answers
    if answers.kind != "binary" or work.subject.target is not None:
        return ""
    no, yes = answers.name(0), answers.name(1)
    return (
        f"The model has one score: what speaks for {yes} speaks against {no}. Red speaks for {yes} where {yes} is predicted, and for {no} "
        f"where {no} is predicted. An attribution method that is called without a target explains {yes} everywhere, so that its signs are "
        f"the opposite where {no} is predicted."
    )


def unknown_colors(work: Work) -> str:
    """That the images may be shown in wrong colors, and how to mend it."""
    if not work.subject.has_unknown_colors:
        return ""
    names = [f'"{name}"' for name in PREPROCESSINGS]
    return (
        "The colors of the images here may be wrong: neither the model nor the samples tell how the images were preprocessed. Give it by "
        f"the argument `preprocessing` of `keras_xai.explain`: {', '.join(names[:-1])} or {names[-1]}, or a `Preprocessing`."
    )


def measured(work: Work) -> str:
    """How the methods were rated."""
    if work.controls is None:
        why = work.left_out.get("How far to trust the methods", "")
        return f"The methods were not rated. Take what they mark as suggestions. {why}".strip()
    few = (
        f" With {numbered(work.count, noun(work))} this is an impression and no proof. More samples give a safer rating."
        if 2 * len(work.controls) * work.count < _FEW
        else ""
    )
    instead = "a hidden word becomes an unknown word" if work.unknown_words else _INSTEAD[work.subject.kind]
    falls = "the probability" if work.metrics[0].higher_is_better or _is_probability(work) else "the prediction"
    return (
        f"A picture that looks right is no evidence. So the {parts(work)} that a method marks most were hidden first, and in a second run "
        f"last; {instead}. If the marks are right, {falls} falls fast in the first run and slowly in the second. "
        f"Random marks were treated alike, and show what chance does.{few}"
    )


def hidden(work: Work, found: Picked) -> str:
    """What hiding parts does to the answer, for a method that was rated."""
    if found.values is None or found.trust is None or work.controls is None:
        return ""
    first, last = (_left(work, float(np.nanmean(each))) for each in found.values)
    of_random = _left(work, float(np.nanmean(work.controls)))
    what = (
        f"{first} of the probability is left"
        if work.metrics[0].higher_is_better
        else f"the probability is {first}"
        if _is_probability(work)
        else f"the score is {first}"
    )
    wins = round(found.trust.wins * found.trust.comparisons)
    return (
        f"While the {parts(work)} that it marks most are hidden first, {what} on average; {last} while they are hidden last; "
        f"{of_random} with random marks. Better than these in {wins:,} of {found.trust.comparisons:,} comparisons."
    )


def _left(work, value):
    if work.metrics[0].higher_is_better:  # the share of the probability that is lost
        return f"{1 - value:.0%}"
    return f"{value:.0%}" if _is_probability(work) else f"{value:.3g}"


def _is_probability(work):
    return work.answers.are_probabilities and work.answers.has_classes


def piece(work: Work) -> str:
    """The linear pieces in words."""
    region = work.region
    if region is None:
        return ""
    text = (
        f"This network is made of linear pieces. Near each {noun(work)} its scores are a weighted sum of the inputs, and these are the "
        f"weights: no approximation, but the network itself, up to rounding."
    )
    if region.radius is None:
        return f"{text} How far each piece reaches would have taken too long to compute."
    radius = float(np.median(region.radius))
    apart = f" For comparison: two of the samples are {region.apart:.2g} apart." if region.apart else ""
    return f"{text} They hold up to a distance of {radius:.2g} (the median; Euclidean).{apart}"


def weights(work: Work) -> str:
    """What the colors of the weights say, other than those of contributions."""
    region = work.region
    if region is None:
        return ""
    each = {"image": "A brighter pixel", "table": "A larger number in a column"}.get(work.subject.kind, "A larger value")
    what = "the prediction" if region.against is None else "the lead of the first class in the title over the second"
    return (
        f"{each} raises {what} where it is red, and lowers it where it is blue. These colors answer another question than those of the "
        "methods above: what a change of the input would do, not what the input has contributed. Where an input is negative, the two may "
        "have opposite signs."
    )


def diagnosed(work: Work) -> str:
    """The layer diagnosis in words."""
    found = work.diagnosis
    if found is None:
        return ""
    hits = {path: layer.activation_hit.mean for path, layer in found.layers.items()}
    best = max(hits, key=lambda path: hits[path])
    first, last = next(iter(hits)), list(hits)[-1]
    return (
        f"In each layer, the share of a sample's nearest neighbors that have its class tells how well the layer separates the classes. By "
        f"chance it would be {found.chance:.0%}. It is {hits[first]:.0%} in {first} and {hits[last]:.0%} in {last}, and highest in {best} "
        f"({hits[best]:.0%})."
    )


def cost(work: Work) -> str:
    """What the call cost."""
    return (
        f"Seconds for one {noun(work)}, once the programs are compiled. A pass through the network takes "
        f"{1000 * work.budget.pass_seconds:.2g} milliseconds. The whole page took {work.budget.used:.0f} of "
        f"{work.budget.seconds:g} seconds."
    )
