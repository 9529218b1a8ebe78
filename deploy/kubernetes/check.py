"""Checks what no schema contains: that the parts of a rendered deployment fit together, and fit the programs.

    python3 check.py RENDERED.yaml [BIN]     BIN: the folder of the built programs, whose --help lists their flags

Prints what is wrong, a line each, and exits with 1; with 0 and one line where nothing is.
"""

import pathlib
import re
import subprocess
import sys

import yaml

POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SECRETS = {f"arcshard-{role}-tls" for role in ("coordinator", "shard", "worker")}  # of `arcshard certs init`
# Who connects to whom, at which port; coordinator.proto and shard.proto say why.
CONNECTIONS = (
    ("shard", "coordinator", 7000),
    ("worker", "coordinator", 7000),
    ("worker", "shard", 7100),
    ("shard", "shard", 7100),
    ("worker", "worker", None),  # any port
)
MEBIBYTES = {"Mi": 1, "Gi": 1024}
PROCESS_MB = 512  # a shard's program, buffers and probes
KNOWN_KINDS = {
    "ConfigMap", "Job", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "Service", "StatefulSet",
}


def matches(selector, labels):
    """Whether a LabelSelector selects `labels`."""
    wanted = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"] for one in expressions
    )


def allows(rules, peer, labels, port):
    """Whether one of the rules of a NetworkPolicy, whose peers are under the key `peer`, lets pods with `labels` pass."""
    return any(
        any(set(one) == {"podSelector"} and matches(one["podSelector"], labels) for one in rule[peer])
        and ("ports" not in rule or any(allowed["port"] == port for allowed in rule["ports"]))
        for rule in rules
    )


