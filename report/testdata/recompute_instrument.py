"""What the paper's published code would have read of a trial, for recompute.py, after
docs/method.md, "The paper's instrument". Standard library only.
"""

import statistics
from bisect import bisect_right
from fractions import Fraction

from recompute_stats import INF, NAN, arithmetic, harmonic, median, within


def instrument(t):
    seen = [c for c in t.server.get("connection", []) if c.get("handshake_ns") and c["end"] != "queue-full"]
    kernel = t.variant.startswith("xdp")
    starts = sorted(c["start_ns"] + c["handshake_ns"] for c in seen)

    def since_latest(ends):
        return [end - starts[i - 1] for end in ends if (i := bisect_right(starts, end))]

    us = [(ns + 500) // 1000 for ns in since_latest(c["start_ns"] + c["end_ns"] for c in seen if c["end"] != "stopped")]
    closes = [r["at_ns"] + r["wall_ns"] for r in t.server.get("refusal", []) if r["stage"] == "accepted"]
    block_us = [ns / 1e3 for ns in since_latest(closes)]
    if kernel:
        block_us = [t.one("gateway")["drop_ns"] // 1000] if t.one("gateway") else []
    bins, attack = instrument_bins(t, seen, kernel)
    kept = [i for i, n in enumerate(bins) if n]
    before = [i for i in kept if attack is not None and i < attack]
    recovery_bin = NAN
    if before:
        usual = median([bins[i] for i in before])
        recovery_bin = next((n for n in range(len(before) + 1, len(kept)) if within(Fraction(bins[kept[n]]), Fraction(usual))), INF)
    curve = normal_curve(seconds_percent(t))
    return {
        "requests_per_second": harmonic([bins[i] for i in kept]), "bins": len(kept), "deleted_bins": len(bins) - len(kept),
        "duration_ms": harmonic([v / 1e3 for v in us if v]), "durations": sum(v > 0 for v in us), "zero_durations": us.count(0),
        "block_time_us": harmonic([v for v in block_us if v]), "cpu_percent": curve, "memory_percent": curve,
        "attack_bin": NAN if attack is None else len(before), "recovery_bin": recovery_bin,
        "total_s": max(t.client_ends, default=0) / 1e9 or NAN,
    }


def instrument_bins(t, seen, kernel):
    """Whole requests per second in 5 s from the server's start, and the bin in
    which the attack begins."""
    start, bins = (t.one("ready") or {"at_ns": 0})["at_ns"], {}

    def number(ns):
        return max(0, ns - start) // (5 * 10**9)

    for c in seen:
        if kernel or c["end"] != "refused":
            i = number(c["start_ns"] + c["handshake_ns"])
            bins[i] = bins.get(i, 0) + 1
    return [bins.get(i, 0) // 5 for i in range(max(bins, default=-1) + 1)], number(t.first) if t.attack else None


def seconds_percent(t):
    """% of one CPU, from the first sample of each second to that of the next."""
    last = max((q["start_ns"] + q["end_ns"] for q in t.attack + t.sequential.get("request", [])), default=0)
    firsts = {}
    for s in t.samples:
        if 0 <= s["at_ns"] <= last:
            firsts.setdefault(s["at_ns"] // 10**9, s)
    x = list(firsts.values())
    return [100 * (b["cpu_ns"] - a["cpu_ns"]) / (b["at_ns"] - a["at_ns"]) for a, b in zip(x, x[1:])]


def normal_curve(x):
    """Read from a normal distribution with the mean and the sample's deviation of x."""
    mean, deviation = arithmetic(x), statistics.stdev(x) if len(x) > 1 else 0
    if not deviation:
        return {"mean": mean, **dict.fromkeys(["deviation", "p90", "share_below_40", "share_at_least_90"], NAN)}

    def below(at):
        return round(statistics.NormalDist(mean, deviation).cdf(at), 6)

    return {
        "mean": mean, "deviation": deviation, "p90": mean + deviation * statistics.NormalDist().inv_cdf(0.9),
        "share_below_40": below(40), "share_at_least_90": round(1 - below(90), 6),
    }
