#!/usr/bin/env python3
"""Reference numbers for the tests of train/ and drift/, computed with scipy and scikit-learn.

  python3 -m venv v && v/bin/pip install numpy scipy scikit-learn && v/bin/python golden.py

Prints what logistic_regression_test.cc, threshold_test.cc and drift/statistics_test.cc hold. The
inputs come from a linear congruential generator that the tests repeat bit by bit.
"""

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression


class Lcg:
    """Knuth's MMIX generator; uniform() takes the upper 53 bits."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53


def logistic(n, columns, l2, balanced):
    g = Lcg(1)
    x = np.array([[2 * g.uniform() - 1 for _ in range(columns)] for _ in range(n)])
    true = np.array([2.0, -1.0, 0.5, 0.0][:columns])
    y = np.array([1 if g.uniform() < 1 / (1 + np.exp(-(row @ true - 0.7))) else 0 for row in x])
    # sklearn minimises sum(loss) + |w|^2 / (2 C).
    fit = LogisticRegression(
        C=1 / (l2 * n), class_weight="balanced" if balanced else None, tol=1e-12, max_iter=10000,
        solver="newton-cholesky").fit(x, y)
    print(f"logistic n={n} columns={columns} l2={l2} balanced={balanced} positives={y.sum()}")
    print("  weights", [f"{v:.12f}" for v in fit.coef_[0]], f"intercept {fit.intercept_[0]:.12f}")


def two_samples(n, m, shift, scale):
    g = Lcg(7)
    a = np.array([g.uniform() for _ in range(n)])
    b = np.array([shift + scale * g.uniform() for _ in range(m)])
    ks = stats.ks_2samp(a, b, method="asymp")
    en = n * m / (n + m)
    # Numerical Recipes' form of the asymptotic p-value.
    lam = (np.sqrt(en) + 0.12 + 0.11 / np.sqrt(en)) * ks.statistic
    print(f"ks n={n} m={m} shift={shift} scale={scale} D={ks.statistic:.12f} "
          f"p={stats.kstwobign.sf(lam):.12e}")
    bins, alpha = 8, 0.5
    edges = np.quantile(a, np.linspace(0, 1, bins + 1)[1:-1])
    r = np.bincount(np.searchsorted(edges, a, side="right"), minlength=bins)
    l = np.bincount(np.searchsorted(edges, b, side="right"), minlength=bins)
    r = (r + alpha) / (r.sum() + alpha * bins)
    l = (l + alpha) / (l.sum() + alpha * bins)
    print(f"  psi {((l - r) * np.log(l / r)).sum():.12f}")


if __name__ == "__main__":
    logistic(60, 3, 0.02, True)
    logistic(200, 4, 0.001, False)
    two_samples(40, 25, 0.0, 1.0)
    two_samples(40, 25, 0.3, 1.0)
    two_samples(100, 64, 0.1, 0.5)
    print("quantiles", np.quantile([4, 1, 3, 2, 10], [0, 0.05, 0.5, 0.99, 1]))
