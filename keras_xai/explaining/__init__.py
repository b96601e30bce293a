"""One call that explains a model: it picks methods, rates them, and makes a page of it."""

from keras_xai.explaining.explain import explain
from keras_xai.explaining.report import ExplanationReport

__all__ = ["ExplanationReport", "explain"]
