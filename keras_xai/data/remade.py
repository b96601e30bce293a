"""Objects that are pickled as the arguments of their constructor."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Remade:
    """Mixin for classes that hold compiled programs or locks: pickled and copied as the arguments of their constructor.

    Loading calls the constructor again. A Keras model among the arguments has the weights that it had when it was pickled. Programs are
    compiled on first use.
    """

    # Values that are drawn at random in the constructor, and must not be drawn again.
    _kept: ClassVar[tuple[str, ...]] = ("_seed",)
    _made_of: tuple[tuple, dict[str, Any]]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """An object that remembers its arguments."""
        cls._check_arguments(args, options)
        made = super().__new__(cls)
        made._made_of = (args, options)
        return made

    @classmethod
    def _check_arguments(cls, args: tuple, options: Mapping[str, Any]) -> None:
        """Rejects arguments with clearer errors than Python's, for subclasses."""

    def _remember(self, **options: Any) -> None:
        """Replaces remembered keyword arguments, such as a layer by its path, since a loaded model has other layers."""
        args, before = self._made_of
        self._made_of = (args, before | options)

    def __reduce__(self) -> tuple:
        kept = {name: self.__dict__[name] for name in self._kept if name in self.__dict__}
        return _made, (type(self), *self._made_of), kept


def _made(kind, args, options):
    return kind(*args, **options)
