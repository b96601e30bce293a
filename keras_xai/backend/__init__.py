"""Backend interface: what `keras.ops` lacks, implemented for the backend that Keras runs on.

One package a backend, TensorFlow the first; nothing outside them imports a backend. Each provides:

- derivatives: `linearize` (Jacobian products in both directions), `record` (vector-Jacobian products within training);
- compiled programs: `compiled`, `traced` (shapes only), and the loops `stacked` and `folded` in them;
- noise: `normal`, random numbers keyed by seed, sample and draw;
- distribution: `scope_of`, the devices that a model's variables are on;
- devices: `lacks_layout`, whether one has no kernel for a layout of channels;
- datasets: `is_native_dataset`, `num_batches`, `is_endless`, `element_spec`; of tensors, `has_values` (no placeholder) and `is_dense`;
- summaries: `SummaryWriter` for TensorBoard;
- `EXCLUSIVE`, the lock that is held while programs are traced and while something that belongs to the whole process is changed;
- what shap's `DeepExplainer` needs: `primitives`, `gradients_restored`, `as_written`.

Types that all backends return are in `interface`. `BatchMean` and `of_own_batch`, losses of batches that several devices share, are
Keras' own on every backend.

Raises:
    ImportError: If Keras runs on another backend than TensorFlow. Nothing of a backend has been imported then.
"""

import keras

if keras.config.backend() == "tensorflow":
    from keras_xai.backend.tensorflow import (
        SummaryWriter,
        as_written,
        compiled,
        element_spec,
        folded,
        gradients_restored,
        has_values,
        is_dense,
        is_endless,
        is_native_dataset,
        lacks_layout,
        linearize,
        normal,
        num_batches,
        primitives,
        record,
        scope_of,
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
from keras_xai.backend.interface import Linearization, Primitive, Recording
from keras_xai.backend.losses import BatchMean, of_own_batch

__all__ = [
    "EXCLUSIVE",
    "BatchMean",
    "Linearization",
    "Primitive",
    "Recording",
    "SummaryWriter",
    "as_written",
    "compiled",
    "element_spec",
    "folded",
    "gradients_restored",
    "has_values",
    "is_dense",
    "is_endless",
    "is_native_dataset",
    "lacks_layout",
    "linearize",
    "normal",
    "num_batches",
    "of_own_batch",
    "primitives",
    "record",
    "scope_of",
    "stacked",
    "traced",
]
