"""The forward and backward interacted-activation (FBI) loss."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, final, get_args

import keras
from keras import ops, tree

from keras_xai.backend import BatchMean
from keras_xai.data.arrays import check_tensors, checked, real_tensor
from keras_xai.data.checks import check_choice, check_flag, check_layers, check_number
from keras_xai.data.streams import elements, is_stream
from keras_xai.data.structure import packed
from keras_xai.losses.labels import Top, check_labels, check_scores, score_weights
from keras_xai.losses.terms import terms_of
from keras_xai.network.layers import ForwardPass, LayerNetwork
from keras_xai.network.tokens import check_tokens
from keras_xai.rules.fbi import PROPAGATIONS

_REDUCTIONS = {"mean": ops.mean, "sum": ops.sum}


def fbi_penalty(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    rule: Literal["z", "zplus"] = "z",
    target: Top = "label",
    reduction: Literal["mean", "sum"] = "sum",
    layers: Sequence[str | keras.Layer] | None = None,
    per_layer: bool = False,
    training: bool = False,
) -> Any:
    """The FBI penalty: the distance between activations and their relevance to the score, per sample.

    With a_0 the input, a_i the activation of the i-th layer with weights and K the number of these layers, relevance starts at the score,
    R_K, and is propagated backward layer by layer, `R_(i-1) = a_(i-1) * f_i^T(R_i / a_i)`, with `f_i^T` the transpose of the layer's linear
    map at the sample. The penalty is `1/K sum_i |a_(i-1) - R_(i-1)|`. It is differentiable with respect to the model's weights.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification", equations 1 to 3.
    Choices that the paper leaves open are arguments: the score that relevance starts from, and whether the absolute differences of a layer
    are averaged or summed, which determines the effect of a weight of 0.001.

    Args:
        model: A built model with one output. A final softmax or sigmoid is left out: scores are its input.
        x: Inputs in the structure of the model's inputs: tensors, arrays `(n, ...)` or tables; or a dataset of batches `(x, y)`.
        y: Labels, integers `(n,)` or `(n, 1)`, or rows `(n, classes)`; only needed for `target="label"`. `None` for a dataset.
        rule: `"z"`: in proportion to the contribution of each input; for piecewise-linear networks that is activation times gradient.
            `"zplus"`: in proportion to the positive part of the contribution.
        target: The score that relevance starts from: of the `"label"`, of the `"predicted"` class, or `"all"`, the sum of all scores. A
            single sigmoid unit stands for two classes.
        reduction: `"sum"` or `"mean"` over the units of a layer.
        layers: The compared layers or their paths (and names of inputs); by default all inputs and all layers with weights except the last.
        per_layer: Whether to return the terms of the penalty.
        training: Whether layers run in training mode. Batch normalization then uses the batch's statistics, which relevance treats as
            constants.

    Returns:
        Tensor `(n,)`, or with `per_layer` a dict of such tensors by the layer's path, whose mean is the penalty.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If an option is unknown, the model is not built or does not return scores per class, or labels do not fit it.
        UnsupportedLayerError: If a layer does not support the rule, with its path.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_xai.losses import fbi_penalty
    >>> layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")]
    >>> x = np.ones((5, 4))
    >>> fbi_penalty(keras.Sequential(layers), x, np.array([0, 1, 0, 1, 1])).shape
    TensorShape([5])
    """
    for name, flag in (("per_layer", per_layer), ("training", training)):
        check_flag(name, flag)
    penalty = Penalty(model, rule=rule, target=target, reduction=reduction, layers=layers)
    if not is_stream(x):
        return penalty.of_samples(x, y, per_layer=per_layer, training=training)
    if y is not None:
        raise ValueError("Expected y=None with a dataset, whose batches are `(x, y)`. Received: a dataset and labels.")
    parts = [penalty.of_samples(batch.x, batch.y, per_layer=per_layer, training=training) for batch in elements(x)]
    return tree.map_structure(lambda *batches: ops.concatenate(batches), *parts)


@final
class Penalty:
    """The penalty of one model.

    Args:
        model: As in `fbi_penalty`, like the other arguments.
        rule: The rule.
        target: The score.
        reduction: The reduction over the units of a layer.
        layers: The compared layers.

    Attributes:
        network: The model with its backward relevance pass.
        terms: Identifiers of the compared tensors, by path.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        rule: Literal["z", "zplus"],
        target: Top,
        reduction: Literal["mean", "sum"],
        layers: Sequence[str | keras.Layer] | None,
    ):
        check_options(rule=rule, target=target, reduction=reduction, layers=layers)
        self.network = LayerNetwork(model, PROPAGATIONS[rule])
        (spec,) = self.network.graph.output_specs
        check_scores(target, spec)
        self.terms = terms_of(self.network, layers)
        self._target = target
        self._classes = spec.shape[-1]
        self._reduce = _REDUCTIONS[reduction]

    def check(self, y: Any) -> None:
        """Rejects labels that do not fit the model."""
        if self._target == "label":
            check_labels(y, self._classes)

    def of_samples(self, x: Any, y: Any, *, per_layer: bool, training: bool) -> Any:
        """The penalty `(n,)` of samples, or its terms."""
        self.check(y)
        _, run = self.network.forward(self.read(x), training=training)
        per_term = self.of_each(run, y)
        return per_term if per_layer else self.mean(per_term)

    def read(self, x: Any) -> Any:
        """Checks samples; tensors stay on their device, and may be placeholders, of which only shape and dtype are checked."""
        graph = self.network.graph
        if any(ops.is_tensor(leaf) for leaf in tree.flatten(x)):
            x = tree.map_structure(lambda leaf: leaf.value if isinstance(leaf, keras.Variable) else leaf, x)
            check_tensors(x, graph)
            return x
        arrays = checked(x, graph)
        check_tokens(graph, arrays)
        return packed(arrays, graph)

    def of_each(self, run: ForwardPass, y: Any) -> dict[str, Any]:
        """The terms of the penalty, tensors `(n,)`, computed after a forward pass."""
        weights = score_weights(self._target, run.scores, y, sigmoid=self.network.ends_in_sigmoid)
        relevance = self.network.backward(run, weights)
        return {
            path: self._of_one(run.values[identifier], relevance.get(identifier)) for path, identifier in self.terms.items()
        }

    @staticmethod
    def mean(per_term: dict[str, Any]) -> Any:
        """The mean over the terms, tensor `(n,)`."""
        dtype = keras.backend.result_type(*(values.dtype for values in per_term.values()))
        return sum(ops.cast(values, dtype) for values in per_term.values()) / len(per_term)

    def _of_one(self, activation, relevance):
        # Half precision has insufficient range and precision for sums over a layer.
        dtype = keras.backend.result_type(activation.dtype, "float32")
        difference = ops.cast(activation, dtype)
        if relevance is not None:
            difference = difference - ops.cast(relevance, dtype)
        return self._reduce(ops.absolute(difference), axis=tuple(range(1, len(activation.shape))))


