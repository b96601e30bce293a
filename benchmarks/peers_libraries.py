"""How `attribution_peers.py` calls tf-keras-vis, xplique and eli5: each in the way it documents, then with a workaround."""

import functools

import keras
import numpy as np
import peers_references as naive
from peers_setting import Answer, Expected, NoWayError, Setting

FLATTENED = "on `keras.Model(m.inputs, m.outputs)`"
PLAIN = "the values are the plain gradient"
SMALL = 1e-6  # a noise so small that SmoothGrad is the gradient


def flat(structure):
    return [np.asarray(array) for array in keras.tree.flatten(structure)]


def absolute(structure):
    return [abs(array) for array in flat(structure)]


# tf-keras-vis: the gradients of logits, by `ReplaceToLinear`; a list of inputs, a list of scores.


def _vis_scores(setting):
    from tf_keras_vis.utils.scores import BinaryScore, CategoricalScore, InactiveScore

    if setting.name == "single sigmoid":
        return BinaryScore(True)
    chosen = CategoricalScore(setting.index)
    return [chosen, InactiveScore()] if setting.name == "several outputs" else chosen


def _vis(kind, setting, way, *modifiers, linear=True):
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear

    model = setting.flattened() if FLATTENED in way else setting.model
    modifiers = [*modifiers, ReplaceToLinear()] if setting.activated and linear else [*modifiers]
    x = list(setting.x.values()) if isinstance(setting.x, dict) else setting.x
    return functools.partial(kind(model, model_modifier=modifiers or None), _vis_scores(setting), x)


def _vis_saliency(setting: Setting, way, modifiers=(), rule=None):
    from tf_keras_vis.saliency import Saliency

    call = _vis(Saliency, setting, way, *(modifier() for modifier in modifiers))
    values = call(keepdims=True, normalize_map=False)

    def expected():
        model = naive.linear(setting.twin)
        plain = absolute(naive.gradient(model, setting.x, setting.index))
        if rule is None:
            return Expected([plain])
        fused = "the gradient of `ReLU` layers is left as it is"
        known = {PLAIN: plain, fused: absolute(naive.guided_where_fused(setting.twin, setting.x, setting.index))}
        return Expected([absolute(naive.modified_gradient(model, setting.x, setting.index, rule))], known, (PLAIN,))

    return Answer(values, expected, setting.tolerance(), fitted=call(), shapes=[a.shape[:-1] for a in flat(setting.x)])


def _vis_guided(setting, way):
    from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation

    return _vis_saliency(setting, way, [GuidedBackpropagation], "NaiveGuided")


def _vis_smooth(setting: Setting, way):
    from tf_keras_vis.saliency import Saliency

    call = _vis(Saliency, setting, way)
    values = [
        call(keepdims=True, normalize_map=False, smooth_samples=400),
        call(keepdims=True, normalize_map=False, smooth_samples=2, smooth_noise=SMALL),
    ]

    def expected():
        model = naive.linear(setting.twin)
        noise = keras.tree.map_structure(lambda a: 0.2 * np.ptp(a, axis=tuple(range(1, a.ndim)), keepdims=True), setting.x)
        smooth = naive.smooth_gradient(model, setting.x, setting.index, noise, absolute=True)
        return Expected([[flat(smooth), absolute(naive.gradient(model, setting.x, setting.index))]])

    return Answer(values, expected, 0.1, fitted=call(smooth_samples=2), shapes=[a.shape[:-1] for a in flat(setting.x)])


NOT_ENLARGED = "`expand_cam=False`: a map of the layer's size"


def _vis_cam(setting: Setting, way, kind, formulas):
    module, _, name = kind.rpartition(".")
    call = _vis(getattr(__import__(module, fromlist=[name]), name), setting, way)
    layer = setting.case.layer.split("/")[-1]
    values = call(penultimate_layer=layer, expand_cam=False, normalize_cam=False)
    fitted = None if NOT_ENLARGED in way else call(penultimate_layer=layer)
    image = setting.x["image"] if isinstance(setting.x, dict) else setting.x

    def expected():
        found = naive.activations_and_gradients(naive.linear(setting.twin), setting.case.layer, setting.x, setting.index)
        return Expected([formula(*found) for formula in formulas])

    values = naive.scaled(np.asarray(values)) if "PlusPlus" in kind else values
    return Answer(values, expected, setting.tolerance(), fitted=fitted, shapes=_cam_shapes(fitted, image))


