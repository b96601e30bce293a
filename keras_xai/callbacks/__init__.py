"""Callbacks for `keras.Model.fit` and `keras_xai.pretraining.pretrain`."""

from keras_xai.pretraining.monitors import FreeEnergyGap, PseudoLikelihood

__all__ = ["FreeEnergyGap", "PseudoLikelihood"]
