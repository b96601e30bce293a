"""Objects that are pickled as the arguments of their constructor."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Remade:
    """Mixin for classes that hold compiled programs or locks: pickled and copied as the arguments of their constructor.

    The loaded object is made anew of them, a Keras model among them with the weights that it has when it is pickled. It compiles
    its programs when it is used.
    """

    # What is drawn at random when the object is made, and so is not to be made anew.
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
        """Refuses arguments in better words than Python has, for subclasses."""

    def _remember(self, **options: Any) -> None:
        """Replaces keyword arguments to make the object anew of, such as a layer by its path, since a loaded model has other layers."""
        args, before = self._made_of
        self._made_of = (args, before | options)

    def __reduce__(self) -> tuple:
        kept = {name: self.__dict__[name] for name in self._kept if name in self.__dict__}
        return _made, (type(self), *self._made_of), kept


def _made(kind, args, options):
    return kind(*args, **options)
