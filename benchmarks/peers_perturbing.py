"""How `attribution_peers.py` calls shap and lime, which see most models as functions that the user writes."""

import keras
import numpy as np
import peers_references as naive
from peers_libraries import FLATTENED, flat, spread
from peers_setting import Answer, Expected, NotMeantError, NoWayError, Setting

FIRST = "on `(m.inputs, m.outputs[0])`"
UNCHECKED = "with `check_additivity=False`"


def function_of(setting: Setting):
    """What a user writes for a library that knows no models: probabilities or logits, one column for each."""

    def function(x):
        outputs = keras.tree.flatten(setting.model(x, training=False))[0]
        scores = np.asarray(keras.ops.cast(outputs, "float32"))
        return np.concatenate([scores, 1 - scores], axis=1) if setting.name == "single sigmoid" else scores

    return function


def rows_of(x):
    """Samples as a table, several inputs side by side, as shap's and lime's examples with several inputs do it."""
    return np.concatenate([array.reshape(len(array), -1) for array in flat(x)], axis=1)


def unrowed(setting: Setting, rows):
    rows = np.asarray(rows, "float32")
    if not isinstance(setting.x, dict):
        return rows.reshape(-1, *setting.x.shape[1:])
    return {"image": rows[:, :64].reshape(-1, 8, 8, 1), "table": rows[:, 64:]}


def changes(setting: Setting):
    """Of each sample, by how much its score is above the background's on average, in single precision."""
    mean = naive.score(setting.single, setting.background, setting.index).numpy().mean()
    return naive.score(setting.single, setting.x, setting.index).numpy() - mean


def _shap_explainer(setting: Setting, way, kind):
    import shap

    many = isinstance(setting.x, dict)
    model = setting.flattened() if FLATTENED in way else setting.model
    if FIRST in way:
        model = (model.inputs, model.outputs[0])
    background = list(setting.background.values()) if many else setting.background
    return getattr(shap, kind)(model, background), list(setting.x.values()) if many else setting.x


def _chosen(setting: Setting, values):
    """Of the explained output, for each input."""
    chosen = [np.asarray(array)[..., setting.index] for array in (values if isinstance(values, list) else [values])]
    return chosen if len(chosen) > 1 else chosen[0]


def _shap_deep(setting: Setting, way):
    explainer, x = _shap_explainer(setting, way, "DeepExplainer")
    values = _chosen(setting, explainer.shap_values(x, check_additivity=UNCHECKED not in way))
    total = sum(array.sum(tuple(range(1, array.ndim))) for array in flat(values))
    shapes = [array.shape for array in flat(setting.x)]
    said = "computed in half precision, the values add up to a number that is" if setting.half else "the values' sum is"
    return Answer(total, lambda: Expected([changes(setting)]), setting.tolerance(), values, shapes, said)


def _shap_gradient(setting: Setting, way):
    explainer, x = _shap_explainer(setting, way, "GradientExplainer")
    values = _chosen(setting, explainer.shap_values(x, nsamples=1000, rseed=0))

    def expected():
        total = 0
        for number in range(len(flat(setting.background)[0])):
            start = keras.tree.map_structure(lambda a, n=number: np.broadcast_to(a[n], a.shape), setting.background)
            found = naive.integrated_gradients(setting.twin, setting.x, setting.index, start, 100)
            total = (
                keras.tree.map_structure(lambda a: a / 3, found)
                if number == 0
                else keras.tree.map_structure(lambda a, b: a + b / 3, total, found)
            )
        return Expected([total if not isinstance(total, dict) else list(total.values())])

    return Answer(values, expected, 0.25)


def _shap_kernel(setting: Setting, way):
    """Of the presence of a few features, as in shap's example with superpixels."""
    import shap

    function, values = function_of(setting), []
    for number in range(len(flat(setting.x)[0])):
        sample = setting.sample(number)
        count = len(naive.players(sample))
        explainer = shap.KernelExplainer(
            lambda masks, sample=sample: function(naive.masked(sample, masks)), np.zeros((1, count))
        )
        values.append(_chosen(setting, explainer.shap_values(np.ones((1, count)), silent=True))[0])

    def expected():
        samples = [setting.sample(number) for number in range(len(flat(setting.x)[0]))]
        return Expected([np.stack([naive.shapley(setting.twin, sample, setting.index) for sample in samples])])

    return Answer(np.stack(values), expected, setting.tolerance())


