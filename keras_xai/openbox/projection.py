"""The nearest point that satisfies linear constraints, of which only those that matter are ever looked at."""

from collections.abc import Callable

import numpy as np

from keras_xai.openbox.redundancy import InfeasibleError, solve_program

_TOLERANCE = 1e-9  # of the step's length
_MAX_ROUNDS = 500


def nearest_step(rows: np.ndarray, values: np.ndarray, norm: float, more: Callable) -> np.ndarray | None:
    """The shortest step s with `rows s + values >= 0` and all the constraints that `more` knows.

    Constraints are added where a step violates them, until it violates none: then it is shortest among all, since it is
    already shortest under some.

    Args:
        rows: `(m, d)`, none of them zero.
        values: `(m,)`, the constraints' values at the step 0.
        norm: 1, 2 or infinity.
        more: Maps a step to further constraints, `(rows, values)`, that it violates.

    Returns:
        `(d,)`, or `None` if no step satisfies all constraints.

    Raises:
        RuntimeError: If a linear program fails, or constraints keep coming.
    """
    for _ in range(_MAX_ROUNDS):
        lengths = np.linalg.norm(rows, axis=1)
        rows, values = rows / lengths[:, np.newaxis], values / lengths
        step = _SHORTEST[norm](rows, values)
        if step is None:
            return None
        new_rows, new_values = more(step)
        lengths = np.linalg.norm(new_rows, axis=1)
        violated = new_rows @ step + new_values < -_TOLERANCE * np.linalg.norm(step) * lengths
        if not violated.any():
            return step
        rows, values = np.vstack([rows, new_rows[violated]]), np.append(values, new_values[violated])
    raise RuntimeError(f"The nearest point was not found within {_MAX_ROUNDS} rounds of adding constraints.")


def _shortest_euclidean(rows, values):
    """By the dual problem, a nonnegative least-squares problem, of Lawson and Hanson's least-distance programming."""
    from scipy.optimize import nnls

    needed = -values
    scale = needed.max()
    if scale <= 0:
        return np.zeros(rows.shape[1])
    columns = np.vstack([rows.T, needed / scale])
    target = np.append(np.zeros(rows.shape[1]), 1.0)
    weights, rest = nnls(columns, target, maxiter=10 * sum(columns.shape))
    if rest < 1e-9:
        return None
    # The constraints with a positive weight hold with equality: solved for these alone, the step is as exact as can be.
    active = weights > 0
    return np.linalg.lstsq(rows[active], needed[active], rcond=None)[0]


def _shortest_largest_entry(rows, values):
    from scipy import sparse

    num_dims = rows.shape[1]
    unit, bound = sparse.identity(num_dims), np.ones((num_dims, 1))
    program = sparse.bmat([[-rows, np.zeros((len(rows), 1))], [unit, -bound], [-unit, -bound]], format="csr")
    limits = np.concatenate([values, np.zeros(2 * num_dims)])
    solution = _solution(np.append(np.zeros(num_dims), 1.0), program, limits, [(None, None)] * num_dims + [(0, None)])
    return None if solution is None else solution[:-1]


def _shortest_sum(rows, values):
    num_dims = rows.shape[1]
    solution = _solution(np.ones(2 * num_dims), np.hstack([-rows, rows]), values, (0, None))
    return None if solution is None else solution[:num_dims] - solution[num_dims:]


def _solution(cost, rows, limits, bounds):
    scale = max(-limits.min(), np.finfo(float).tiny)  # in these units the step is about 1 long
    try:
        return scale * solve_program(cost, rows, limits / scale, bounds)
    except InfeasibleError:
        return None


_SHORTEST = {1: _shortest_sum, 2: _shortest_euclidean, np.inf: _shortest_largest_entry}
