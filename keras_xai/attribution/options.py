"""Errors for unknown options of method constructors, with suggestions for names from other packages."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

# What a background or baseline is called in other packages, whose constructors take it.
_BASELINES = ("baseline", "baselines", "background", "background_data", "data", "reference", "references", "masker")
# The names of options in captum, shap, xplique, pytorch-grad-cam and tf-keras-vis.
_ELSEWHERE = {
    "num_samples": ("n_samples", "nsamples", "nb_samples", "smooth_samples", "n_perturb_samples", "max_evals"),
    "steps": ("n_steps", "num_steps"),
    "noise": ("stdevs", "stdev_spread", "smooth_noise"),
    "groups": ("feature_mask", "feature_masks"),
    "segments": ("feature_mask", "segmentation_fn", "map_to_interpret_space"),
    "window": ("sliding_window_shapes", "patch_size"),
    "stride": ("strides", "patch_stride"),
    "layer": ("target_layers", "target_layer", "output_layer", "conv_layer", "penultimate_layer"),
    "unit": ("neuron_selector", "neuron_index"),
    "batch_size": ("internal_batch_size", "perturbations_per_eval"),
    "places": ("reshape_transform",),
    "composite": ("rule", "rules"),
    "verbose": ("show_progress", "progress", "silent"),
}


def misnamed(method: type, args: tuple, options: Mapping[str, Any]) -> TypeError:
    """The error for arguments that the constructor of a method does not take.

    Args:
        method: A subclass of `Method`.
        args: Positional arguments.
        options: Keyword arguments.
    """
    baselines = [name for name in _BASELINES if name in options]
    if method.takes_baseline and (baselines or len(args) > 1):  # type: ignore[attr-defined]
        what = baselines[0] if baselines else f"a second argument of type {type(args[1]).__name__}"
        return TypeError(
            f"Expected a model and options by name. Received: {what}. `{method.__name__}` takes its "
            f"{'background' if method.shares_baseline else 'baseline'} when it is called: "  # type: ignore[attr-defined]
            f"`{method.__name__}(model)(x, baseline=...)`."
        )
    known = [name for name in inspect.signature(method).parameters if name != "model"]
    unknown = [name for name in options if name not in (*known, "model")]
    received = [f"{name}=..." for name in unknown]
    if len(args) > 1:
        received += [f"a second argument of type {type(each).__name__} without a name" for each in args[1:2]]
    if not args and "model" not in options:
        received += ["no model"]
    meant = [f"`{name}`" for each in unknown for name in _like(each, known)]
    return TypeError(
        f"Expected `{method.__name__}(model)` with options by name, out of {known}. Received: {', '.join(received)}."
        + (f" Did you mean {' or '.join(meant)}?" if meant else "")
    )


def _like(name, known):
    """Options of a method that a name may refer to."""
    same = [option for option in known if name in _ELSEWHERE.get(option, ())]
    return same or difflib.get_close_matches(name, known, n=1)