def _cam_shapes(fitted, image):
    return None if fitted is None else [image.shape[:-1]]


def _plus_plus():
    """Either is right, and a map's scale has no meaning."""
    return [
        lambda *found: naive.scaled(naive.grad_cam_plus_plus(*found)),
        lambda *found: naive.scaled(naive.grad_cam_plus_plus(*found, normalized=True)),
    ]


LINEAR = "with `ReplaceToLinear`, against the advice of its documentation"


def _vis_score_cam(setting: Setting, way):
    """As documented, without `ReplaceToLinear`."""
    from tf_keras_vis.scorecam import Scorecam

    call = _vis(Scorecam, setting, way, linear=LINEAR in way)
    layer = setting.case.layer.split("/")[-1]
    values = call(penultimate_layer=layer, expand_cam=False, normalize_cam=False)
    fitted = None if NOT_ENLARGED in way else call(penultimate_layer=layer)
    image = setting.x["image"] if isinstance(setting.x, dict) else setting.x

    def probability(model, x, twice=False):
        scores = np.asarray(keras.tree.flatten(model(x, training=False))[0], "float32")
        return (scores if setting.activated and not twice else np.asarray(keras.ops.softmax(scores)))[:, setting.index]

    def expected():
        activations, _, _ = naive.activations_and_gradients(setting.twin, setting.case.layer, setting.x, setting.index)
        right = naive.score_cam(setting.twin, activations, setting.x, probability)
        twice = naive.score_cam(setting.twin, activations, setting.x, lambda *given: probability(*given, twice=True))
        one = "the softmax of a single unit is always 1, so that the map has nothing of the score"
        known = {one if setting.name == "single sigmoid" else "the softmax is taken of probabilities": twice}
        return Expected([right], known if setting.activated else {})

    return Answer(values, expected, setting.tolerance(), fitted=fitted, shapes=_cam_shapes(fitted, image))


STRUCTURED = ("sequential", "nested", "several inputs", "several outputs", "1-D")


def vis_ways(setting, cam=False, score_cam=False):
    ways = ["", FLATTENED] if setting.name in STRUCTURED else [""]
    if cam and setting.name == "several inputs":
        ways += [NOT_ENLARGED, f"{FLATTENED}, {NOT_ENLARGED}"]
    if score_cam and setting.activated:
        ways += [LINEAR, f"{FLATTENED}, {LINEAR}"] if setting.name in STRUCTURED else [LINEAR]
    return ways


# xplique: the model's outputs as they are; one array of inputs, a one-hot target, an operator of the user's own.

OPERATOR = "with an `operator` that takes the output and casts it"
FIRST = "on `keras.Model(m.inputs, m.outputs[0])`"


def _operator(model, inputs, targets):
    """Of the first output, in single precision."""
    import tensorflow as tf

    return tf.reduce_sum(tf.cast(tf.nest.flatten(model(inputs))[0], tf.float32) * targets, axis=-1)


def _xplique(setting: Setting, way, kind, **options):
    import xplique.attributions

    if isinstance(setting.x, dict):
        try:  # to say what comes of it
            getattr(xplique.attributions, kind)(setting.model)(setting.x, np.ones((3, 4), "float32"))
        except Exception as error:
            raise NoWayError("one array of inputs is documented") from error
    if OPERATOR in way:
        options["operator"] = _operator
    model = setting.first_output() if FIRST in way else setting.model
    outputs = keras.tree.flatten(model.outputs)[0].shape[-1]
    targets = np.tile(np.eye(outputs, dtype="float32")[setting.index], (len(setting.x), 1))
    return getattr(xplique.attributions, kind)(model, **options)(setting.x, targets).numpy()


def _xplique_gradient(setting: Setting, way, kind, change):
    values = _xplique(setting, way, kind)
    return Answer(
        values,
        lambda: Expected([change(naive.gradient(setting.twin, setting.x, setting.index), setting.x)]),
        setting.tolerance(),
    )


