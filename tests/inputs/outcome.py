"""What comes of a call with one bad argument, as one line: empty if it was refused as documented."""

import re
import time
import traceback

import keras_xai

PACKAGE = keras_xai.__path__[0]
SECONDS = 5.0
# Samples are checked by one reader, whose errors name the input of the model.
_SAMPLES = (
    "x",
    "X",
    "images",
    "background",
    "direction",
    "start",
    "end",
    "corner",
    "second",
    "third",
    "held_out",
    "visible",
    "test",
    "baseline",
)
ALSO = dict.fromkeys(_SAMPLES, "input|sample|dataset|batch") | {
    "y": "label",
    "labels": "`y`",
    "samples": "sample",
    "plot_options": "samples",
    "layers": "layer",
    "explanation": "Explanation",
}


def complaint(site, owner, parameter, bad):
    """Calls a site with one argument replaced.

    Args:
        site: A `tests.inputs.calls.Site`.
        owner: The object whose method it is, or `None`.
        parameter: Name of the argument.
        bad: A function from the right value to the bad one.
    """
    arguments = site.arguments()
    right = arguments.get(parameter, site.parameters[parameter].default)
    arguments[parameter] = bad(right)
    start, worked = time.perf_counter(), time.process_time()
    try:
        result = site.call(owner, arguments)
    except Exception as error:
        found = _fault(error, parameter)
    else:
        found = f"accepted: {type(result).__name__}"
    # Of a busy machine the wall clock tells little.
    seconds = min(time.perf_counter() - start, time.process_time() - worked)
    return found or (f"took {seconds:.1f} s" if seconds > SECONDS else "")


def _fault(error, parameter):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    message = str(error)
    told = f"{type(error).__name__}: {message[:150]!r}"
    if not frame.filename.startswith(PACKAGE):
        return f"raised in {'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}: {told}"
    if not isinstance(error, (ValueError, TypeError, IndexError, OSError, KeyError)):
        return f"of another type: {told}"
    if "Received" not in message:
        return f"not told what was received, {frame.name}: {told}"
    words = rf"\b{parameter}s?\b" + (f"|{ALSO[parameter]}" if parameter in ALSO else f"|{parameter.replace('_', ' ')}")
    if not re.search(words, message.lower() if parameter.islower() else message):
        return f"does not name `{parameter}`: {told}"
    return ""
