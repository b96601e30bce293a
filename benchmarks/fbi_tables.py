"""The tables of the FBI benchmark, in Markdown."""

from collections.abc import Callable

import numpy as np
import report
from runs import interval

# Table 1 of the paper: conventional training, training with the FBI loss.
PAPER = {
    "maximum": [(1.377, 2.576), (1.270, 1.205), (0.941, 1.647), (2.355, 3.883), (14.741, 16.524)],
    "skewness": [(0.603, 2.576), (1.484, 2.086), (0.806, 1.484), (0.707, 1.314), (0.651, 1.012)],
}
METHODS = ("gradient", "gradient x input", "integrated gradients", "occlusion", "random")


def fragment(found: dict, options) -> str:
    """All tables.

    Args:
        found: Results of runs by data, arm and seed.
        options: Of the command line.
    """
    seeds = len(options.seeds)
    lines = [
        "# The FBI loss on MNIST",
        "",
        f"{options.images:,} training images, 5,000 validation images, 10,000 test images, {options.epochs} epochs, "
        f"{seeds} seed{'s' if seeds > 1 else ''}. Values are means over seeds; with several, ± is the half-width of the 95 % "
        "interval by Student's t. Differences are those from the arm `none` with the same seed, which has the same initial weights and "
        "order of batches: **bold** where the interval does not contain zero.",
    ]
    for data in options.data:
        arms = {
            arm: [found[data, arm, seed] for seed in options.seeds]
            for arm in options.arms
            if (data, arm, options.seeds[0]) in found
        }
        title = "Digits on black" if data == "plain" else "Digits on textures"
        textured = data == "textured"
        lines += ["", f"## {title}", "", *training(arms), "", *explanations(arms, textured=textured)]
        lines += ["", *against_the_control(arms, textured=textured)]
        if data == "plain":
            lines += ["", *table_1(arms)]
    return report.page(lines, "python benchmarks/fbi_mnist.py")


def training(arms) -> list[str]:
    """Accuracy, penalty and sparsity."""
    base_accuracy, base_penalty = [run["accuracy"] for run in arms["none"]], [run["penalty"]["z mean"] for run in arms["none"]]
    rows = report.head(
        "arm", "test accuracy, %", "difference", "penalty", "change", "Hoyer sparsity", "skewness", "dead filters"
    )
    for arm, runs in arms.items():
        accuracy, penalty = [run["accuracy"] for run in runs], [run["penalty"]["z mean"] for run in runs]
        dead = [sum(figures["dead_filters"] for figures in run["activations"].values()) for run in runs]
        rows.append(
            report.row(
                arm,
                _show(accuracy, 2),
                "" if arm == "none" else _difference(accuracy, base_accuracy, 2),
                _show(penalty, 3),
                "" if arm == "none" else f"{100 * (np.mean(penalty) / np.mean(base_penalty) - 1):+.0f} %",
                _show([_over_convolutions("hoyer")(run) for run in runs], 3),
                _show([_over_convolutions("skewness")(run) for run in runs], 2),
                _show(dead, 1),
            )
        )
    return [
        "The penalty is measured on 1,000 test images with the rule z, the true label and the mean over units, whatever the arm was "
        "trained with. Sparsity and skewness (third moment) are means over the five convolutions, dead filters their sum (of 160).",
        "",
        *rows,
    ]


def table_1(arms) -> list[str]:
    """The paper's Table 1 beside ours."""
    shown = [arm for arm in ("none", "z label mean", "z label sum", "zplus label sum", "activations L1") if arm in arms]
    rows = []
    for figure, ours in (("maximum", ("maximum",)), ("skewness", ("skewness", "inverse_variance"))):
        for name in ours:
            rows += [
                "",
                *report.head(
                    figure if name != "inverse_variance" else "inverse variance", "paper, conventional", "paper, FBI", *shown
                ),
            ]
            for number, (conventional, fbi) in enumerate(PAPER[figure], start=1):
                layer = f"conv{number}"
                cells = [_show([run["activations"][layer][name] for run in arms[arm]], 2) for arm in shown]
                rows.append(report.row(layer, f"{conventional:.3f}", f"{fbi:.3f}", *cells))
    return [
        'Table 1 of the paper beside ours, on 1,000 test images. What the paper calls skewness is "the inverse of the variance in the '
        'energy-normalized curves"; it is shown beside the third standardized moment and beside our reading of it, the inverse variance '
        "of activations of unit root mean square, which is never below 1.",
        *rows,
    ]


def explanations(arms, *, textured) -> list[str]:
    """Deletion and insertion, and where the attribution lies."""
    figures = {"deletion": "deletion, less is better", "insertion": "insertion, more is better"}
    if textured:
        figures = {"mass": "share of the positive attribution on the digit", "rank": "share of the highest attributions on it"}
    rows = []
    for figure, title in figures.items():
        rows += ["", *report.head(title, *METHODS)]
        before = {method: [run["explanations"][method][figure] for run in arms["none"]] for method in METHODS}
        for arm, runs in arms.items():
            cells = []
            for method in METHODS:
                values = [run["explanations"][method][figure] for run in runs]
                cells.append(_show(values, 3) if arm == "none" else _difference(values, before[method], 3))
            rows.append(report.row(arm, *cells))
    return [
        "On 200 test images. The row `none` has the values, the others the differences from it. *Random* is the control: it depends on a "
        "network only by its scores of incomplete images.",
        *rows,
    ]


def against_the_control(arms, *, textured) -> list[str]:
    """What the FBI loss does that a penalty on the activations does not."""
    compared = [arm for arm in arms if arm.endswith(" sum")]
    if "activations L1" not in arms or not compared:
        return []
    figures: dict[str, tuple[Callable, int]] = {
        "test accuracy, %": (lambda run: run["accuracy"], 2),
        "penalty": (lambda run: run["penalty"]["z mean"], 3),
        "Hoyer sparsity": (_over_convolutions("hoyer"), 3),
    }
    for method in ("gradient x input", "integrated gradients"):
        for figure in ("mass", "rank") if textured else ("deletion", "insertion", "rank"):
            figures[f"{figure}, {method}"] = (_explanation(method, figure), 3)
    rows = report.head("arm, less the control", *figures)
    for arm in compared:
        cells = [
            _difference([column(run) for run in arms[arm]], [column(run) for run in arms["activations L1"]], digits)
            for column, digits in figures.values()
        ]
        rows.append(report.row(arm, *cells))
    return [
        "The arms whose penalty acts, less the control `activations L1` of the same seed: what asking for relevance does beyond making "
        "activations small. *Rank* and *mass* are shares of the attribution that lie on the digit.",
        "",
        *rows,
    ]


def _over_convolutions(name):
    return lambda run: float(np.mean([figures[name] for figures in run["activations"].values()]))


def _explanation(method, figure):
    return lambda run: run["explanations"][method][figure]


def _show(values, digits) -> str:
    mean, half = interval(np.array(values))
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")


def _difference(values, before, digits) -> str:
    mean, half = interval(np.array(values) - np.array(before))
    shown = f"{mean:+.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")
    return f"**{shown}**" if np.isfinite(half) and abs(mean) > half else shown
