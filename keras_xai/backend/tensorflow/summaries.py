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
    """Writes to an event file of its own.

    Args:
        log_dir: The folder; made when it is not there.
    """

    def __init__(self, log_dir: str | pathlib.Path):
        self._writer = tf.summary.create_file_writer(str(log_dir))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes numbers, so that they are in the file when it returns.

        Args:
            values: Numbers by tag.
            step: Where they are on the horizontal axis.
        """
        # `keras.callbacks.TensorBoard` may have forbidden to write at steps between those that it writes at.
        with self._writer.as_default(), tf.summary.record_if(True):
            for tag, value in values.items():
                tf.summary.scalar(tag, value, step=step)

    def figure(self, tag: str, figure: "Figure", step: int) -> None:
        """Writes a picture.

        Args:
            tag: Its name.
            figure: A matplotlib figure.
            step: Where it is on the slider.
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
