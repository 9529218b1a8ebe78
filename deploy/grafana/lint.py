#!/usr/bin/env python3
"""Holds dashboards to the rules of Grafana's dashboard-linter, strictly: a warning is an error. And to two of ours: that
legends name processes by role and number, and that no rate is shown in operations per second.

    deploy/grafana/lint.py [FILE ...]     default: deploy/grafana/dashboards/*.json

That PromQL parses is asked of promtool; where there is none (--no-promtool), only what this reads of it is checked.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import promql

DASHBOARDS = pathlib.Path(__file__).parent / "dashboards"
UNITS = {"none", "short", "percent", "percentunit", "bytes", "Bps", "s", "ms", "ops", "cps", "rps", "bool", "string"}
WITH_QUERIES = {"stat", "singlestat", "graph", "table", "timeseries", "gauge", "bargauge", "heatmap"}
VARIABLE = re.compile(r"(label_values|label_names|metrics|query_result)\((.+)\)")


def replace_variables(expr, values=None):
    """The expression that Grafana sends to Prometheus; `values` are by the name of the variable."""
    values = {"__rate_interval": "5m", "__interval": "15s", "__range": "1h", "job": ".+", "instance": ".+", **(values or {})}
    return re.sub(r"\$\{?(\w+)\}?", lambda m: values.get(m.group(1), m.group(0)), expr)


def panels(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queried(board):
    return [panel for panel in panels(board) if panel["type"] in WITH_QUERIES]


def targets(board):
    return [(panel, target) for panel in queried(board) for target in panel.get("targets", [])]


def variables(board, kind):
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def selectors(target):
    try:
        return promql.selectors(replace_variables(target["expr"], {"job": "$job", "instance": "$instance",
                                                                   "__rate_interval": "$__rate_interval"}))
    except ValueError:
        return []  # another rule's matter


# Each rule yields what is wrong.


def template_datasource(board):
    sources = variables(board, "datasource")
    if len(sources) != 1:
        yield f"has {len(sources)} data source variables"
    for source in sources:
        if source["name"] not in ("datasource", "prometheus_datasource"):
            yield f"names its data source variable '{source['name']}'"
        if source["label"] not in ("Data source", "Prometheus data source"):
            yield f"labels its data source variable '{source['label']}'"
        if source["query"] != "prometheus":
            yield f"has a data source variable of type '{source['query']}'"


def template_variable(board, name):
    found = [variable for variable in board["templating"]["list"] if variable["name"] == name]
    if len(found) != 1:
        yield f"has {len(found)} variables '{name}'"
    for variable in found:
        wanted = {"type": "query", "label": name.capitalize(), "multi": True, "allValue": ".+", "includeAll": True}
        for key, value in wanted.items():
            if variable.get(key) != value:
                yield f"has a variable '{name}' whose {key} is {variable.get(key)!r} instead of {value!r}"
        if variable.get("datasource", {}).get("uid") not in ("$datasource", "${datasource}"):
            yield f"has a variable '{name}' that is not of the templated data source"


def template_job(board):
    yield from template_variable(board, "job")


def template_instance(board):
    yield from template_variable(board, "instance")


def template_label_promql(board):
    for variable in variables(board, "query"):
        match = VARIABLE.fullmatch(variable["query"])
        if not match:
            yield f"has a variable '{variable['name']}' with the query '{variable['query']}'"
        elif match.group(1) == "label_values":
            selector, _, label = match.group(2).rpartition(",")
            try:
                valid = re.fullmatch(r"[a-z_]+", label.strip()) and len(promql.selectors(selector.replace("$", ""))) == 1
            except ValueError:
                valid = False
            if not valid:
                yield f"has a variable '{variable['name']}' with the query '{variable['query']}'"


def template_on_time_change_reload(board):
    for variable in variables(board, "query"):
        if variable.get("refresh") != 2:
            yield f"has a variable '{variable['name']}' that is not refreshed when the time range changes"


def panel_datasource(board):
    for panel in queried(board):
        for part in (panel, *panel.get("targets", [])):
            if (part.get("datasource") or {}).get("uid") not in ("$datasource", "${datasource}"):
                yield f"panel '{panel['title']}' has a data source that is not the templated one"


def panel_title_description(board):
    for panel in queried(board):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel['id']} '{panel.get('title')}' has no title or no description"


def panel_units(board):
    for panel in queried(board):
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
        if unit not in UNITS:
            yield f"panel '{panel['title']}' has the unit '{unit}'"


def panel_no_targets(board):
    for panel in queried(board):
        if not panel.get("targets"):
            yield f"panel '{panel['title']}' has no query"


def target_logql(board):
    for panel, target in targets(board):
        if target.get("datasource", {}).get("type") == "loki":
            yield f"panel '{panel['title']}' asks Loki, which no rule here can check"


def target_logql_auto(board):
    for panel, target in targets(board):
        if "$__auto" in target["expr"]:
            yield f"panel '{panel['title']}' has a range of LogQL"


def target_promql(board):
    for panel, target in targets(board):
        try:
            if not promql.selectors(replace_variables(target["expr"])):
                yield f"panel '{panel['title']}' selects nothing: {target['expr']}"
        except ValueError as error:
            yield f"panel '{panel['title']}': {error} in {target['expr']}"


def target_rate_interval(board):
    for panel, target in targets(board):
        for selector in selectors(target):
            if selector.function in ("rate", "irate") and selector.range != "$__rate_interval":
                yield f"panel '{panel['title']}' has a rate over [{selector.range}] instead of [$__rate_interval]"


def target_matcher(board, label):
    for panel, target in targets(board):
        for selector in selectors(target):
            if [m for m in selector.matchers if m[0] == label] != [(label, "=~", f"${label}")]:
                yield f"panel '{panel['title']}': {selector.name} is not selected by {label}=~\"${label}\" alone"


def target_job(board):
    yield from target_matcher(board, "job")


def target_instance(board):
    yield from target_matcher(board, "instance")


def target_counter_agg(board):
    for panel, target in targets(board):
        for selector in selectors(target):
            if selector.name.endswith("_total") and selector.function not in ("rate", "irate", "increase"):
                yield f"panel '{panel['title']}': the counter {selector.name} is not in rate, irate or increase"


def uneditable_dashboard(board):
    if board.get("editable") is not False:
        yield "can be edited"


GRAFANAS_RULES = [
    template_datasource, template_job, template_instance, template_label_promql, template_on_time_change_reload,
    panel_datasource, panel_title_description, panel_units, panel_no_targets, target_logql, target_logql_auto,
    target_promql, target_rate_interval, target_job, target_instance, target_counter_agg, uneditable_dashboard]


def target_legend_by_member(board):
    """Nobody knows a process by its address and port, which is what the label instance is."""
    for panel, target in targets(board):
        legend = target.get("legendFormat", "")
        if re.search(r"\{\{\s*instance\s*\}\}", legend):
            yield f"panel '{panel['title']}' has the legend '{legend}': {{{{member}}}} names a process by role and number"
        elif legend in ("", "__auto"):  # Grafana then shows all labels, among them instance
            yield f"panel '{panel['title']}' has a query without a legend"


def panel_units_of_what_is_counted(board):
    """Grafana writes "ops/s" for this unit, but what is counted here are steps, samples, messages and the like."""
    for panel in queried(board):
        options = panel.get("fieldConfig", {})
        overridden = [p["value"] for o in options.get("overrides", []) for p in o["properties"] if p["id"] == "unit"]
        if "ops" in [options.get("defaults", {}).get("unit"), *overridden]:
            yield f"panel '{panel['title']}' has the unit 'ops'"


OUR_RULES = [target_legend_by_member, panel_units_of_what_is_counted]
RULES = GRAFANAS_RULES + OUR_RULES


def check(board):
    """(rule, problem) of all rules, except for the part of target_promql that promtool checks."""
    return [(rule.__name__, problem) for rule in RULES for problem in rule(board)]


def check_by_promtool(boards):
    """(rule, problem): each query becomes a recording rule, which promtool parses."""
    rules, where = [], []
    for board in boards:
        for panel, target in targets(board):
            where.append(f"{board['title']}, panel '{panel['title']}'")
            rules.append({"record": f"query:{len(rules) + 1}", "expr": replace_variables(target["expr"])})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
    if done.returncode == 0:
        return []
    said = done.stdout + done.stderr
    named = re.sub(r"rule (\d+), \"query:(\d+)\"", lambda m: where[int(m.group(2)) - 1], said)
    return [("target_promql", named.strip())]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--no-promtool"]
    files = [pathlib.Path(a) for a in arguments] or sorted(DASHBOARDS.glob("*.json"))
    boards = [json.loads(file.read_text()) for file in files]
    wrong = [f"{board['title']}: {rule}: {problem}" for board in boards for rule, problem in check(board)]
    if "--no-promtool" not in sys.argv:
        wrong += [f"{rule}: {problem}" for rule, problem in check_by_promtool(boards)]
    print("\n".join(wrong) if wrong else f"{len(RULES)} rules hold for {len(boards)} dashboards, "
          f"{sum(len(queried(b)) for b in boards)} panels, {sum(len(targets(b)) for b in boards)} queries")
    return 1 if wrong or not boards else 0


if __name__ == "__main__":
    sys.exit(main())
