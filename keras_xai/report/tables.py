"""Explanations of tables: waterfalls of single samples, and the features of many samples at a glance.

Drawn here and not by the shap library, whose plots draw into pyplot's current figure, have no place for a convergence delta, and interpret
names as mathematics. `Explanation.to_shap` returns what they take.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.data.checks import check_choice, chosen_indices
from keras_xai.report.colors import Colors, color_map
from keras_xai.report.explained import class_name, explained
from keras_xai.report.explanations import draw_explanations
from keras_xai.report.kinds import num_shown
from keras_xai.report.labels import INCHES_PER_LETTER, feature_label, shortened, wrapped_label
from keras_xai.results.explanation import Explanation
from keras_xai.results.plot_options import Kind, PlotOptions
from keras_xai.results.tables import Table, table_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Options of each kind of plot.
_COMMON = ("samples", "class_names", "feature_names", "title")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "bars": ("labels", "cmap", "sign", "columns"),
    "waterfall": ("labels", "cmap", "columns"),
    "bar": (),
    "beeswarm": ("cmap",),
}
_FEATURES = 12  # those beyond are added up
_ROW, _WIDTH = 0.27, 5.0
_LETTERS_PER_INCH = 11  # of titles
_INK, _GRAY, _LIGHT, _BLUE = "#30363d", "#8a939c", "#c4cad0", "#3a76af"
# Readable without telling red from green; its yellow end is left out, which is pale on white.
_FEATURE_COLORS, _BRIGHTEST = "viridis", 0.92
# A delta below this share of the way from the base score to the score is told but not drawn.
_DRAWN_DELTA = 5e-3


def explanation_plot(explanation: Explanation, kind: Kind | None, options: PlotOptions) -> "Figure":
    """Plots one explanation, for `Explanation.plot`.

    Args:
        explanation: The explanation.
        kind: Kind of plot of a table; `None` for a picture of each sample.
        options: The other arguments; by default one sample for a waterfall, all for features at a glance, and four otherwise.

    Raises:
        ValueError: If a kind is given and the samples are no table; if there is no such kind or sample, the kind does not have an option,
            the values do not add up to a score for a waterfall, a value is not finite, or a number of names does not fit.
    """
    if kind is not None:
        check_choice("kind", kind, tuple(_OPTIONS))
        _check_options(options, kind)
    if kind is None or kind == "bars":
        if kind is not None:
            table_of(explanation, options.feature_names)
        options = dataclasses.replace(options, samples=4) if options.samples is None else options
        return draw_explanations({explanation.method: explanation}, options)
    table = table_of(explanation, options.feature_names)
    default = 1 if kind == "waterfall" else len(explanation)
    chosen = chosen_indices("samples", default if options.samples is None else options.samples, len(explanation))
    if not np.isfinite(table.values[chosen]).all():
        raise ValueError("Expected explanations of finite values. Received: NaN or infinity.")
    if kind == "waterfall":
        return _waterfalls(explanation, table, chosen, options)
    score = _score(explanation, chosen, options.class_names)
    if kind == "bar":
        return _global_bars(explanation, table, chosen, score, options.title)
    return _beeswarm(explanation, table, chosen, score, options)


def _check_options(options: PlotOptions, kind: Kind):
    """Refuses options that a kind does not have."""
    allowed = (*_COMMON, *_OPTIONS[kind])
    values = {field.name: (getattr(options, field.name), field.default) for field in dataclasses.fields(options)}
    # Compared only if they are numbers or strings: labels may be an array.
    given = [
        name
        for name, (value, default) in values.items()
        if name not in allowed and value is not default and not (np.isscalar(value) and value == default)
    ]
    if given:
        raise ValueError(
            f"Expected the options {list(allowed)} of this kind of plot of tables only. Received: {given}, kind={kind!r}"
        )


def _waterfalls(explanation, table, chosen, options):
    base, delta = explanation.base_score, explanation.convergence_delta
    if base is None or delta is None:
        raise ValueError(
            "Expected an explanation whose values are added to a score, for kind='waterfall'. Received: one by "
            f"{explanation.method}, which does not distribute a score. Use a method such as IntegratedGradients, DeepSHAP or SHAP, or "
            "kind='bars'."
        )
    options.check_labels(len(explanation))
    steps = [_Steps(table, sample, float(base[sample]), float(delta[sample])) for sample in chosen]
    columns = min(options.columns or 1, len(steps))
    counts = [max(len(each.sizes) for each in steps[i : i + columns]) for i in range(0, len(steps), columns)]
    height = sum(_ROW * (count + 1) + 1.0 for count in counts) + 0.3 * bool(options.title)
    figure = _new_figure([label for each in steps for label in each.labels], height, columns)
    grid = figure.subplots(len(counts), columns, squeeze=False, height_ratios=[count + 3 for count in counts])
    colors = Colors(options.cmap)
    for axes, each, sample in zip(grid.flat, steps, chosen, strict=False):
        _draw_waterfall(axes, each, colors)
        said = ", ".join(explained(explanation, sample, options.class_names, options.labels))
        heading = f"sample {sample} by {explanation.method}{': ' * bool(said)}{said}"
        axes.set_title(wrapped_label(heading, int(_LETTERS_PER_INCH * _WIDTH)), fontsize=10, loc="left")
    for axes in grid.flat[len(steps) :]:
        axes.set_axis_off()
    if options.title:
        figure.suptitle(options.title, fontsize=11)
    return figure


class _Steps:
    """The bars of a waterfall, from the base score to the score.

    Attributes:
        labels: Their names, from above: the largest first.
        sizes: Their lengths, with signs.
        starts: Where they start.
        ends: The base score and the score.
        delta: The convergence delta.
        draws_delta: Whether it is the last bar.
    """

    def __init__(self, table: Table, sample: int, base: float, delta: float):
        values = table.values[sample]
        order = np.argsort(-np.abs(values), kind="stable")
        first, others = _split(order)
        self.labels = [_labeled(table, sample, i) for i in first]
        sizes = [*values[first]]
        if others.size:
            self.labels.append(_counted(others.size))
            sizes.append(values[others].sum())
        self.ends = (base, base + float(values.sum()) + delta)
        self.delta = delta
        span = max(abs(self.ends[1] - base), np.abs(sizes).max(initial=0))
        self.draws_delta = abs(delta) > _DRAWN_DELTA * span
        if self.draws_delta:
            self.labels.append("not explained")
            sizes.append(delta)
        self.sizes = np.array(sizes, "float64")
        self.starts = base + np.concatenate([[0.0], np.cumsum(self.sizes)[:-1]])


def _draw_waterfall(axes: "Axes", steps: _Steps, colors: Colors):
    count = len(steps.sizes)
    rows = np.arange(1, count + 1)
    ends = steps.starts + steps.sizes
    limit = np.abs(steps.sizes).max() or 1.0
    strengths = np.sign(steps.sizes) * (0.45 + 0.55 * np.abs(steps.sizes) / limit)
    bars = axes.barh(rows, steps.sizes, left=steps.starts, color=colors.of(strengths, 1.0), height=0.72, zorder=2)
    if steps.draws_delta:
        bars.patches[-1].set(facecolor="white", edgecolor=_GRAY, hatch="////", linewidth=0.8)
    # From a bar to the next one, and from the base score to the score.
    places = [steps.ends[0], *ends]
    axes.vlines(places, rows[0] - 1 + np.arange(count + 1), 1 + np.arange(count + 1), color=_GRAY, linewidth=0.8, zorder=1)
    low, high = min(*steps.starts, *ends), max(*steps.starts, *ends)
    room = 0.16 * ((high - low) or 1.0)
    for row, size, start, end in zip(rows, steps.sizes, steps.starts, ends, strict=True):
        right = size >= 0
        x, place = (max(start, end), (4, 0)) if right else (min(start, end), (-4, 0))
        axes.annotate(
            f"{size:+.3g}",
            (x, row),
            place,
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=8,
        )
    axes.plot([steps.ends[0], ends[-1]], [0, count + 1], linestyle="none", marker="D", markersize=5, color=_INK, zorder=3)
    left = steps.ends[0] <= steps.ends[1]  # the base score's text is on the side away from the bars
    for x, line, text, aside in (
        (steps.ends[0], 0, f"base score {steps.ends[0]:.3g}", left),
        (ends[-1], count + 1, f"score {steps.ends[1]:.3g}", not left),
    ):
        place, side = ((7, 0), "left") if aside else ((-7, 0), "right")
        axes.annotate(text, (x, line), place, textcoords="offset points", ha=side, va="center", fontsize=8, fontweight="bold")
    axes.set(xlim=(low - room, high + room), ylim=(count + 1.6, -0.6), yticks=rows)
    axes.set_yticklabels(steps.labels, fontsize=8)
    axes.set_xlabel(f"score; convergence delta {steps.delta:.2g}", fontsize=8)
    _tidy(axes)


def _global_bars(explanation, table, chosen, score, title):
    sizes = np.abs(table.values[chosen]).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    first, others = _split(order)
    labels, lengths = [shortened(table.names[i]) for i in first], sizes[first]
    figure = _new_figure(labels, _ROW * len(labels) + 1.2)
    axes = figure.add_subplot()
    rows = np.arange(len(labels))
    axes.barh(rows, lengths, color=_BLUE, height=0.72)
    for row, length in zip(rows, lengths, strict=True):
        axes.annotate(f"{length:.3g}", (length, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set(ylim=(len(labels) - 0.4, -0.6), yticks=rows, xlim=(0, 1.12 * (lengths.max() or 1.0)))
    axes.set_yticklabels(labels, fontsize=8)
    more = f"\n{_counted(others.size)} add up to {sizes[others].sum():.3g}" if others.size else ""
    axes.set_xlabel(f"mean absolute {score}, {_samples(chosen)}{more}", fontsize=8)
    axes.set_title(title or explanation.method, fontsize=10, loc="left")
    _tidy(axes)
    return figure


def _beeswarm(explanation, table, chosen, score, options):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    values = table.values[chosen]
    order, _ = _split(np.argsort(-np.abs(values).mean(axis=0), kind="stable"))
    labels = [shortened(table.names[i]) for i in order]
    figure = _new_figure(labels, 1.25 * _ROW * len(order) + 1.3)
    axes = figure.add_subplot()
    axes.axvline(0, color=_GRAY, linewidth=0.8, zorder=0)
    colors = (
        ListedColormap(color_map(_FEATURE_COLORS)(np.linspace(0, _BRIGHTEST, 256)))
        if options.cmap is None
        else color_map(options.cmap)
    )
    limit = np.abs(values[:, order]).max() or 1.0
    size = float(np.clip(900 / len(chosen), 5, 22))
    grays, numbers = table.data is None, False
    for row, i in enumerate(order):
        axes.axhline(row, color=_LIGHT, linewidth=0.5, linestyle=":", zorder=0)
        shades = _shades(np.full(len(chosen), None) if table.data is None else table.data[chosen, i])
        known = np.isfinite(shades)
        offsets = _apart(values[:, i] / limit)
        grays, numbers = grays or not known.all(), numbers or bool(known.any())
        for which, color in ((~known, [_GRAY]), (known, colors(shades[known]))):
            if which.any():
                axes.scatter(values[which, i], row + offsets[which], s=size, c=color, linewidths=0, alpha=0.9, zorder=2)
    axes.set(ylim=(len(order) - 0.4, -0.6), yticks=np.arange(len(order)), xlim=(-1.08 * limit, 1.08 * limit))
    axes.set_yticklabels(labels, fontsize=8)
    shown = [] if len(order) == values.shape[1] else [f"the {len(order)} largest of {values.shape[1]} features"]
    shown += ["gray: categories, missing values"] if grays and table.data is not None else []
    axes.set_xlabel("\n".join(filter(None, [f"{score}, {_samples(chosen)}", "; ".join(shown)])), fontsize=8)
    axes.set_title(options.title or explanation.method, fontsize=10, loc="left")
    _tidy(axes)
    if numbers:
        bar = figure.colorbar(ScalarMappable(cmap=colors), ax=axes, aspect=30, pad=0.02)
        bar.set_ticks([0, 1], labels=["low", "high"])
        bar.ax.tick_params(labelsize=8, length=0)
        bar.outline.set_visible(False)
        bar.set_label("feature value", fontsize=8)
    return figure


def _shades(data) -> np.ndarray:
    """Values of a feature from 0 to 1 by their percentiles, so that a few extreme ones do not hide the others; NaN for categories."""
    if any(isinstance(each, (str, bytes)) for each in data):
        return np.full(len(data), np.nan)
    numbers = np.array([np.nan if each is None else each for each in data], "float64")
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return np.full(len(data), np.nan)
    low, high = np.percentile(known, [5, 95])
    if low == high:
        low, high = known.min(), known.max()
    return np.where(np.isfinite(numbers), np.clip((numbers - low) / ((high - low) or 1.0), 0, 1), np.nan)


def _apart(places) -> np.ndarray:
    """Vertical offsets that keep samples of nearly equal values apart, at most 0.4."""
    bins = np.round(places * 60).astype(int)
    offsets = np.zeros(len(places))
    for each in np.unique(bins):
        (members,) = np.nonzero(bins == each)
        ranks = np.arange(len(members))
        offsets[members] = np.where(ranks % 2, 1, -1) * ((ranks + 1) // 2)  # 0, 1, -1, 2, -2, ...
    return offsets * min(0.09, 0.4 / (np.abs(offsets).max() or 1.0))


def _score(explanation, chosen, class_names) -> str:
    """What the values of several samples are, and of which score."""
    return (
        f"{'derivative of' if explanation.derivatives else 'contribution to'} {_explained(explanation, chosen, class_names)}"
    )


def _explained(explanation, chosen, class_names):
    target = explanation.target
    if not (isinstance(target, np.ndarray) and target.ndim == 1):
        return "the explained score"
    if explanation.prediction is not None:
        return "the prediction" if class_names is None or len(class_names) > 2 else class_names[-1]
    classes = np.unique(target[chosen])
    if len(classes) > 1:
        return "the score of each sample's explained class"
    (k,) = classes
    return f"the score of {class_name(int(k), '', class_names, binary=explanation.probability is not None)}"


def _labeled(table, sample, i) -> str:
    return shortened(table.names[i]) if table.data is None else feature_label(table.names[i], table.data[sample, i])


def _split(order) -> tuple[np.ndarray, np.ndarray]:
    """The features that are drawn, and the others."""
    count = num_shown(len(order), _FEATURES)
    return order[:count], order[count:]


def _counted(count) -> str:
    return f"{count} other features"


def _samples(chosen) -> str:
    return f"{len(chosen):,} sample{'s' * (len(chosen) > 1)}"


def _new_figure(labels, height, columns=1):
    from keras_xai.report.figure import new_figure

    longest = max(len(label) for label in labels)
    return new_figure(figsize=(columns * (_WIDTH + INCHES_PER_LETTER * longest), height), layout="constrained")


def _tidy(axes: "Axes"):
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8, color=_GRAY)
    axes.locator_params(axis="x", nbins=6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_LIGHT)
