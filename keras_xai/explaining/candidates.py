"""The methods that suit each kind of data, in the order of the guide "Which method should I use?"."""

import dataclasses
from collections.abc import Callable
from typing import Any, final

from keras_xai.attribution import (
    LRP,
    SHAP,
    AttnLRP,
    DeepLIFT,
    DeepSHAP,
    GradCAM,
    GradientRollout,
    IntegratedGradients,
    Method,
    Occlusion,
)
from keras_xai.explaining.subject import Subject

_STEPS = 32  # of integrated gradients
_WINDOWS, _FEW_WINDOWS = 9, 5  # of occlusion along an axis, each half over the next
_COALITIONS = 256  # of kernel SHAP


@final
@dataclasses.dataclass(frozen=True)
class Candidate:
    """A method that may be picked.

    Attributes:
        name: Its name on the page.
        method: Its class.
        does: What it does, as a sentence that goes on from its name.
        why: Why it suits, as a sentence of its own.
        passes: The forward passes that a sample takes.
        options: Its options for a subject and a seed.
        programs: What it takes to compile its programs, in units of a forward pass of the same network.
        draws: Whether it draws at random, so that samples have to be explained in one call.
    """

    name: str
    method: type[Method]
    does: str
    why: str
    passes: Callable[[Subject], float]
    options: Callable[[Subject, int], dict[str, Any]] = lambda subject, seed: {}
    programs: float = 4
    draws: bool = False

    def make(self, subject: Subject, seed: int) -> Method:
        """The method for a model."""
        return self.method(subject.model, verbose=0, **self.options(subject, seed))

    def num_programs(self, subject: Subject) -> float:
        """What it takes to compile its programs, in units of a forward pass of the model."""
        return self.programs * (subject.unrolled_factor if self.method.unrolls else 1)


def _windows(subject: Subject, number: int) -> Any:
    """The windows of `Occlusion` along each spatial axis of the inputs that have one; by default for others."""
    found = {}
    for name, sizes in subject.place_sizes.items():
        if sizes:
            sides = tuple(max(1, 2 * size // (number + 1)) for size in sizes)
            found[name] = sides
    return found or None


def _windows_of(number: int) -> Callable[[Subject, int], dict[str, Any]]:
    def options(subject, seed):
        window = _windows(subject, number)
        stride = (
            None if window is None else {name: tuple(max(1, side // 2) for side in sides) for name, sides in window.items()}
        )
        return {"window": window, "stride": stride}

    return options


def _with(**options: Any) -> Callable[[Subject, int], dict[str, Any]]:
    return lambda subject, seed: options


GRAD_CAM = Candidate(
    "Grad-CAM",
    GradCAM,
    "marks the area whose features speak for the answer.",
    "It takes two passes of the network, and on photographs the spots that it marks most lie on the object more often than those of "
    "finer methods.",
    lambda subject: 3,
)
GRAD_CAM_OF_SERIES = dataclasses.replace(
    GRAD_CAM,
    does="marks the stretch of time whose features speak for the answer.",
    why="The model has convolutions along the time, and it takes two passes.",
)
OCCLUSION = Candidate(
    "Occlusion",
    Occlusion,
    "hides one part after the other and measures how far the score falls.",
    "It asks the model and nothing else, so that it works with every model and can be checked by hand.",
    lambda subject: 1 + subject.num_parts(_WINDOWS + 1),
    _windows_of(_WINDOWS),
)
# With larger windows, for less time.
COARSE_OCCLUSION = dataclasses.replace(
    OCCLUSION, options=_windows_of(_FEW_WINDOWS), passes=lambda subject: 1 + subject.num_parts(_FEW_WINDOWS + 1)
)
LRP_FINE = Candidate(
    "LRP",
    LRP,
    "distributes the score backward from layer to layer, down to single entries of the input.",
    "It shows details that coarser maps blur, for the price of about three passes.",
    lambda subject: 4,
)
LRP_ATTENTION = Candidate(
    "LRP (AttnLRP)",
    LRP,
    "distributes the score backward from layer to layer, with rules made for attention.",
    "The model has attention. On transformers it was as faithful as methods that take a hundred times as many passes.",
    lambda subject: 4,
    _with(composite=AttnLRP()),
)
DEEP_LIFT = Candidate(
    "DeepLIFT",
    DeepLIFT,
    "distributes the difference from an empty input over the parts of this one.",
    "Its values add up to the difference of the scores, and it takes three passes.",
    lambda subject: 4,
    programs=12,
)
INTEGRATED_GRADIENTS = Candidate(
    "Integrated gradients",
    IntegratedGradients,
    "adds up what each part contributes on the way from an empty input to this one.",
    "Its values add up to the difference of the scores up to an error that is known, for any network that has derivatives.",
    lambda subject: 2.5 * _STEPS,
    _with(steps=_STEPS),
)
DEEP_SHAP = Candidate(
    "DeepSHAP",
    DeepSHAP,
    "compares this row with typical rows and distributes the difference over the columns.",
    "Its values add up to the difference between the score and its mean over typical rows, in a few passes for each of them.",
    lambda subject: 4 * subject.num_background,
    programs=16,
)
KERNEL_SHAP = Candidate(
    "Kernel SHAP",
    SHAP,
    "replaces columns by those of typical rows, in many combinations, and distributes the changes of the score over the columns.",
    "It asks the model and nothing else.",
    lambda subject: (_COALITIONS + 1) * subject.num_background,
    lambda subject, seed: {"num_samples": _COALITIONS, "seed": seed},
    draws=True,
)
GRADIENT_ROLLOUT = Candidate(
    "Gradient rollout",
    GradientRollout,
    "follows the attention that matters for the answer through all layers.",
    "It gives one value for each patch, which is easier to read than single pixels.",
    lambda subject: 3,
)

# For each kind of data, and by whether the model has attention: places on the page, each with the methods that may take it, the best first.
_PLACES: dict[tuple[str, bool], tuple[tuple[Candidate, ...], ...]] = {
    ("image", False): ((GRAD_CAM,), (OCCLUSION, COARSE_OCCLUSION), (LRP_FINE, DEEP_LIFT, INTEGRATED_GRADIENTS)),
    ("image", True): (
        (DEEP_LIFT, INTEGRATED_GRADIENTS),
        (LRP_ATTENTION, INTEGRATED_GRADIENTS),
        (GRADIENT_ROLLOUT, OCCLUSION, COARSE_OCCLUSION),
    ),
    ("volume", False): ((GRAD_CAM,), (COARSE_OCCLUSION,), (LRP_FINE, INTEGRATED_GRADIENTS)),
    ("series", False): ((INTEGRATED_GRADIENTS,), (OCCLUSION,), (GRAD_CAM_OF_SERIES, DEEP_LIFT)),
    ("text", False): ((DEEP_LIFT, INTEGRATED_GRADIENTS), (OCCLUSION,), (INTEGRATED_GRADIENTS,)),
    ("text", True): ((LRP_ATTENTION, INTEGRATED_GRADIENTS), (DEEP_LIFT, INTEGRATED_GRADIENTS), (OCCLUSION,)),
    ("table", False): ((DEEP_SHAP, KERNEL_SHAP), (INTEGRATED_GRADIENTS, KERNEL_SHAP), (OCCLUSION,)),
    ("mixed", False): ((INTEGRATED_GRADIENTS,), (OCCLUSION,)),
}


def places(subject: Subject) -> tuple[tuple[Candidate, ...], ...]:
    """The places on the page, each with the methods that may take it, the best first."""
    without = _PLACES[subject.kind, False]
    return _PLACES.get((subject.kind, subject.has_attention), without)