def _xplique_modified(setting: Setting, way, kind, rule):
    values = _xplique(setting, way, kind)

    def expected():
        plain = naive.gradient(setting.twin, setting.x, setting.index)
        return Expected([naive.modified_gradient(setting.twin, setting.x, setting.index, rule)], {PLAIN: plain}, (PLAIN,))

    return Answer(values, expected, setting.tolerance())


def _xplique_smooth(setting: Setting, way):
    values = [
        _xplique(setting, way, "SmoothGrad", nb_samples=400, noise=0.5),
        _xplique(setting, way, "SmoothGrad", nb_samples=2, noise=SMALL),
    ]

    def expected():
        smooth = naive.smooth_gradient(setting.twin, setting.x, setting.index, 0.5, absolute=False)
        return Expected([[smooth, naive.gradient(setting.twin, setting.x, setting.index)]])

    return Answer(values, expected, 0.2)


def _xplique_integrated(setting: Setting, way):
    values = _xplique(setting, way, "IntegratedGradients", steps=64)
    zero = np.zeros_like(setting.x)
    return Answer(
        values,
        lambda: Expected([naive.integrated_gradients(setting.twin, setting.x, setting.index, zero, 64)]),
        setting.tolerance(),
    )


def _xplique_cam(setting: Setting, way, kind):
    values = _xplique(setting, way, kind, conv_layer=setting.case.layer.split("/")[-1])

    def expected():
        found = naive.activations_and_gradients(setting.twin, setting.case.layer, setting.x, setting.index)
        enlarged = functools.partial(naive.resized, size=setting.x.shape[1:-1])
        if kind == "GradCAM":
            return Expected([enlarged(naive.grad_cam(*found))])
        by_means = enlarged(naive.scaled(naive.grad_cam_plus_plus_by_means(*found)))
        known = {"the formula has the mean of a channel's activations in place of their sum": naive.scaled(by_means)}
        return Expected([naive.scaled(enlarged(formula(*found))) for formula in _plus_plus()], known)

    if kind == "GradCAM":
        return Answer(values, expected, setting.tolerance())
    return Answer(naive.scaled(values), expected, 0.02)


def _xplique_occlusion(setting: Setting, way):
    size = (4, 1) if setting.name == "1-D" else (2, 2)
    values = _xplique(setting, way, "Occlusion", patch_size=size, patch_stride=size)

    def expected():
        right = naive.occlusion(setting.twin, setting.x, setting.index, size[: setting.x.ndim - 2])
        return Expected([right.reshape(setting.x.shape)])

    return Answer(values.reshape(setting.x.shape), expected, setting.tolerance())


def _segments(x):
    import tensorflow as tf

    result = np.zeros(x.shape[:-1] if len(x.shape) == 3 else x.shape, "int32")
    for number, where in enumerate(naive.players(np.asarray(x))):
        result[where[None]] = number
    return tf.constant(result)


def _xplique_lime(setting: Setting, way):
    samples = 3000
    values = _xplique(setting, way, "Lime", nb_samples=samples, batch_size=500, map_to_interpret_space=_segments)

    def expected():
        rows = []
        for number in range(len(setting.x)):
            x = setting.sample(number)
            weight = lambda row, hidden, x=x: np.exp(-np.sum((hidden[0] - x) ** 2) / 45**2)  # noqa: E731
            rows.append(naive.lime(setting.twin, x, setting.index, weight, 2, samples))
        return Expected([spread(rows, setting.x)])

    return Answer(values.reshape(setting.x.shape), expected, 0.1)


def _xplique_kernel_shap(setting: Setting, way):
    values = _xplique(setting, way, "KernelShap", nb_samples=6000, batch_size=500, map_to_interpret_space=_segments)

    def expected():
        samples = [setting.sample(number) for number in range(len(setting.x))]
        exact = [naive.shapley(setting.twin, x, setting.index) for x in samples]
        without = [naive.kernel_shap_without_ends(setting.twin, x, setting.index) for x in samples]
        other = "a fit without the empty and the full coalition, whose values do not add up to the change of the score"
        return Expected([spread(exact, setting.x)], {other: spread(without, setting.x)})

    return Answer(values.reshape(setting.x.shape), expected, 0.1)


