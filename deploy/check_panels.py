#!/usr/bin/env python3
"""Runs every query of every dashboard against a Prometheus and lists those without data. Exit status 1: there are some.

    deploy/check_panels.py --prometheus URL [--minutes 30] [--pictures FOLDER]

--pictures draws each dashboard with that data as FOLDER/NAME.svg. Nothing but Python is needed.
"""
import argparse
import json
import math
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

GRAFANA = pathlib.Path(__file__).resolve().parent / "grafana"
sys.path.insert(0, str(GRAFANA))
import draw  # noqa: E402
import lint  # noqa: E402

SCRAPE_INTERVAL = 5  # seconds; as in deploy/prometheus/prometheus.yml
POINTS = 240


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def ask(self, what, **parameters):
        data = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}", data, timeout=300) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error).get("error", str(error))) from None
        except urllib.error.URLError as error:
            sys.exit(f"{self.url}: {error.reason}")

    def series(self, expr, start, end, step):
        """[(labels, [(time, value)])] of all series that have a finite value."""
        found = []
        for series in self.ask("query_range", query=expr, start=start, end=end, step=step):
            points = [(float(t), float(v)) for t, v in series["values"]]
            points = [(t, v) for t, v in points if math.isfinite(v)]
            if points:
                found.append((series["metric"], points))
        return found


def time_of_the_run(prometheus, minutes):
    """(start, end): from the first to almost the last sample of a coordinator within the last `minutes`. The very end is
    left out because the processes do not end at the same moment."""
    end = time.time()
    start = end - 60 * minutes
    found = prometheus.series("arcshard_planned_steps", start, end, SCRAPE_INTERVAL)
    times = [t for _, points in found for t, _ in points]
    return (min(times), max(max(times) - 3 * SCRAPE_INTERVAL, min(times))) if times else (start, end)


def legend(text, labels):
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prometheus", required=True, help="such as http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=30, help="how far back to look for the run")
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder for pictures of the dashboards")
    arguments = parser.parse_args()

    prometheus = Prometheus(arguments.prometheus)
    start, end = time_of_the_run(prometheus, arguments.minutes)
    step = max(SCRAPE_INTERVAL, math.ceil((end - start) / POINTS))
    values = {"__rate_interval": f"{max(4 * SCRAPE_INTERVAL, step + SCRAPE_INTERVAL)}s", "__interval": f"{step}s",
              "__range": f"{math.ceil(end - start)}s"}  # as Grafana chooses them
    queries, empty = 0, []
    for file in sorted(lint.DASHBOARDS.glob("*.json")):
        board, data = json.loads(file.read_text()), {}
        for panel, target in lint.targets(board):
            queries += 1
            try:
                found = prometheus.series(lint.replace_variables(target["expr"], values), start, end, step)
                problem = "" if found else "no data"
            except RuntimeError as error:
                found, problem = [], str(error)
            if problem:
                empty.append(f"{board['title']}, panel '{panel['title']}': {problem}: {target['expr']}")
            data.setdefault(panel["id"], []).extend((legend(target["legendFormat"], labels), points)
                                                    for labels, points in found)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            (arguments.pictures / file.name).with_suffix(".svg").write_text(draw.dashboard(board, data, start, end))
    for line in empty:
        print(line)
    print(f"{queries - len(empty)} of {queries} queries of the dashboards return data, over {end - start:.0f} s")
    return 1 if empty or not queries else 0


if __name__ == "__main__":
    sys.exit(main())
