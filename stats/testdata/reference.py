#!/usr/bin/python3
"""Reference values for the tests of package stats: writes reference.json.

Needs SciPy 1.10 or later and NumPy. Where SciPy has no exact method (rank tests
with ties or zeros, Holm), the value is worked out from its definition with
integers and fractions, by going through all possibilities.
"""

import itertools
import json
import math
import pathlib
from fractions import Fraction

import numpy as np
import scipy
from scipy import optimize, stats

NORMAL = [0.182, -0.371, 1.244, 0.655, -0.912, 0.031, 0.478, 1.702, -0.155, 0.893, -1.337, 0.266, 0.719, -0.048, 2.411]
DURATIONS = [9.131, 11.02, 8.874, 9.443, 9.0, 10.357, 9.918, 35.6, 8.993, 9.277]


def doubled_ranks(values):
    """Twice the mid-rank of each value."""
    ordered = sorted(values)
    return [2 * ordered.index(v) + ordered.count(v) + 1 for v in values]


def two_sided(sums, observed):
    below = sum(s <= observed for s in sums)
    above = sum(s >= observed for s in sums)
    return float(min(Fraction(1), 2 * Fraction(min(below, above), len(sums))))


def signed_rank_by_enumeration(d):
    d = [v for v in d if v != 0]
    ranks = doubled_ranks([abs(v) for v in d])
    observed = sum(r for r, v in zip(ranks, d) if v > 0)
    sums = [sum(c) for c in itertools.product(*[(0, r) for r in ranks])]
    return two_sided(sums, observed)


def rank_sum_by_enumeration(x, y):
    ranks = doubled_ranks(x + y)
    sums = [sum(c) for c in itertools.combinations(ranks, len(x))]
    return two_sided(sums, sum(ranks[: len(x)]))


def means():
    for x in ([abs(v) for v in NORMAL], DURATIONS, [40, 60, 120], [1e-6, 1e6, 3.0]):
        yield {"x": x, "arithmetic": float(np.mean(x)), "harmonic": float(stats.hmean(x)), "median": float(np.median(x))}


def quantiles():
    for x in (NORMAL, DURATIONS):
        for p in (0, 0.025, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.95, 0.99, 1):
            yield {"x": x, "p": p, "want": float(np.quantile(x, p, method="linear"))}


def orders():
    """Equal-tailed orders by the binomial distribution, by trying each."""
    for p in (0.5, 0.25, 0.95, 0.99):
        for n in (1, 5, 6, 7, 10, 17, 30, 100, 367, 368, 441, 1000):
            for confidence in (0.95, 0.99):
                tail = (1 - confidence) / 2 + 1e-12
                low = max((k for k in range(1, n + 1) if stats.binom.cdf(k - 1, n, p) <= tail), default=0)
                high = min((k for k in range(1, n + 1) if stats.binom.sf(k - 1, n, p) <= tail), default=0)
                if low == 0 or high == 0:
                    low = high = coverage = 0
                else:
                    coverage = float(stats.binom.cdf(high - 1, n, p) - stats.binom.cdf(low - 1, n, p))
                yield {"n": n, "p": p, "confidence": confidence, "low": low, "high": high, "coverage": coverage}


def signed_ranks():
    for n in (1, 2, 5, 6, 7, 10, 15):
        d = NORMAL[:n]
        yield {"d": d, "p": float(stats.wilcoxon(d, method="exact").pvalue)}
    yield {"d": DURATIONS, "p": float(stats.wilcoxon(DURATIONS, method="exact").pvalue)}
    for d in ([1, -1, 2, 2, 3, -3], [0, 0, 0, 1, 2, 3, 4, 5, 6], [5, 5, 5, 5, -5, 5, 5], [-1, 2, -2, 0, 3, 3, 3, 4, -6, 7, 7, 9]):
        yield {"d": d, "p": signed_rank_by_enumeration(d)}


def rank_sums():
    for x, y in ((NORMAL[:5], NORMAL[5:]), (NORMAL[:10], DURATIONS), (NORMAL[:3], NORMAL[3:5]), ([1.0], [2.0])):
        yield {"x": x, "y": y, "p": float(stats.mannwhitneyu(x, y, method="exact").pvalue)}
    for x, y in (([5, 5, 6], [1, 1, 1, 1, 5, 5, 2]), ([1, 2, 2, 3], [2, 3, 5, 5, 6, 7]), ([1, 1, 1, 2], [1, 2, 2, 3, 3, 3, 3]), ([1, 1], [1, 1, 1])):
        yield {"x": x, "y": y, "p": rank_sum_by_enumeration(x, y)}


