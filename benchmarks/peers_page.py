"""The page that `attribution_peers.py` writes."""

import re

import peers_features
import report

# What was found by hand.
NOT_RUN = [
    "iNNvestigate 2.1.2 asks for TensorFlow below 2.15, and so for Keras 2: with it installed, Keras 3 is gone. Without its "
    "dependencies, `import innvestigate` fails on Keras 3: `AttributeError: module 'tensorflow.keras.layers' has no attribute "
    "'LocallyConnected1D'`.",
    "Aletheia (`aletheia-dnn`) has no file on PyPI for Python 3.11.",
    "captum and zennit explain PyTorch modules only.",
    "xplique 2.0.2 asks for TensorFlow of at most 2.20, SciPy of at most 1.15 and scikit-learn of at most 1.7.",
]
SEEN = [
    "xplique `GradCAMPP` has the mean of a channel's activations where the paper has their sum. On these models its maps are within 1% "
    "of the paper's or of its authors' program's. With the last weights of the Sequential model times ten they are 5% away, and equal to "
    "the formula with means to 1e-7.",
    "xplique `KernelShap` leaves the empty and the full coalition out of its fit, so that its values do not add up to the change of the "
    "score. Here they are up to 7% away from exact Shapley values, which counts as right.",
    "After an error in `GradCAM`, xplique leaves the layer's `call` wrapped. `GradCAM` then fails on every model with that layer: "
    "`AssertionError: The layer should not be already watched`.",
]
RANDOM = re.compile("random state")
FEATURES = "## Methods of each library\n"
MADE = "\nMade by `python"


def page(found, methods, cases, versions) -> str:
    """Markdown.

    Args:
        found: Of each "method, case", each way's `(way, status, message, changed)`.
        methods: Names, a library and its method.
        cases: Titles of the cases, by name.
        versions: Of each package.
    """
    notes = Notes()
    table = report.head("", *cases.values())
    for method in methods:
        library = method.partition(" ")[0]
        outcomes = [found[f"{method}, {case}"] for case in cases]
        cells = [cell(tries, notes, library) for tries in outcomes]
        table.append(f"| {library} `{method.partition(' ')[2]}` | {' | '.join(cells)} |")
    counts = [tries[-1][1] for tries in found.values() if tries[-1][1] != "n/a"]
    plain = sum(tries[0][1] == "yes" for tries in found.values())
    return "\n".join(
        [
            "# Other libraries on the same models",
            "",
            "Each cell is a library's method on one of the models on which the tests check every method of keras_xai. It was called as "
            "documented, in a separate process. The values were compared with a naive computation in TensorFlow on "
            "the same model: the gradient of a tape, with the rule of each `Relu` replaced for guided backpropagation and Deconvnet; "
            "activations and gradients of a watched layer; a loop over patches or channels; exact Shapley values of four or seven "
            "features; the regression that LIME's sampling tends to; the change of the score that SHAP values add up to.",
            "",
            "- `yes`: correct. With a number: only in the way that the note describes.",
            "- `wrong`: the values differ from the definition of the method.",
            "- `error`: it raised an error.",
            "- `no way`: not possible according to its documentation.",
            "- `n/a`: the method is not meant for such data.",
            "",
            "tf-keras-vis explains logits, by its `ReplaceToLinear`. xplique, shap, lime and eli5 explain a model's outputs as they "
            "are, here probabilities where the last layer has a softmax or a sigmoid: they reach logits only if the activation is a "
            "separate layer, or if the user changes the model. This counts as correct. "
            f"Of {len(counts)} cells, {plain} are correct as documented, {counts.count('yes') - plain} with a workaround, "
            f"{counts.count('wrong')} are wrong, {counts.count('error')} are errors, and for {counts.count('no way')} there is no way.",
            "",
            *table,
            "",
            *notes.lines(),
            "",
            "Found by hand:",
            "",
            *(f"- {line}" for line in SEEN),
            "",
            "State that a call leaves changed:",
            "",
            *changes(found),
            "",
            "Not run:",
            "",
            *(f"- {line}" for line in NOT_RUN),
            "",
            "## Methods of each library",
            "",
            "According to the documentation, without a check that they work.",
            "",
            *peers_features.lines(),
            "",
            "Made by `python benchmarks/attribution_peers.py`, with "
            + ", ".join(f"{name} {text}" for name, text in versions.items())
            + ".",
            "",
        ]
    )


def features():
    return [FEATURES, "According to the documentation, without a check that they work.", "", *peers_features.lines(), ""]


def renewed(text: str) -> str:
    """A page whose second table is made anew."""
    before, after = text.split(FEATURES)[0], text.split(MADE)[1]
    return before + "\n".join(features()) + MADE + after


class Notes:
    """Numbered remarks, each once."""

    def __init__(self):
        self.numbers = {}

    def number(self, text):
        return self.numbers.setdefault(text, len(self.numbers) + 1)

    def lines(self):
        return [f"{number}. {text}" for text, number in self.numbers.items()]


def cell(tries, notes, library):
    """A status, with the number of the note that says more."""
    first, last = tries[0], tries[-1]
    if last[1] == "n/a" or (last[1] == "yes" and not last[0]):
        return last[1]
    if last[1] == "yes":
        texts = [last[0], f"as documented `{first[1]}`, {told(first[2])}"] if len(tries) > 1 else [last[0]]
    else:
        ways = {}
        for way, _, message, _ in tries:
            ways.setdefault(message, (way, told(message)))
        texts = [f"{way}: {text}" if way else text for way, text in ways.values()]
    text = "; ".join(texts)
    return f"{last[1] if last[1] == 'yes' else first[1]} ({notes.number(f'{library}: {text}' + '.' * (text[-1] != '.'))})"


def told(message):
    """What to say of an outcome that is not right."""
    name, _, words = message.partition(": ")
    if not name.endswith("Error") or " " in name:
        return message.removesuffix(".") if not message.endswith("...") else message
    words = words.removeprefix(f"{name}: ")
    words = words if words.endswith("...") else words.removesuffix(".")
    return f"`{name}: {words}`" if "`" not in words else f"{name}: {words}"


def changes(found):
    """A line for each thing that calls changed: random states by method, other things by method and case."""
    places = {}
    for key, tries in found.items():
        method, _, case = key.rpartition(", ")
        for _, status, _, changed in tries:
            for what in changed:
                failed = status == "error" and not RANDOM.search(what)
                places.setdefault((what, failed), {}).setdefault(method, []).append(case)
    result = []
    for (what, failed), methods in sorted(places.items()):
        where = ", ".join(
            method if RANDOM.search(what) else f"{method} ({', '.join(dict.fromkeys(cases))})"
            for method, cases in methods.items()
        )
        drawn = ", from which Keras draws for each layer that is built" if what.startswith("Python") else ""
        result.append(f"- {what}{drawn}{', after an error' if failed else ''}: {where}.")
    return result or ["- Nothing."]
