"""Projection onto a polytope with lazily generated constraints."""

from collections.abc import Callable

import numpy as np

from keras_xai.openbox.geometry.redundancy import InfeasibleError, solve_program

_TOLERANCE = 1e-10  # of a constraint's distance
_MAX_ROUNDS = 10_000
_NONE_LEFT = (
    1e-9  # below it, a distance of 1 / sqrt(1 + |step|^2) counts as 0, in units in which the step has a length of about 1
)
_NO_END = f"The nearest point was not found within {_MAX_ROUNDS} rounds of adding constraints."


class Constraints:
    """Linear constraints `rows s + values >= 0` on a step s, generated lazily: a violated constraint is added when a step violates it.

    Args:
        rows: `(m, d)`, none of them zero.
        values: `(m,)`, the constraints' values at the step 0.
        more: Maps a step to `(rows, values)` of further constraints, among them one that the step violates if there is one.
    """

    def __init__(self, rows: np.ndarray, values: np.ndarray, more: Callable):
        self.rows = np.zeros((0, rows.shape[1]))
        self.values = np.zeros(0)
        self._more = more
        self._add(rows, values)

    def violated(self, step: np.ndarray) -> np.ndarray:
        """The violated constraints, the worst first: among those known, or among all if a step violates none of these."""
        for known in (True, False):
            if not known:
                self._add(*self._more(step))
            slack = self.rows @ step + self.values
            order = np.argsort(slack)
            violated = order[slack[order] < -_TOLERANCE * np.maximum(np.linalg.norm(step), abs(self.values[order]))]
            if len(violated):
                break
        return violated

    def _add(self, rows, values):
        lengths = np.linalg.norm(rows, axis=1)
        self.rows = np.vstack([self.rows, rows / lengths[:, np.newaxis]])
        self.values = np.append(self.values, values / lengths)


def nearest_step(constraints: Constraints, norm: float, within: float = np.inf) -> np.ndarray | None:
    """The shortest step that satisfies all constraints.

    Constraints are added when a step violates them. A step that is the shortest under some of them and violates none is the shortest
    under all.

    Args:
        constraints: The constraints, at least one of them known.
        norm: 1, 2 or infinity.
        within: The maximum length of a step. The search ends as soon as the known constraints require more.

    Returns:
        `(d,)`, or `None` if no step that short satisfies all constraints.

    Raises:
        RuntimeError: If a linear program fails, or no end is found.
    """
    if norm == 2:
        return _nearest_euclidean(constraints, within)
    for _ in range(_MAX_ROUNDS):
        step = _SHORTEST[norm](constraints.rows, constraints.values)
        if step is None or np.linalg.norm(step, ord=norm) > within:
            return None
        if not len(constraints.violated(step)):
            return step
    raise RuntimeError(_NO_END)


def _nearest_euclidean(constraints, within):
    """Least distance programming by nonnegative least squares (Lawson and Hanson, 1974, chapter 23)."""
    from scipy.optimize import nnls

    step = np.zeros(constraints.rows.shape[1])
    active = np.zeros(0, int)
    for _ in range(_MAX_ROUNDS):
        length = np.linalg.norm(step)
        if length > within:
            return None
        violated = constraints.violated(step)
        if not len(violated):
            return step
        # A step is the shortest under its active constraints alone, so the shortest step grows with each round.
        known = np.union1d(active, violated)
        rows, values = constraints.rows[known], constraints.values[known]
        scale = max(length, -values.min())  # in these units the next step is at least 1 long, and seldom much longer
        system = np.vstack([rows.T, -values / scale])
        target = np.append(np.zeros(len(step)), 1.0)
        weights, distance = nnls(system, target, maxiter=30 * len(target))
        if distance < _NONE_LEFT:
            return None  # a nonnegative combination of the constraints cannot be satisfied
        residual = target - system @ weights
        step = -scale * residual[:-1] / residual[-1]
        active = known[weights > 0]
    raise RuntimeError(_NO_END)


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


_SHORTEST = {1: _shortest_sum, np.inf: _shortest_largest_entry}
