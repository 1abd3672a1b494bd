"""What measuring costs, of a run that measures half of its stretches
(docs/method.md, The cost of measuring), for recompute.py. Standard library only.
"""

from recompute_stats import durations, holm, median, ratio

SKIPPED_NS = 100_000_000
WORD = 2**64 - 1


def measured(stretch):
    """Whether a stretch is measured: of each pair one, the first where a hash of the
    pair's number, by SplitMix64, is odd."""
    n = (stretch // 2 + 0x9E3779B97F4A7C15) & WORD
    n = ((n ^ n >> 30) * 0xBF58476D1CE4E5B9) & WORD
    n = ((n ^ n >> 27) * 0x94D049BB133111EB) & WORD
    return ((n ^ n >> 31) & 1 == 1) == (stretch % 2 == 0)


def halves(t):
    """The figures of a trial, with the server measured and without."""
    width = t.experiment["alternate_ns"]
    pairs = min(t.client_ends) // (2 * width)
    responses = {True: [], False: []}
    for q in t.ok:
        done = q["start_ns"] + q["end_ns"]
        if 0 <= done < 2 * pairs * width and done % width >= SKIPPED_NS:
            responses[measured(done // width)].append(done - q["scheduled_ns"])
    result = {}
    for half, ns in responses.items():
        d = durations(ns)
        result[half] = {
            "throughput, arithmetic mean": ratio(len(ns), pairs * (width - SKIPPED_NS) / 1e9),
            "response time, median": d["p50"], "response time, mean": d["arithmetic"], "response time, p99": d["p99"],
        }
    return result


def cost(variants, paired):
    """A line for each figure of each variant."""
    lines = []
    for name, trials in variants.items():
        both = [(t, halves(t)) for t, _ in trials]
        with_, without = ([(t, h[half]) for t, h in both] for half in (True, False))
        of_variant = [
            {
                "variant": name, "metric": metric, **paired(with_, without, lambda f, m=metric: f[m]),
                "with_figure": median([f[metric] for _, f in with_]), "without_figure": median([f[metric] for _, f in without]),
            }
            for metric in with_[0][1]
        ]
        holm(of_variant)
        lines += of_variant
    return lines
