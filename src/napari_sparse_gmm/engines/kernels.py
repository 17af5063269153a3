"""The fused pass over blocks of points: densities, responsibilities and moments, once through.

For each block, the log joint densities of its components at its points go into a small buffer,
then become responsibilities there, then are summed up: nothing of size N x M leaves the cache.
Each function takes the points of block `b` and one component, whose row of the buffers is `slot`:

- without noise, with the triangular factor f of half the precision matrix:
  z = offset - |f (x - mean)|^2; the sums are those of omega r (1, d, lower triangle of d d^T),
  d = x - mean;
- with noise, every point has its own T = Sigma + S: z = offset - (log det T + d^T T^-1 d) / 2; the
  sums are those of omega r (1, u, lower triangles of u u^T and T^-1), u = T^-1 d.

D = 2 and 3 are written out. `parameters` are the offset, the mean relative to the centre of the
block, and the lower triangle of f or Sigma, row by row.
"""

import numpy as np

from napari_sparse_gmm.engines.compiled import compiled, exp, log

# What a pass over the blocks computes.
MOMENTS, LOG_DENSITY, ASSIGNMENT = 0, 1, 2


@compiled
def _log_joint_2(x, b, parameters, shares, slot):
    top, m0, m1 = parameters[slot, 0], parameters[slot, 1], parameters[slot, 2]
    f00, f10, f11 = parameters[slot, 3], parameters[slot, 4], parameters[slot, 5]
    for i in range(shares.shape[1]):
        d0, d1 = x[b, 0, i] - m0, x[b, 1, i] - m1
        y0, y1 = f00 * d0, f10 * d0 + f11 * d1
        shares[slot, i] = top - (y0 * y0 + y1 * y1)


@compiled
def _log_joint_3(x, b, parameters, shares, slot):
    top, m0, m1, m2 = (
        parameters[slot, 0],
        parameters[slot, 1],
        parameters[slot, 2],
        parameters[slot, 3],
    )
    f00, f10, f11 = parameters[slot, 4], parameters[slot, 5], parameters[slot, 6]
    f20, f21, f22 = parameters[slot, 7], parameters[slot, 8], parameters[slot, 9]
    for i in range(shares.shape[1]):
        d0, d1, d2 = x[b, 0, i] - m0, x[b, 1, i] - m1, x[b, 2, i] - m2
        y0, y1, y2 = f00 * d0, f10 * d0 + f11 * d1, f20 * d0 + f21 * d1 + f22 * d2
        shares[slot, i] = top - (y0 * y0 + y1 * y1 + y2 * y2)


@compiled
def _log_joint_any(x, b, parameters, shares, slot):
    d = x.shape[1]
    y = np.empty(shares.shape[1], x.dtype)
    for i in range(len(y)):
        shares[slot, i] = parameters[slot, 0]
    first = 1 + d
    for row in range(d):
        y[:] = x.dtype.type(0.0)
        for column in range(row + 1):
            f, m = parameters[slot, first + column], parameters[slot, 1 + column]
            for i in range(shares.shape[1]):
                y[i] += f * (x[b, column, i] - m)
        first += row + 1
        for i in range(shares.shape[1]):
            shares[slot, i] -= y[i] * y[i]


@compiled
def _moments_2(x, b, parameters, shares, slot, out, p):
    m0, m1 = parameters[slot, 1], parameters[slot, 2]
    zero = x.dtype.type(0.0)
    n, s0, s1, q00, q10, q11 = zero, zero, zero, zero, zero, zero
    for i in range(shares.shape[1]):
        d0, d1 = x[b, 0, i] - m0, x[b, 1, i] - m1
        r0, r1 = shares[slot, i] * d0, shares[slot, i] * d1
        n += shares[slot, i]
        s0 += r0
        s1 += r1
        q00 += r0 * d0
        q10 += r1 * d0
        q11 += r1 * d1
    out[p, 0], out[p, 1], out[p, 2] = n, s0, s1
    out[p, 3], out[p, 4], out[p, 5] = q00, q10, q11


