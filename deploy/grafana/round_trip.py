#!/usr/bin/env python3
"""Reads each dashboard with Grafana's own types (PyPI: grafana-foundation-sdk) and writes it again. Grafana does not know
the keys that are missing afterwards, and misreads the values that differ."""
import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = pathlib.Path(__file__).parent / "dashboards"


def leaves(value, path=""):
    """The path and value of every leaf."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from leaves(part, f"{path}/{number}")
    else:
        yield path, value


def main():
    register_default_plugins()
    wrong = []
    for file in sorted(DASHBOARDS.glob("*.json")):
        ours = json.loads(file.read_text())
        theirs = dict(leaves(json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))))
        for path, value in leaves(ours):
            if path not in theirs and value not in ({}, []):
                wrong.append(f"{file.name}: {path} is unknown")
            elif path in theirs and theirs[path] != value:
                wrong.append(f"{file.name}: {path} is {value!r}, read as {theirs[path]!r}")
    print("\n".join(wrong) if wrong else "Grafana's types know every key of the dashboards")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
