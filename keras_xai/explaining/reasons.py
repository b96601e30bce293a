"""Why something is left out, in words."""

from keras_xai.explaining.budget import Budget


def too_long(seconds: float, budget: Budget) -> str:
    """That work would have taken too long."""
    about = f"{seconds:,.0f}" if seconds >= 10 else f"{max(seconds, 0.1):.2g}"
    return f"It would have taken about {about} seconds, with {max(budget.left, 0):.0f} left of {budget.seconds:g}."


def first_sentences(text: str, most: int = 240) -> str:
    """The beginning of an error, up to the end of a sentence."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    end = text.rfind(". ", 0, most)
    return text[: end + 1] if end > 0 else f"{text[:most]}..."
