#!/usr/bin/env python3
"""Recomputes the breaking points of a search from its raw records: a second
implementation, written after docs/method.md, that shares nothing with the Go code.

    python3 recompute_search.py RUN > points.json

Each point is [cell, variant, block, holds, fails]; null is none.
"""

import json
import pathlib
import sys
from fractions import Fraction

from recompute_stats import arithmetic, durations


def requests(folder, trial, role):
    for node in trial["nodes"]:
        if node["role"] == role:
            for line in open(folder / node["records"], encoding="utf-8"):
                if q := json.loads(line).get("request"):
                    yield q


def rates(done, seconds):
    return [sum(second * 10**9 <= at < (second + 1) * 10**9 for at in done) for second in seconds]


def verdict(folder, trial, experiment):
    broken = {c["rule"] for c in trial["checks"] if not c["ok"]}
    if broken:
        return "limited" if broken <= {"generator-not-bottleneck", "flood-arrived"} else "invalid"
    search, load, attack = experiment["search"], experiment["sequential"], experiment["parallel"]
    starts = [q["start_ns"] for q in requests(folder, trial, "parallel")]
    first, last = min(starts), max(starts)
    honest = list(requests(folder, trial, "sequential"))
    ok = [q for q in honest if q["outcome"] == "ok"]
    done = [q["start_ns"] + q["end_ns"] for q in ok]
    scheduled = int(load["requests"] / load["rate_per_second"] * 1e9) if load["rate_per_second"] else 0
    end = load.get("duration_ns") or scheduled
    if not end:  # a closed loop
        ended = max((q["start_ns"] + q["end_ns"] for q in honest), default=0)
        end = max(max(done, default=0), min(last, ended))
    seconds = range(end // 10**9)
    before = rates(done, [s for s in seconds if (s + 1) * 10**9 <= first])
    during = rates(done, [s for s in seconds if first <= s * 10**9 + 5 * 10**8 <= last])
    response = lambda keep: durations([q["start_ns"] - q["scheduled_ns"] + q["end_ns"] for q in ok if keep(q["scheduled_ns"])])["p99"]
    kept = arithmetic(during) / arithmetic(before)
    p99 = response(lambda at: first <= at <= last) / response(lambda at: at < first)
    if not (kept >= search["keep"] and p99 <= search["p99"] and len(honest) - len(ok) <= search["lost"]):
        return "breaks"
    scheduled = attack["rate_per_second"] * trial["strength"] / (attack.get("strength_reached") or attack["strength"]) * attack["clients"]
    in_turn = max(q["start_ns"] for q in requests(folder, trial, "parallel") if q["seq"] == 0)
    achieved = (len(starts) - attack["clients"]) / (float(Fraction(last - in_turn, 10**9)))
    return "holds" if achieved >= 0.95 * scheduled else "limited"


def main(run):
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    cells = {c["name"]: c["experiment"] for c in manifest.get("cells", [])} or {"": manifest["experiment"]}
    last = {}
    for folder in sorted((run / "trials").iterdir()):
        trial = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        if trial["index"] not in last or trial["attempt"] > last[trial["index"]][1]["attempt"]:
            last[trial["index"]] = folder, trial
    points = {}
    for folder, trial in last.values():
        if not trial["valid"] and trial["attempt"] < 3:
            continue
        cell = trial.get("cell", "")
        tried = points.setdefault((cell, trial["variant"], trial["block"]), {})
        tried.setdefault(verdict(folder, trial, cells[cell]), []).append(trial["strength"])
    rows = []
    for key, tried in sorted(points.items()):
        held = max(tried.get("holds", []), default=None)
        untried = [s for s in tried.get("limited", []) + tried.get("invalid", []) if held is None or s > held]
        rows.append([*key, held, min(tried.get("breaks") or untried, default=None)])
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
