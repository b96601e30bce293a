"""State that a callable reads besides its arguments: enclosing variables, defaults, attributes of its object."""

import functools
import hashlib
import pathlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

_DEPTH = 6


def what_is_read(function: Any) -> Any:
    """A value that differs when a callable may compute something else than before.

    It follows closures, globals, defaults, `functools.partial`, the attributes of objects, and containers, by value; functions that are
    called, too. Tensors, variables of Keras and modules count as the objects that they are.

    Args:
        function: Any object; for a callable, all state that it reads is included.
    """
    return _value(function, _DEPTH, frozenset())


def _value(thing, depth, within) -> Any:
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes, type, types.ModuleType)):
        return (type(thing), thing) if thing == thing else (type(thing), repr(thing))  # NaN is not equal to itself
    if isinstance(thing, (np.ndarray, np.generic)):
        array = np.asarray(thing)
        content = repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes()
        return array.dtype.str, array.shape, hashlib.sha256(content).hexdigest()
    if depth == 0 or id(thing) in within:
        return _Same(thing)
    within |= {id(thing)}
    if isinstance(thing, Mapping):
        return type(thing), [(_value(k, depth - 1, within), _value(v, depth - 1, within)) for k, v in thing.items()]
    if isinstance(thing, (list, tuple)):
        return type(thing), [_value(each, depth - 1, within) for each in thing]
    if isinstance(thing, (set, frozenset)):
        return type(thing), frozenset(thing)
    if not isinstance(thing, (functools.partial, types.MethodType)) and _is_installed(thing):
        return _Same(thing)
    same = type(thing) if isinstance(thing, (functools.partial, types.MethodType)) else _Same(thing)
    return same, [(name, _value(each, depth - 1, within)) for name, each in _parts(thing)]


def _parts(thing) -> Iterator[tuple[str, Any]]:
    """The parts of an object, by name."""
    if isinstance(thing, functools.partial):
        yield from (("function", thing.func), ("arguments", thing.args), ("keywords", thing.keywords))
    elif isinstance(thing, types.MethodType):
        yield from (("function", thing.__func__), ("object", thing.__self__))
    elif isinstance(thing, types.FunctionType):
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        for name in sorted(_global_names(thing.__code__)):
            if name in thing.__globals__:
                yield name, thing.__globals__[name]
        yield from (("defaults", thing.__defaults__), ("keyword defaults", thing.__kwdefaults__))
    elif not isinstance(thing, (keras.Layer, keras.Variable)):
        yield from sorted(getattr(thing, "__dict__", {}).items())
        yield from (
            (name, value) for name, value in sorted(vars(type(thing)).items()) if isinstance(value, types.FunctionType)
        )


def _is_installed(thing) -> bool:
    """Whether a function or the class of an object comes from an installed package, which does not read the user's variables."""
    name = (thing if isinstance(thing, types.FunctionType) else type(thing)).__module__ or ""
    if name.partition(".")[0] == "tf_keras_vis":  # whose scores hold what the user has chosen
        return False
    path = getattr(sys.modules.get(name), "__file__", None)
    return name != "__main__" and (
        path is None or not {"site-packages", "dist-packages"}.isdisjoint(pathlib.PurePath(path).parts)
    )


def _global_names(code):
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


class _Same:
    """Compares by identity, and keeps the object alive so that its identity is not reused."""

    def __init__(self, thing: Any):
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)
