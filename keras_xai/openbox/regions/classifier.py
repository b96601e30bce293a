"""`RegionClassifier`: a network as a scikit-learn classifier made of its regions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from keras_xai.data.checks import Verbose, check_instance, check_verbose
from keras_xai.data.progress import progress
from keras_xai.openbox.engine import Engine
from keras_xai.openbox.regions import file
from keras_xai.openbox.regions.labels import classes_of, num_classes_of, places_of
from keras_xai.openbox.regions.store import Regions, check_cache_bytes
from keras_xai.openbox.regions.stream import Stream
from keras_xai.openbox.regions.tabular import hold_features, rows_of_features, takes_vectors
from keras_xai.openbox.scores import decisive

if TYPE_CHECKING:
    import pandas


class RegionClassifier(ClassifierMixin, BaseEstimator):
    """A trained network as a scikit-learn classifier: the linear classifiers of its regions.

    `fit` trains nothing: it finds the regions of the samples. A prediction finds the region of a sample and evaluates its linear
    classifier, which equals the network up to rounding error. Regions that `fit` has not seen are added as they occur. A region is stored
    as its compressed activation pattern; the coefficients are computed from it, and recently used ones are cached.

    Methods take the same inputs as the model: arrays of any rank, lists, dicts, a `tf.data.Dataset`; for a model with one input of shape
    `(n, d)` also a pandas `DataFrame`. The input shape is that of the samples given to `fit`. For a box of a hidden layer, methods still
    take the model's inputs; regions and pieces are then those of the layer's output.

    Args:
        box: The network. The model must return one score or probability per class, or a single one, the logit or probability of the second
            of two classes.
        cache_bytes: Maximum size of the coefficient cache in bytes.
        verbose: `"auto"` for a progress bar after two seconds, 1 to show it at once, 2 for one line at the end, 0 for none.

    Attributes:
        classes_: `(classes,)`, the labels in the order of the model's scores.
        regions_: The regions, numbered as by `apply`.
        box_: The box of the regions.
        n_features_in_: Number d of features, for a model of one input of shape `(n, d)`.
        feature_names_in_: `(d,)`, the column names, if `fit` was given a `DataFrame`.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.openbox import OpenBox, RegionClassifier
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> classifier = RegionClassifier(OpenBox(model), verbose=0).fit(x, np.where(x[:, 0] > 0, "right", "left"))
    >>> bool(np.abs(classifier.predict_proba(x) - model.predict(x, verbose=0)).max() < 1e-5)
    True
    >>> classifier.classes_.tolist()
    ['left', 'right']
    >>> classifier.apply(x).shape, len(classifier.regions_) < 100
    ((100,), True)
    """

    def __init__(self, box: Engine, *, cache_bytes: int = 2**28, verbose: Verbose = "auto"):
        self.box = box
        self.cache_bytes = cache_bytes
        self.verbose = verbose

    def __sklearn_clone__(self) -> "RegionClassifier":
        # Not deep-copied: the box has no fitted state, and copying it, as scikit-learn before 1.3 does, would copy the whole model.
        return type(self)(**self.get_params(deep=False))

    def fit(self, X: Any, y: Any = None) -> "RegionClassifier":  # noqa: N803
        """Finds the regions of samples.

        Args:
            X: The samples, as in calling the box.
            y: Labels `(n,)`, which only name the classes. Nonnegative integers below the number of classes are indices of the model's
                scores, as without `y`. Other labels are sorted: the smallest belongs to the first score, and their number must be the
                number of classes.

        Returns:
            The classifier itself.

        Raises:
            ValueError: If the model is not a classifier with one label per sample, or `X` or `y` is invalid. The classifier is then left
                unchanged.
        """
        return self._fit(self.box, X, y)

    def _fit(self, box, x, y):
        check_instance("box", box, Engine, "an `OpenBox`")
        check_verbose(self.verbose)
        check_cache_bytes(self.cache_bytes)
        num_classes = num_classes_of(box.network)
        stream = Stream(rows_of_features(self, box, x), box)
        classes = classes_of(y, num_classes, stream.num_samples)
        regions, start = None, 0
        for batch in progress(stream, stream.num_batches, self.verbose):
            if regions is None:  # for a model that takes several shapes, the first samples decide
                regions = Regions(box, [array.shape[1:] for array in batch], cache_bytes=int(self.cache_bytes))
            regions.find(batch, start)
            start += len(batch[0])
        assert regions is not None  # a stream without samples raises an error
        self.box_, self.regions_, self.classes_ = box, regions, classes
        hold_features(self, box, x, reset=True)
        return self

    def apply(self, X: Any) -> np.ndarray:  # noqa: N803
        """Returns the region of each sample.

        Args:
            X: The samples, as in `fit`.

        Returns:
            `(n,)` integers, equal for two samples if and only if they are in the same region: numbers from 0 in the order of first
            occurrence. New regions are added.

        Raises:
            ValueError: If `X` is invalid.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        return self._each_batch(X, "find")

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Returns the scores of each sample by the linear classifier of its region.

        Args:
            X: The samples, as in `fit`.

        Returns:
            `(n, classes)`: the model's outputs before the final softmax. For two classes, as in scikit-learn, `(n,)`: the logit of the
            second class, which is the second score minus the first if the model has two.

        Raises:
            ValueError: If `X` is invalid.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        scores = self._each_batch(X, "evaluate")
        if scores.shape[1] > 2:
            return scores
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Returns the probability of each class.

        Args:
            X: The samples, as in `fit`.

        Returns:
            `(n, classes)`: the softmax of the scores; for a model with one score its sigmoid, the probability of the second class. The same
            applies to a model that ends in logits.

        Raises:
            ValueError: If `X` is invalid.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        scores = decisive(self._each_batch(X, "evaluate"))
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Returns the class with the highest score, the first one for ties.

        Args:
            X: The samples, as in `fit`.

        Returns:
            `(n,)`, labels from `classes_`.

        Raises:
            ValueError: If `X` is invalid.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        decisions = self.decision_function(X)
        return self.classes_[decisions.argmax(axis=1) if decisions.ndim == 2 else (decisions > 0).astype(int)]

    def pieces(self, regions: Any) -> tuple[Any, np.ndarray]:
        """Returns the linear classifiers of regions.

        Args:
            regions: Region numbers `(k,)` as returned by `apply`.

        Returns:
            Coefficients `(k, C, *input_shape)`, in the structure of the model's inputs, and intercepts `(k, C)`, for the C scores of the
            model, in the dtype of the box.

        Raises:
            ValueError: If there is no such region.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        check_is_fitted(self)
        self.regions_.check_weights()
        numbers = np.asarray(regions)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
            raise ValueError(f"Expected `regions` to be region numbers of shape (k,). Received: regions={regions!r}")
        if numbers.min() < 0 or numbers.max() >= len(self.regions_):
            raise ValueError(f"Expected region numbers from 0 to {len(self.regions_) - 1}. Received: regions={regions!r}")
        unique, places = np.unique(numbers, return_inverse=True)
        found = sorted(self.regions_.pieces(unique.tolist()), key=lambda piece: piece[0])
        coefficients, intercepts = (np.stack(arrays)[places] for arrays in list(zip(*found, strict=True))[1:])
        return self.regions_.space.packed(coefficients), intercepts

    def table(self, X: Any, y: Any, *, max_regions: int | None = 20, radius: float | None = None) -> "pandas.DataFrame":  # noqa: N803
        """Returns statistics of the largest regions of some samples, and the quality of their linear classifiers.

        Args:
            X: The samples, as in `fit`, but not a dataset.
            y: Labels `(n,)` from `classes_`.
            max_regions: Maximum number of regions to list; `None` for all.
            radius: Norm of the certified radii to list, 1, 2 or `numpy.inf`; `None` for no radii. They cost as many passes per sample as it
                has entries; see `LinearPieces.radius`.

        Returns:
            A row for each region, by its number, in descending order of the number of samples. Columns, with K a label:

            - `samples`: Number of samples, and `count_K`: number of samples of class K.
            - `response_mean_K`, `response_std_K`: Mean and standard deviation of the response, which is 1 for samples of class K and 0 for
              others: the share p of the class and the root of p (1 - p). With two classes and K the second, this is the response of
              [Sudjianto et al., 2020](https://arxiv.org/abs/2011.04041).
            - `local_auc_K`: Area under the ROC curve of the region's linear classifier, class K against all others, on the region's
              samples, ranked by their probability of class K. NaN if all or none of the samples are of class K.
            - `global_auc_K`: The same on all given samples, whatever their region.
            - `radius_min`, `radius_q25`, `radius_median`, `radius_q75`, `radius_max`: Quantiles of certified radii.

        Raises:
            ValueError: If an argument is invalid.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        from keras_xai.openbox.regions.table import check_arguments, region_table

        check_is_fitted(self)
        check_arguments(X, max_regions, radius)
        stream = self._stream(X)
        places = places_of(y, self.classes_, stream.num_samples)
        numbers = self.apply(X)
        regions, classes = self.regions_, self.classes_
        return region_table(regions, stream, numbers, places, classes=classes, max_regions=max_regions, norm=radius)

    def save(self, path: Any) -> None:
        """Writes the regions to an `.npz` file without pickled objects and without the model.

        Args:
            path: The file; no suffix is added. An existing file is replaced once the new one is complete.

        Raises:
            ValueError: If the labels are neither numbers nor strings.
            RuntimeError: If the model's weights have changed since `fit`.
        """
        check_is_fitted(self)
        self.regions_.check_weights()
        file.save(path, self.regions_, self.classes_, getattr(self, "feature_names_in_", ()))

    @classmethod
    def load(cls, path: Any, box: Engine, *, cache_bytes: int = 2**28, verbose: Verbose = "auto") -> "RegionClassifier":
        """Reads a classifier written by `save`.

        Args:
            path: The file.
            box: The network, with the same weights as when saved.
            cache_bytes: As in the class.
            verbose: As in the class.

        Returns:
            A fitted classifier with the same region numbers.

        Raises:
            ValueError: If the file was not written by `save`, is incomplete or corrupted, of a later version, or of another model.
        """
        check_instance("box", box, Engine, "an `OpenBox`")
        check_verbose(verbose)
        classifier = cls(box, cache_bytes=cache_bytes, verbose=verbose)
        check_cache_bytes(cache_bytes)
        found = file.load(path, box, num_classes=num_classes_of(box.network), cache_bytes=cache_bytes)
        classifier.box_, (classifier.regions_, classifier.classes_, features) = box, found
        if takes_vectors(box):
            (classifier.n_features_in_,) = box.sample_graph.input_specs[0].shape[1:]
        if len(features):
            classifier.feature_names_in_ = features
        return classifier

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags

    def _more_tags(self):  # the tags before scikit-learn 1.6
        return {"requires_y": False}

    def _each_batch(self, x, method):
        """The concatenated results of a method of `Regions` for all batches."""
        check_is_fitted(self)
        stream = self._stream(x)
        self.regions_.check_weights()
        evaluate, results, start = getattr(self.regions_, method), [], 0
        for batch in progress(stream, stream.num_batches, self.verbose):
            results.append(evaluate(batch, start))
            start += len(batch[0])
        return np.concatenate(results)

    def _stream(self, x):
        array = rows_of_features(self, self.box_, x)
        hold_features(self, self.box_, x, reset=False)
        return Stream(array, self.box_)
