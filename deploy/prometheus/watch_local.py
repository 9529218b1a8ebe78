#!/usr/bin/env python3
"""Watches a run that `arcshard train` started on this machine with a Prometheus of its own: the same rules and alerts,
but the processes are found by the run folder instead of by DNS. Needs `prometheus` (Debian's package) on the PATH.

    deploy/prometheus/watch_local.py RUN [--listen 127.0.0.1:9090] [--data FOLDER]

Waits until all processes of the run have published the address of their metrics. --data keeps the scraped data.
"""
import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PORT = re.compile(r"metrics on port (\d+)")


def targets(run):
    """{role: [host:port]} of all processes, or None while one has not published its address."""
    try:
        processes = json.loads((run / "processes.json").read_text())["processes"]
        ports = [(p["role"], PORT.search(pathlib.Path(p["log"]).read_text())) for p in processes]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not {"coordinator", "shard", "worker"} <= {role for role, _ in ports} or not all(port for _, port in ports):
        return None
    found = {}
    for role, port in ports:
        found.setdefault(role, []).append(f"127.0.0.1:{port.group(1)}")
    return found


def await_targets(run, seconds):
    for _ in range(seconds * 10):
        found = targets(run)
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"{run}: no run of `arcshard train` whose processes all serve metrics")


def config(found):
    return {"global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [str(HERE / "rules.yml"), str(HERE / "alerts.yml")],
            "scrape_configs": [{"job_name": f"arcshard-{role}", "static_configs": [{"targets": addresses}]}
                               for role, addresses in found.items()]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--listen", default="127.0.0.1:9090")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--wait", type=int, default=60, help="seconds to wait for the run's processes")
    parser.add_argument("--targets", action="store_true", help="only print where the metrics are: role host:port")
    arguments = parser.parse_args()
    found = await_targets(arguments.run, arguments.wait)
    if arguments.targets:
        print("\n".join(f"{role} {address}" for role, addresses in found.items() for address in addresses))
        return
    folder = arguments.data or pathlib.Path(tempfile.mkdtemp(prefix="arcshard-prometheus-"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config(found), indent=2))  # JSON is YAML
    print(f"Prometheus on http://{arguments.listen}, its data in {folder}", flush=True)
    os.execlp("prometheus", "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
              f"--web.listen-address={arguments.listen}", "--log.level=warn")


if __name__ == "__main__":
    main()