@compiled
def _moments_3(x, b, parameters, shares, slot, out, p):
    m0, m1, m2 = parameters[slot, 1], parameters[slot, 2], parameters[slot, 3]
    zero = x.dtype.type(0.0)
    n, s0, s1, s2 = zero, zero, zero, zero
    q00, q10, q11, q20, q21, q22 = zero, zero, zero, zero, zero, zero
    for i in range(shares.shape[1]):
        d0, d1, d2 = x[b, 0, i] - m0, x[b, 1, i] - m1, x[b, 2, i] - m2
        r0, r1, r2 = shares[slot, i] * d0, shares[slot, i] * d1, shares[slot, i] * d2
        n += shares[slot, i]
        s0 += r0
        s1 += r1
        s2 += r2
        q00 += r0 * d0
        q10 += r1 * d0
        q11 += r1 * d1
        q20 += r2 * d0
        q21 += r2 * d1
        q22 += r2 * d2
    out[p, 0], out[p, 1], out[p, 2], out[p, 3] = n, s0, s1, s2
    out[p, 4], out[p, 5], out[p, 6], out[p, 7], out[p, 8], out[p, 9] = q00, q10, q11, q20, q21, q22


@compiled
def _moments_any(x, b, parameters, shares, slot, out, p):
    d = x.shape[1]
    zero = x.dtype.type(0.0)
    n = zero
    for i in range(shares.shape[1]):
        n += shares[slot, i]
    out[p, 0] = n
    packed = 1 + d
    for row in range(d):
        m, s = parameters[slot, 1 + row], zero
        for i in range(shares.shape[1]):
            s += shares[slot, i] * (x[b, row, i] - m)
        out[p, 1 + row] = s
        for column in range(row + 1):
            other, q = parameters[slot, 1 + column], zero
            for i in range(shares.shape[1]):
                q += shares[slot, i] * (x[b, row, i] - m) * (x[b, column, i] - other)
            out[p, packed] = q
            packed += 1


@compiled
def _log_joint_noisy_2(x, noise, b, parameters, shares, slot):
    top, m0, m1 = parameters[slot, 0], parameters[slot, 1], parameters[slot, 2]
    s00, s10, s11 = parameters[slot, 3], parameters[slot, 4], parameters[slot, 5]
    half, one = x.dtype.type(0.5), x.dtype.type(1.0)
    for i in range(shares.shape[1]):
        d0, d1 = x[b, 0, i] - m0, x[b, 1, i] - m1
        t00, t11 = s00 + noise[b, 0, i], s11 + noise[b, 1, i]
        inverse = one / (t00 * t11 - s10 * s10)
        u0, u1 = (t11 * d0 - s10 * d1) * inverse, (t00 * d1 - s10 * d0) * inverse
        shares[slot, i] = top + half * (log(inverse) - u0 * d0 - u1 * d1)


@compiled
def _moments_noisy_2(x, noise, b, parameters, shares, slot, out, p):
    m0, m1 = parameters[slot, 1], parameters[slot, 2]
    s00, s10, s11 = parameters[slot, 3], parameters[slot, 4], parameters[slot, 5]
    zero, one = x.dtype.type(0.0), x.dtype.type(1.0)
    n, v0, v1, q00, q10, q11 = zero, zero, zero, zero, zero, zero
    i00, i10, i11 = zero, zero, zero
    for i in range(shares.shape[1]):
        d0, d1 = x[b, 0, i] - m0, x[b, 1, i] - m1
        t00, t11 = s00 + noise[b, 0, i], s11 + noise[b, 1, i]
        inverse = one / (t00 * t11 - s10 * s10)
        u0, u1 = (t11 * d0 - s10 * d1) * inverse, (t00 * d1 - s10 * d0) * inverse
        r0, r1, share = shares[slot, i] * u0, shares[slot, i] * u1, shares[slot, i] * inverse
        n += shares[slot, i]
        v0 += r0
        v1 += r1
        q00 += r0 * u0
        q10 += r1 * u0
        q11 += r1 * u1
        i00 += share * t11
        i10 -= share * s10
        i11 += share * t00
    out[p, 0], out[p, 1], out[p, 2] = n, v0, v1
    out[p, 3], out[p, 4], out[p, 5] = q00, q10, q11
    out[p, 6], out[p, 7], out[p, 8] = i00, i10, i11


