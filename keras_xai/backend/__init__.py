"""Backend interface: operations missing in `keras.ops`, implemented for the backend that Keras runs on.

There is one package per backend, so far TensorFlow; no other code imports a backend. Each provides:

- derivatives: `linearize` (Jacobian products in both directions), `record` (vector-Jacobian products within training);
- compiled programs: `compiled`, whose first calls are eager ones where that is cheaper, `check_batch`, which ends an eager call, `traced`
  (shapes only), and the loops `stacked` and `folded` in them; `eagerly`, outside of them;
- strings: `join_words`;
- noise: `normal`, random numbers keyed by seed, sample and draw;
- scopes: `scopes_kept`, which leaves none entered after a Ctrl-C;
- distribution: `scope_of`, the devices of a model's variables, and `is_distributed`;
- devices: `lacks_layout`, whether the device has no kernel for a data format;
- datasets: `is_native_dataset`, `num_batches`, `is_endless`, `element_spec`; for tensors, `has_values` (not symbolic) and `is_dense`;
- optimizers: `FusedSGD`, gradient descent that passes over the memory of its variables once;
- summaries: `SummaryWriter` for TensorBoard;
- `EXCLUSIVE`, the lock that is held while programs are traced and while process-wide state is changed.

Types that all backends return are in `interface`. `interrupts_wait`, within which a Ctrl-C waits, and `listen`, by which the progress of
loops in compiled programs is learned, use Python alone, and `BatchMean` and
`of_own_batch`, losses of batches that are distributed over several devices, use Keras alone.

Raises:
    ImportError: If Keras runs on another backend than TensorFlow, before importing any backend code.
"""

import keras

if keras.config.backend() == "tensorflow":
    from keras_xai.backend.tensorflow import (
        FusedSGD,
        SummaryWriter,
        check_batch,
        compiled,
        eagerly,
        element_spec,
        folded,
        has_values,
        is_dense,
        is_distributed,
        is_endless,
        is_native_dataset,
        join_words,
        lacks_layout,
        linearize,
        normal,
        num_batches,
        record,
        scope_of,
        scopes_kept,
        stacked,
        traced,
    )
else:
    raise ImportError(
        f"Expected Keras to run on the backend 'tensorflow', the only one that keras_xai supports. Received: the backend "
        f"'{keras.config.backend()}'. Set the environment variable KERAS_BACKEND=tensorflow before Keras is imported, or "
        '"backend": "tensorflow" in `~/.keras/keras.json`.'
    )

from keras_xai.backend.exclusive import EXCLUSIVE
from keras_xai.backend.interface import Linearization, Recording
from keras_xai.backend.interrupts import interrupts_wait
from keras_xai.backend.losses import BatchMean, of_own_batch
from keras_xai.backend.ticks import listen

__all__ = [
    "EXCLUSIVE",
    "BatchMean",
    "FusedSGD",
    "Linearization",
    "Recording",
    "SummaryWriter",
    "check_batch",
    "compiled",
    "eagerly",
    "element_spec",
    "folded",
    "has_values",
    "interrupts_wait",
    "is_dense",
    "is_distributed",
    "is_endless",
    "is_native_dataset",
    "join_words",
    "lacks_layout",
    "linearize",
    "listen",
    "normal",
    "num_batches",
    "of_own_batch",
    "record",
    "scope_of",
    "scopes_kept",
    "stacked",
    "traced",
]
