"""Compares what Prometheus scraped from a run with the run's own record, RUN/metrics.jsonl.

check_run.py PROMETHEUS_URL RUN_FOLDER

Over the longest stretch of steps without a verification in between: samples per second by the coordinator's counter, and
by the micro-batches that each worker counted, both within 5 % of the steps that the run wrote down. Prints a line each.
"""
import bisect
import json
import pathlib
import re
import sys
import urllib.parse
import urllib.request

TOLERANCE = 0.05


def longest_stretch(lines):
    """[(time, step)] of the longest stretch between two verifications since the last start."""
    stretches = [[]]
    for line in lines:
        if line["kind"] == "run":
            stretches = [[]]
        elif line["kind"] == "verification":
            stretches.append([])
        elif line["kind"] == "step":
            stretches[-1].append((line["time"], line["step"]))
    best = max(stretches, key=lambda points: points[-1][0] - points[0][0] if points else 0.0)
    if len(best) < 2:
        sys.exit("check_run.py: the run wrote down too few steps to tell a rate")
    return best


def step_at(points, time):
    """The step at a time between two lines of the record, by linear interpolation."""
    after = min(max(bisect.bisect(points, (time,)), 1), len(points) - 1)
    (t0, s0), (t1, s1) = points[after - 1], points[after]
    return s0 + (s1 - s0) * (time - t0) / (t1 - t0)


def scraped(url, selector, begin, end):
    """The first and the last scraped (time, value) of a counter in [begin, end], by instance."""
    query = urllib.parse.urlencode({"query": f"{selector}[{int(end - begin)}s]", "time": end})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=300) as answer:
        found = json.load(answer)["data"]["result"]
    return [[(float(t), float(v)) for t, v in (one["values"][0], one["values"][-1])] for one in found if len(one["values"]) > 1]


def main():
    url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    config = (folder / "config.yaml").read_text()
    batch, micro_batch = (int(re.search(rf"\b{key}: (\d+)", config)[1]) for key in ("batch_size", "micro_batch_size"))
    points = longest_stretch(lines)
    (begin, first), (end, last) = points[0], points[-1]
    print(f"  the run's own count: {(last - first) * batch / (end - begin):.1f} samples/s (steps {first} to {last} in {end - begin:.1f} s)")

    forward = 'arcshard_step_phase_seconds_count{job="arcshard-worker",phase="forward"}'
    failed = False
    for name, selector, samples in (("the coordinator", 'arcshard_samples_total{job="arcshard-coordinator"}', 1),
                                    ("the workers", forward, micro_batch)):
        counters = scraped(url, selector, begin, end)
        if not counters:
            sys.exit(f"check_run.py: Prometheus has nothing of {name}")
        rates = [(v1 - v0) * samples / (t1 - t0) for (t0, v0), (t1, v1) in counters]
        # The run's own steps over the time between the two scrapes.
        own = sum((step_at(points, t1) - step_at(points, t0)) * batch / (t1 - t0) for (t0, _), (t1, _) in counters) / len(counters)
        off = sum(rates) / own - 1.0
        print(f"  Prometheus, {name}: {' + '.join(f'{rate:.1f}' for rate in rates)} = {sum(rates):.1f} samples/s; "
              f"the run, between the same scrapes: {own:.1f} ({off:+.1%})")
        failed = failed or abs(off) > TOLERANCE
    if failed:
        sys.exit(f"check_run.py: Prometheus and the run differ by more than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
