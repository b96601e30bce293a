"""`DeclaredLayout`: declares the meaning of the axes of a tensor, where the layers of a model do not."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import keras
from keras import tree

from keras_xai.data.layout import Layout
from keras_xai.graph.trace import trace


@final
@keras.saving.register_keras_serializable(package="keras_xai")
class DeclaredLayout(keras.layers.Layer):
    """The identity, with a declaration of the layout of its input; see `with_layout`.

    Args:
        layout: One letter for each axis: N for the samples, C for the channels, D, H, W, T or P for places, L for tokens, F for features:
            `"NHWC"`, `"NCHW"`, `"NHW"` for images without an axis of channels, `"NCT"` for series with channels first, `"NF"`.
        **options: Of `keras.layers.Layer`.

    Input shape: as many axes as the layout has letters. Output shape: the same.

    Raises:
        ValueError: If it is no layout, or the input has another number of axes.

    Example:

    >>> import keras
    >>> from keras_xai.layers import DeclaredLayout
    >>> layers = [keras.Input((28, 28)), DeclaredLayout("NHW"), keras.layers.Flatten(), keras.layers.Dense(10)]
    >>> keras.Sequential(layers).output_shape
    (None, 10)
    """

    def __init__(self, layout: str, **options: Any):
        super().__init__(**options)
        self.layout = Layout(layout).letters
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != len(self.layout):
            raise ValueError(
                f"Expected an input with an axis for each letter of the layout '{self.layout}'. Received: an input of shape "
                f"{tuple(input_shape)}."
            )

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"layout": self.layout}


def with_layout(model: keras.Model, layout: str | Sequence[str | None] | Mapping[str, str | None]) -> keras.Model:
    """Declares the axes of a model's inputs: returns a model with the same layers, weights and outputs.

    Methods, metrics and pictures follow the axes of an input through the layers to a convolution, a pooling or a recurrent layer, which
    determines them. If no layer does, the last axis is assumed to be the channels, as in Keras. Use this function for other layouts.

    Args:
        model: A built model.
        layout: See `DeclaredLayout`; for several inputs, one for each in their structure, with `None` to derive it from layers.

    Returns:
        A functional model in which `model` is nested: a layer has the path `"name_of_model/name_of_layer"`.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not a layout, or does not fit the shape of the input, or the model is not built or is subclassed.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import Occlusion
    >>> from keras_xai.layers import with_layout
    >>> model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(3)])
    >>> x = np.ones((2, 8, 8))
    >>> Occlusion(model)(x).values.shape, Occlusion(with_layout(model, "NHW"))(x).values.shape
    ((2, 8, 1), (2, 8, 8))
    """
    inputs = tree.map_structure(
        lambda spec: keras.Input(spec.shape[1:], batch_size=spec.shape[0], dtype=spec.dtype, name=spec.name),
        trace(model).input_structure,
    )
    layouts = tree.flatten(layout)
    given = tree.flatten(inputs)
    if len(layouts) != len(given):
        raise ValueError(f"Expected a layout for each of {len(given)} inputs. Received: layout={layout!r}")
    declared = [x if each is None else DeclaredLayout(each)(x) for x, each in zip(given, layouts, strict=True)]
    return keras.Model(inputs, model(tree.pack_sequence_as(inputs, declared)), name=f"{model.name}_declared")
