"""Facets of a polytope, by ray shooting and linear programs."""

from collections.abc import Callable

import numpy as np

# A row is a facet if the polytope without it extends by more than this fraction of the row's own distance.
_TOLERANCE = 1e-8
_BLOCK = 1024  # rays per batch
_FEASIBILITY = 1e-10  # the smallest value that HiGHS accepts

_STATUS = {1: "reached its iteration limit", 2: "has no point that satisfies all constraints", 3: "is unbounded"}


class InfeasibleError(RuntimeError):
    """No point satisfies the constraints of a linear program."""


def solve_program(cost, rows, limits, bounds) -> np.ndarray:
    """The solution of `min cost . y` subject to `rows y <= limits` and `bounds`, by HiGHS.

    Raises:
        InfeasibleError: If no point satisfies the constraints.
        RuntimeError: If the program is unbounded, or fails for another reason.
    """
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": _FEASIBILITY, "dual_feasibility_tolerance": _FEASIBILITY}
    result = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs", options=options)
    if result.status != 0:
        error = InfeasibleError if result.status == 2 else RuntimeError
        raise error(
            f"A linear program of {len(limits)} constraints in {len(cost)} variables {_STATUS.get(result.status, 'failed')}. "
            f"HiGHS says: {result.message.strip()}"
        )
    return result.x


def largest_ball(rows: np.ndarray, values: np.ndarray, limit: float | None = None) -> tuple[np.ndarray, float]:
    """The center and radius of a largest Euclidean ball in `{y: rows y + values >= 0}`.

    Args:
        rows: `(m, d)`, none of them zero.
        values: `(m,)`.
        limit: Maximum radius; without it, an unbounded polytope may have no largest ball.

    Raises:
        RuntimeError: If balls of any radius fit, or the linear program fails.
    """
    num_dims = rows.shape[1]
    norms = np.linalg.norm(rows, axis=1)
    # Scaled so that the rows have length 1 and the nearest of them have a distance of about 1.
    scale = max(np.median(np.abs(values) / norms), np.finfo(float).tiny)
    program = np.column_stack([-rows / norms[:, np.newaxis], np.ones(len(rows))])
    bounds = [(None, None)] * num_dims + [(0, None if limit is None else limit / scale)]
    solution = solve_program(np.append(np.zeros(num_dims), -1.0), program, values / norms / scale, bounds)
    return solution[:-1] * scale, float(solution[-1] * scale)


def facets(rows: np.ndarray, values: np.ndarray, on_progress: Callable[[int], None] = lambda decided: None) -> np.ndarray:
    """The rows that no other rows imply: the minimal description of `{y: rows y + values >= 0}`.

    The first of several rows of the same half-space stands for all. The first row that a ray from an interior point hits is a facet. Rows
    not hit by any ray are compared with the facets known so far, as proposed by Clarkson: either these imply the row, which nonnegative
    weights prove, or there is a ray that hits a new facet. A linear program decides cases left open by rounding.

    Args:
        rows: `(m, d)`, none of them zero.
        values: `(m,)`.
        on_progress: Called with the number of decided rows.

    Returns:
        Increasing indices of rows.

    Raises:
        RuntimeError: If the polytope has no interior, or a linear program fails.

    Reference:

    - [Clarkson, 1994](https://doi.org/10.1109/SFCS.1994.365723)
    """
    if not len(rows):
        return np.zeros(0, int)
    norms = np.linalg.norm(rows, axis=1)
    center, radius = largest_ball(rows, values, limit=10 * float(np.median(np.abs(values) / norms)) or None)
    slack = (values + rows @ center) / norms
    if radius <= 0 or slack.min() <= 1e-9 * np.median(slack):
        raise RuntimeError(
            "The polytope has no interior: its constraints only hold on a lower-dimensional set, as at a sample with ties in its pooling "
            "windows. Dequantize the samples with noise of less than one quantization level, so that no two entries are equal."
        )
    # Duality: a ray along u leaves through the row whose point has the largest product with u, so the facets are the vertices of the
    # points' convex hull (with the origin).
    points = (rows / norms[:, np.newaxis]) / (slack / slack.min())[:, np.newaxis]
    distinct = _distinct(points)
    points = points[distinct]
    found = np.zeros(len(points), bool)
    rows, clear = _hit(points, points)
    found[rows[clear]] = True
    undecided = list(np.flatnonzero(~found))
    while undecided:
        candidate = undecided[-1]
        ray = _beyond(points[candidate], points[found])
        if ray is None:
            undecided.pop()
        else:
            found[_first_hit(points, ray)] = True
            undecided = [row for row in undecided if not found[row]]
        on_progress(len(points) - len(undecided))
    return np.sort(distinct[found])


def _distinct(points):
    """The first of each set of equal points."""
    order = np.lexsort(np.round(points / np.abs(points).max(), 9).T)
    ordered = points[order]
    same = np.isclose(ordered[1:], ordered[:-1], rtol=1e-9, atol=1e-12 * np.abs(points).max()).all(axis=1)
    groups = np.cumsum(np.concatenate([[True], ~same]))
    first = np.full(groups[-1] + 1, len(points))
    np.minimum.at(first, groups, order)
    return np.sort(first[1:])


def _hit(points, rays):
    """The row that each ray hits first, and whether no other row is about as near."""
    if len(points) == 1:
        return np.zeros(len(rays), int), rays @ points[0] > 0
    first, clear = [], []
    for start in range(0, len(rays), _BLOCK):
        products = rays[start : start + _BLOCK] @ points.T
        rows = products.argmax(axis=1)
        here = np.arange(len(rows))
        best = products[here, rows]
        products[here, rows] = -np.inf
        first.append(rows)
        clear.append((best > 0) & (products.max(axis=1) < best * (1 - _TOLERANCE)))
    return np.concatenate(first), np.concatenate(clear)


def _beyond(point, known):
    """A ray on which a row is nearer than all known facets, or `None` if they imply it.

    They imply it if its point is a combination of their points with nonnegative weights of sum at most 1. The best such combination proves
    that, or its residual is the ray; a linear program decides close cases.
    """
    from scipy.optimize import nnls

    columns = np.column_stack([np.vstack([known.T, np.ones(len(known))]), np.eye(len(point) + 1)[-1]])
    target = np.append(point, 1.0)
    try:
        weights, _ = nnls(columns, target, maxiter=10 * sum(columns.shape))
        rest = target - columns @ weights
        if np.abs(rest).max() < _TOLERANCE / 100:
            return None
        if rest @ target > -2 * _TOLERANCE * rest[-1]:
            return rest[:-1]
    except RuntimeError:  # iteration limit of the solver
        pass
    ray = solve_program(-point, np.vstack([known, point]), np.append(np.ones(len(known)), 2.0), (None, None))
    return ray if point @ ray > 1 + _TOLERANCE else None


def _first_hit(points, ray):
    """The facet that a ray hits; if it hits several at once, one that is certainly a facet."""
    generator = np.random.default_rng(0)
    direction = ray
    for exponent in range(-12, 0):
        rows, clear = _hit(points, direction[np.newaxis])
        if clear[0]:
            return rows[0]
        direction = ray + 10.0**exponent * np.linalg.norm(ray) * generator.normal(size=ray.shape) / np.sqrt(len(ray))
    raise RuntimeError("No facet is distinguishable from its neighbors within rounding error: the polytope is degenerate.")
