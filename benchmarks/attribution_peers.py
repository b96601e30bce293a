"""Compares tf-keras-vis, xplique, shap, lime and eli5 on the model types on which keras_xai's methods are tested.

    python -m venv peers
    peers/bin/pip install -e .[test] xplique eli5
    peers/bin/python benchmarks/attribution_peers.py --output docs/benchmarks/attribution_peers.md    # half an hour on two cores

The models are those of `tests/attribution/grid.py`. Each call is made in a separate process, in the way that the library's
documentation says; where that fails, with the workarounds of `peers_libraries.py` and `peers_perturbing.py`. What comes back is
compared with a naive computation in TensorFlow, of `peers_references.py`, on the same model built anew.
"""

import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import re
import traceback
import warnings

import report

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")

PRELOADED = ["peers_perturbing", "xplique.attributions", "tf_keras_vis.scorecam", "shap", "lime.lime_image", "eli5"]
PACKAGES = ["tf-keras-vis", "xplique", "shap", "lime", "eli5", "keras", "tensorflow", "numpy"]
LONGEST = 300  # seconds


def main(arguments: list[str] | None = None) -> None:
    """Measures, and writes the page."""
    import peers_page

    parser = report.parser(__doc__, output="Markdown file to write the tables to")
    parser.add_argument("--only", default="", help="regular expression of what to try, as 'xplique GradCAM, nested'")
    parser.add_argument("--cells", type=pathlib.Path, help="JSON file to go on from and to keep each outcome in")
    parser.add_argument("--features", action="store_true", help="make only the second table of that file anew")
    options = parser.parse_args(arguments)
    if options.features:
        options.output.write_text(peers_page.renewed(options.output.read_text(encoding="utf-8")), encoding="utf-8")
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with context.Pool(1) as pool:
        methods, cases = pool.apply(names)
    found = json.loads(options.cells.read_text()) if options.cells and options.cells.exists() else {}
    for method in methods:
        for case in cases:
            key = f"{method}, {case}"
            if key in found or not re.search(options.only, key):
                continue
            found[key] = tried(context, method, case)
            print(f"{key}: {found[key]}", flush=True)
            if options.cells:
                options.cells.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.output:
        options.output.write_text(peers_page.page(found, methods, cases, versions()), encoding="utf-8")


def names():
    """Of the methods, and the titles of the cases by name."""
    from peers_setting import grid

    return list(methods()), {name: case.title for name, case in grid.CASES.items()}


def methods():
    import peers_libraries
    import peers_perturbing

    return peers_libraries.METHODS | peers_perturbing.METHODS


def tried(context, method, case):
    """Each way until one is right: `(way, status, message, changed)` of each."""
    results, way = [], 0
    while way is not None:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(sender, method, case, way))
        process.start()
        sender.close()
        try:
            result = receiver.recv() if receiver.poll(LONGEST) else ("", "error", f"no answer in {LONGEST} seconds", [], None)
        except EOFError:
            result = ("", "error", "the process died", [], None)
        process.terminate()
        process.join()
        *result, way = result
        results.append(tuple(result))
    return results


def answer(sender, method, case, number):
    """Runs in a separate process."""
    warnings.simplefilter("ignore")
    import keras
    import peers_setting

    keras.utils.disable_interactive_logging()
    setting = peers_setting.Setting(case)
    ways, call = methods()[method]
    ways = ways(setting)
    before = peers_setting.state(setting.model)
    judged = None
    try:
        given = call(setting, ways[number])
    except peers_setting.NoWayError as error:
        cause = f"; given one all the same: {said(error.__cause__)}" if error.__cause__ else ""
        judged = "no way", f"{error}{cause}"
    except peers_setting.NotMeantError:
        judged = "n/a", ""
    except Exception as error:
        judged = "error", said(error)
    after = peers_setting.state(setting.model)
    changed = [what for what in before if before[what] != after[what]]
    if judged is None:
        try:
            judged = judgement(given)
        except Exception:
            judged = "not judged", traceback.format_exc()
    following = number + 1 if judged[0] in ("error", "wrong") and number + 1 < len(ways) else None
    sender.send((ways[number], *judged, changed, following))


def judgement(given):
    """Whether values are what they should be: the status and what to say."""
    import keras
    import numpy as np

    def flat(structure):
        return [np.asarray(array, "float64") for array in keras.tree.flatten(structure)]

    def distance(own, others):
        return max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(own, others, strict=True))

    values, expected = flat(given.values), given.expected()
    right = [flat(structure) for structure in expected.right]
    if not all(np.linalg.norm(sample) > 0 for others in right for array in others for sample in array):
        raise ValueError("what is expected is zero")
    known = {text: flat(structure) for text, structure in expected.known.items()}
    for text, others in list(known.items()):
        if any(distance(others, own) < 2 * given.tolerance for own in right):
            if text in expected.apart:
                raise ValueError(f"cannot be told from what is right: {text}")
            del known[text]
    shapes = [array.shape for array in values]
    if shapes != [array.shape for array in right[0]]:
        return "wrong", f"shapes {shapes} where {[array.shape for array in right[0]]} belong"
    if given.fitted is not None:
        fitted = flat(given.fitted)
        shapes = [array.shape for array in fitted]
        if given.shapes is not None and shapes != [tuple(shape) for shape in given.shapes]:
            return "wrong", f"shapes {shapes} where {given.shapes} belong"
        if not all(np.isfinite(array).all() for array in fitted):
            return "wrong", "not finite"
    if not all(np.isfinite(array).all() for array in values):
        return "wrong", "not finite"
    away = min(distance(values, others) for others in right)
    if away <= given.tolerance:
        return "yes", f"{away:.1e}"
    for text, others in known.items():
        if distance(values, others) <= given.tolerance:
            return "wrong", text
    return "wrong", f"{given.said} {away:.0%} away from what is right"


def said(error):
    """The class of an error and its first words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and (lines[0].startswith("Exception encountered") or "in user code" in lines[0]):
        lines = [next((line for line in lines if re.match(r"\w*(Error|Exception)\b", line)), lines[-1])]
    words = re.sub(r"\(\{'.*|<tf\.\w+.*|<KerasTensor.*|0x[0-9a-f]+|/\S+/", "...", lines[0] if lines else "")
    return f"{type(error).__name__}: {words[:110]}{'...' if len(words) > 110 else ''}"


def versions():
    """Of the interpreter and the packages."""
    return {"Python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


if __name__ == "__main__":
    main()
