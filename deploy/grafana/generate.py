#!/usr/bin/env python3
"""Writes the dashboards, deploy/grafana/dashboards/*.json. Edit this file, run it, and commit both.

    deploy/grafana/generate.py            writes them
    deploy/grafana/generate.py --check    fails if they are not what it would write

In a query, SELECT stands for the matchers that every selector has, and WINDOW for the range of every rate. A legend of
{{member}} names processes by role and number ("shard 0"), since nobody knows them by address and port.
"""
import json
import pathlib
import sys

DASHBOARDS = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECT = 'job=~"$job", instance=~"$instance"'
WINDOW = "$__rate_interval"


def query(expr, legend):
    if "{{member}}" in legend:
        expr = f"({expr}) * on (instance) group_left (member) max by (instance, member) (arcshard_member_info{{SELECT}} == 1)"
    return expr.replace("SELECT", SELECT).replace("WINDOW", WINDOW), legend


class Dashboard:
    """Lays panels out on Grafana's grid of 24 columns, from left to right, top to bottom."""

    def __init__(self, name, title, description, has):
        self.name, self.title, self.description, self.has = name, title, description, has
        self.panels, self.x, self.y, self.row_height = [], 0, 0, 0

    def row(self, title):
        self._break()
        self.panels.append({"type": "row", "id": len(self.panels) + 1, "title": title, "collapsed": False,
                            "gridPos": {"h": 1, "w": 24, "x": 0, "y": self.y}, "panels": []})
        self.y += 1

    def _break(self):
        self.y, self.x, self.row_height = self.y + self.row_height, 0, 0

    def _add(self, kind, title, description, queries, width, height, unit, defaults, options):
        if self.x + width > 24:
            self._break()
        targets = []
        for number, (expr, legend) in enumerate(queries):
            target = {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
                      "editorMode": "code", "range": kind == "timeseries", "instant": kind != "timeseries"}
            targets.append(target)
        self.panels.append({
            "type": kind, "id": len(self.panels) + 1, "title": title, "description": description, "datasource": SOURCE,
            "gridPos": {"h": height, "w": width, "x": self.x, "y": self.y}, "targets": targets,
            "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": []}, "options": options})
        self.x += width
        self.row_height = max(self.row_height, height)

    def stat(self, title, description, *queries, unit="none", width=4, text="value", decimals=None):
        options = {"colorMode": "none", "graphMode": "none", "textMode": text, "justifyMode": "auto",
                   "orientation": "auto", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        defaults = {} if decimals is None else {"decimals": decimals}
        self._add("stat", title, description, queries, width, 4, unit, defaults, options)

    def graph(self, title, description, *queries, unit="none", width=8, stacked=False, zero=True):
        custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 0, "showPoints": "never",
                  "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                   "tooltip": {"mode": "multi", "sort": "desc"}}
        defaults = {"custom": custom, **({"min": 0} if zero else {})}
        self._add("timeseries", title, description, queries, width, 8, unit, defaults, options)

    def json(self):
        def variable(name, label, definition):
            return {"type": "query", "name": name, "label": label, "datasource": SOURCE, "query": definition,
                    "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
                    "allValue": ".+", "hide": 0, "regex": "", "skipUrlSync": False, "options": [],
                    "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}

        return {
            "uid": f"arcshard-{self.name}", "title": f"arcshard: {self.title}", "description": self.description,
            "tags": ["arcshard"], "editable": False, "graphTooltip": 1, "schemaVersion": 39, "version": 1,
            "timezone": "browser", "weekStart": "", "fiscalYearStartMonth": 0, "refresh": "10s",
            "time": {"from": "now-30m", "to": "now"}, "timepicker": {}, "annotations": {"list": []},
            "links": [{"type": "dashboards", "title": "arcshard", "tags": ["arcshard"], "asDropdown": False,
                       "includeVars": False, "keepTime": True, "targetBlank": False, "icon": "external link",
                       "tooltip": "", "url": ""}],
            "templating": {"list": [
                {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "regex": "",
                 "hide": 0, "multi": False, "includeAll": False, "refresh": 1, "skipUrlSync": False, "options": [],
                 "current": {"selected": True, "text": "Prometheus", "value": "arcshard-prometheus"}},
                variable("job", "Job", f"label_values({self.has}, job)"),
                variable("instance", "Instance", f'label_values({self.has}{{job=~"$job"}}, instance)')]},
            "panels": self.panels}


def quantiles(phases, by):
    """The median and the 95th percentile of phases, by phase or instance."""
    series = f'sum by (le, {by}) (rate(arcshard_step_phase_seconds_bucket{{SELECT, phase=~"{phases}"}}[WINDOW]))'
    name = "{{member}}" if by == "instance" else f"{{{{{by}}}}}"
    return [query(f"histogram_quantile({q}, {series})", f"{name} p{round(q * 100)}") for q in (0.5, 0.95)]


def training():
    board = Dashboard("training", "training", "Is it learning, how fast, and when is it done? Data of the coordinator, "
                      "and of all processes where it is about refused messages and skipped steps.", "arcshard_planned_steps")
    board.row("Now")
    board.stat("State", "What the run is doing.", query("max by (phase) (arcshard_run_phase{SELECT}) == 1", "{{phase}}"),
               text="name")
    board.stat("Done", "Decided steps of all steps of the run.",
               query("max(arcshard_step{SELECT}) / (max(arcshard_planned_steps{SELECT}) > 0)", "done"),
               unit="percentunit", decimals=1)
    board.stat("Time left", "For the remaining steps at the rate of the last ones, and the verifications to come.",
               query("max(arcshard_remaining_seconds{SELECT})", "left"), unit="s")
    board.stat("Samples per second", "Samples of committed steps.",
               query("sum(rate(arcshard_samples_total{SELECT}[WINDOW]))", "samples/s"), unit="short")
    board.stat("Loss", "Mean over the batch of the last committed step.", query("max(arcshard_loss{SELECT})", "loss"))
    board.stat("Accuracy", "Accuracy of the last verification, by set.",
               query("max by (set) (arcshard_verification_accuracy{SELECT})", "{{set}}"), unit="percentunit", decimals=2)
    board.row("Is it learning?")
    board.graph("Loss", "Mean over the batch of each committed step.",
                query("arcshard_loss{SELECT}", "{{member}}"), width=12)
    board.graph("Target cosine", "Mean cosine between an embedding and its class center, before the margin. It should grow.",
                query("arcshard_target_cosine{SELECT}", "{{member}}"), width=12, zero=False)
    board.graph("Verification accuracy", "Share of pairs judged correctly in the last verification, by set.",
                query("max by (set) (arcshard_verification_accuracy{SELECT})", "{{set}}"), unit="percentunit", zero=False)
    board.graph("True accept rate", "Share of the pairs of one class accepted at a threshold that accepts at most 1 of 1000 pairs of two "
                "classes, by set.",
                query("max by (set) (arcshard_verification_true_accept_rate{SELECT})", "{{set}}"), unit="percentunit")
    board.graph("Learning rate", "Learning rate of each decided step: warm-up, then the schedule.",
                query("arcshard_learning_rate{SELECT}", "{{member}}"))
    board.row("How fast?")
    board.graph("Samples per second", "Samples of committed steps.",
                query("sum by (instance) (rate(arcshard_samples_total{SELECT}[WINDOW]))", "{{member}}"), unit="short")
    board.graph("Epochs", "Epochs trained so far, with fraction. A straight line is a steady rate; flat parts are verifications.",
                query("arcshard_epoch{SELECT}", "{{member}}"))
    board.graph("From the first vote to the decision",
                "How long the coordinator waits for the last participant once the first is ready: the spread between "
                "the fastest and the slowest.", *quantiles("decision", "phase"), unit="s")
    board.row("What is safe?")
    board.graph("Age of the newest checkpoint", "Training time that a rollback would cost. Before the first checkpoint "
                "since the start: the time trained. The alert fires at three intervals, at least ten minutes.",
                query("instance:arcshard_checkpoint_age:seconds{SELECT}", "age"),
                query("arcshard_checkpoint_interval_seconds{SELECT}", "interval"), unit="s", width=6)
    board.graph("Time of a checkpoint", "From the decision until it was complete on the disk, mean of the last 30 "
                "minutes. Training continues in the meantime.",
                query("sum by (instance) (increase(arcshard_checkpoint_duration_seconds_sum{SELECT}[30m])) / "
                      "(sum by (instance) (increase(arcshard_checkpoint_duration_seconds_count{SELECT}[30m])) > 0)",
                      "{{member}}"), unit="s", width=6)
    board.graph("Size of a checkpoint", "All files of the newest checkpoint. checkpoint.keep_last checkpoints are kept.",
                query("arcshard_checkpoint_bytes{SELECT}", "{{member}}"), unit="bytes", width=6)
    board.graph("Checkpoints", "Checkpoints in the last 30 minutes, by outcome. Failed ones should be 0.",
                query("sum by (outcome) (increase(arcshard_checkpoints_total{SELECT}[30m]))", "{{outcome}}"), width=6)
    board.row("What has it survived?")
    of_coordinator = "and on (instance) arcshard_planned_steps{SELECT}"
    board.graph("Recoveries", "Losses of the last 30 minutes that the run has survived, by the role of the process that "
                "was lost; of the coordinator, which counts from 0 again, its new starts.",
                query('sum by (role) (increase(arcshard_recoveries_total{SELECT, role!="coordinator"}[30m]))', "{{role}}"),
                query("max(max_over_time(arcshard_view_incarnation{SELECT}[30m])) - "
                      "min(min_over_time((arcshard_view_incarnation{SELECT} > 0)[30m:15s]))", "coordinator"), width=6)
    board.graph("Time of recoveries", "Seconds of the last 30 minutes between the loss of a process and the moment when "
                "the run went on.",
                query("sum by (instance) (increase(arcshard_recovery_seconds_sum{SELECT}[30m]) "
                      f"{of_coordinator})", "{{member}}"), unit="s", width=6)
    board.graph("Recoverable", "1: a shard that is lost is rebuilt from the logs of others, and no step is lost. 0: the "
                "run would go back to its newest checkpoint, as one with a single shard always does.",
                query("min by (instance) (arcshard_recoverable{SELECT})", "{{member}}"), width=6)
    board.graph("Lost steps", "Decided steps of the last 30 minutes that rollbacks have undone. Should be 0.",
                query("sum by (instance) (increase(arcshard_lost_steps_total{SELECT}[30m]))", "{{member}}"), width=6)
    board.row("Is something wrong?")
    board.graph("Skipped steps", "Share of the steps that were skipped because a value was not finite. Should be 0.",
                query('sum by (job) (rate(arcshard_steps_total{SELECT, outcome="skip"}[WINDOW])) / '
                      "(sum by (job) (rate(arcshard_steps_total{SELECT}[WINDOW])) > 0)", "{{job}}"), unit="percentunit")
    board.graph("Refused messages", "Refused messages per second, by the status code of the answer. Should be 0 during "
                "a run.", query("sum by (reason) (rate(arcshard_refused_messages_total{SELECT}[WINDOW]))", "{{reason}}"),
                unit="cps")
    board.graph("Members", "Processes in the current view, and the number that the configuration asks for.",
                query("max by (role) (arcshard_members{SELECT})", "{{role}}"),
                query("max by (role) (arcshard_expected_members{SELECT})", "{{role}} expected"))
    board.graph("Free disk", "Share of the disk that holds run.folder.",
                query("arcshard_disk_free_bytes{SELECT} / (arcshard_disk_size_bytes{SELECT} > 0)", "{{member}}"),
                unit="percentunit")
    board.graph("View", "The view's number grows with every change of membership, the incarnation with every start of the "
                "coordinator.",
                query("max(arcshard_view{SELECT})", "view"),
                query("max(arcshard_view_incarnation{SELECT})", "incarnation"))
    board.graph("Processes by build", "More than one version means that an upgrade is under way, or incomplete.",
                query("count by (version) (arcshard_build_info{SELECT})", "{{version}}"))
    return board


def shards():
    board = Dashboard("shards", "shards", "Are the shards balanced, how long do their passes take, do they fit into memory, "
                      "how much do they send?", "arcshard_shard_classes")
    board.row("Now")
    board.stat("Shards", "Shards that answer.", query("count(arcshard_shard_classes{SELECT})", "shards"))
    board.stat("Classes", "Classes of all shards together.", query("sum(arcshard_shard_classes{SELECT})", "classes"), unit="short")
    board.stat("Memory of the classes", "Class centers, optimizer state and kept exponentials of all shards.",
               query("sum(arcshard_shard_bytes{SELECT})", "bytes"), unit="bytes")
    board.stat("Steps per second", "Steps that every shard carries out.",
               query("max(sum by (instance) (rate(arcshard_steps_total{SELECT}[WINDOW])) and on (instance) "
                     "arcshard_shard_classes{SELECT})", "steps/s"), unit="short")
    board.stat("Slowest over median", "Time of the passes per step: that of the slowest shard divided by the median. 1 is balanced.",
               query("max(instance:arcshard_passes_seconds:per_step5m{SELECT}) / "
                     "quantile(0.5, instance:arcshard_passes_seconds:per_step5m{SELECT})", "ratio"), decimals=2)
    board.stat("Busy", "Share of the time that the slowest shard computes.",
               query('max(sum by (instance) (rate(arcshard_step_phase_seconds_sum{SELECT, phase=~"begin|pass_1|gradient|pass_2"}'
                     "[WINDOW])))", "busy"), unit="percentunit")
    board.row("Balance")
    board.graph("Classes", "Classes that each shard owns, in proportion to its capacity.",
                query("arcshard_shard_classes{SELECT}", "{{member}}"), unit="short")
    board.graph("Computing per step", "Time of both passes. Every step waits for the slowest shard.",
                query("instance:arcshard_passes_seconds:per_step5m{SELECT}", "{{member}}"), unit="s")
    board.graph("Busy", "Share of the time that each shard computes.",
                query('sum by (instance) (rate(arcshard_step_phase_seconds_sum{SELECT, phase=~"begin|pass_1|gradient|pass_2"}'
                      "[WINDOW]))", "{{member}}"), unit="percentunit")
    board.row("Pass times")
    board.graph("Pass 1", "Sums over the negatives, for micro-batches that are queued together.",
                *quantiles("pass_1", "instance"), unit="s")
    board.graph("Pass 2", "The update of the class centers, once per step, while workers do their next forward pass.",
                *quantiles("pass_2", "instance"), unit="s")
    board.graph("Begin", "Choice of the classes that take part, once per step; short unless classes are sampled.",
                *quantiles("begin", "phase"), unit="s")
    board.graph("Micro-batches in flight", "Micro-batches received whose statistics are not yet sent.",
                query('sum by (instance) (arcshard_micro_batches_in_flight{SELECT} and on (instance) '
                      "arcshard_shard_classes{SELECT})", "{{member}}"))
    board.graph("Queues", "Micro-batches that wait for pass 1, and messages that wait for the decision before them.",
                query('sum by (instance, queue) (arcshard_queue_depth{SELECT, queue=~"pass_1|early"})',
                      "{{member}} {{queue}}"))
    board.graph("Steps per second", "By outcome.",
                query("max by (outcome) (rate(arcshard_steps_total{SELECT}[WINDOW]))", "{{outcome}}"), unit="short")
    board.row("Memory")
    board.graph("Memory of the process", "cpu: resident; cuda: in use on its GPU.",
                query("sum by (instance, device) (arcshard_device_memory_bytes{SELECT} and on (instance) "
                      "arcshard_shard_classes{SELECT})", "{{member}} {{device}}"), unit="bytes", width=12)
    board.graph("Memory of the classes", "Class centers, optimizer state and the exponentials that pass 1 keeps for pass 2.",
                query("arcshard_shard_bytes{SELECT}", "{{member}}"), unit="bytes", width=12)
    board.row("Replay log")
    of_shards = "and on (instance) arcshard_shard_classes{SELECT}"
    board.graph("Size of the log", "Inputs of the steps since the newest checkpoint, from which a lost shard is rebuilt. "
                "A checkpoint empties it; it asks for one at half of cluster.log_mb.",
                query("arcshard_log_bytes{SELECT}", "{{member}}"), unit="bytes", width=6)
    board.graph("Time to replay it", "What replaying the whole log would take, as predicted. It asks for a checkpoint at "
                "half of cluster.recovery_target.",
                query("arcshard_replay_seconds{SELECT}", "{{member}}"), unit="s", width=6)
    board.graph("Replayed steps", "Steps of the last 30 minutes that a shard has carried out from another's log.",
                query("sum by (instance) (increase(arcshard_replayed_steps_total{SELECT}[30m]))", "{{member}}"), width=6)
    board.graph("Rebuilding", "Seconds of the last 30 minutes that a shard took to rebuild its range.",
                query(f"sum by (instance) (increase(arcshard_recovery_seconds_sum{{SELECT}}[30m]) {of_shards})",
                      "{{member}}"), unit="s", width=6)
    board.row("Checkpoints")
    written = "sum by (instance) (increase(arcshard_checkpoint_write_bytes_total{SELECT}[30m]))"
    seconds = "sum by (instance) (increase(arcshard_checkpoint_write_seconds_sum{SELECT}[30m]))"
    parts = "sum by (instance) (increase(arcshard_checkpoint_write_seconds_count{SELECT}[30m]))"
    board.graph("Time of a part", "From the decision to take a checkpoint until this shard's part was on the disk, mean of "
                "the last 30 minutes.", query(f"{seconds} / ({parts} > 0) {of_shards}", "{{member}}"), unit="s")
    board.graph("Writing", "Bytes written per second of that time, over the last 30 minutes.",
                query(f"{written} / ({seconds} > 0) {of_shards}", "{{member}}"), unit="Bps")
    board.graph("Updates that wait", "Share of the time that updates wait for a checkpoint's file, because "
                "checkpoint.buffer_mb is used up. Should be 0; the times of several threads are added.",
                query("sum by (instance) (rate(arcshard_checkpoint_stall_seconds_total{SELECT}[WINDOW]))", "{{member}}"),
                unit="percentunit")
    board.row("Network")
    board.graph("Bytes", "Bytes per second, received (embeddings) and sent (statistics).",
                query("sum by (instance, direction) (rate(arcshard_message_bytes_total{SELECT}[WINDOW]) and on (instance) "
                      "arcshard_shard_classes{SELECT})", "{{member}} {{direction}}"), unit="Bps")
    board.graph("Messages", "Messages per second, of at most 1 MiB each.",
                query("sum by (instance, direction) (rate(arcshard_messages_total{SELECT}[WINDOW]) and on (instance) "
                      "arcshard_shard_classes{SELECT})", "{{member}} {{direction}}"), unit="cps")
    board.graph("Repeated messages", "Messages per second that a worker sent again. 0 unless connections break.",
                query("sum by (instance) (rate(arcshard_repeated_messages_total{SELECT}[WINDOW]))", "{{member}}"),
                unit="cps")
    return board


PHASES = "data_wait|forward|wait_for_shards|loss|backward|all_reduce|vote|optimizer"


def workers():
    board = Dashboard("workers", "workers", "Where does the time of the workers go?", "arcshard_loader_stalls_total")
    board.row("Now")
    board.stat("Workers", "Workers that answer.", query('count(arcshard_queue_depth{SELECT, queue="decoded"})', "workers"))
    share = (f'sum(rate(arcshard_step_phase_seconds_sum{{SELECT, phase=~"%s"}}[WINDOW])) / '
             f'sum(rate(arcshard_step_phase_seconds_sum{{SELECT, phase=~"{PHASES}"}}[WINDOW]))')
    board.stat("Backbone", "Share of the time in forward and backward passes, which is the workers' actual task.",
               query(share % "forward|backward", "backbone"), unit="percentunit", decimals=1)
    board.stat("Waiting for shards", "Share of the time. If it is large, add shards.",
               query(share % "wait_for_shards", "shards"), unit="percentunit", decimals=1)
    board.stat("Waiting for data", "Share of the time. If it is large, use more loader threads.",
               query(share % "data_wait", "data"), unit="percentunit", decimals=1)
    board.stat("Waiting for each other", "Share of the time in all-reduce and vote: for the slowest worker, the network, "
               "the shards' gradients and the coordinator.",
               query(share % "all_reduce|vote", "others"), unit="percentunit", decimals=1)
    board.stat("Corrupt records", "Records found in the last 30 minutes, and replaced.",
               query("sum(increase(arcshard_corrupt_records_total{SELECT}[30m]))", "records"))
    board.row("Where the time goes")
    board.graph("All workers", "Share of the time by phase, mean over workers. While training the phases add up to 1; a "
                "verification is a gap, and has its own panel below.", query(f'sum by (phase) (rate(arcshard_step_phase_seconds_sum{{SELECT, phase=~"{PHASES}"}}'
                                  "[WINDOW])) / scalar(count(arcshard_queue_depth{SELECT, queue=\"decoded\"}))", "{{phase}}"),
                unit="percentunit", width=12, stacked=True)
    board.graph("Computing, by worker", "Share of the time in forward, loss, backward and optimizer. The one with the most "
                "is the slowest: the others wait for it.",
                query('sum by (instance) (rate(arcshard_step_phase_seconds_sum{SELECT, '
                      'phase=~"forward|loss|backward|optimizer"}[WINDOW]))', "{{member}}"), unit="percentunit", width=12)
    for phase, title, description in (
            ("forward", "Forward", "Time of the forward pass of a micro-batch."),
            ("wait_for_shards", "Wait for shards", "Time until the statistics of a micro-batch arrive, as far as it is not "
             "hidden by the forward passes of the next ones."),
            ("backward", "Backward", "Time of the backward pass of a micro-batch."),
            ("all_reduce", "All-reduce", "Once per step: the wait for the slowest worker, and the sum itself."),
            ("vote", "Vote", "From this worker's vote to the decision: the shards' last gradients and the coordinator."),
            ("loss|optimizer", "Loss and optimizer", "Loss of a micro-batch; the optimizer once per step.")):
        board.graph(title, description, *quantiles(phase, "phase" if "|" in phase else "instance"), unit="s")
    board.row("Data")
    board.graph("Wait for data", "Once per step, for all micro-batches of this worker's share.",
                *quantiles("data_wait", "instance"), unit="s")
    board.graph("Loader stalls", "Micro-batches per second that were not decoded when training needed them.",
                query("sum by (instance) (rate(arcshard_loader_stalls_total{SELECT}[WINDOW]))", "{{member}}"), unit="cps")
    board.graph("Micro-batches ready", "Micro-batches that the loader had decoded when the last step was computed.",
                query('arcshard_queue_depth{SELECT, queue="decoded"}', "{{member}}"))
    board.graph("Corrupt records", "Records per second found and replaced. Should be 0.",
                query("sum by (instance) (rate(arcshard_corrupt_records_total{SELECT}[WINDOW]))", "{{member}}"), unit="cps")
    of_workers = 'and on (instance) arcshard_queue_depth{SELECT, queue="decoded"}'
    board.graph("Micro-batches in flight", "Micro-batches sent whose statistics have not yet arrived; at most cluster.max_in_flight.",
                query(f"sum by (instance) (arcshard_micro_batches_in_flight{{SELECT}} {of_workers})", "{{member}}"))
    board.graph("Verification", "Time of one verification of all sets.", *quantiles("evaluation", "phase"), unit="s")
    board.row("Memory and network")
    board.graph("Memory of the process", "cpu: resident; cuda: in use on its GPU.",
                query(f"sum by (instance, device) (arcshard_device_memory_bytes{{SELECT}} {of_workers})",
                      "{{member}} {{device}}"), unit="bytes")
    board.graph("Bytes", "Bytes per second, sent to the shards (embeddings) and received from them (statistics). The "
                "workers' all-reduce is not included.",
                query(f"sum by (instance, direction) (rate(arcshard_message_bytes_total{{SELECT}}[WINDOW]) {of_workers})",
                      "{{member}} {{direction}}"), unit="Bps")
    board.graph("Steps per second", "By worker; all have the same rate.",
                query(f"sum by (instance) (rate(arcshard_steps_total{{SELECT}}[WINDOW]) {of_workers})", "{{member}}"),
                unit="short")
    return board


def main():
    check = sys.argv[1:] == ["--check"]
    stale = []
    for board in (training(), shards(), workers()):
        path = DASHBOARDS / f"{board.name}.json"
        text = json.dumps(board.json(), indent=2) + "\n"
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(str(path))
    if stale:
        sys.exit(f"{', '.join(stale)}: not what deploy/grafana/generate.py writes; run it")


if __name__ == "__main__":
    main()