@final
@keras.saving.register_keras_serializable(package="keras_xai")
class FBILoss:
    """A task loss plus the FBI penalty, `(1 - weight) * L_task + weight * L_FBI`, for custom training loops.

    For `model.fit`, wrap the model in `keras_xai.models.FBIModel` instead: a Keras loss only receives labels and predictions, while the
    penalty needs the model and its inputs. One forward pass computes both.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification",
    equation 4.

    Args:
        loss: The task loss: a `keras.losses.Loss`, a function that returns one loss per sample, or its name.
        weight: Number between 0 and 1; 0.001 in the paper.
        rule: As in `fbi_penalty`.
        target: As in `fbi_penalty`.
        reduction: As in `fbi_penalty`.
        layers: As in `fbi_penalty`.

    Raises:
        ValueError: If the weight or an option is out of range; when called, as in `fbi_penalty`.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_xai.losses import FBILoss
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2, "softmax")])
    >>> loss = FBILoss("sparse_categorical_crossentropy", weight=0.01)
    >>> loss(model, np.ones((5, 4)), np.array([0, 1, 0, 1, 1]), training=True).shape
    TensorShape([])
    """

    def __init__(
        self,
        loss: str | keras.losses.Loss | Callable,
        weight: float = 1e-3,
        *,
        rule: Literal["z", "zplus"] = "z",
        target: Top = "label",
        reduction: Literal["mean", "sum"] = "sum",
        layers: Sequence[str | keras.Layer] | None = None,
    ):
        check_weight(weight)
        check_options(rule=rule, target=target, reduction=reduction, layers=layers)
        self.loss = keras.losses.get(loss)
        self.weight = weight
        self._options: dict[str, Any] = {"rule": rule, "target": target, "reduction": reduction, "layers": layers}
        self._mean = BatchMean(name="mean", dtype=keras.config.floatx())
        self._known: tuple[keras.Model, Penalty] | None = None

    def __call__(self, model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None, *, training: bool = True) -> Any:
        """The loss of a batch, a scalar tensor that is differentiable with respect to the model's weights.

        Args:
            model: As in `fbi_penalty`.
            x: Its inputs.
            y: Labels in the form that the task loss takes.
            sample_weight: Tensor `(n,)` that weights both terms.
            training: Whether layers run in training mode.
        """
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"Expected `FBILoss` to be called with a model, its inputs and labels. Received: model={model!r}. As the loss of "
                "`model.compile` it would only receive labels and predictions: wrap the model in `keras_xai.models.FBIModel`."
            )
        check_flag("training", training)
        if self._known is None or self._known[0] is not model:
            self._known = model, Penalty(model, **self._options)
        penalty = self._known[1]
        penalty.check(y)
        y_pred, run = penalty.network.forward(penalty.read(x), training=training)
        per_sample = penalty.mean(penalty.of_each(run, y))
        if sample_weight is not None:
            sample_weight = _checked_weights(sample_weight, per_sample.shape[0])
        fbi = self._mean(per_sample, per_sample, sample_weight)
        task = self._task(y, y_pred, sample_weight)
        return (1 - self.weight) * task + self.weight * ops.cast(fbi, task.dtype)

    def _task(self, y, y_pred, sample_weight):
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss(y, y_pred, sample_weight)
        losses = self.loss(y, y_pred)  # a function returns one loss per sample
        return self._mean(losses, losses, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the loss.

        Raises:
            ValueError: If `layers` has layers themselves, whose paths are not known because no model was passed yet.
        """
        layers = self._options["layers"]
        if layers is not None and not all(isinstance(each, str) for each in layers):
            if self._known is None:
                raise ValueError(
                    f"Expected `layers` by their paths to save the loss before it was called. Received: layers={layers!r}"
                )
            layers = list(self._known[1].terms)
        return {"loss": keras.losses.serialize(self.loss), "weight": self.weight, **self._options, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FBILoss":
        """Creates the loss from a configuration."""
        return cls(keras.losses.deserialize(config.pop("loss")), **config)


def _checked_weights(sample_weight, count):
    """Weights as a tensor, after a check that there is one for each sample; placeholders may have any number."""
    weights = real_tensor("sample_weight", sample_weight)
    if len(weights.shape) not in (1, 2) or (None not in (count, weights.shape[0]) and weights.shape[0] != count):
        raise ValueError(f"Expected `sample_weight` to have a number for each sample. Received: shape {tuple(weights.shape)}.")
    return weights


def check_options(*, rule: Any, target: Any, reduction: Any, layers: Any) -> None:
    """Checks options that do not depend on the model."""
    for name, value, known in (
        ("rule", rule, PROPAGATIONS),
        ("target", target, get_args(Top)),
        ("reduction", reduction, _REDUCTIONS),
    ):
        check_choice(name, value, known)
    check_layers("layers", layers)


def check_weight(weight: Any) -> None:
    """Checks that a weight is between 0 and 1."""
    check_number("weight", weight, least=0, most=1, what="the share of the penalty")