@compiled
def _log_joint_noisy_3(x, noise, b, parameters, shares, slot):
    top = parameters[slot, 0]
    m0, m1, m2 = parameters[slot, 1], parameters[slot, 2], parameters[slot, 3]
    s00, s10, s11 = parameters[slot, 4], parameters[slot, 5], parameters[slot, 6]
    s20, s21, s22 = parameters[slot, 7], parameters[slot, 8], parameters[slot, 9]
    half, one = x.dtype.type(0.5), x.dtype.type(1.0)
    for i in range(shares.shape[1]):
        # T = L P L^T, one column after the other.
        i0 = one / (s00 + noise[b, 0, i])
        l1, l2 = s10 * i0, s20 * i0
        i1 = one / (s11 + noise[b, 1, i] - l1 * s10)
        t = s21 - l2 * s10
        l3 = t * i1
        i2 = one / (s22 + noise[b, 2, i] - l2 * s20 - l3 * t)
        y0, d1, d2 = x[b, 0, i] - m0, x[b, 1, i] - m1, x[b, 2, i] - m2
        y1 = d1 - l1 * y0
        y2 = d2 - l2 * y0 - l3 * y1
        form = y0 * y0 * i0 + y1 * y1 * i1 + y2 * y2 * i2
        shares[slot, i] = top + half * (log(i0 * i1 * i2) - form)


@compiled
def _moments_noisy_3(x, noise, b, parameters, shares, slot, out, p):
    m0, m1, m2 = parameters[slot, 1], parameters[slot, 2], parameters[slot, 3]
    s00, s10, s11 = parameters[slot, 4], parameters[slot, 5], parameters[slot, 6]
    s20, s21, s22 = parameters[slot, 7], parameters[slot, 8], parameters[slot, 9]
    zero, one = x.dtype.type(0.0), x.dtype.type(1.0)
    n, v0, v1, v2 = zero, zero, zero, zero
    q00, q10, q11, q20, q21, q22 = zero, zero, zero, zero, zero, zero
    j00, j10, j11, j20, j21, j22 = zero, zero, zero, zero, zero, zero
    for i in range(shares.shape[1]):
        d0, d1, d2 = x[b, 0, i] - m0, x[b, 1, i] - m1, x[b, 2, i] - m2
        i0 = one / (s00 + noise[b, 0, i])
        l1, l2 = s10 * i0, s20 * i0
        i1 = one / (s11 + noise[b, 1, i] - l1 * s10)
        t = s21 - l2 * s10
        l3 = t * i1
        i2 = one / (s22 + noise[b, 2, i] - l2 * s20 - l3 * t)
        y1 = d1 - l1 * d0
        y2 = d2 - l2 * d0 - l3 * y1
        u2 = y2 * i2
        u1 = y1 * i1 - l3 * u2
        u0 = d0 * i0 - l1 * u1 - l2 * u2
        t22 = i2
        t21 = -l3 * i2
        t20 = -l1 * t21 - l2 * t22
        t11 = i1 - l3 * t21
        t10 = -l1 * t11 - l2 * t21
        t00 = i0 - l1 * t10 - l2 * t20
        r0, r1, r2 = shares[slot, i] * u0, shares[slot, i] * u1, shares[slot, i] * u2
        n += shares[slot, i]
        v0 += r0
        v1 += r1
        v2 += r2
        q00 += r0 * u0
        q10 += r1 * u0
        q11 += r1 * u1
        q20 += r2 * u0
        q21 += r2 * u1
        q22 += r2 * u2
        j00 += shares[slot, i] * t00
        j10 += shares[slot, i] * t10
        j11 += shares[slot, i] * t11
        j20 += shares[slot, i] * t20
        j21 += shares[slot, i] * t21
        j22 += shares[slot, i] * t22
    out[p, 0], out[p, 1], out[p, 2], out[p, 3] = n, v0, v1, v2
    out[p, 4], out[p, 5], out[p, 6], out[p, 7], out[p, 8], out[p, 9] = q00, q10, q11, q20, q21, q22
    out[p, 10], out[p, 11], out[p, 12], out[p, 13], out[p, 14], out[p, 15] = (
        j00,
        j10,
        j11,
        j20,
        j21,
        j22,
    )


@compiled
def _factor_at(noise, b, parameters, slot, i, inverse_factor, inverse_pivots):
    """Of point i: L^-1 and P^-1 of T = L P L^T, any D."""
    d = noise.shape[1]
    zero, one = noise.dtype.type(0.0), noise.dtype.type(1.0)
    lower = np.zeros((d, d), noise.dtype)
    packed = 1 + d
    for row in range(d):
        for column in range(row + 1):
            entry = parameters[slot, packed]
            packed += 1
            if column == row:
                entry += noise[b, row, i]
            for k in range(column):
                entry -= lower[row, k] * lower[column, k] / inverse_pivots[k]
            if column == row:
                inverse_pivots[row] = one / entry
            else:
                lower[row, column] = entry * inverse_pivots[column]
    for column in range(d):
        for row in range(d):
            entry = one if row == column else zero
            for k in range(column, row):
                entry -= lower[row, k] * inverse_factor[k, column]
            inverse_factor[row, column] = entry if row >= column else zero