def spread(rows, x):
    """The values of features at the places of each, for each sample."""
    result = np.zeros(x.shape)
    for row, array, sample in zip(rows, result, x, strict=True):
        for value, where in zip(row, naive.players(sample), strict=True):
            array[where[None]] = value
    return result


def xplique_ways(setting):
    return {"mixed_float16": ["", OPERATOR], "several outputs": [OPERATOR, FIRST]}.get(setting.name, [""])


# eli5: one image at a time.

INSTANCE = "with `image=` and with the layer itself instead of its name"


def _eli5(setting: Setting, way):
    import eli5

    if isinstance(setting.x, dict):
        raise NoWayError("one array of inputs is documented")
    model = setting.first_output() if FIRST in way else setting.model
    layer = naive.find(model, setting.case.layer) if INSTANCE in way else setting.case.layer.split("/")[-1]
    maps = []
    for number in range(len(setting.x)):
        image = {"image": keras.utils.array_to_img(setting.x[number])} if INSTANCE in way else {}
        given = setting.x[number : number + 1]
        found = eli5.explain_prediction(model, given, targets=[setting.index], layer=layer, **image)
        if found.error:  # of what class is not said
            raise (NoWayError if setting.name == "1-D" else RuntimeError)(found.error)
        maps.append(found.targets[0].heatmap)

    def expected():
        cam = naive.grad_cam(*naive.activations_and_gradients(setting.twin, setting.case.layer, setting.x, setting.index))
        return Expected([cam / (cam.max((1, 2), keepdims=True) + 1e-7)])

    return Answer(np.stack(maps), expected, setting.tolerance())


def eli5_ways(setting: Setting):
    return {"nested": ["", INSTANCE], "several outputs": ["", FIRST]}.get(setting.name, [""])


METHODS = {
    "tf-keras-vis Saliency": (vis_ways, _vis_saliency),
    "tf-keras-vis SmoothGrad": (vis_ways, _vis_smooth),
    "tf-keras-vis GuidedBackpropagation": (vis_ways, _vis_guided),
    "tf-keras-vis Gradcam": (
        functools.partial(vis_ways, cam=True),
        functools.partial(_vis_cam, kind="tf_keras_vis.gradcam.Gradcam", formulas=[naive.grad_cam]),
    ),
    "tf-keras-vis GradcamPlusPlus": (
        functools.partial(vis_ways, cam=True),
        functools.partial(_vis_cam, kind="tf_keras_vis.gradcam_plus_plus.GradcamPlusPlus", formulas=_plus_plus()),
    ),
    "tf-keras-vis Scorecam": (functools.partial(vis_ways, cam=True, score_cam=True), _vis_score_cam),
    "xplique Saliency": (xplique_ways, functools.partial(_xplique_gradient, kind="Saliency", change=lambda g, x: abs(g))),
    "xplique GradientInput": (
        xplique_ways,
        functools.partial(_xplique_gradient, kind="GradientInput", change=lambda g, x: g * x),
    ),
    "xplique SmoothGrad": (xplique_ways, _xplique_smooth),
    "xplique IntegratedGradients": (xplique_ways, _xplique_integrated),
    "xplique GuidedBackprop": (
        xplique_ways,
        functools.partial(_xplique_modified, kind="GuidedBackprop", rule="NaiveGuided"),
    ),
    "xplique DeconvNet": (xplique_ways, functools.partial(_xplique_modified, kind="DeconvNet", rule="NaiveDeconvnet")),
    "xplique GradCAM": (xplique_ways, functools.partial(_xplique_cam, kind="GradCAM")),
    "xplique GradCAMPP": (xplique_ways, functools.partial(_xplique_cam, kind="GradCAMPP")),
    "xplique Occlusion": (xplique_ways, _xplique_occlusion),
    "xplique Lime": (xplique_ways, _xplique_lime),
    "xplique KernelShap": (xplique_ways, _xplique_kernel_shap),
    "eli5 Grad-CAM": (eli5_ways, _eli5),
}
