"""Soft labels: probabilities of scores, cross-entropy, and the linear classifier that best fits given probabilities."""

import functools

import numpy as np


def centered(scores: np.ndarray) -> np.ndarray:
    """Centers scores, or rows of coefficients, over the classes, with one row per class.

    Args:
        scores: `(..., C, m)`, rows of coefficients. A single score s stands for two classes with the scores -s/2 and s/2.

    Returns:
        `(..., max(C, 2), m)`; the rows sum to zero and have the same softmax.
    """
    if scores.shape[-2] == 1:
        return np.concatenate([-scores / 2, scores / 2], axis=-2)
    return scores - scores.mean(axis=-2, keepdims=True)


def centered_scores(scores: np.ndarray) -> np.ndarray:
    """The same for scores, `(n, C)` to `(n, max(C, 2))`."""
    return centered(scores.astype("float64")[..., np.newaxis])[..., 0]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores, along the last axis."""
    return np.exp(scores - _log_sum(scores)[..., np.newaxis])


def cross_entropy(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Cross-entropy of each sample, from target probabilities and scores of one shape `(..., n, C)`."""
    return _log_sum(scores) - np.sum(targets * scores, axis=-1)


def fit_linear(
    z: np.ndarray,
    targets: np.ndarray,
    *,
    around: np.ndarray,
    ridge: float,
    start: np.ndarray | None = None,
    max_iterations: int = 200,
) -> np.ndarray:
    """Multinomial logistic regression on soft labels, regularized toward given coefficients.

    Minimizes `sum_i cross_entropy(targets_i, W z_i) + ridge / 2 * ||W - around||^2` by L-BFGS. Deterministic.

    Args:
        z: `(n, d)`, with a column of ones for an intercept.
        targets: `(n, C)`, probabilities.
        around: `(C, d)`, coefficients that the ridge pulls toward.
        ridge: Weight of the penalty.
        start: `(C, d)`, initial coefficients; `around` by default.
        max_iterations: Maximum number of steps.

    Returns:
        `(C, d)`.
    """

    def loss(vector):
        weights = vector.reshape(around.shape)
        scores = z @ weights.T
        step = weights - around
        value = cross_entropy(targets, scores).sum() + ridge / 2 * np.sum(step**2)
        return value, ((softmax(scores) - targets).T @ z + ridge * step).ravel()

    options = {"maxiter": max_iterations, "ftol": 1e-10, "gtol": 1e-6}
    first = around if start is None else start
    return _minimize(loss, first.ravel(), options).x.reshape(around.shape)


def fit_hidden(
    z: np.ndarray, targets: np.ndarray, *, planes: np.ndarray, weights: np.ndarray, ridge: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fits the planes of one hidden ReLU layer, and its output layer, to soft labels by L-BFGS.

    Minimizes `sum_i cross_entropy(targets_i, V [relu(U z_i), 1]) + ridge / 2 * ||V||^2`.

    Args:
        z: `(n, d)`, with a column of ones.
        targets: `(n, C)`, probabilities.
        planes: `(m, d)`, initial U.
        weights: `(C, m + 1)`, initial V.
        ridge: Weight of the penalty.
        max_iterations: Maximum number of steps; 0 keeps the initial values.

    Returns:
        U, V, and the minimized value.
    """

    def loss(vector):
        u, v = vector[: planes.size].reshape(planes.shape), vector[planes.size :].reshape(weights.shape)
        inputs = z @ u.T
        hidden = np.concatenate([np.maximum(inputs, 0), np.ones((len(z), 1))], axis=1)
        scores = hidden @ v.T
        value = cross_entropy(targets, scores).sum() + ridge / 2 * np.sum(v**2)
        error = softmax(scores) - targets
        gradient_u = ((error @ v[:, :-1]) * (inputs > 0)).T @ z
        return value, np.concatenate([gradient_u.ravel(), (error.T @ hidden + ridge * v).ravel()])

    start = np.concatenate([planes.ravel(), weights.ravel()])
    if not max_iterations:
        return planes, weights, loss(start)[0]
    found = _minimize(loss, start, {"maxiter": max_iterations})
    return found.x[: planes.size].reshape(planes.shape), found.x[planes.size :].reshape(weights.shape), float(found.fun)


def _log_sum(scores):
    largest = scores.max(axis=-1, keepdims=True)
    return largest[..., 0] + np.log(np.sum(np.exp(scores - largest), axis=-1))


def _minimize(loss, start, options):
    from scipy.optimize import minimize

    # L-BFGS solves many tiny linear systems. BLAS threads slow each of them down, on a busy computer a hundredfold.
    with _threads().limit(limits=1, user_api="blas"):
        return minimize(loss, start, jac=True, method="L-BFGS-B", options=options)


@functools.cache
def _threads():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
