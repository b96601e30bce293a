"""Whether an explanation can be trusted, in numbers."""

__all__: list[str] = []
