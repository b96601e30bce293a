"""What the package exports and documents, read from the code and the pages: contract tests run over it."""

import inspect
import pathlib
import re

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def concrete(module, base):
    """The concrete subclasses of a base that a module exports, by name."""
    exported = {name: getattr(module, name) for name in module.__all__}
    return {name: each for name, each in exported.items() if is_concrete(each, base)}


def is_concrete(thing, base):
    return inspect.isclass(thing) and issubclass(thing, base) and not inspect.isabstract(thing)


def unexported(module, base, package):
    """Public subclasses of a base, defined in a package and extended by none, that the module does not export."""
    found, queue = [], [base]
    while queue:
        for each in queue.pop().__subclasses__():
            queue.append(each)
            found.append(each)
    inside = [each for each in found if each.__module__.startswith(package) and not each.__name__.startswith("_")]
    leaves = {each.__name__ for each in inside if not each.__subclasses__()}  # others are bases of what they share
    return sorted(leaves - set(module.__all__))


def snake_case(name):
    """`GradCAMPlusPlus` as `grad_cam_plus_plus`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def section(page, title):
    """The text below a heading of the second level, `None` if the page has none of that title."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return found and found[1]


def names_in_code(text):
    """The names that a text marks as code: `Epsilon` of `Epsilon(epsilon=1e-6)`."""
    return set(re.findall(r"`([A-Za-z_]\w*)", text))
