"""Greedy pretraining, layer by layer."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops, tree

from keras_xai.backend import FusedSGD, is_distributed, scope_of
from keras_xai.data.backups import Trained, mend
from keras_xai.data.checks import check_verbose
from keras_xai.graph.trace import trace
from keras_xai.pretraining.callbacks import KeptWeights, Progress, RaisedMomentum, Randomness, delete_backups, for_stage
from keras_xai.pretraining.contrastive_divergence import ContrastiveDivergence
from keras_xai.pretraining.data import Shuffled, check_visible, read, sample
from keras_xai.pretraining.execution import steps_per_execution
from keras_xai.pretraining.monitors import Monitor
from keras_xai.pretraining.plan import plan
from keras_xai.pretraining.rule import Schedule
from keras_xai.pretraining.trainer import RBMTrainer
from keras_xai.pretraining.visible_bias import fit_visible_bias

_SAMPLES = 512  # to distinguish active units from dead ones
_COMPILE_OPTIONS = ("jit_compile", "run_eagerly", "steps_per_execution")


def pretrain(
    model: keras.Model,
    x: Any,
    rule: Schedule | None = None,
    *,
    epochs: int = 10,
    batch_size: int = 128,
    optimizer: str | keras.optimizers.Optimizer | None = None,
    **fit_options,
) -> dict[str, keras.callbacks.History]:
    """Pretrains the `RBMDense` layers of a model greedily, layer by layer, on unlabeled data.

    The input of each machine is the data passed through all layers before it, as in `model.predict`, including those already pretrained.
    Nothing else in the model changes, and it need not be compiled. Layers that are not trainable are skipped. Continue with `model.fit`.

    Each layer is trained by Keras' own `fit()`. A `keras.callbacks.BackupAndRestore` among the callbacks resumes an interrupted call with
    the same arguments at its layer and epoch, and ends with the same weights. It and `keras.callbacks.TensorBoard` use a subfolder per
    layer. Callbacks get the training of one layer as their `model`, a `keras_xai.pretraining.trainer.RBMTrainer`, and count its epochs
    from 0. If the weights become non-finite, the reconstruction error exceeds ten times the data's mean square, or most units become 0
    for all samples, the weights from before that epoch are restored, a warning names the layer, and no further layer is trained. Before
    the first step, a warning is given if the data are too large for ReLU and linear units.

    The model stays on the devices that a `tf.distribute` strategy placed it on. Call `keras.utils.set_random_seed` first to make a run
    reproducible.

    Source: [Hinton, Osindero & Teh, 2006](https://www.cs.toronto.edu/~hinton/absps/fastnc.pdf), and Kroshchanka & Golovko,
    "Neural Networks Interpretation Improvement".

    Args:
        model: A built model with `keras_xai.layers.RBMDense` layers, possibly in nested models.
        x: Samples in the structure of the model's inputs, as arrays of shape `(n, ...)` or tables; or a `tf.data.Dataset`, a
            `keras.utils.PyDataset` or a PyTorch loader of batches `x`, `(x, y)` or `(x, y, sample_weight)`, of which y is ignored. Datasets
            are read batch by batch in each epoch. The batches of a generator are read once and kept, unless `steps_per_epoch` is given.
        rule: The learning rule, `ContrastiveDivergence()` by default; or a `Hybrid` of several.
        epochs: Number of passes over the data per layer.
        batch_size: Samples per batch; a dataset keeps its own batches.
        optimizer: A Keras optimizer or its name; each layer gets a fresh copy. By default that of the paper: gradient descent with the
            rule's learning rate and a momentum of 0.5, raised to 0.9 from the sixth epoch on.
        **fit_options: `validation_data` (in any form supported for `x`), `validation_split`, `callbacks`, `verbose` (0 for none, 1 or
            `"auto"` for one progress bar, 2 for one line per epoch), `shuffle`, `steps_per_epoch` and other options of `keras.Model.fit`;
            and `jit_compile`, `run_eagerly` and `steps_per_execution` of `keras.Model.compile`. By default small layers take several
            steps per execution, unless a callback looks at each batch.

    Returns:
        A `keras.callbacks.History` for each layer, by its path. `history["loss"]` is the rule's loss, whose value may be meaningless;
        `history["reconstruction_error"]` is the mean squared reconstruction error of the layer's inputs; with validation data, also the
        same names with the prefix `val_`.

    Raises:
        TypeError: If `rule` is not a rule.
        ValueError: If the model has no `RBMDense` layer or one that a single tensor does not reach, if an activation is not supported by a
            machine, if the rule's epochs do not match `epochs`, or if data are not finite, do not have the model's shape or are far outside
            the range of the visible units. All checks precede the first step.

    Example:

    >>> import keras
    >>> from sklearn.datasets import load_digits
    >>> from keras_xai.layers import RBMDense
    >>> from keras_xai.pretraining import ReconstructionError, pretrain
    >>> x = load_digits().data / 16
    >>> layers = [keras.Input((64,)), RBMDense(40, "relu", name="hidden"), keras.layers.Dense(10, "softmax")]
    >>> model = keras.Sequential(layers)
    >>> histories = pretrain(model, x, ReconstructionError(), epochs=3, verbose=0)
    >>> error = histories["hidden"].history["reconstruction_error"]
    >>> error[-1] < error[0]
    True
    """
    if optimizer is not None:
        optimizer = keras.optimizers.get(optimizer)
    graph = trace(model)
    stages = plan(graph, ContrastiveDivergence() if rule is None else rule, epochs)
    data, fit_options = read(x, graph, batch_size, fit_options)
    check_visible(data, stages, batch_size)
    samples_in_batch = min(batch_size, data.num_samples) if isinstance(data, Shuffled) else batch_size
    num_batches = len(data) if isinstance(data, Shuffled) else None
    compile_options = {name: fit_options.pop(name) for name in _COMPILE_OPTIONS if name in fit_options}
    # Keras would take more steps than these numbers if an execution had more, and cannot end one early on several devices.
    counted = (fit_options.get(name) for name in ("steps_per_epoch", "validation_steps"))
    single_steps = compile_options.get("run_eagerly") or is_distributed(model) or any(count is not None for count in counted)
    verbose = fit_options.pop("verbose", "auto")
    check_verbose(verbose)
    callbacks = sorted(tree.flatten(fit_options.pop("callbacks", None) or []), key=_place)
    progress = Progress([stage.path for stage in stages], sum(stage.last - stage.first for stage in stages))

    # A single number determines all randomness, so that a resumed run only needs to restore this one.
    seed = int(keras.random.randint((), 0, 2**31 - 1))
    histories: dict[str, keras.callbacks.History] = {}
    before = 0
    some = sample(data, _SAMPLES)
    for number, stage in enumerate(stages):
        with scope_of(model):
            trainer = RBMTrainer(stage, samples_in_batch, seed + number)
            steps = 1 if single_steps else steps_per_execution(stage, samples_in_batch, num_batches, callbacks)
            trainer.compile(optimizer=_optimizer(optimizer, stage.rule), **{"steps_per_execution": steps} | compile_options)
            if stage.rule.fit_visible_bias and stage.first == 0:
                fit_visible_bias(trainer, data, fit_options.get("steps_per_epoch"))
        visible = None if some is None else trainer.call(some)
        if visible is not None and not ops.convert_to_numpy(visible).any():
            warnings.warn(
                f"Pretraining was stopped: the inputs of layer '{stage.path}' are 0 for all samples, so that it and the layers behind "
                "it have nothing to learn. Rescale the data, or initialize the layers before it anew.",
                stacklevel=2,
            )
            break
        added: list[keras.callbacks.Callback] = [KeptWeights(visible), Randomness(data), Trained()]
        if optimizer is None:
            added.append(RaisedMomentum())
        if verbose in ("auto", 1):
            added.append(progress)
            progress.start(stage.path, before)
        elif verbose == 2:
            print(f"Layer '{stage.path}', {type(stage.rule).__name__}")
        given = for_stage(callbacks, f"{number:02d}_{stage.path.replace('/', '.')}")
        mend(given)
        with _trained(stage.layer.visible_bias):
            history = trainer.fit(
                data,
                initial_epoch=stage.first,
                epochs=stage.last,
                callbacks=added + given,
                verbose=2 if verbose == 2 else 0,
                **fit_options,
            )
        _append(history, histories.setdefault(stage.path, history))
        before += stage.last - stage.first
        seed = int(ops.convert_to_numpy(trainer.seed)) - number
        if trainer.ruin:
            warnings.warn(
                f"Pretraining was stopped: {trainer.ruin.format(layer=repr(stage.path))} of {epochs}. The layer's weights from before "
                "that epoch were restored, and the layers after it are not pretrained. Use a smaller learning rate, or rescale the data.",
                stacklevel=2,
            )
            break
    progress.finish()
    delete_backups(callbacks)
    return histories


def _place(callback):
    """Orders callbacks: monitors first, so that others find their measurements in the logs; backups last, so that they have all changes."""
    return isinstance(callback, keras.callbacks.BackupAndRestore), not isinstance(callback, Monitor)


def _optimizer(given, rule):
    if given is None:
        return FusedSGD(rule.learning_rate, momentum=RaisedMomentum.FIRST)
    return type(given).from_config(given.get_config())


@contextmanager
def _trained(variable) -> Iterator[None]:
    """Context manager that makes a variable trainable."""
    variable.trainable = True
    try:
        yield
    finally:
        variable.trainable = False


def _append(history, to):
    """Appends the epochs of a layer's later stage to the history of its first."""
    if history is to:
        return
    to.epoch += history.epoch
    for name, values in history.history.items():
        to.history.setdefault(name, []).extend(values)
