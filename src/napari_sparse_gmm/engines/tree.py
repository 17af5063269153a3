"""A balanced kd-tree as an order of the points, and which components touch which of its boxes.

Compiled: both are loops over points or pairs with a few operations each. Where nodes can be dealt
with apart from each other, a range of them is a call, so that threads can share them.
"""

import numpy as np

from napari_sparse_gmm.engines.compiled import compiled, exp


@compiled
def _swap(points, order, a, b):
    for k in range(points.shape[1]):
        points[a, k], points[b, k] = points[b, k], points[a, k]
    order[a], order[b] = order[b], order[a]


@compiled
def _select(points, order, first, last, middle, axis):
    """Exchange rows `first` to `last` so that none before `middle` is larger along `axis` than
    one from there on (Hoare, CACM 4(7), 1961, with the median of three).
    """
    low, high = first, last - 1
    while low < high:
        a, b, c = points[low, axis], points[(low + high) // 2, axis], points[high, axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while points[i, axis] < pivot:
                i += 1
            while points[j, axis] > pivot:
                j -= 1
            if i <= j:
                _swap(points, order, i, j)
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled
def halve(points, order, first, last, depth, fewest):
    """Order the rows `first` to `last` (N, D) as a tree with `depth` levels below them.

    Each node is halved across its longest side; none of `fewest` points or less.
    """
    if depth <= 0 or last - first <= fewest:
        return
    widest, axis = -1.0, 0
    for k in range(points.shape[1]):
        low = high = points[first, k]
        for i in range(first + 1, last):
            low, high = min(low, points[i, k]), max(high, points[i, k])
        if high - low > widest:
            widest, axis = high - low, k
    middle = first + (last - first) // 2
    if widest > 0:
        _select(points, order, first, last, middle, axis)
    halve(points, order, first, middle, depth - 1, fewest)
    halve(points, order, middle, last, depth - 1, fewest)


@compiled
def _grown(values, least):
    more = np.empty(max(least, 2 * len(values)), values.dtype)
    more[: len(values)] = values
    return more


@compiled
def _forward(covariances, j, variances, row, x, h, lower, pivots, y, reach):
    """L P L^T of Sigma_j plus the variances of a box, into `lower` and `pivots`; L^-1 x, and how
    far it reaches where the entries of x may be as large as those of h, into `y` and `reach`.
    """
    d = len(x)
    for i in range(d):
        for k in range(i + 1):
            entry = covariances[j, i * (i + 1) // 2 + k]
            if k == i:
                entry += variances[row, i]
            for m in range(k):
                entry -= lower[i, m] * lower[k, m] * pivots[m]
            if k == i:
                pivots[i] = entry
            else:
                lower[i, k] = entry / pivots[k]
    for i in range(d):
        value, far = x[i], h[i]
        for k in range(i):
            value -= lower[i, k] * y[k]
            far += abs(lower[i, k]) * reach[k]
        y[i], reach[i] = value, far


@compiled
def touching(
    level,
    first,
    last,
    ends,
    lower,
    upper,
    noise_lower,
    noise_upper,
    covered,
    wanted_before,
    candidates,
    offsets,
    amplitudes,
    means,
    factors,
    covariances,
    background,
    margin,
    negligible,
    largest_product,
    widest,
    largest_condition,
):
    """The pairs of the blocks below the nodes `first` to `last` of a level of the tree.

    Parameters
    ----------
    ends : (L + 1,) array of int
        Where the nodes of each level start in the arrays of boxes; the last level is the blocks.
    lower, upper : (n_nodes, D) arrays
    noise_lower, noise_upper : (n_nodes, D) arrays, or (0, D) without noise
    covered : (n_nodes,) array of bool
        Which of the boxes have background everywhere.
    wanted_before : (n_blocks + 1,) array of int
        How many of the blocks before each are wanted.
    candidates : (C,) array of int
        The components to look at.
    offsets, amplitudes : (K,) arrays
        Log amplitudes, or log constants with noise; and log amplitudes.
    means, factors, covariances : (K, D), (K, D (D + 1) / 2) arrays
        Whitening factors times 0.5^0.5, row by row; covariances likewise.
    background, margin, negligible : float
        Log density of the background; what is below the rest by the margin is left out.
    largest_product, widest, largest_condition : float
        Beyond these, single precision is not enough.

    Returns
    -------
    rows, counts, components, double
        Of each wanted block: its number, how many components it has, and whether they need double
        precision, (n,) each; and the components one after the other, (P,).
    """
    d, n_levels = means.shape[1], len(ends) - 1
    n_blocks = ends[n_levels] - ends[n_levels - 1]
    noisy = len(noise_lower) > 0
    held = np.empty((n_levels, len(candidates)), np.int64)
    n_held = np.zeros(n_levels, np.int64)
    near, highest = np.empty(len(candidates)), np.empty(len(candidates))
    squares, conditions = np.empty(len(candidates)), np.empty(len(candidates))
    centre, half, difference = np.empty(d), np.empty(d), np.empty(d)
    triangle, pivots, y, reach = np.zeros((d, d)), np.empty(d), np.empty(d), np.empty(d)
    path, end_of = np.zeros(n_levels, np.int64), np.zeros(n_levels, np.int64)
    rows, counts = np.empty(64, np.int64), np.empty(64, np.int64)
    double = np.empty(64, np.bool_)
    components = np.empty(256, np.int64)
    n_rows = n_pairs = 0
    top = level
    path[level], end_of[level] = first, last
    while level >= top:
        node = path[level]
        if node >= end_of[level]:
            level -= 1
            continue
        path[level] += 1
        n_nodes = ends[level + 1] - ends[level]
        each = n_blocks // n_nodes
        if wanted_before[(node + 1) * each] == wanted_before[node * each]:
            continue
        box = ends[level] + node
        for k in range(d):
            centre[k] = 0.5 * (lower[box, k] + upper[box, k])
            half[k] = 0.5 * (upper[box, k] - lower[box, k])
        n_candidates = n_held[level - 1] if level > top else len(candidates)
        floor = max(background, negligible) if covered[box] else negligible
        for c in range(n_candidates):
            j = held[level - 1, c] if level > top else candidates[c]
            closest, farthest, condition = 0.0, 0.0, 0.0
            offset = least = offsets[j]
            if noisy:
                trace, determinant, gap = 0.0, 1.0, 0.0
                for k in range(d):
                    difference[k] = centre[k] - means[j, k]
                    trace += covariances[j, k * (k + 1) // 2 + k] + noise_upper[box, k]
                    short = max(abs(difference[k]) - half[k], 0.0)
                    gap += short * short
                # A bound without a factor: no axis is longer than the trace.
                near[c] = amplitudes[j] - 0.5 * gap / trace
                if near[c] < floor + margin:
                    continue
                _forward(
                    covariances, j, noise_upper, box, difference, half, triangle, pivots, y, reach
                )
                for k in range(d):
                    short = max(abs(y[k]) - reach[k], 0.0)
                    closest += 0.5 * short * short / pivots[k]
                    determinant *= pivots[k]
                least -= 0.5 * np.log(determinant)
                determinant = 1.0
                _forward(
                    covariances, j, noise_lower, box, difference, half, triangle, pivots, y, reach
                )
                for k in range(d):
                    long = abs(y[k]) + reach[k]
                    farthest += 0.5 * long * long / pivots[k]
                    determinant *= pivots[k]
                    condition += trace / pivots[k]
                offset -= 0.5 * np.log(determinant)
            else:
                packed = 0
                for row in range(d):
                    value = far = 0.0
                    for k in range(row + 1):
                        f = factors[j, packed]
                        packed += 1
                        value += f * (centre[k] - means[j, k])
                        far += abs(f) * half[k]
                    value = abs(value)
                    farthest += (value + far) * (value + far)
                    short = max(value - far, 0.0)
                    closest += short * short
            near[c], highest[c] = offset - closest, offset
            floor = max(floor, least - farthest)
            # What may cost single precision its digits.
            squares[c], conditions[c] = farthest, condition
        n_kept = 0
        peak, farthest, condition = -np.inf, 0.0, 0.0
        is_block = level == n_levels - 1
        if is_block and n_pairs + n_candidates > len(components):
            components = _grown(components, n_pairs + n_candidates)
        for c in range(n_candidates):
            if near[c] >= floor + margin:
                j = held[level - 1, c] if level > top else candidates[c]
                if is_block:
                    components[n_pairs + n_kept] = j
                    peak, farthest = max(peak, highest[c]), max(farthest, squares[c])
                    condition = max(condition, conditions[c])
                else:
                    held[level, n_kept] = j
                n_kept += 1
        if not is_block:
            n_held[level] = n_kept
            children = (ends[level + 2] - ends[level + 1]) // n_nodes
            level += 1
            path[level], end_of[level] = node * children, (node + 1) * children
            continue
        if n_rows == len(rows):
            rows, counts = _grown(rows, n_rows + 1), _grown(counts, n_rows + 1)
            double = _grown(double, n_rows + 1)
        rows[n_rows], counts[n_rows] = node, n_kept
        depth = min(peak - floor, farthest)  # the largest |y|^2 that matters
        double[n_rows] = (
            depth * farthest > largest_product * largest_product
            or farthest > widest * widest
            or (noisy and (d > 3 or condition * (1.0 + depth) > largest_condition))
        )
        n_rows += 1
        n_pairs += n_kept
    return (
        rows[:n_rows].copy(),
        counts[:n_rows].copy(),
        components[:n_pairs].copy(),
        double[:n_rows].copy(),
    )


@compiled
def fill(placed, starts, rows, first, last, centres, unit, out):
    """Coordinates of the points of the blocks rows[first], ... rows[last - 1], relative to their
    centres and in units, into `out` (n, D, B); the last point of a short block is repeated.
    """
    for n in range(first, last):
        b = rows[n]
        for k in range(out.shape[1]):
            for i in range(out.shape[2]):
                position = min(starts[b] + i, starts[b + 1] - 1)
                out[n, k, i] = (placed[position, k] - centres[b, k]) / unit


# Of a point far from everything it is no matter how far: this is next to what a float64 holds.
LARGEST_EXPONENT = 600.0


@compiled
def extremes(points, starts, least):
    """The lower corners of the boxes of runs of points (N, D), or the upper ones, (n, D)."""
    out = np.empty((len(starts) - 1, points.shape[1]))
    for n in range(len(out)):
        for k in range(points.shape[1]):
            value = points[starts[n], k]
            for i in range(starts[n] + 1, starts[n + 1]):
                value = min(value, points[i, k]) if least else max(value, points[i, k])
            out[n, k] = value
    return out


@compiled
def sums_of_inverse(log_density, weight, starts):
    """weight / p(x), summed over runs of points, (n,)."""
    out = np.empty(len(starts) - 1)
    for n in range(len(out)):
        value = 0.0
        for i in range(starts[n], starts[n + 1]):
            value += weight[i] * exp(min(-log_density[i], LARGEST_EXPONENT))
        out[n] = value
    return out


@compiled
def moments_of_runs(points, weight, first, last):
    """Means (E, D) and covariances (E, D, D) of runs of weighted points (N, D)."""
    d = points.shape[1]
    means, covariances = np.zeros((len(first), d)), np.zeros((len(first), d, d))
    for e in range(len(first)):
        total = 0.0
        for i in range(first[e], last[e]):
            total += weight[i]
            for k in range(d):
                means[e, k] += weight[i] * points[i, k]
        for k in range(d):
            means[e, k] /= total
        for i in range(first[e], last[e]):
            for row in range(d):
                share = weight[i] / total * (points[i, row] - means[e, row])
                for column in range(row + 1):
                    covariances[e, row, column] += share * (points[i, column] - means[e, column])
        for row in range(d):
            for column in range(row):
                covariances[e, column, row] = covariances[e, row, column]
    return means, covariances


@compiled
def dense_nodes(volumes, weights, inverse, least, denser, halves, even):
    """The nodes of a binary tree with too many points, that no such node above them hides.

    Parameters
    ----------
    volumes, weights : (T,) arrays
        Of all nodes, level by level from the root.
    inverse : array
        What the volume of each node of the last level is by the mixture, 1 / p summed over its
        points, over their number.
    least : float
        The evidence that a node must have.
    denser : float
        How many times too many points.
    halves, even : float
        The share that it must have of the evidence in its halves; and of its density, the thinner
        half.

    Returns
    -------
    rows, evidence, excess : which nodes, (E,), from the root down
    """
    n_nodes, n_leaves = len(volumes), len(inverse)
    evidence, excess = np.empty(n_nodes), np.empty(n_nodes)
    expected, rho, best = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    taken = np.zeros(n_nodes, np.bool_)
    for node in range(n_nodes - 1, -1, -1):
        child = 2 * node + 1
        if child < n_nodes:
            expected[node] = expected[child] + expected[child + 1]
            of_halves = best[child] + best[child + 1]
            thinner = min(rho[child], rho[child + 1])
        else:
            expected[node] = inverse[node - (n_nodes - n_leaves)]
            of_halves, thinner = 0.0, np.inf
        ratio = max(expected[node] / volumes[node], 1.0)
        rho[node] = ratio
        evidence[node] = weights[node] * (np.log(ratio) - 1.0 + 1.0 / ratio)
        excess[node] = weights[node] * (1.0 - 1.0 / ratio)
        taken[node] = (
            evidence[node] > least
            and evidence[node] >= halves * of_halves
            and ratio > denser
            and even * ratio <= thinner
        )
        best[node] = evidence[node] if taken[node] else of_halves
    hidden = np.zeros(n_nodes, np.bool_)
    rows = np.empty(n_nodes, np.int64)
    n = 0
    for node in range(n_nodes):
        if taken[node] and not hidden[node]:
            rows[n] = node
            n += 1
        child = 2 * node + 1
        if child < n_nodes:
            hidden[child] = hidden[child + 1] = hidden[node] or taken[node]
    rows = rows[:n].copy()
    return rows, evidence[rows], excess[rows]


@compiled
def dense_balls(nearest, distances, weight, inverse, unit_ball, d, narrowest, fewest):
    """The balls around positions (P,) with most evidence of too many points.

    Parameters
    ----------
    nearest, distances : (P, k) arrays
        The nearest positions of each, itself first, and how far they are.
    weight, inverse : (P,) arrays
        Of the points at each position: weight, and the volume that is theirs by the mixture.
    unit_ball : float
        Volume of the ball of radius 1 in d dimensions.
    narrowest : float
        No radius counts as shorter.
    fewest : int
        So many others a ball must have.

    Returns
    -------
    last, evidence, excess : (P,) arrays
        Up to which neighbour each ball reaches.
    """
    n = len(nearest)
    last, evidence, excess = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    for p in range(n):
        count = volume = 0.0
        for k in range(1, nearest.shape[1]):
            other = nearest[p, k]
            count += weight[other]
            volume += inverse[other]
            ratio = volume / (unit_ball * max(distances[p, k], narrowest) ** d)
            if k < fewest or ratio <= 1.0:
                continue
            found = count * (np.log(ratio) - 1.0 + 1.0 / ratio)
            if found > evidence[p]:
                last[p], evidence[p], excess[p] = k, found, count * (1.0 - 1.0 / ratio)
    return last, evidence, excess


@compiled
def apart(order, evidence, enough, nearest, last):
    """Of balls in this order, those with enough evidence whose centre no earlier one has."""
    used = np.zeros(len(evidence), np.bool_)
    rows = np.empty(len(evidence), np.int64)
    n = 0
    for p in order:
        if evidence[p] < enough:
            break
        if used[p]:
            continue
        rows[n] = p
        n += 1
        for k in range(last[p] + 1):
            used[nearest[p, k]] = True
    return rows[:n].copy()


@compiled
def moments_of_neighbours(points, weight, noise, nearest, rows, last):
    """Means (E, D) and covariances (E, D, D) of some balls; what noise, variances (P, D) or
    (0, D), is expected to have added is taken off.
    """
    d = points.shape[1]
    means, covariances = np.zeros((len(rows), d)), np.zeros((len(rows), d, d))
    for e in range(len(rows)):
        inside = nearest[rows[e], : last[rows[e]] + 1]
        total = 0.0
        for p in inside:
            total += weight[p]
            for k in range(d):
                means[e, k] += weight[p] * points[p, k]
        for k in range(d):
            means[e, k] /= total
        for p in inside:
            share = weight[p] / total
            for row in range(d):
                for column in range(d):
                    product = (points[p, row] - means[e, row]) * (
                        points[p, column] - means[e, column]
                    )
                    covariances[e, row, column] += share * product
                if len(noise):
                    covariances[e, row, row] -= share * noise[p, row]
    return means, covariances
