"""Event files for TensorBoard."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, final

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
class SummaryWriter:
    """A writer with its own event file.

    Args:
        log_dir: The folder; created if it does not exist.
    """

    def __init__(self, log_dir: str | pathlib.Path):
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes numbers and flushes them to the file.

        Args:
            values: Numbers by tag.
            step: Position on the horizontal axis.
        """
        # `keras.callbacks.TensorBoard` may have disabled writing at steps between its own.
        with self._writer.as_default(), tf.summary.record_if(True):
            for tag, value in values.items():
                tf.summary.scalar(tag, value, step=step)

    def figure(self, tag: str, figure: "Figure", step: int) -> None:
        """Writes an image.

        Args:
            tag: Name of the image.
            figure: A matplotlib figure.
            step: Position on the slider.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[np.newaxis, ..., :3]
        with self._writer.as_default(), tf.summary.record_if(True):
            tf.summary.image(tag, pixels, step=step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
