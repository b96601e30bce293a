"""`FBIModel`: training with the FBI penalty by `fit()`."""

import contextlib
import inspect
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any, Literal, final

import keras
from keras import ops, tree

from keras_xai.backend import BatchMean, of_own_batch, scope_of
from keras_xai.data.archive import replace
from keras_xai.data.backups import Trained, mend, read_ruin, save_resumable
from keras_xai.data.checks import check_flag
from keras_xai.losses.fbi import Penalty, check_weight
from keras_xai.losses.labels import Top
from keras_xai.models.checkpoint import load_state, save_state, seeds_of
from keras_xai.models.data import check_labels_of, warn_of_order
from keras_xai.models.guard import Guard
from keras_xai.models.terms import Terms


@final
@keras.saving.register_keras_serializable(package="keras_xai")
class FBIModel(keras.Model):
    """A classifier trained with the FBI penalty, `(1 - weight) * L_task + weight * L_FBI`.

    The wrapped model is the user's own, trained in place; `predict` and `evaluate` are the same on both. `L_task` is the whole objective
    without the penalty: the compiled loss, and the weight penalties and other losses of the layers. `L_FBI` is the mean of
    `keras_xai.losses.fbi_penalty` over the batch. Sample weights and class weights apply to both.

    `fit()` reports `task_loss` and `fbi_penalty` in addition to `loss`, also for validation data. While the penalty is off, initially with
    `keras_xai.callbacks.FBIWarmUp`, it is not computed: steps cost the same as without it, and `fbi_penalty` is 0. The switch is part of
    the weights, so that `keras.callbacks.BackupAndRestore` resumes it, at the epoch that the weights have reached, whenever the process
    was killed.

    If the penalty is not finite, training stops with a warning that names the layer, and the weights from before the epoch are restored.

    `save()`, `export()` and `keras.callbacks.ModelCheckpoint` save the plain model, which loads without keras_xai; both the plain and the
    wrapped model can load the files of `save_weights()`.

    Source: Yoo, Kim & Kang, "Relevance Regularization of Convolutional Neural Network for Interpretable Classification".

    Args:
        model: A built model with one output, which can be used on its own after training.
        weight: Share of the penalty, from 0 to 1; 0.001 in the paper.
        rule: As in `keras_xai.losses.fbi_penalty`.
        target: As in `keras_xai.losses.fbi_penalty`.
        reduction: As in `keras_xai.losses.fbi_penalty`.
        layers: As in `keras_xai.losses.fbi_penalty`.
        name: Name of the wrapping model.
        trainable: Whether the model is trained, as in `keras.Model`; `False` also freezes the wrapped model, whose layers it has.

    Attributes:
        plain_model: The trained model.
        weight: The share of the penalty when it is on.
        current_weight: Variable, the current share.

    Raises:
        TypeError: If `model` is not a Keras model, or is already an `FBIModel`.
        ValueError: If the weight or an option is out of range, or the model does not return scores per class.
        UnsupportedLayerError: If relevance cannot pass one of the layers, with its path.

    Example:

    >>> import keras
    >>> from sklearn.datasets import load_digits
    >>> from keras_xai.models import FBIModel
    >>> x, y = load_digits(return_X_y=True)
    >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")])
    >>> regularized = FBIModel(model, weight=0.01)
    >>> regularized.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = regularized.fit(x / 16, y, validation_split=0.1, epochs=2, verbose=0)
    >>> sorted(history.history)[:3]
    ['accuracy', 'fbi_penalty', 'loss']
    """

    def __init__(
        self,
        model: keras.Model,
        weight: float = 1e-3,
        *,
        rule: Literal["z", "zplus"] = "z",
        target: Top = "label",
        reduction: Literal["mean", "sum"] = "sum",
        layers: Sequence[str | keras.Layer] | None = None,
        name: str | None = None,
        trainable: bool = True,
    ):
        if isinstance(model, FBIModel):
            raise TypeError(
                "Expected a plain model. Received: an `FBIModel`, which already has the penalty. Wrap `model.plain_model`."
            )
        check_weight(weight)
        options: dict[str, Any] = {"rule": rule, "target": target, "reduction": reduction, "layers": layers}
        penalty = Penalty(model, **options)  # checks all arguments first
        options["layers"] = None if layers is None else list(penalty.terms)
        with scope_of(model):
            super().__init__(dtype=model.dtype_policy, name=name or f"fbi_{model.name}", autocast=False)
            self.plain_model = model
            self.weight = weight
            self._options = options
            self._penalty = penalty
            self.current_weight = self._state("current_weight", weight)
            self.latched = self._state("latched", 0.0)
            self._mean = BatchMean(name="mean", dtype=self.variable_dtype)
            self._task_loss = keras.metrics.Mean(name="task_loss")
            self._terms = Terms(list(penalty.terms))
        # The switch is evaluated when steps are compiled, so that the penalty costs nothing while it is off.
        self._is_on = weight > 0
        self._compiled_on: dict[str, bool] = {}
        self.trained = (0, 0)  # completed epochs, and batches of the next one
        self.ruin = ""  # why the weights from before an epoch were restored
        self._this_step = threading.local()  # the replicas of a distribution strategy run in threads
        self.built = True
        if not check_flag("trainable", trainable):
            self.trainable = False

    def switch(self, on: bool, *, for_good: bool = False) -> None:
        """Turns the penalty on or off, starting with the next batch.

        Args:
            on: Whether the penalty applies, with `weight`.
            for_good: Whether `keras_xai.callbacks.FBIWarmUp` must not change it from now on.
        """
        check_flag("on", on)
        check_flag("for_good", for_good)
        self.current_weight.assign(self.weight if on else 0.0)
        self.latched.assign(float(for_good))
        if self.train_function is not None:
            self.make_train_function()

    @property
    def computes_penalty(self) -> bool:
        """Whether the last compiled step computes the penalty."""
        return self._is_on

    @property
    def layer_penalties(self) -> dict[str, float]:
        """The penalty of each layer, by path, in the current or last epoch; all 0 while it is off."""
        return self._terms.of_each()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configures training like `keras.Model.compile`, with the same arguments; the loss is the task loss."""
        super().compile(*args, **kwargs)
        arguments = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        metrics = tree.flatten([arguments.get("metrics"), arguments.get("weighted_metrics")])
        self._figures = ["loss", self._task_loss.name, self._terms.name, *filter(None, map(_name_of, metrics))]

    @property
    def figures(self) -> list[str]:
        """Names of the reported losses and metrics, known before training begins."""
        return list(self._figures)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not getattr(self._this_step, "penalized", False):
            return self.plain_model(inputs, training=training)
        y_pred, self._this_step.run = self._penalty.network.forward(inputs, training=training)
        return y_pred

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        task = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        self._task_loss.update_state(of_own_batch(task), sample_weight=ops.shape(tree.flatten(y_pred)[0])[0])
        run = getattr(self._this_step, "run", None)
        if run is None:
            return task
        (labels,) = tree.flatten(y) or [None]
        weights = next(iter(tree.flatten(sample_weight)), None)
        per_term = self._penalty.of_each(run, labels)
        per_sample = self._penalty.mean(per_term)
        fbi = self._mean(per_sample, per_sample, weights)
        self._terms.update_state(list(per_term.values()), weights)
        share = ops.cast(self.current_weight, task.dtype)
        return (1 - share) * task + share * ops.cast(fbi, task.dtype)

    def train_step(self, data):
        with self._penalized():
            return super().train_step(data)

    def test_step(self, data):
        with self._penalized():
            return super().test_step(data)

    def make_train_function(self, force=False):
        return super().make_train_function(force=self._has_switched("train") or force)

    def make_test_function(self, force=False):
        return super().make_test_function(force=self._has_switched("test") or force)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains the model like `keras.Model.fit`, with the same arguments.

        Raises:
            ValueError: If the labels do not fit the model, before the first step.
        """
        arguments = inspect.signature(super().fit).bind(*args, **kwargs).arguments
        check_labels_of(arguments, self._penalty)
        self.validates = arguments.get("validation_data") is not None or bool(arguments.get("validation_split"))
        callbacks = arguments.get("callbacks")
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            # The guard is first, so that no other callback saves non-finite weights; backups are last, so that they include changes by
            # other callbacks at the end of the epoch.
            given = sorted(tree.flatten(callbacks or []), key=lambda each: isinstance(each, keras.callbacks.BackupAndRestore))
            arguments["callbacks"] = [Guard(), Trained(), *given]
            warn_of_order(arguments, mend(given))
        try:
            history = super().fit(**arguments)
        finally:
            del self.validates
        if self.ruin:
            warnings.warn(
                f"{self.ruin} Training was stopped, and the model has the weights from before this epoch. Scale the inputs, or train "
                "with a lower learning rate or weight of the penalty.",
                stacklevel=2,
            )
        return history

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the plain model like `keras.Model.save`; a file is replaced once the new one is complete."""

        def write(path, overwrite=True):
            self.plain_model.save(path, overwrite=overwrite, zipped=zipped, **kwargs)

        name = str(filepath)
        if zipped is False or "://" in name or not name.endswith((".keras", ".h5", ".hdf5")):
            write(filepath, overwrite)  # to a folder or another machine, or an error
        else:
            replace(filepath, write, overwrite=overwrite)

    def export(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """Exports the plain model like `keras.Model.export`."""
        return self.plain_model.export(filepath, *args, **kwargs)

    def save_weights(self, filepath: str | os.PathLike, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Saves the weights, which the plain model can load as well, with the training state.

        Args:
            filepath: Path that ends in `.weights.h5`.
            overwrite: Whether to replace an existing file without asking in the terminal.
            max_shard_size: Not supported; use `plain_model.save_weights`.
        """

        def write(path):
            self.plain_model.save_weights(path, overwrite=True)
            save_state(path, self._states, getattr(self, "optimizer", None))

        save_resumable(self, filepath, write, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: str | os.PathLike, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights saved by this or the plain model like `keras.Model.load_weights`."""
        self.plain_model.load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        load_state(filepath, self._states, getattr(self, "optimizer", None))
        self.ruin = read_ruin(filepath)

    def compile_from_config(self, config):
        # Keras skips this for a class that overrides `compile()`, so pickles would not be compiled.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.plain_model)
        return {"model": model, "weight": self.weight, "name": self.name, "trainable": self.trainable, **self._options}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        model = keras.saving.deserialize_keras_object(config.pop("model"), custom_objects=custom_objects)
        return cls(model, **config)

    @property
    def _states(self):
        named = {"current_weight": self.current_weight, "latched": self.latched}
        return named | {f"seed_{i}": seed for i, seed in enumerate(seeds_of(self.plain_model))}

    def _state(self, name, value):
        variable = self.add_weight(
            name=name, shape=(), dtype=self.variable_dtype, initializer="zeros", trainable=False, autocast=False,
            aggregation="only_first_replica",
        )  # fmt: skip
        variable.assign(value)  # an initializer would round it to float32
        return variable

    def _has_switched(self, function):
        """Whether a compiled function is older than the last switch of the penalty."""
        self._is_on = float(ops.convert_to_numpy(self.current_weight)) > 0
        before = self._compiled_on.get(function)
        self._compiled_on[function] = self._is_on
        return before is not None and before != self._is_on

    @contextlib.contextmanager
    def _penalized(self):
        self._this_step.penalized = self._is_on
        try:
            yield
        finally:
            self._this_step.penalized, self._this_step.run = False, None


def _name_of(metric):
    return metric if metric is None or isinstance(metric, str) else getattr(metric, "name", getattr(metric, "__name__", None))