def pseudo_medians():
    """The interval as the shifts that the exact test does not reject."""
    for x in (NORMAL[:5], NORMAL[:6], NORMAL[:7], NORMAL[:10], NORMAL[:12], DURATIONS, [1, 1, 2, 2, 2, 3, 5, 8]):
        walsh = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(x, 2))
        n = len(x)
        sums = [sum(c) for c in itertools.product(*[(0, r) for r in range(1, n + 1)])]
        cut, tail = 0, Fraction(0)
        while tail + Fraction(sums.count(cut), 2**n) <= Fraction(1, 40):
            tail += Fraction(sums.count(cut), 2**n)
            cut += 1
        case = {"x": x, "estimate": float(np.median(walsh)), "exists": cut > 0, "low": 0, "high": 0, "coverage": 0}
        if cut:
            case |= {"low": walsh[cut - 1], "high": walsh[-cut], "coverage": float(1 - 2 * tail)}
        yield case


def rank_sum_cut(m, n):
    """How many differences, from either end, are outside of the 95 % interval, and the tail."""
    sums = [sum(c) for c in itertools.combinations(range(1, m + n + 1), m)]
    cut, tail = 0, Fraction(0)
    while tail + Fraction(sums.count(m * (m + 1) // 2 + cut), len(sums)) <= Fraction(1, 40):
        tail += Fraction(sums.count(m * (m + 1) // 2 + cut), len(sums))
        cut += 1
    return cut, tail


def shifts():
    """The interval as the shifts that the exact test without ties does not reject.

    Where nothing ties, SciPy's exact test must agree: it rejects a shift just
    outside of either end at 5 %, and does not reject one just inside.
    """
    samples = ((NORMAL[:4], NORMAL[4:8]), (NORMAL[:3], NORMAL[3:7]), (NORMAL[:5], NORMAL[5:8]), (NORMAL[:2], NORMAL[2:10]), (NORMAL[:6], DURATIONS[:6]),
               (NORMAL[:10], NORMAL[10:]), (DURATIONS, [2 * v for v in NORMAL[:9]]), ([1, 1, 2, 3, 3], [1, 2, 2, 5, 8, 8]), ([3, 3, 3, 3], [3, 3, 3, 3]))
    for x, y in samples:
        differences = sorted(a - b for a in x for b in y)
        cut, tail = rank_sum_cut(len(x), len(y))
        case = {"x": x, "y": y, "estimate": float(np.median(differences)), "exists": cut > 0, "low": 0, "high": 0, "coverage": 0}
        if cut:
            low, high = differences[cut - 1], differences[-cut]
            case |= {"low": low, "high": high, "coverage": float(1 - 2 * tail)}
            if len(set(differences)) == len(differences):
                p = [stats.mannwhitneyu([v - s for v in x], y, method="exact").pvalue for s in (low - 1e-7, low + 1e-7, high - 1e-7, high + 1e-7)]
                assert p[0] <= 0.05 < p[1] and p[3] <= 0.05 < p[2], p
        yield case


def least_rank_sums():
    for m, n in ((1, 1), (1, 39), (3, 3), (4, 4), (3, 8), (6, 7), (10, 10), (40, 30)):
        yield {"m": m, "n": n, "p": min(1.0, 2 / math.comb(m + n, m))}


def holm_by_closed_testing(p):
    """Each p against every set of hypotheses that it is in, by Bonferroni."""
    everything = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(everything, size)]
    return [min(1.0, max(len(s) * min(p[j] for j in s) for s in sets if i in s)) for i in everything]


def holms():
    for p in ([0.01, 0.02, 0.03, 0.04], [0.00195, 0.00195, 0.5, 0.04, 0.3, 0.01, 0.02], [0.9], [0.6, 0.7, 0.2]):
        yield {"p": p, "want": holm_by_closed_testing(p)}


def scores():
    for x in (DURATIONS, NORMAL):
        mad = stats.median_abs_deviation(x, scale="normal")
        yield {"x": x, "want": [float(v) for v in (np.array(x) - np.median(x)) / mad]}


def main():
    made = (means, quantiles, orders, signed_ranks, rank_sums, pseudo_medians, shifts, least_rank_sums, holms, scores)
    reference = {f.__name__: list(f()) for f in made}
    reference["made_with"] = f"SciPy {scipy.__version__}, NumPy {np.__version__}"
    lines = [f'  {json.dumps(k)}: ' + (json.dumps(v) if isinstance(v, str) else "[\n    " + ",\n    ".join(json.dumps(c) for c in v) + "\n  ]")
             for k, v in sorted(reference.items())]
    pathlib.Path(__file__).with_name("reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