def _shap_partition(setting: Setting, way):
    """Images by `maskers.Image`, other data as a table by `maskers.Partition`: what the halves of an image or a whole row get."""
    import shap

    function, image = function_of(setting), not isinstance(setting.x, dict) and setting.x.ndim == 4
    if image:
        masker, rows, ask = shap.maskers.Image(np.zeros(64), (8, 8, 1)), setting.x, function
    else:
        masker, rows = shap.maskers.Partition(rows_of(setting.background)), rows_of(setting.x)
        ask = lambda given: function(unrowed(setting, given))  # noqa: E731
    values = shap.PartitionExplainer(ask, masker)(rows, max_evals=2000, silent=True).values[..., setting.index]
    if not image:
        return Answer(values.sum(1), lambda: Expected([changes(setting)]), setting.tolerance(), values, [rows.shape])
    half = np.indices(setting.x.shape)[1] < 4
    got = np.stack([(values * where).sum((1, 2, 3)) for where in (half, ~half)])

    def expected():
        none, first, second, both = (
            naive.score(setting.twin, setting.x * where, setting.index).numpy() for where in (0, half, ~half, 1)
        )
        return Expected([0.5 * np.stack([first - none + both - second, second - none + both - first])])

    return Answer(got, expected, setting.tolerance(), fitted=values, shapes=[setting.x.shape])


LIME_SAMPLES = 3000


def _lime_image(setting: Setting, way):
    """Gray images are given as such, which lime makes color images of, as its documentation says."""
    from lime.lime_image import LimeImageExplainer

    if setting.name == "several inputs":
        raise NoWayError("one image is documented")
    if setting.name == "1-D":
        raise NotMeantError
    function, rows = function_of(setting), []
    for number in range(len(setting.x)):
        found = LimeImageExplainer(random_state=0).explain_instance(
            setting.x[number, :, :, 0],
            lambda images: function(images[..., :1].astype("float32")),
            labels=(setting.index,),
            top_labels=None,
            hide_color=0,
            num_samples=LIME_SAMPLES,
            batch_size=500,
            segmentation_fn=lambda image: np.kron(np.arange(4).reshape(2, 2), np.ones((4, 4), int)),
        )
        rows.append([weight for _, weight in sorted(found.local_exp[setting.index])])

    def weight(row, _):
        length = np.sqrt(row.sum())
        distance = 1 - (row.sum() / (length * 2) if length else 0)
        return np.sqrt(np.exp(-(distance**2) / 0.25**2))

    def expected():
        exact = [naive.lime(setting.twin, x, setting.index, weight, 1, LIME_SAMPLES) for x in setting.x]
        return Expected([spread(exact, setting.x)])

    return Answer(spread(rows, setting.x), expected, 0.1)


def _lime_tabular(setting: Setting, way):
    """Series by `RecurrentTabularExplainer`, several inputs as one row; compared with a regression on draws of its own."""
    from lime.lime_tabular import LimeTabularExplainer, RecurrentTabularExplainer

    if setting.name not in ("1-D", "several inputs"):
        raise NotMeantError
    function, options = function_of(setting), {"discretize_continuous": False, "random_state": 0, "feature_selection": "none"}
    data, rows = rows_of(setting.case.x), rows_of(setting.x)
    if setting.name == "1-D":
        explainer, given, ask = (
            RecurrentTabularExplainer(setting.case.x, feature_names=["value"], **options),
            setting.x,
            function,
        )
    else:
        explainer, given = LimeTabularExplainer(data, mode="regression", **options), rows
        ask = lambda rows: function(unrowed(setting, rows))[:, setting.index]  # noqa: E731
    values = []
    for sample in given:
        label = setting.index if setting.name == "1-D" else 1  # which is what lime calls the value of a regression
        labels = {"labels": (label,)} if setting.name == "1-D" else {}
        found = explainer.explain_instance(sample, ask, num_features=data.shape[1], num_samples=20_000, **labels)
        values.append([weight for _, weight in sorted(found.local_exp[label])])

    def expected():
        random, mean, spread_of, result = np.random.default_rng(3), data.mean(0), data.std(0), []
        for row in rows:
            draws = random.normal(size=(20_000, data.shape[1]))
            scaled = np.concatenate([((row - mean) / spread_of)[None], draws])
            scores = naive.score(setting.twin, unrowed(setting, scaled * spread_of + mean), setting.index).numpy()
            distances = np.linalg.norm(scaled - scaled[:1], axis=1)
            weights = np.sqrt(np.exp(-(distances**2) / (0.75**2 * data.shape[1])))
            result.append(naive.ridge(scaled, scores, weights, 1))
        return Expected([np.array(result)])

    return Answer(np.array(values), expected, 0.25)


def shap_ways(setting: Setting):
    return {"several inputs": ["", FLATTENED], "several outputs": [FIRST]}.get(setting.name, [""])


def shap_deep_ways(setting: Setting):
    return [*shap_ways(setting), *(", ".join(filter(None, [way, UNCHECKED])) for way in shap_ways(setting))]


def one_way(setting: Setting):
    return [""]


METHODS = {
    "shap DeepExplainer": (shap_deep_ways, _shap_deep),
    "shap GradientExplainer": (shap_ways, _shap_gradient),
    "shap KernelExplainer": (one_way, _shap_kernel),
    "shap PartitionExplainer": (one_way, _shap_partition),
    "lime image": (one_way, _lime_image),
    "lime tabular": (one_way, _lime_tabular),
}
