"""`RBMDense`: a Dense layer that can be pretrained as a restricted Boltzmann machine."""

from collections.abc import Callable
from typing import Any, final

import keras
from keras import initializers, ops

from keras_xai.graph.nodes import function_of
from keras_xai.graph.search import layers_of
from keras_xai.graph.trace import trace
from keras_xai.layers.machine import Machine
from keras_xai.layers.units import unit_of


@keras.saving.register_keras_serializable(package="keras_xai")
@final
class RBMDense(keras.layers.Dense):
    """`keras.layers.Dense` whose weights can be pretrained as a restricted Boltzmann machine.

    It takes the arguments of `Dense` and computes the same, `activation(inputs @ kernel + bias)`. As a machine, its inputs are the visible
    units and its outputs the means of the hidden units; the reconstruction is `visible_activation(hidden @ transpose(kernel) +
    visible_bias)`. `keras_xai.pretraining.pretrain` trains the weights on unlabeled data.

    The type of the units follows from their activation:

    - `"sigmoid"`: Bernoulli, values 0 and 1;
    - `"linear"` or `None`: Gaussian of variance 1;
    - `"relu"`: noisy rectified linear;
    - `"tanh"`: values -1 and 1.

    With any other activation the layer works as a `Dense` layer but not as a machine.

    The visible bias is not part of the network's function: `fit()` does not train it, and in `get_weights()` it comes last, after the
    weights of a `Dense` layer. `keras_xai.layers.to_dense` converts a model back to `Dense` layers.

    Args:
        units: Number of outputs.
        activation: Activation of the outputs, the hidden units.
        use_bias: Whether the hidden units have a bias.
        visible_activation: Activation of the visible units; by default that of the hidden units, as in Kroshchanka & Golovko, "Neural
            Networks Interpretation Improvement". Use `"sigmoid"` for probabilities or pixels from 0 to 1, `"linear"` for standardized data.
        visible_bias_initializer: Initializer of the visible bias.
        **kwargs: The other arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, ..., features)`. Every position along the middle axes is a sample of the machine.

    Output shape:
        `(batch, ..., units)`.

    Attributes:
        visible_bias: Variable of shape `(features,)`, once the layer is built.

    Raises:
        ValueError: When the layer is used as a machine, if one of the activations is not listed above.

    Example:

    >>> import keras
    >>> from keras_xai.layers import RBMDense
    >>> layer = RBMDense(3, "sigmoid")
    >>> x = keras.ops.array([[0.0, 1.0, 1.0, 0.0]])
    >>> layer(x).shape, layer.reconstruct(x).shape, layer.free_energy(x).shape
    (TensorShape([1, 3]), TensorShape([1, 4]), TensorShape([1]))
    """

    def __init__(
        self,
        units: int,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        *,
        visible_activation: str | Callable | None = None,
        visible_bias_initializer: str | dict | keras.initializers.Initializer = "zeros",
        **kwargs,
    ):
        super().__init__(units, activation, use_bias, **kwargs)
        self._visible_activation = visible_activation
        self.visible_activation = self.activation if visible_activation is None else keras.activations.get(visible_activation)
        self.visible_bias_initializer = initializers.get(visible_bias_initializer)

    def build(self, input_shape):
        super().build(input_shape)
        # A nested layer, because the way `Dense` saves and loads its own weights does not support another weight.
        self._visible = _VisibleBias(self.visible_bias_initializer, dtype=self.dtype_policy, name="visible")
        self._visible.build(input_shape)
        self.visible_bias.trainable = False

    @property
    def visible_bias(self) -> keras.Variable:
        return self._visible.bias

    @property
    def trainable(self) -> bool:
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Dense.trainable.fset(self, value)
        if self.built:
            self.visible_bias.trainable = False

    def machine(self) -> Machine:
        """The machine with the current weights.

        Use one machine within a compiled step: computations on the same tensors are shared.
        """
        # A cast, also to the variable's own type, reads a variable once. The compiler does not share products of values read separately.
        return Machine(
            kernel=ops.cast(self.kernel, self.compute_dtype),
            bias=None if self.bias is None else ops.cast(self.bias, self.variable_dtype),
            visible_bias=ops.cast(self.visible_bias, self.variable_dtype),
            hidden=unit_of(self.activation),
            visible=unit_of(self.visible_activation),
        )

    def reconstruct(self, visible: Any) -> Any:
        """Reconstructions: means of the visible units given the hidden means given `visible`.

        Args:
            visible: `(..., features)`.

        Returns:
            `(..., features)`, in the type of the variables.
        """
        return self.machine().reconstruct(visible)

    def free_energy(self, visible: Any) -> Any:
        """Free energy: minus the logarithm of the probability of `visible`, up to a constant of the machine.

        Exact for sigmoid, tanh and linear units. For rectified units it is the function whose derivatives are the means
        `relu(s)`, see `keras_xai.layers.units.Rectified`.

        Args:
            visible: `(..., features)`.

        Returns:
            `(...)`, in the type of the variables.
        """
        return self.machine().free_energy(visible)

    def gibbs(self, visible: Any, steps: int = 1, *, seed: int | keras.random.SeedGenerator | None = None) -> Any:
        """Samples of the visible units after steps of block Gibbs sampling, alternating hidden and visible units.

        Args:
            visible: Initial states of the chains, `(..., features)`.
            steps: Number of steps.
            seed: An integer gives the same samples in each call; `None` uses Keras' global generator.

        Returns:
            `(..., features)`, in the type of the variables.
        """
        seed = keras.random.SeedGenerator(seed) if isinstance(seed, int) else seed
        return self.machine().gibbs(visible, steps, seed)

    def get_config(self):
        visible = self._visible_activation
        return super().get_config() | {
            "visible_activation": visible if visible is None else keras.activations.serialize(self.visible_activation),
            "visible_bias_initializer": initializers.serialize(self.visible_bias_initializer),
        }