@compiled
def _log_joint_noisy_any(x, noise, b, parameters, shares, slot):
    d, dtype = x.shape[1], x.dtype
    inverse_factor, inverse_pivots = np.empty((d, d), dtype), np.empty(d, dtype)
    for i in range(shares.shape[1]):
        _factor_at(noise, b, parameters, slot, i, inverse_factor, inverse_pivots)
        twice = dtype.type(0.0)
        for row in range(d):
            y = dtype.type(0.0)
            for k in range(row + 1):
                y += inverse_factor[row, k] * (x[b, k, i] - parameters[slot, 1 + k])
            twice += log(inverse_pivots[row]) - y * y * inverse_pivots[row]
        shares[slot, i] = parameters[slot, 0] + dtype.type(0.5) * twice


@compiled
def _moments_noisy_any(x, noise, b, parameters, shares, slot, out, p):
    d, dtype = x.shape[1], x.dtype
    inverse_factor, inverse_pivots = np.empty((d, d), dtype), np.empty(d, dtype)
    inverse, u = np.empty((d, d), dtype), np.empty(d, dtype)
    n_entries = d * (d + 1) // 2
    out[p, :] = 0.0
    for i in range(shares.shape[1]):
        _factor_at(noise, b, parameters, slot, i, inverse_factor, inverse_pivots)
        for row in range(d):
            u[row] = dtype.type(0.0)
            for column in range(d):
                entry = dtype.type(0.0)
                for k in range(max(row, column), d):
                    product = inverse_factor[k, row] * inverse_factor[k, column]
                    entry += product * inverse_pivots[k]
                inverse[row, column] = entry
                u[row] += entry * (x[b, column, i] - parameters[slot, 1 + column])
        out[p, 0] += shares[slot, i]
        packed = 1 + d
        for row in range(d):
            out[p, 1 + row] += shares[slot, i] * u[row]
            for column in range(row + 1):
                out[p, packed] += shares[slot, i] * u[row] * u[column]
                out[p, packed + n_entries] += shares[slot, i] * inverse[row, column]
                packed += 1


