"""The ellipsoid that holds a share of a Gaussian.

>>> round(coverage_to_radius(95.0, n_dimensions=2), 2)  # in standard deviations
2.45
"""

import numpy as np


def coverage_to_radius(coverage_percent: float, n_dimensions: int) -> float:
    """Radius, in standard deviations, of the ellipsoid that holds a share of a Gaussian.

    The square root of the chi-squared quantile with `n_dimensions` degrees of freedom.
    """
    if not 0 < coverage_percent < 100:
        raise ValueError(
            f"The coverage must lie between 0 and 100 percent, not {coverage_percent}."
        )
    # Not at the top: most of the time in which the widget opens would go into this import.
    # scipy.stats has the quantile by name, but takes a second.
    from scipy.special import gammaincinv

    return float(np.sqrt(2.0 * gammaincinv(0.5 * n_dimensions, coverage_percent / 100.0)))