def to_dense(model: keras.Model) -> keras.Model:
    """Copies a model with `RBMDense` replaced by `keras.layers.Dense`, to be saved and loaded without keras_xai.

    Args:
        model: A built Sequential or functional model, possibly with nested models.

    Returns:
        A new, uncompiled model with the same function and names, and its own weights.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If it is not built, or is subclassed: its layers are made by its own code.

    Example:

    >>> import keras
    >>> from keras_xai.layers import RBMDense, to_dense
    >>> model = keras.Sequential([keras.Input((4,)), RBMDense(3, "relu", name="hidden")])
    >>> plain = to_dense(model)
    >>> type(plain.get_layer("hidden")) is keras.layers.Dense
    True
    """

    def plain(layer):
        if not isinstance(layer, RBMDense):
            return type(layer).from_config(layer.get_config())
        config = layer.get_config()
        del config["visible_activation"], config["visible_bias_initializer"]
        return keras.layers.Dense.from_config(config)

    trace(model)  # refuses models that are not built
    if function_of(model) is None:
        raise ValueError(
            f"Expected a Sequential or functional model, whose layers can be exchanged. Received: '{model.name}' "
            f"({type(model).__name__}), whose layers its own code makes. Make them `keras.layers.Dense` there, and copy the weights."
        )
    copy = keras.models.clone_model(model, clone_function=plain, recursive=True)
    left_out = {id(layer.visible_bias) for layer in layers_of(model, RBMDense)}
    copy.set_weights([ops.convert_to_numpy(variable) for variable in model.weights if id(variable) not in left_out])
    return copy


@final
class _VisibleBias(keras.layers.Layer):
    """A nested layer with the visible bias."""

    def __init__(self, initializer, **kwargs):
        super().__init__(**kwargs)
        self._initializer = initializer

    def build(self, input_shape):
        self.bias = self.add_weight(name="visible_bias", shape=(input_shape[-1],), initializer=self._initializer)