@compiled
def run(
    question,
    first,
    last,
    blocks,
    starts,
    components,
    x,
    noise,
    weight,
    log_intensities,
    centres,
    unit,
    table,
    log_background,
    least_log_share,
    moments,
    removal,
    log_likelihoods,
    background_counts,
    log_densities,
    best,
    probabilities,
):
    """Ask one `question` of the rows `first` to `last` of a pattern.

    Parameters
    ----------
    blocks, starts, components : (n,), (n + 1,) and (P,) arrays of int
        The pattern: which block, where its pairs start, and the component of each.
    x : (n_blocks, D, B) array
        Coordinates relative to the centre of the block, in units.
    noise : (n_blocks, D, B) array, or (0, D, B)
        Variances of the noise of each point, where points have some.
    weight : (n_blocks, B) array
    log_intensities : (n_blocks, B) array, or (0, B)
        The log of how many times denser the background is at each point than on average, minus
        infinity where it does not reach; none where it is even.
    centres : (n_blocks, D) array
    table : (K, 1 + D + D (D + 1) / 2) array
        Offset, mean in data units, and triangle of each component; see the module.
    log_background : float
        Log density of the background, minus infinity where there is none.
    moments, removal : (P, ...) and (P,) arrays
        For MOMENTS: the sums of each pair; `removal` may be empty, and is then not computed.
    log_likelihoods, background_counts : (n,) arrays
        For MOMENTS: of each row.
    log_densities, best, probabilities : (n, B) arrays
        For LOG_DENSITY the first; for ASSIGNMENT all: the pair of the most probable component,
        -1 for the background, and its responsibility.
    """
    d, size = x.shape[1], x.shape[2]
    dtype = x.dtype
    zero, one, nothing = dtype.type(0.0), dtype.type(1.0), dtype.type(-np.inf)
    lowest, least = dtype.type(-1e30), dtype.type(least_log_share)
    certain = dtype.type(1.0 - 1e-7)
    background, noisy = dtype.type(log_background), len(noise) > 0
    most = 1
    for n in range(first, last):
        most = max(most, starts[n + 1] - starts[n])
    shares = np.empty((most, size), dtype)
    parameters = np.empty((most, table.shape[1]), dtype)
    behind, peak, total = np.empty(size, dtype), np.empty(size, dtype), np.empty(size, dtype)
    log_p, scale = np.empty(size, dtype), np.empty(size, dtype)
    for n in range(first, last):
        b, s, e = blocks[n], starts[n], starts[n + 1]
        for i in range(size):
            behind[i] = background
        if len(log_intensities):
            for i in range(size):
                behind[i] += log_intensities[b, i]
        for i in range(size):
            peak[i] = max(behind[i], lowest)
        for p in range(s, e):
            j, slot = components[p], p - s
            for column in range(table.shape[1]):
                parameters[slot, column] = table[j, column]
            for axis in range(d):
                parameters[slot, 1 + axis] = (table[j, 1 + axis] - centres[b, axis]) / unit
            # Not one function of these: to pass on so many arrays takes longer than a block.
            if noisy:
                if d == 2:
                    _log_joint_noisy_2(x, noise, b, parameters, shares, slot)
                elif d == 3:
                    _log_joint_noisy_3(x, noise, b, parameters, shares, slot)
                else:
                    _log_joint_noisy_any(x, noise, b, parameters, shares, slot)
            elif d == 2:
                _log_joint_2(x, b, parameters, shares, slot)
            elif d == 3:
                _log_joint_3(x, b, parameters, shares, slot)
            else:
                _log_joint_any(x, b, parameters, shares, slot)
            for i in range(size):
                peak[i] = max(peak[i], shares[slot, i])
        for i in range(size):
            of_background = exp(max(behind[i] - peak[i], least))
            behind[i] = of_background if behind[i] > nothing else zero
            total[i] = behind[i]
        for p in range(s, e):
            slot = p - s
            for i in range(size):
                value = exp(max(shares[slot, i] - peak[i], least))
                shares[slot, i] = value
                total[i] += value
        for i in range(size):
            value = peak[i] + log(total[i])
            log_p[i] = value if total[i] > zero else nothing
            scale[i] = one / total[i] if total[i] > zero else zero
        if question == LOG_DENSITY:
            for i in range(size):
                log_densities[n, i] = log_p[i]
        elif question == ASSIGNMENT:
            for i in range(size):
                log_densities[n, i] = log_p[i]
            for i in range(size):
                best[n, i] = -1
                probabilities[n, i] = behind[i] * scale[i]
            for p in range(s, e):
                for i in range(size):
                    value = shares[p - s, i] * scale[i]
                    if value > probabilities[n, i]:
                        best[n, i], probabilities[n, i] = p, value
        else:
            likelihood, count = 0.0, 0.0
            for i in range(size):
                if weight[b, i] > zero:  # of a point that weighs nothing it is no matter
                    likelihood += weight[b, i] * log_p[i]
                count += weight[b, i] * behind[i] * scale[i]
            log_likelihoods[n], background_counts[n] = likelihood, count
            if len(removal):
                for p in range(s, e):
                    lost = 0.0
                    for i in range(size):
                        r = min(shares[p - s, i] * scale[i], certain)
                        lost += weight[b, i] * log(one - r)
                    removal[p] = lost
            for i in range(size):
                scale[i] *= weight[b, i]
            for p in range(s, e):
                slot = p - s
                for i in range(size):
                    shares[slot, i] *= scale[i]
                if noisy:
                    if d == 2:
                        _moments_noisy_2(x, noise, b, parameters, shares, slot, moments, p)
                    elif d == 3:
                        _moments_noisy_3(x, noise, b, parameters, shares, slot, moments, p)
                    else:
                        _moments_noisy_any(x, noise, b, parameters, shares, slot, moments, p)
                elif d == 2:
                    _moments_2(x, b, parameters, shares, slot, moments, p)
                elif d == 3:
                    _moments_3(x, b, parameters, shares, slot, moments, p)
                else:
                    _moments_any(x, b, parameters, shares, slot, moments, p)


@compiled
def add_up(components, values, totals):
    """Add the values of pairs (P, F) to those of their components (K, F), in this order."""
    for p in range(len(components)):
        j = components[p]
        for column in range(values.shape[1]):
            totals[j, column] += values[p, column]
