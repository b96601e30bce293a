"""Tables of the layers that OpenBox supports, read from the registry of layer kinds.

Directives: `layer-table` (one role's registered layers and functions), `activation-table` (the functions of
`keras.activations`), `unknown-layers` (the layers of Keras that have no kind).
"""

import inspect
import re
import sys

import keras
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from keras_xai.graph import trace
from keras_xai.kinds import Pieces
from keras_xai.kinds.entries import registry
from keras_xai.kinds.expansion import expand, refusals
from keras_xai.kinds.gate import Fixed

_ROLES = ("affine", "merge", "shape", "composite", "gate", "select", "curved", "smooth")
_REFUSED = ("curved", "smooth")


class _FromCode(SphinxDirective):
    """Base class of directives that are evaluated at every build, whether or not the page has changed."""

    def run(self):
        self.env.note_reread()
        return self.from_code()


class LayerTable(_FromCode):
    """The layers and functions of one role, grouped by meaning."""

    required_arguments = 1

    def from_code(self):
        role = self.arguments[0]
        rows: dict[str, list[str]] = {}
        for entry in registry():
            if entry.kind.role == role and not _is_internal(entry.operation):
                rows.setdefault(_meaning(entry), []).append(public_name(entry.operation))
        if not rows:
            raise self.error(f"No layer of the role {role!r} is registered.")
        heading = "Reason" if role in _REFUSED else "Meaning"
        return [_table((heading, "Layers and functions"), [(_prose(text), _names(names)) for text, names in rows.items()])]


class ActivationTable(_FromCode):
    """The activations that can be fused into a layer, as in `Dense(8, activation="relu")`."""

    def from_code(self):
        known: list[str] = []
        refused: dict[str, list[str]] = {}
        for name, function in sorted(vars(keras.activations).items()):
            if name in ("get", "serialize", "deserialize") or not inspect.isfunction(function):
                continue
            parameters = list(inspect.signature(function).parameters.values())
            if any(parameter.default is parameter.empty for parameter in parameters[1:]):
                continue  # `threshold` cannot be named alone
            reason = _refusal_of_activation(function)
            if reason is None:
                known.append(name)
            else:
                # Strips function names, quoted errors and advice, so that equal reasons are grouped.
                reason = re.split(r" \(|;", re.sub(r"^`\w+` cannot", "it cannot", reason))[0]
                refused.setdefault(reason, []).append(name)
        rows = [(_prose("Divided into exact pieces"), _names(known))]
        rows += [(_prose(f"Refused: {reason}"), _names(names)) for reason, names in refused.items()]
        return [_table(("Outcome", "`activation=`"), rows)]


class UnknownLayers(_FromCode):
    """The layers of Keras without a kind, which are refused."""

    def from_code(self):
        registered = {entry.operation: entry for entry in registry()}
        unknown = []
        for name, value in sorted(vars(keras.layers).items()):
            if not (inspect.isclass(value) and issubclass(value, keras.Layer)) or value in (
                keras.Layer,
                keras.layers.InputLayer,  # no step of a model
                keras.layers.Wrapper,  # abstract
            ):
                continue
            entry = next((registered[base] for base in value.__mro__ if base in registered), None)
            if (entry is None or value.call is not entry.operation.call) and name == value.__name__:
                unknown.append(f"keras.layers.{name}")
        return [nodes.paragraph("", "", *_names(unknown))]


def _is_internal(operation):
    """Whether an operation is one that only the package itself uses when it divides layers."""
    own = operation.__module__.startswith(("keras_xai.graph", "keras_xai.kinds"))
    return own and not issubclass(operation, keras.Layer) and not hasattr(keras.activations, operation.__name__.lower())


def public_name(operation):
    """The name under which Keras publishes a layer class, or the function that records an operation."""
    if issubclass(operation, keras.Layer):
        return _exported(operation)
    if operation.__name__ == "GetItem":
        return "x[...]"
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation.__name__).lower()
    module = sys.modules[operation.__module__]
    function = getattr(module, snake, None) or getattr(module, operation.__name__.lower(), None)
    function = function or getattr(keras.activations, snake, None)  # which keras.ops does not have
    if function is None:
        raise ExtensionError(f"Keras publishes no function for {operation.__module__}.{operation.__name__}.")
    return _exported(function)


def _exported(value):
    """The export path that bears the class' or function's own name; `keras.layers.AvgPool2D` is an alias."""
    # Looked up in the class itself: one that Keras does not publish would inherit "keras.Layer".
    paths = vars(value).get("_api_export_path") or f"{value.__module__}.{value.__qualname__}"
    paths = [paths] if isinstance(paths, str) else paths
    return min(paths, key=lambda path: (path.rpartition(".")[2] != value.__name__, len(path)))


def _meaning(entry):
    if entry.kind.role in _REFUSED:
        problems = refusals(expand(trace(entry.examples[0].model())))
        reason = next(problem.reason for problem in problems if issubclass(problem.layer, entry.operation))
        return reason[0].upper() + reason[1:]
    if isinstance(entry.kind, Fixed):
        return _formula(entry.kind.pieces(None))
    return inspect.getdoc(type(entry.kind)).splitlines()[0].rstrip(".")


def _formula(pieces: Pieces):
    """`0 below 0, x above`: the pieces of an activation without parameters, from left to right."""
    texts = [_line(slope, offset) for slope, offset in zip(pieces.slopes, pieces.offsets, strict=True)]
    texts = [f"{text} up to {threshold:g}" for text, threshold in zip(texts, pieces.thresholds, strict=False)] + [
        f"{texts[-1]} above"
    ]
    return ", ".join(texts)


def _line(slope, offset):
    if not slope:
        return f"{offset:g}"
    factor = {1: "x", -1: "-x"}.get(slope) or (f"x / {1 / slope:g}" if abs(slope) < 1 else f"{slope:g} x")
    return factor + (f" {'+' if offset > 0 else '-'} {abs(offset):g}" if offset else "")


def _refusal_of_activation(function):
    x = keras.Input((4,))
    inside = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dense(4, activation=function)(x)))
    problems = refusals(expand(trace(inside)))
    return problems[0].reason if problems else None


def _prose(text):
    """Text in which `code` is set as code."""
    return [
        nodes.literal(part, part) if i % 2 else nodes.Text(part) for i, part in enumerate(re.split(r"`([^`]*)`", text)) if part
    ]


def _names(names):
    children = []
    for name in names:
        if children:
            children.append(nodes.Text(", "))
        children.append(nodes.literal(name, name))
    return children


def _table(headings, rows):
    group = nodes.tgroup(cols=2)
    group += [nodes.colspec(colwidth=width) for width in (28, 72)]
    group += nodes.thead("", _row([_prose(heading) for heading in headings]))
    group += nodes.tbody("", *(_row(cells) for cells in rows))
    return nodes.table("", group, classes=["layer-table", "colwidths-given"])


def _row(cells):
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def _check_roles(app):
    roles = {entry.kind.role for entry in registry()}
    if roles != set(_ROLES):
        raise ExtensionError(f"docs/layers.md shows the roles {_ROLES}; the registry has {sorted(roles)}.")


def setup(app):
    app.add_directive("layer-table", LayerTable)
    app.add_directive("activation-table", ActivationTable)
    app.add_directive("unknown-layers", UnknownLayers)
    app.connect("builder-inited", _check_roles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
