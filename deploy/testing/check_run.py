"""Compares what Prometheus scraped from a run with what the run wrote down itself, RUN/metrics.jsonl.

check_run.py PROMETHEUS_URL RUN_FOLDER

Over the longest stretch of steps without a verification in between: samples per second by the coordinator's counter, and
by the micro-batches that each worker counted, both within 5 % of the steps that the run wrote down. Prints a line each.
"""
import json
import pathlib
import re
import sys
import urllib.parse
import urllib.request

TOLERANCE = 0.05


def longest_stretch(lines):
    """The step lines of the last start, between two verifications, that span the most time."""
    stretches = [[]]
    for line in lines:
        if line["kind"] == "run":
            stretches = [[]]
        elif line["kind"] == "verification":
            stretches.append([])
        elif line["kind"] == "step":
            stretches[-1].append(line)
    best = max(stretches, key=lambda steps: steps[-1]["time"] - steps[0]["time"] if steps else 0.0)
    if len(best) < 2:
        sys.exit("check_run.py: the run wrote down too few steps to tell a rate")
    return best[0], best[-1]


def growth_per_second(url, selector, begin, end):
    """By instance: how fast a counter grew between its first and last scrape in [begin, end], as scraped."""
    query = urllib.parse.urlencode({"query": f"{selector}[{int(end - begin)}s]", "time": end})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=30) as answer:
        series = json.load(answer)["data"]["result"]
    rates = {}
    for one in series:
        (t0, v0), (t1, v1) = one["values"][0], one["values"][-1]
        if t1 > t0:
            rates[one["metric"]["instance"]] = (float(v1) - float(v0)) / (t1 - t0)
    return rates


def main():
    url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    config = (folder / "config.yaml").read_text()
    batch, micro_batch = (int(re.search(rf"\b{key}: (\d+)", config)[1]) for key in ("batch_size", "micro_batch_size"))

    first, last = longest_stretch(lines)
    seconds = last["time"] - first["time"]
    own = (last["step"] - first["step"]) * batch / seconds
    print(f"  the run's own count: {own:.1f} samples/s (steps {first['step']} to {last['step']} in {seconds:.1f} s)")

    coordinator = growth_per_second(url, 'arcshard_samples_total{job="arcshard-coordinator"}', first["time"], last["time"])
    forward = 'arcshard_step_phase_seconds_count{job="arcshard-worker",phase="forward"}'
    workers = {instance: rate * micro_batch for instance, rate in growth_per_second(url, forward, first["time"], last["time"]).items()}
    failed = False
    for name, rates in (("coordinator", coordinator), ("workers", workers)):
        total = sum(rates.values())
        off = total / own - 1.0
        parts = " + ".join(f"{rate:.1f}" for _, rate in sorted(rates.items())) or "nothing"
        print(f"  Prometheus, {name}: {parts} = {total:.1f} samples/s ({off:+.1%})")
        failed = failed or abs(off) > TOLERANCE
    if failed:
        sys.exit(f"check_run.py: Prometheus and the run differ by more than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
