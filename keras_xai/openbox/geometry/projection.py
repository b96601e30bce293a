"""The nearest point that satisfies linear constraints, of which only those that matter are ever looked at.

The Euclidean one by an active-set method: `scipy.optimize.nnls` (least distance programming, Lawson and Hanson, 1974, chapter 23) finds
the same points to 3e-15, in 0.4 to 0.9 of the time up to 64 inputs, but starts anew whenever constraints are added, so that
counterfactuals of 784 inputs with up to 480 active constraints took 1.3 to 1.6 times as long.
"""

from collections.abc import Callable

import numpy as np

from keras_xai.openbox.geometry.redundancy import InfeasibleError, solve_program

_TOLERANCE = 1e-10  # of a constraint's distance
_MAX_ROUNDS = 10_000
_NO_END = f"The nearest point was not found within {_MAX_ROUNDS} rounds of adding constraints."


class Constraints:
    """Linear constraints `rows s + values >= 0` on a step s, of which more become known as steps violate them.

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

    def violated(self, step: np.ndarray) -> int | None:
        """The constraint that a step violates most, `None` if it violates none."""
        for known in (True, False):
            if not known:
                self._add(*self._more(step))
            slack = self.rows @ step + self.values
            worst = int(slack.argmin())
            if slack[worst] < -_TOLERANCE * max(np.linalg.norm(step), abs(self.values[worst])):
                return worst
        return None

    def _add(self, rows, values):
        lengths = np.linalg.norm(rows, axis=1)
        self.rows = np.vstack([self.rows, rows / lengths[:, np.newaxis]])
        self.values = np.append(self.values, values / lengths)


def nearest_step(constraints: Constraints, norm: float, within: float = np.inf) -> np.ndarray | None:
    """The shortest step that satisfies all constraints.

    Constraints are looked at where a step violates them: a step that is the shortest under some of them and violates none is
    the shortest under all.

    Args:
        constraints: The constraints, at least one of them known.
        norm: 1, 2 or infinity.
        within: The longest step that is of interest. The search ends as soon as the constraints looked at demand more.

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
        if constraints.violated(step) is None:
            return step
    raise RuntimeError(_NO_END)


def _nearest_euclidean(constraints, within):
    """By the dual method of Goldfarb and Idnani (1983): constraints become active one by one as they are violated."""
    step = np.zeros(constraints.rows.shape[1])
    active = _ActiveSet(len(step))
    for _ in range(_MAX_ROUNDS):
        if np.linalg.norm(step) > within:
            return None
        worst = constraints.violated(step)
        if worst is None:
            return step
        row, value = constraints.rows[worst], constraints.values[worst]
        weight = 0.0
        while True:
            along, exchange = active.decomposed(row)
            drop, to_drop = active.first_to_drop(exchange)
            length = along @ along
            to_reach = -(row @ step + value) / length if length > 1e-18 else np.inf
            move = min(to_drop, to_reach)
            if np.isinf(move):
                return None  # a nonnegative combination of the constraints cannot be satisfied
            if np.isfinite(to_reach):
                step = step + move * along
            active.weights -= move * exchange
            weight += move
            if to_reach <= to_drop:
                active.add(row, weight)
                break
            active.drop(drop)
    raise RuntimeError(_NO_END)


class _ActiveSet:
    """The constraints that hold with equality, with their weights and the QR decomposition of their rows."""

    def __init__(self, num_dims):
        self._q, self._r = np.zeros((num_dims, 0)), np.zeros((0, 0))
        self.weights = np.zeros(0)

    def decomposed(self, row):
        """The part of a row that the active rows do not span, and the combination of them that is the rest of it."""
        from scipy.linalg import solve_triangular

        products = self._q.T @ row
        along = row - self._q @ products
        correction = self._q.T @ along  # a second time, against rounding
        along, products = along - self._q @ correction, products + correction
        return along, solve_triangular(self._r, products) if len(products) else products

    def first_to_drop(self, exchange):
        """Which active constraint loses its weight first, and when."""
        ratios = np.divide(self.weights, exchange, out=np.full(len(exchange), np.inf), where=exchange > 1e-13)
        return (int(ratios.argmin()), ratios.min()) if len(ratios) else (-1, np.inf)

    def add(self, row, weight):
        from scipy.linalg import qr, qr_insert

        if len(self.weights):
            self._q, self._r = qr_insert(self._q, self._r, row, len(self.weights), which="col")
        else:
            self._q, self._r = qr(row[:, np.newaxis], mode="economic")
        self.weights = np.append(self.weights, weight)

    def drop(self, place):
        from scipy.linalg import qr_delete

        self._q, self._r = qr_delete(self._q, self._r, place, which="col")
        self._q, self._r = self._q[:, : self._r.shape[1]], self._r[: self._r.shape[1]]
        self.weights = np.delete(self.weights, place)


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
