"""The statistics of docs/method/statistics.md, for recompute.py: exact where they can be, by
integers and fractions. Standard library only.
"""

import math
import statistics
from fractions import Fraction

NAN, INF = math.nan, math.inf

def quantile(x, p):
    """Type 7 of Hyndman and Fan."""
    x = sorted(x)
    if not x:
        return NAN
    at = Fraction(p) * (len(x) - 1)
    low = math.floor(at)
    if at == low or x[low] == x[low + 1]:
        return x[low]
    return x[low] + float(at - low) * (x[low + 1] - x[low])


def median(x):
    return quantile(x, Fraction(1, 2))


def supported(x, p):
    """The quantile, if 4.41 values or more are expected on its shorter side."""
    return quantile(x, p) if len(x) * min(p, 1 - p) >= Fraction(441, 100) else NAN


def arithmetic(x):
    return math.fsum(x) / len(x) if x else NAN


def harmonic(x):
    if not x:
        return NAN
    return 0.0 if 0 in x else len(x) / math.fsum(1 / v for v in x)


def ratio(a, b):
    return a / b if b else NAN


def durations(ns):
    ms = [v / 1e6 for v in ns]
    return {
        "count": len(ms), "harmonic": harmonic(ms), "arithmetic": arithmetic(ms), "max": max(ms, default=NAN),
        "p50": supported(ms, Fraction(50, 100)), "p95": supported(ms, Fraction(95, 100)), "p99": supported(ms, Fraction(99, 100)),
    }


def series(x):
    return {"p50": median(x), "p90": quantile(x, Fraction(9, 10)), "max": max(x, default=NAN), "mean": arithmetic(x), "paper_p90": normal_p90(x)}


def normal_p90(x):
    """The 90 % quantile of a normal distribution with the mean and deviation of x."""
    return arithmetic(x) + statistics.pstdev(x) * statistics.NormalDist().inv_cdf(0.9) if x else NAN


def within(v, usual):
    return abs(v - usual) <= usual / 10


def over_trials(values, trials):
    """The median, and its interval by order statistics from six trials on."""
    x = sorted(v for v in values if not math.isnan(v))
    if trials < 6:
        return [median(x), NAN, NAN]
    cut = rejected([math.comb(len(x), i) for i in range(len(x) + 1)])
    return [median(x), x[cut - 1], x[-cut]] if cut else [median(x), NAN, NAN]


def rejected(counts):
    """How many outcomes from the lowest on have at most 2.5 % together."""
    cut, total = 0, sum(counts)
    while Fraction(sum(counts[: cut + 1]), total) <= Fraction(25, 1000):
        cut += 1
    return cut


def sums(weights):
    """How many of all choices of signs give each sum of the positive ones."""
    counts = [1]
    for w in weights:
        counts = [(counts[s] if s < len(counts) else 0) + (counts[s - w] if s >= w else 0) for s in range(len(counts) + w)]
    return counts


def signed_rank_p(logs):
    x = sorted((v for v in logs if v), key=abs)
    same = [[math.isclose(abs(a), abs(b), rel_tol=1e-12) for b in x] for a in x]
    doubled = [2 * row.index(True) + 1 + sum(row) for row in same]  # twice the mean rank
    counts, positive = sums(doubled), sum(r for r, v in zip(doubled, x) if v > 0)
    return min(1.0, float(Fraction(2 * min(sum(counts[: positive + 1]), sum(counts[positive:])), sum(counts))))


def log_ratio(a, b):
    if math.isnan(a) or math.isnan(b) or a == b == INF or min(a, b) < 0:
        return NAN
    if a == b:
        return 0.0
    return -INF if a == 0 or b == INF else INF if b == 0 or a == INF else math.log(a / b)


def middle(a, b):
    return 0.0 if math.isclose(a, -b, rel_tol=1e-12) and math.isfinite(a) else a / 2 + b / 2


def percent(log):
    return (math.exp(log) - 1) * 100


def holm(tests):
    """A test without a p-value counts as one."""
    least, left = 0.0, [t for t in tests if not math.isnan(t["p"])]
    for t in tests:
        t["p_holm"] = NAN
    for rank, t in enumerate(sorted(left, key=lambda t: t["p"])):
        least = t["p_holm"] = max(least, min(1.0, (len(tests) - rank) * t["p"]))
