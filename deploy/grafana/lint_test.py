#!/usr/bin/env python3
"""Tests that each rule finds its violation: in a dashboard that follows all rules and is then broken in one place."""
import copy
import json
import shutil
import unittest

import lint
import promql


def first(board, kind="timeseries"):
    return next(panel for panel in board["panels"] if panel["type"] == kind)


def variable(board, name):
    return next(v for v in board["templating"]["list"] if v["name"] == name)


def expr(text):
    def breaks(board):
        first(board)["targets"][0]["expr"] = text
    return breaks


def legend(text):
    def breaks(board):
        first(board)["targets"][0]["legendFormat"] = text
    return breaks


SELECT = '{job=~"$job", instance=~"$instance"}'
BREAKS = {
    "template_datasource": [lambda b: variable(b, "datasource").update(label="Source"),
                            lambda b: b["templating"]["list"].pop(0)],
    "template_job": [lambda b: variable(b, "job").update(allValue=".*"), lambda b: variable(b, "job").update(multi=False)],
    "template_instance": [lambda b: variable(b, "instance").update(label="Where"),
                          lambda b: variable(b, "instance").update(name="host")],
    "template_label_promql": [lambda b: variable(b, "job").update(query="values(up, job)"),
                              lambda b: variable(b, "job").update(query="label_values(up{, job)")],
    "template_on_time_change_reload": [lambda b: variable(b, "job").update(refresh=1)],
    "panel_datasource": [lambda b: first(b).update(datasource={"uid": "x"}),
                         lambda b: first(b)["targets"][0].update(datasource={"uid": "x"})],
    "panel_title_description": [lambda b: first(b).update(description="")],
    "panel_units": [lambda b: first(b)["fieldConfig"]["defaults"].update(unit="seconds")],
    "panel_no_targets": [lambda b: first(b, "stat").update(targets=[])],
    "target_logql": [lambda b: first(b)["targets"][0].update(datasource={"type": "loki", "uid": "${datasource}"})],
    "target_logql_auto": [expr("rate(a_total" + SELECT + "[$__auto])")],
    "target_promql": [expr("rate(a_total" + SELECT + "[$__rate_interval]"), expr("1 + 1")],
    "target_rate_interval": [expr("rate(a_total" + SELECT + "[5m])")],
    "target_job": [expr('a{instance=~"$instance"}'), expr('a{job="$job", instance=~"$instance"}'),
                   expr("a" + SELECT + " / b{instance=~\"$instance\"}")],
    "target_instance": [expr('a{job=~"$job"}'), expr('a{job=~"$job", instance=~"x"}')],
    "target_counter_agg": [expr("sum(a_total" + SELECT + ")"), expr("a_total" + SELECT),
                           expr("avg_over_time(a_total" + SELECT + "[$__rate_interval])")],
    "uneditable_dashboard": [lambda b: b.update(editable=True)],
    "target_legend_by_member": [legend("{{instance}}"), legend("{{ instance }} p50"), legend(""), legend("__auto"),
                                lambda b: first(b)["targets"][0].pop("legendFormat"),
                                lambda b: first(b, "stat")["targets"][0].update(legendFormat="{{instance}}")],
    "panel_units_of_what_is_counted": [
        lambda b: first(b)["fieldConfig"]["defaults"].update(unit="ops"),
        lambda b: first(b, "stat")["fieldConfig"]["defaults"].update(unit="ops"),
        lambda b: first(b)["fieldConfig"]["overrides"].append({"properties": [{"id": "unit", "value": "ops"}]})],
}


class LintTest(unittest.TestCase):
    def setUp(self):
        self.board = json.loads((lint.DASHBOARDS / "training.json").read_text())

    def test_every_rule_finds_what_it_is_for(self):
        self.assertEqual(lint.check(self.board), [])
        self.assertEqual(set(BREAKS), {rule.__name__ for rule in lint.RULES})
        self.assertEqual((len(lint.GRAFANAS_RULES), len(lint.OUR_RULES)), (17, 2))
        for rule, breaks in BREAKS.items():
            for change in breaks:
                board = copy.deepcopy(self.board)
                change(board)
                self.assertIn(rule, [found for found, _ in lint.check(board)])

    @unittest.skipUnless(shutil.which("promtool"), "no promtool")
    def test_promtool_names_the_panel_of_a_query_that_does_not_parse(self):
        self.assertEqual(lint.check_by_promtool([self.board]), [])
        expr("rate(a" + SELECT + ")")(self.board)  # of an instant vector
        [(rule, problem)] = lint.check_by_promtool([self.board])
        self.assertEqual(rule, "target_promql")
        self.assertIn(f"panel '{first(self.board)['title']}'", problem)


class SelectorsTest(unittest.TestCase):
    def test_selectors_come_with_matchers_range_and_function(self):
        found = promql.selectors('sum by (le) (rate(a_total{x="1", y=~"(a|b)"}[$__rate_interval])) / on (x) '
                                 "group_left (y) (b:c > 0) and {z!=\"\"} offset 5m".replace("$", ""))
        self.assertEqual([(s.name, s.range, s.function) for s in found],
                         [("a_total", "__rate_interval", "rate"), ("b:c", "", ""), ("", "", "")])
        self.assertEqual(found[0].matchers, [("x", "=", "1"), ("y", "=~", "(a|b)")])


if __name__ == "__main__":
    unittest.main()
