#!/usr/bin/env python3
"""Recomputes the figures of a run from its raw records: a second implementation,
written after docs/method/ and record/record.go, that shares nothing with the
Go code. Standard library only.

    python3 recompute.py RUN > recomputed.json

"variants" has each figure as [median, low, high] under its keys in summary.json,
joined by dots. "claims" and "pairs" have the changes, "csv" the rows of
figure-*.csv. Values have all digits; null is unknown or without bound.
"""

import json
import math
import pathlib
import sys
from fractions import Fraction
from itertools import combinations_with_replacement

from recompute_cost import cost
from recompute_instrument import instrument
from recompute_stats import (
    INF, NAN, arithmetic, durations, harmonic, holm, log_ratio, median, middle, over_trials, percent, quantile, ratio, rejected, series,
    signed_rank_p, sums, supported, within,
)

# One trial.


class Trial:
    """The records of a trial, and the windows that its figures are of."""

    def __init__(self, folder, trial, experiment):
        self.name, self.block, self.variant, self.experiment = folder.name, trial["block"], trial["variant"], experiment
        by_role = {"server": {}, "sequential": {}, "parallel": {}, "background": {}, "neighbour": {}}
        self.client_ends = []  # of each sequential client its last request's end
        for node in trial["nodes"]:
            kinds, ends = by_role[node["role"]], []
            with open(folder / node["records"], encoding="utf-8") as lines:
                for line in lines:
                    for kind, record in json.loads(line).items():
                        kinds.setdefault(kind, []).append(record)
                        if node["role"] == "sequential" and kind == "request":
                            ends.append(record["start_ns"] + record["end_ns"])
            if node["role"] == "sequential":
                self.client_ends.append(max(ends, default=0))
        self.server, self.sequential, self.parallel = by_role["server"], by_role["sequential"], by_role["parallel"]
        self.samples = self.server.get("sample", [])
        self.probe = self.one("probe")
        self.ok = [q for q in self.sequential.get("request", []) if q["outcome"] == "ok"]
        self.attack = self.parallel.get("request", [])
        self.neighbours = by_role["neighbour"].get("request", [])
        starts = [q["start_ns"] for q in self.attack]
        self.first, self.last = min(starts, default=None), max(starts, default=None)
        load = experiment["sequential"]
        if not load["clients"]:  # an attack alone ends with its last answer
            self.end = max((q["start_ns"] + (q["end_ns"] if q["outcome"] != "timeout" else 0) for q in self.attack), default=0)
        elif load["rate_per_second"] > 0:
            self.end = load["delay_ns"] + int(load["requests"] / load["rate_per_second"] * 1e9)
        else:
            self.end = max((q["start_ns"] + q["end_ns"] for q in self.ok), default=0)
        self.cpus = len(self.probe["cpus"]) if self.probe and self.probe["cpus"] else max(1, len(experiment["server_cpus"]))

    def one(self, kind):
        return self.server.get(kind, [None])[-1]

    def bins(self, seconds):
        """Completed requests per second, exactly."""
        width = seconds * 10**9
        counts = [0] * (self.end // width)
        for q in self.ok:
            done = q["start_ns"] + q["end_ns"]
            if 0 <= done and done // width < len(counts):
                counts[done // width] += 1
        return [Fraction(n, seconds) for n in counts]

    def usual(self, seconds):
        bins = self.bins(seconds)
        if self.attack:
            bins = bins[: max(0, self.first // (seconds * 10**9))]
        return median(bins)

    def spans(self):
        """Before, during and after the attack; without one, all is before."""
        if not self.attack:
            return {"before": (0, self.end), "during": None, "after": None}
        return {"before": (0, self.first), "during": (self.first, self.last), "after": (self.last, self.end)}

    def gain(self, span, counter):
        """What a counter gains between the first and the last sample of a span,
        and the time between the two."""
        inside = [s for s in self.samples if span and span[0] <= s["at_ns"] <= span[1]]
        if len(inside) < 2:
            return NAN, NAN
        return counter(inside[-1]) - counter(inside[0]), inside[-1]["at_ns"] - inside[0]["at_ns"]

    def per_second(self, counter, scale=1.0):
        gains = {part: self.gain(span, counter) for part, span in self.spans().items()}
        return {part: scale * ratio(gained, ns / 1e9) for part, (gained, ns) in gains.items()}

    def window(self):
        return [s for s in self.samples if 0 <= s["at_ns"] <= self.end]

    def percent(self, counter):
        w = self.window()
        return [100 * (counter(b) - counter(a)) / ((b["at_ns"] - a["at_ns"]) * self.cpus) for a, b in zip(w, w[1:]) if b["at_ns"] > a["at_ns"]]


def cpu_ns(s):
    return s["cpu_ns"]


def busy_ns(s):
    return s["busy_ns"] + s["softirq_ns"]


def throughput(t):
    fine, paper, load = t.bins(1), t.bins(5), t.experiment["sequential"]
    figures = {
        "harmonic": harmonic(fine), "arithmetic": arithmetic(fine), "min": min(fine, default=NAN), "zero_bins": fine.count(0),
        "paper": harmonic([v for v in paper if v]), "paper_zero_bins": paper.count(0), "median_before": t.usual(1),
        "scheduled": load["rate_per_second"] * load["clients"] or NAN,
        "completed_share": ratio(len(t.ok), load["clients"] * load["requests"]),
        "total_s": max((q["start_ns"] + q["end_ns"] for q in t.sequential.get("request", [])), default=NAN) / 1e9,
    }
    return figures if load["clients"] else dict.fromkeys(figures, NAN)


def recovery(t):
    usual = t.usual(1)
    if not t.attack or math.isnan(usual) or usual == 0 or t.first >= t.end:
        return dict.fromkeys(["onset_s", "recovered", "observed_s", "below_s", "paper_bin"], NAN)
    fine, start = t.bins(1), max(0, t.first)
    begin = start // 10**9
    steady = next((i for i in range(begin, len(fine) - 4) if all(within(v, usual) for v in fine[i : i + 5])), None)
    return {
        "onset_s": INF if steady is None else max(0, tenths((steady * 10**9 - start) / 1e9)),
        "recovered": int(steady is not None),
        "observed_s": tenths((t.end - start) / 1e9),
        "below_s": sum(v < usual * Fraction(9, 10) for v in fine[begin:]),
        "paper_bin": paper_bin(t, start),
    }


def tenths(s):
    return math.floor(10 * s + 0.5) / 10


def paper_bin(t, start):
    usual = t.usual(5)
    if math.isnan(usual) or usual == 0:
        return NAN
    bins = t.bins(5)
    return next((i for i in range(start // (5 * 10**9), len(bins)) if within(bins[i], usual)), INF)


def response_ns(q):
    return q["start_ns"] - q["scheduled_ns"] + q["end_ns"]


def duration(t):
    def part(q):
        if not t.attack or q["scheduled_ns"] < t.first:
            return "before"
        return "during" if q["scheduled_ns"] <= t.last else "after"

    phases = {"handshake": "handshake_ns", "first_byte": "first_byte_ns", "body": "body_ns"}
    return {
        **durations([response_ns(q) for q in t.ok]),
        "service": durations([q["end_ns"] for q in t.ok]),
        **{p: durations([response_ns(q) for q in t.ok if part(q) == p]) for p in ("before", "during", "after")},
        "phases": {name: durations([q[key] for q in t.ok if q.get(key)]) for name, key in phases.items()},
    }


def block_time(t):
    refusals, gateway, server = t.server.get("refusal", []), t.one("gateway"), t.one("server")
    cpu, wall = [r["cpu_ns"] / 1e3 for r in refusals if r["cpu_ns"]], [r["wall_ns"] / 1e3 for r in refusals]
    quiet, quiet_ns = t.gain(t.spans()["before"], busy_ns)
    busy, attack_ns = t.gain(t.spans()["during"], busy_ns)
    extra_ms = (busy - quiet * attack_ns / quiet_ns) / 1e6
    turned_away = sum(q["outcome"] != "ok" for q in t.attack) if server and t.variant != "no-block" else NAN
    most = turned_away if 2 * turned_away >= len(t.attack) else NAN  # else nothing is known of a client
    return {
        "refusals": len(refusals), "cpu_mean_us": arithmetic(cpu), "cpu_p50_us": supported(cpu, Fraction(1, 2)),
        "wall_mean_us": arithmetic(wall), "wall_p50_us": supported(wall, Fraction(1, 2)),
        "dropped_packets": gateway["dropped"] if gateway else NAN,
        "drop_ns": gateway["drop_ns"] if gateway else NAN, "empty_ns": gateway["empty_ns"] if gateway else NAN,
        "empty_cpu_ns": (server or {}).get("empty_cpu_ns", NAN), "empty_wall_ns": (server or {}).get("empty_wall_ns", NAN),
        "tick_us_per_turned_away": ratio(1e4 * t.cpus, most),
        "turned_away": turned_away, "extra_busy_ms": extra_ms,
        "extra_busy_us_per_turned_away": ratio(extra_ms * 1e3, most),
    }


def cpu(t):
    x = t.percent(cpu_ns)
    return {
        **series(x),
        "share_below_40": ratio(sum(v < 40 for v in x), len(x)), "share_at_least_90": ratio(sum(v >= 90 for v in x), len(x)),
        "mean_by_part": t.per_second(cpu_ns, 100 / (1e9 * t.cpus)),
    }


def syscalls(t):
    if not t.probe or not t.probe["syscall_counter"]:
        unknown = dict.fromkeys(["calls", "errors", "seconds", "calls_per_admitted", "calls_per_offered"], NAN)
        return {**unknown, "calls_per_second": dict.fromkeys(["before", "during", "after"], NAN)}
    calls = t.server.get("syscall", [])
    admitted = sum(bool(c.get("handshake_ns")) and c["end"] not in ("refused", "queue-full") for c in t.server.get("connection", []))
    offered = len(t.attack) + len(t.sequential.get("request", [])) + len(t.neighbours)

    def total(of):
        return {"calls": sum(c["calls"] for c in of), "errors": sum(c["errors"] for c in of), "seconds": sum(c["time_ns"] for c in of) / 1e9}

    return {
        **total(calls),
        "calls_per_admitted": ratio(total(calls)["calls"], admitted), "calls_per_offered": ratio(total(calls)["calls"], offered),
        "calls_per_second": t.per_second(lambda s: s.get("syscalls", 0)),
        "by_name": {name: total([c for c in calls if c["name"] == name]) for name in {c["name"] for c in calls}},
    }


def honest(t):
    """What the attack does to the sequential clients."""
    if not t.attack or not t.experiment["sequential"]["clients"]:
        return dict.fromkeys(["throughput_kept", "p99_ratio", "lost"], NAN)
    second, bins, times = 10**9, t.bins(1), duration(t)
    before = bins[: max(0, t.first // second)]
    during = [v for i, v in enumerate(bins) if t.first <= i * second + second // 2 <= t.last]
    return {
        "throughput_kept": ratio(arithmetic(during), arithmetic(before)),
        "p99_ratio": ratio(times["during"]["p99"], times["before"]["p99"]),
        "lost": sum(q["outcome"] != "ok" for q in t.sequential.get("request", [])),
    }


def neighbour(t):
    """What the attack does to honest clients at the attackers' addresses."""
    if not t.attack or not t.neighbours:
        return dict.fromkeys(["throughput_kept", "lost", "served_again_s", "observed_s"], NAN)
    ends = [q["start_ns"] + q["end_ns"] for q in t.neighbours if q["outcome"] == "ok"]
    before, during = sum(e < t.first for e in ends), sum(t.first <= e <= t.last for e in ends)
    last = max(q["start_ns"] + q["end_ns"] for q in t.neighbours)
    return {
        "throughput_kept": ratio(ratio(during, t.last - t.first), ratio(before, t.first)),
        "lost": len(t.neighbours) - len(ends),
        "served_again_s": min(((e - t.last) / 1e9 for e in ends if e > t.last), default=INF),
        "observed_s": max(0, last - t.last) / 1e9,
    }


def figures(t):
    block, resident = block_time(t), [s["rss_bytes"] for s in t.window()]
    limit = t.experiment["server_memory_bytes"]
    shares = [100 * b / limit for b in resident] if limit else []
    return flat({
        "throughput_rps": throughput(t), "recovery": recovery(t), "duration_ms": duration(t), "block_time": block,
        "block_time_us": block["cpu_mean_us"] if math.isnan(block["drop_ns"]) else block["drop_ns"] / 1e3,
        "cpu_percent": cpu(t), "busy_percent": series(t.percent(busy_ns)), "syscalls": syscalls(t),
        "memory_percent": {**series(shares), "share_at_most_30": ratio(sum(v <= 30 for v in shares), len(shares))},
        "memory_bytes": {**series(resident), "peak": t.probe["peak_rss_bytes"] if t.probe else NAN},
        "instrument": instrument(t), "honest": honest(t), "neighbour": neighbour(t),
    })


def flat(tree, prefix=""):
    """The leaves of nested dictionaries, their keys joined by dots."""
    leaves = {}
    for key, value in tree.items():
        leaves.update(flat(value, prefix + key + ".") if isinstance(value, dict) else {prefix + key: float(value)})
    return leaves


# Over the blocks of two variants.


def paired(with_, without, value, zero_is_no_size=False):
    """The change in % from one variant to the other, typical over the blocks."""
    a, b = ({t.block: value(f) for t, f in v} for v in (with_, without))
    both = [k for k in sorted(a.keys() & b.keys()) if not (zero_is_no_size and a[k] == b[k] == 0)]
    if negative := any(min(a[k], b[k]) < 0 for k in both):
        both = []
    logs = [v for v in (log_ratio(a[k], b[k]) for k in both) if not math.isnan(v)]
    result = {"blocks": len(logs), "censored": "" if negative else censored(with_, without, value), "negative": negative, "measured": NAN, "low": NAN, "high": NAN, "coverage": NAN, "p": NAN}
    means = sorted(middle(x, y) for x, y in combinations_with_replacement(logs, 2))
    if not means or any(map(math.isnan, means)):
        return result
    result["measured"] = percent(middle(means[(len(means) - 1) // 2], means[len(means) // 2]))
    counts = sums(range(1, len(logs) + 1))
    if cut := rejected(counts):
        result.update(low=percent(means[cut - 1]), high=percent(means[-cut]), p=signed_rank_p(logs))
        result["coverage"] = 1 - 2 * sum(counts[:cut]) / sum(counts)
    return result


def censored(with_, without, value):
    """What trials with a lower bound make of a change: "<" is at most, ">" at least."""
    some = [value is recovery_s and any(f["recovery.onset_s"] == INF for _, f in v) for v in (with_, without)]
    return {(False, False): "", (True, False): ">", (False, True): "<", (True, True): "?"}[tuple(some)]


def recovery_s(f):
    return f["recovery.observed_s"] if f["recovery.onset_s"] == INF else f["recovery.onset_s"]


# The figure of each metric by which every two variants are compared.
HEADLINE = {
    "throughput": lambda f: f["throughput_rps.harmonic"],
    "recovery": recovery_s,
    "block-time": lambda f: f["block_time_us"],
    "duration": lambda f: f["duration_ms.harmonic"],
    "syscalls": lambda f: f["syscalls.calls"],
    "cpu": lambda f: f["cpu_percent.mean_by_part.during"],
    "memory": lambda f: f["memory_bytes.p90"] / 2**20,
}
# Of these a zero is the want of a size: two are not equal.
NO_SIZE = {HEADLINE["throughput"]}

USER, NONE, XDP = "userspace-block", "no-block", "xdp-block"
MIXED, PARALLEL = "mixed", "parallel"


def key(name, factor=1):
    return lambda f: f[name] * factor


def paper_throughput(f):
    return f["throughput_rps.paper"]


# Each claim of the paper: its experiment, figure, variants, the claimed size (in % of
# change, or as the figure of the first variant) or the sign of a direction alone, the
# tolerance, the premises, and the paper's own estimator.
CLAIMS = {
    "throughput": (MIXED, HEADLINE["throughput"], [XDP], [USER], 30.9, 5, ["lost", "served"], key("instrument.requests_per_second")),
    "recovery": (MIXED, recovery_s, [XDP], [USER], -22.7, 5, ["lost", "served", "recovers"], key("instrument.recovery_bin")),
    "total-time": (MIXED, key("throughput_rps.total_s"), [XDP], [USER], -INF, 0, ["schedule", "lost", "served"], key("throughput_rps.total_s")),
    "duration": (MIXED, HEADLINE["duration"], [XDP], [USER], -65, 5, ["slowed", "served"], key("instrument.duration_ms")),
    "no-block-shorter": (MIXED, HEADLINE["duration"], [NONE], [USER], -INF, 0, ["slowed", "served"], key("instrument.duration_ms")),
    "block-time": (PARALLEL, HEADLINE["block-time"], [XDP], [USER], -26.4, 5, [], key("instrument.block_time_us")),
    "syscalls": (PARALLEL, HEADLINE["syscalls"], [XDP], [USER, NONE], -89, 5, ["served"], None),
    "syscall-errors": (PARALLEL, key("syscalls.errors"), [XDP], [USER, NONE], -95.4, 5, ["served"], None),
    "syscall-time": (PARALLEL, key("syscalls.seconds"), [XDP], [USER, NONE], -89.3, 5, ["served"], None),
    "cpu": (PARALLEL, key("cpu_percent.share_below_40", 100), [XDP], [USER, NONE], 90, 5, ["served"], key("instrument.cpu_percent.share_below_40", 100)),
    "cpu-without": (PARALLEL, key("cpu_percent.share_at_least_90", 100), [USER, NONE], [XDP], 80, 5, ["served"], key("instrument.cpu_percent.share_at_least_90", 100)),
    "memory": (PARALLEL, HEADLINE["memory"], [XDP], [USER, NONE], -66.7, 10, ["served"], key("instrument.memory_percent.p90")),
}
OTHERWISE = {"throughput": paper_throughput}  # the figure to judge where a change has no size
SHARES = {"cpu": "cpu_percent.share_below_40", "cpu-without": "cpu_percent.share_at_least_90"}  # of the time, not changes


def typical(value, trials):
    return median([v for v in (value(f) for _, f in trials) if not math.isnan(v)])


def change(value, with_, without):
    """From one variant's figure to the other's, in %; unpaired."""
    a, b = (typical(value, v) for v in (with_, without))
    return NAN if a == b == 0 else 100 * (a / b - 1) if b else INF


def no_recovery(variants, medians, both):
    """Whether both recovered at once, or neither did in any trial."""
    at_once = all(medians[name]["recovery.onset_s"][0] == 0 for name in both)
    return at_once or all(f["recovery.onset_s"] == INF for name in both for _, f in variants[name])


def unmet(premise, variants, medians, both):
    """Whether a run does not meet a premise of a claim."""
    if premise == "lost":
        return all(m["recovery.below_s"][0] <= 1 for m in medians.values())
    if premise == "slowed":
        return all(typical(slowdown, trials) <= 1.1 for trials in variants.values())
    if premise == "served":
        return any(median([turned_away(t) for t, _ in variants[v]]) < 0.5 for v in both if v != NONE)
    if premise == "schedule":
        trial, _ = variants[both[0]][0]
        load = trial.experiment["sequential"]
        return load["rate_per_second"] > 0 or load.get("duration_ns", 0) > 0
    return no_recovery(variants, medians, both)


def turned_away(t):
    """The share of the attack's requests that were not served."""
    return ratio(sum(q["outcome"] != "ok" for q in t.attack), len(t.attack))


def slowdown(f):
    before, during = f["duration_ms.before.p50"], f["duration_ms.during.p50"]
    return INF if math.isnan(during) and not math.isnan(before) else during / before


def claimed(value, with_, without):
    result = paired(with_, without, value, value in NO_SIZE)
    if result["blocks"] < 2 and not result["negative"]:
        result["measured"] = change(value, with_, without)
    return result


def claims(variants, medians, experiment):
    kind, judged = MIXED if experiment["sequential"]["clients"] else PARALLEL, {}
    for name, (of, value, with_, against, size, tolerance, needs, paper) in CLAIMS.items():
        for w, a in ((w, a) for w in with_ for a in against if of == kind and w in variants and a in variants):
            label = name + (f" vs {a}" if len(against) > 1 else f" of {w}" if len(with_) > 1 else "")
            lacks = not experiment["parallel"]["clients"] or any(unmet(p, variants, medians, (w, a)) for p in needs)
            c = {"blocks": 0, "censored": "", **dict.fromkeys(["measured", "low", "high", "coverage", "p", "instrument"], NAN)}
            if "recovers" not in needs or not no_recovery(variants, medians, (w, a)):
                c.update(claimed(value, variants[w], variants[a]))
                if name in OTHERWISE and (not math.isfinite(c["measured"]) or any(value(f) == 0 for v in (w, a) for _, f in variants[v])):
                    c.update(claimed(OTHERWISE[name], variants[w], variants[a]))
                if paper:
                    shares = name in SHARES
                    c["instrument"] = typical(paper, variants[w]) if shares else claimed(paper, variants[w], variants[a])["measured"]
            share = [100 * v for v in medians[w][SHARES[name]]] if name in SHARES else None
            c["in_unit"] = share or [c["measured"], c["low"], c["high"]]
            judged[label] = {**c, "unmet": lacks, "size": size, "tolerance": tolerance}
    holm(judged.values())
    needed = enough(len(judged))
    for c in judged.values():
        c["verdict"] = verdict(c, needed)
    return judged


def enough(tests):
    """The blocks with which each of so many tests can be significant."""
    return next(n for n in range(6, 99) if max(1, tests) * Fraction(2, 2**n) <= Fraction(5, 100))


def verdict(c, needed):
    change, up = c["measured"], c["size"] > 0
    if c["unmet"] or math.isnan(c["in_unit"][0]):
        return "unsure"
    if c["blocks"] < needed:
        return "estimate only"
    if math.isnan(c["p"]) or c["low"] <= 0 <= c["high"] or not c["p_holm"] < 0.05:
        return "unsure"
    if c["censored"] == "?" or c["censored"] == ("<" if change > 0 else ">"):
        return "unsure"
    if (change > 0) != up:
        return "contradicted"
    if math.isinf(c["size"]):
        return "consistent"
    estimate, low, high = c["in_unit"]
    beyond = (estimate - c["size"]) * (1 if up else -1)
    if low <= c["size"] <= high or abs(beyond) <= c["tolerance"]:
        size = "consistent"
    else:
        size = "same direction, " + ("stronger" if beyond > 0 else "weaker")
    return "unsure" if c["censored"] and not size.endswith("stronger") else size


def pairs(variants):
    names, all_pairs = list(variants), []
    if max(map(len, variants.values())) < 2:
        return all_pairs
    for metric, value in HEADLINE.items():
        found = [
            {"metric": metric, "with": a, "without": b, **paired(variants[a], variants[b], value, value in NO_SIZE)}
            for i, a in enumerate(names) for b in names[:i]
        ]
        found = [p for p in found if p["blocks"]]
        holm(found)
        all_pairs += found
    return all_pairs


# The rows of the figures' CSV files. A spread or curve has its median; its
# interval where there is one; else each trial, or always where that is asked for.


def spread(trials, median_low_high, value, always=False):
    """The statistics of a value that are drawn, each with its name."""
    low, high = median_low_high[1:]
    yield "median", median_low_high[0]
    if math.isfinite(low) and math.isfinite(high):
        yield from (("interval_low", low), ("interval_high", high))
        if not always:
            return
    values = [value(f) for _, f in trials]
    if len(trials) > 1 and any(map(math.isfinite, values)):
        yield from ((t.name, v) for (t, _), v in zip(trials, values))


def curve(trials, rows):
    """The statistics of rows of values, one of each trial: name, place, value."""
    columns = [over_trials(column, len([v for v in column if not math.isnan(v)])) for column in zip(*rows)]
    yield from (("median", i, c[0]) for i, c in enumerate(columns))
    if any(not math.isnan(c[1]) for c in columns):
        for k, name in ((1, "interval_low"), (2, "interval_high")):
            yield from ((name, i, c[k]) for i, c in enumerate(columns))
    elif len(trials) > 1:
        for (t, _), row in zip(trials, rows):
            yield from ((t.name, i, v) for i, v in enumerate(row))


def binned(key, trials, rows, width):
    yield from ([*key, width, i * width, statistic, float(v)] for statistic, i, v in curve(trials, rows))


def figure_claims(judged):
    if all(math.isnan(c["in_unit"][0]) for c in judged.values()):
        return
    for label, c in judged.items():
        unit = "% of the time" if label.split()[0] in SHARES else "% change"
        yield [label, "paper", unit, "published", c["size"] if math.isfinite(c["size"]) else ""]
        yield [label, "paper's instrument", unit, "median", c["instrument"]]
        estimate, low, high = c["in_unit"]
        if unit == "% change" and c["censored"] == "?":  # nothing is known of it
            continue
        yield [label, "measured", unit, "median", estimate]
        if not math.isnan(c["p"]):
            yield from ([label, "measured", unit, end, v] for end, v in (("interval_low", low), ("interval_high", high)))


def figure_3(variants, medians):
    for name, m in medians.items():
        if variants[name][0][0].experiment["parallel"]["clients"]:
            yield [name, "", "", "median_before", m["throughput_rps.median_before"][0]]
    for name, trials in variants.items():
        if trials[0][0].experiment["parallel"]["clients"]:
            begins, ends = (median([of(t) / 1e9 for t, _ in trials]) for of in (lambda t: t.first, lambda t: t.last))
            at = {"attack_begins": begins, "attack_ends": ends, "recovered": begins + medians[name]["recovery.onset_s"][0]}
            yield from ([name, "", time if math.isfinite(time) else "", what, ""] for what, time in at.items())
    for width in (1, 5):
        for name, trials in variants.items():
            yield from binned([name], trials, [t.bins(width) for t, _ in trials], width)


def of(variants, medians, name, key, always=False):
    yield from spread(variants[name], medians[name][key], lambda f: f[key], always)


PUBLISHED_US = {"userspace-block": 8 / (1 - 0.264), "xdp-block": 8}


def figure_4(variants, medians):
    for name in variants:
        for label, key in (("harmonic mean", "harmonic"), ("arithmetic mean", "arithmetic")):
            for s in of(variants, medians, name, "throughput_rps." + key):
                yield [name, "throughput, " + label, "requests/s", *s]
    if {"userspace-block", "xdp-block"} <= variants.keys():
        without = medians["userspace-block"]["throughput_rps.harmonic"][0]
        if without > 0:
            yield ["xdp-block", "throughput, the paper's +30.9 % over userspace-block", "requests/s", "published", 1.309 * without]
    for name, m in medians.items():
        ways = [("user space, CPU time per refusal", "cpu_mean_us", 1), ("user space, wall time per refusal", "wall_mean_us", 1)]
        if not math.isnan(m["block_time.drop_ns"][0]):
            ways = [("kernel, per dropped packet", "drop_ns", 1000)]
        if not math.isnan(m["block_time_us"][0]):
            for label, key, divisor in ways:
                yield from ([name, label, "us", s, v / divisor] for s, v in of(variants, medians, name, "block_time." + key))
            if name in PUBLISHED_US:
                yield [name, "paper", "us", "published", PUBLISHED_US[name]]


def figure_5(variants, medians):
    values = {"harmonic mean": "harmonic", "median": "p50", "p95": "p95", "p99": "p99"}
    for kind, prefix in (("response", "duration_ms."), ("service", "duration_ms.service.")):
        for label, key in values.items():
            for name in variants:
                yield from ([name, kind, label, *s] for s in of(variants, medians, name, prefix + key))


def figure_6(variants, limit):
    """All steps; figure-6.csv leaves out some where there are over 4000."""
    shares = [Fraction(i, 100) for i in range(1, 100)]
    for resource, unit, samples in (
        ("CPU", "%", lambda t: t.percent(cpu_ns)),
        ("memory", "MiB", lambda t: [s["rss_bytes"] / 2**20 for s in t.window()]),
    ):
        for name, trials in variants.items():
            rows = [[quantile(samples(t), p) for p in shares] for t, _ in trials]
            yield from ([name, resource, unit, s, float(shares[i]), v] for s, i, v in curve(trials, rows) if s != "median")
        for name, trials in variants.items():
            x = sorted(v for t, _ in trials for v in samples(t))
            yield from ([name, resource, unit, "all trials", (i + 1) / len(x), v] for i, v in enumerate(x) if x[i + 1 : i + 2] != [v])
        stated = {"CPU": [("xdp-block", 0.9, 40), ("userspace-block", 0.2, 90)], "memory": []}
        if limit:
            stated["memory"] = [(name, 0.9, share * limit / 2**20) for name, share in (("xdp-block", 0.3), ("userspace-block", 0.9))]
        yield from ([name, resource, unit, "published", share, value] for name, share, value in stated[resource] if name in variants)


def figure_recovery(variants, medians):
    for name, m in medians.items():
        bounds = over_trials([recovery_s(f) for _, f in variants[name]], len(variants[name]))
        until = [bound if onset == INF else onset for onset, bound in zip(m["recovery.onset_s"], bounds)]
        yield from ([name, "until recovered (s)", *s] for s in spread(variants[name], until, recovery_s, True))
        for s in of(variants, medians, name, "recovery.recovered", True):
            yield [name, "recovered (1), or not in the time that was left (0)", *s]
    for name in variants:
        for s in of(variants, medians, name, "recovery.below_s", True):
            yield [name, "below 90 % of the throughput before the attack (s)", *s]


def figure_block_time(variants, medians):
    key = "block_time.extra_busy_us_per_turned_away"
    for name, m in medians.items():
        if math.isfinite(m[key][0]):
            for s in of(variants, medians, name, key):
                yield [name, "extra time of the server's CPUs per client turned away", "us", *s]


def figure_latency(variants):
    for label, p in (("median", Fraction(1, 2)), ("p95", Fraction(95, 100))):
        for name, trials in variants.items():
            yield from binned([name, label], trials, [[supported(b, p) for b in latencies(t)] for t, _ in trials], 5)


def latencies(t):
    """Response times in ms by their intended start, in bins of 5 s."""
    width, bins = 5 * 10**9, [[] for _ in range(t.end // (5 * 10**9))]
    for q in t.ok:
        if 0 <= q["scheduled_ns"] // width < len(bins):
            bins[q["scheduled_ns"] // width].append(response_ns(q) / 1e6)
    return bins


def finite(value):
    """JSON has neither NaN nor infinities."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def value_of(f, key):
    """A call that was never seen counts as zero where calls were counted."""
    never_seen = key.startswith("syscalls.by_name.") and not math.isnan(f["syscalls.calls"])
    return f.get(key, 0.0 if never_seen else NAN)


def recompute(run):
    experiment = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["experiment"]
    variants = {name: [] for name in experiment["variants"]}
    for path in sorted(run.glob("trials/*/trial.json")):
        trial = json.loads(path.read_text(encoding="utf-8"))
        if trial["valid"] and not trial.get("arm"):
            t = Trial(path.parent, trial, experiment)
            variants[trial["variant"]].append((t, figures(t)))
    variants = {name: trials for name, trials in variants.items() if trials}
    if not variants:
        sys.exit(f"{run}: no valid trial")
    medians = {}
    for name, trials in variants.items():
        keys = sorted({key for _, f in trials for key in f})
        medians[name] = {key: over_trials([value_of(f, key) for _, f in trials], len(trials)) for key in keys}
    judged = claims(variants, medians, experiment)
    return {
        "variants": medians, "claims": judged, "pairs": pairs(variants),
        "cost": cost(variants, paired) if experiment.get("alternate_ns") else [],
        "csv": {
            "figure-claims.csv": list(figure_claims(judged)), "figure-3.csv": list(figure_3(variants, medians)), "figure-4.csv": list(figure_4(variants, medians)),
            "figure-5.csv": list(figure_5(variants, medians)), "figure-6.csv": list(figure_6(variants, experiment["server_memory_bytes"])),
            "figure-recovery.csv": list(figure_recovery(variants, medians)),
            "figure-block-time.csv": list(figure_block_time(variants, medians)), "figure-latency.csv": list(figure_latency(variants)),
        },
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: recompute.py RUN")
    json.dump(finite(recompute(pathlib.Path(sys.argv[1]))), sys.stdout)
