#!/usr/bin/env python3
"""Watches a run that `arcshard train` started on this machine with a Prometheus of its own: the same rules and alerts,
but the processes are found by the run folder instead of by DNS. Needs `prometheus` (Debian's package) on the PATH.

    deploy/prometheus/watch_local.py RUN [--listen 127.0.0.1:9090] [--data FOLDER]

Waits until all processes of the run have published the address of their metrics, and follows those that are started
again. --data keeps the scraped data.
"""
import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PORT = re.compile(r"metrics on port (\d+)")
LOOKS_EVERY = 2  # seconds, for processes that were started again


def targets(run):
    """{role: [host:port]} of all processes, or None while one has not published its address. A log has the lives of its
    process one after another: the last one counts."""
    try:
        processes = json.loads((run / "processes.json").read_text())["processes"]
        ports = [(p["role"], PORT.findall(pathlib.Path(p["log"]).read_text())[-1:]) for p in processes]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not {"coordinator", "shard", "worker"} <= {role for role, _ in ports} or not all(port for _, port in ports):
        return None
    found = {}
    for role, port in ports:
        found.setdefault(role, []).append(f"127.0.0.1:{port[0]}")
    return found


def await_targets(run, seconds):
    for _ in range(seconds * 10):
        found = targets(run)
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"{run}: no run of `arcshard train` whose processes all serve metrics")


def write(file, what):
    """Replaces the file at once, so that nobody reads half of it. JSON is YAML."""
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps(what, indent=2))
    new.replace(file)


def write_targets(found, folder):
    for role, addresses in found.items():
        write(folder / f"{role}.json", [{"targets": addresses}])


def config(found, folder):
    return {"global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [str(HERE / "rules.yml"), str(HERE / "alerts.yml")],
            "scrape_configs": [{"job_name": f"arcshard-{role}",
                                "file_sd_configs": [{"files": [str((folder / f"{role}.json").resolve())]}]}
                               for role in found]}


def watch(command, run, found, folder):
    """Runs Prometheus until it ends, and tells it where restarted processes are. Returns its exit status."""
    prometheus = subprocess.Popen(command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: prometheus.terminate())
    while prometheus.poll() is None:
        now = targets(run)
        if now and now != found:
            write_targets(now, folder)
            found = now
        try:
            prometheus.wait(LOOKS_EVERY)
        except subprocess.TimeoutExpired:
            pass
    return prometheus.returncode


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
    write_targets(found, folder)
    write(file, config(found, folder))
    print(f"Prometheus on http://{arguments.listen}, its data in {folder}", flush=True)
    sys.exit(watch(["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address={arguments.listen}", "--log.level=warn"], arguments.run, found, folder))


if __name__ == "__main__":
    main()