class Deployment:
    def __init__(self, documents):
        self.documents = documents
        self.wrong = []

    def of(self, kind):
        return [one for one in self.documents if one["kind"] == kind]

    def named(self, kind, name):
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    def workloads(self):
        return self.of("StatefulSet") + self.of("Job")

    def expect(self, condition, sentence):
        if not condition:
            self.wrong.append(sentence)

    def check_kinds(self):
        for one in self.documents:
            self.expect(one["kind"] in KNOWN_KINDS, f"{one['kind']} {one['metadata']['name']}: a kind without a schema here")
            self.expect("namespace" not in one["metadata"], f"{one['metadata']['name']}: names a namespace")
        self.expect(len(self.workloads()) == 3, "there must be three workloads: coordinator, shards, workers")

    def check_pods(self):
        for workload in self.workloads():
            name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
            security = pod.get("securityContext", {})
            self.expect(POD_SECURITY.items() <= security.items(), f"{name}: pod's securityContext is {security}")
            self.expect(pod.get("automountServiceAccountToken") is False, f"{name}: a service account's token is mounted")
            for container in pod["containers"]:
                self.expect(container.get("securityContext") == CONTAINER_SECURITY, f"{name}: securityContext")
                resources = container.get("resources", {})
                self.expect("memory" in resources.get("limits", {}), f"{name}: no limit of memory")
                self.expect({"cpu", "memory"} <= resources.get("requests", {}).keys(), f"{name}: no request of cpu and memory")
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    command = container.get(probe, {}).get("exec", {}).get("command", [])
                    role = container["command"][0].removeprefix("arcshard-")
                    self.expect(command[:3] == ["arcshard", "healthcheck", role], f"{name}: {probe} runs {command}")
            self.check_volumes(name, pod)

    def check_volumes(self, name, pod):
        for volume in pod["volumes"]:
            if "configMap" in volume:
                source = volume["configMap"]["name"]
                self.expect(self.named("ConfigMap", source), f"{name}: there is no ConfigMap {source}")
            elif "persistentVolumeClaim" in volume:
                source = volume["persistentVolumeClaim"]["claimName"]
                claim = self.named("PersistentVolumeClaim", source)
                self.expect(claim, f"{name}: there is no claim {source}")
            elif "secret" in volume:
                source = volume["secret"]["secretName"]
                self.expect(source in SECRETS, f"{name}: {source} is none of arcshard's secrets")
            else:
                self.expect("emptyDir" in volume, f"{name}: volume {volume['name']}")
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        self.expect(volumes == mounts, f"{name}: mounts {sorted(mounts)} of {sorted(volumes)}")

    def check_run_folder(self):
        """All processes write their parts of a checkpoint into one folder, and a coordinator that restarts resumes from it."""
        folders = set()
        for workload in self.workloads():
            name, pod = workload["metadata"]["name"], workload["spec"]["template"]["spec"]
            claims = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
            mounts = [one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == "/runs"]
            self.expect(len(mounts) == 1 and not mounts[0].get("readOnly"), f"{name}: cannot write to /runs")
            folders.update(claims.get(one["name"]) for one in mounts)
        self.expect(len(folders) == 1 and None not in folders, f"/runs is not one claim for all, but {sorted(map(str, folders))}")
        coordinator = self.named("Job", "arcshard-coordinator")["spec"]["template"]["spec"]["containers"][0]
        self.expect("--resume=auto" in coordinator["args"], "a coordinator that restarts does not resume from its checkpoint")

    def check_selectors(self):
        for workload in self.workloads():
            name, labels = workload["metadata"]["name"], workload["spec"]["template"]["metadata"]["labels"]
            for kind, where in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
                found = [one["metadata"]["name"] for one in self.of(kind) if matches(one["spec"][where], labels)]
                self.expect(len(found) == 1, f"{name}: its pods are selected by {len(found)} {kind}: {found}")
            if workload["kind"] == "StatefulSet":
                self.expect(matches(workload["spec"]["selector"], labels), f"{name}: does not select its own pods")
                service = self.named("Service", workload["spec"]["serviceName"])
                self.expect(service and service["spec"].get("clusterIP") == "None", f"{name}: no headless service")
        for service in self.of("Service"):
            name, selector = service["metadata"]["name"], service["spec"]["selector"]
            pods = [one["spec"]["template"] for one in self.workloads()]
            pods = [pod for pod in pods if matches({"matchLabels": selector}, pod["metadata"]["labels"])]
            self.expect(len(pods) == 1, f"service {name} selects pods of {len(pods)} workloads")
            for pod in pods:
                ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
                for port in service["spec"]["ports"]:
                    self.expect(port["targetPort"] in ports, f"service {name}: no port {port['targetPort']} in its pods")
                    self.expect(ports.get(port["targetPort"]) == port["port"], f"service {name}: another port than its pods'")

    def check_connections(self):
        """The policies of both ends let every connection through that a run needs."""
        labels = {}
        for workload in self.workloads():
            of_pod = workload["spec"]["template"]["metadata"]["labels"]
            labels[of_pod["app.kubernetes.io/component"]] = of_pod
        for source, target, port in CONNECTIONS:
            for policy in self.of("NetworkPolicy"):
                spec, name = policy["spec"], policy["metadata"]["name"]
                where = f"at port {port}" if port else "at every port"
                if matches(spec["podSelector"], labels[source]):
                    allowed = allows(spec["egress"], "to", labels[target], port)
                    self.expect(allowed, f"{name}: a {source} may not reach a {target} {where}")
                if matches(spec["podSelector"], labels[target]):
                    allowed = allows(spec["ingress"], "from", labels[source], port)
                    self.expect(allowed, f"{name}: a {target} may not be reached by a {source} {where}")

    def check_counts(self):
        shards = self.named("StatefulSet", "arcshard-shard")["spec"]["replicas"]
        job = self.named("Job", "arcshard-worker")["spec"]
        budget = self.named("PodDisruptionBudget", "arcshard-worker")["spec"]["minAvailable"]
        coordinator = self.named("Job", "arcshard-coordinator")["spec"]["template"]["spec"]["containers"][0]
        self.expect(f"--set=cluster.shards={shards}" in coordinator["args"], f"the coordinator does not wait for {shards} shards")
        workers = job["parallelism"]
        self.expect(f"--set=cluster.workers={workers}" in coordinator["args"], f"the coordinator does not wait for {workers} workers")
        self.expect(job["completions"] == workers == budget, f"{workers} workers, but {job['completions']} completions, budget {budget}")

    def check_restarts(self):
        """Who dies is started again, also after several deaths: the others wait for it."""
        for workload in self.workloads():
            name, spec = workload["metadata"]["name"], workload["spec"]
            policy = spec["template"]["spec"].get("restartPolicy", "Always")
            wanted = "OnFailure" if workload["kind"] == "Job" else "Always"
            self.expect(policy == wanted, f"{name}: restartPolicy is {policy} instead of {wanted}")
            if workload["kind"] == "Job":
                self.expect(spec.get("backoffLimit", 6) >= 20, f"{name}: may restart only {spec.get('backoffLimit', 6)} times")

    def check_memory(self):
        """A shard's limit has room for its rows, its replay log, the copies of a checkpoint, and the process."""
        config = yaml.safe_load(self.named("ConfigMap", self.configuration())["data"]["run.yaml"])
        container = self.named("StatefulSet", "arcshard-shard")["spec"]["template"]["spec"]["containers"][0]
        capacity = [int(one.split("=")[1]) for one in container["args"] if one.startswith("--capacity-mb=")]
        on_gpu = any(one.startswith("--device=cuda") for one in container["args"])
        self.expect(on_gpu or capacity, "a shard on CPUs needs a --capacity-mb that fits its limit of memory")
        needed = {
            "--capacity-mb": sum(capacity) if not on_gpu else 0,
            "cluster.log_mb": config.get("cluster", {}).get("log_mb", 1024),
            "checkpoint.buffer_mb": config.get("checkpoint", {}).get("buffer_mb", 1024),
            "the process": PROCESS_MB,
        }
        limit = container["resources"]["limits"]["memory"]
        self.expect(
            int(limit[:-2]) * MEBIBYTES[limit[-2:]] >= sum(needed.values()),
            f"a shard's limit of {limit} is less than "
            + " + ".join(f"{mb} MiB ({what})" for what, mb in needed.items()),
        )

    def configuration(self):
        """The name of the ConfigMap that the coordinator reads."""
        pod = self.named("Job", "arcshard-coordinator")["spec"]["template"]["spec"]
        return next(volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume)

    def check_flags(self, folder):
        """Every flag of a container's command exists in its program."""
        for workload in self.workloads():
            for container in workload["spec"]["template"]["spec"]["containers"]:
                program = container["command"][0]
                self.expect_flags(folder, [program], container["args"])
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    command = container[probe]["exec"]["command"]
                    self.expect_flags(folder, command[:2], command[3:])  # the third is the role

    def expect_flags(self, folder, command, arguments):
        help_text = subprocess.run(
            [f"{folder}/{command[0]}", *command[1:], "--help"], capture_output=True, text=True, check=False
        ).stdout
        known = set(re.findall(r"--[a-z-]+", help_text))
        for argument in arguments:
            flag = argument.split("=")[0]
            self.expect(flag in known, f"{' '.join(command)} has no {flag}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        deployment = Deployment([one for one in yaml.safe_load_all(file) if one])
    deployment.check_kinds()
    deployment.check_pods()
    deployment.check_run_folder()
    deployment.check_selectors()
    deployment.check_connections()
    deployment.check_counts()
    deployment.check_restarts()
    deployment.check_memory()
    if len(sys.argv) > 2:
        deployment.check_flags(sys.argv[2])
    name = pathlib.Path(sys.argv[1]).stem
    for sentence in sorted(set(deployment.wrong)):
        print(f"{name}: {sentence}")
    if deployment.wrong:
        return 1
    programs = " and the programs" if len(sys.argv) > 2 else ""
    print(f"{name}: {len(deployment.documents)} objects fit each other{programs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
