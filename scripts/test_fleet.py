#!/usr/bin/env python3
"""Scrapes a fleet of recorded machines with Prometheus, and checks numbers, rules and alerts.

Each machine is `ebpftop export --from RECORDING` on a loopback port. Prometheus and promtool are those in
PATH, else those of Debian's package: it is downloaded with apt-get and unpacked into target/fleet,
which installs nothing and starts no service. Every wait has an end; a check that cannot run fails.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "packaging/prometheus"
# The recording takes 45 s; a loaded machine is slower.
PATIENCE = 180


def fail(message):
    sys.exit(f"test-fleet: {message}")


def run(*command, **options):
    """The output of a command, which has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def tools(target):
    """The paths of prometheus and promtool."""
    found = [shutil.which(name) for name in ("prometheus", "promtool")]
    if all(found):
        return found
    place = target / "fleet"
    place.mkdir(parents=True, exist_ok=True)
    unpacked = place / "prometheus"
    if not (unpacked / "usr/bin/promtool").exists():
        if not shutil.which("apt-get"):
            fail("install prometheus with promtool: they are not in PATH, and there is no apt-get")
        run("apt-get", "-q", "download", "prometheus", cwd=place)
        for package in place.glob("prometheus_*.deb"):
            run("dpkg-deb", "-x", package, unpacked)
            package.unlink()
    return [unpacked / "usr/bin" / name for name in ("prometheus", "promtool")]


def until(what, check):
    """The first true result of `check`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if result := check():
                return result
        except OSError:
            pass
        time.sleep(0.25)
    return fail(f"timed out waiting for {what}")


class Fleet:
    """The processes, which end with the test."""

    def __init__(self):
        self.children = []

    def start(self, *command, **options):
        child = subprocess.Popen([str(part) for part in command], text=True, **options)
        self.children.append(child)
        return child

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def exporter(fleet, program, recording):
    """Starts a machine; its process and address."""
    child = fleet.start(
        program, "export", "--from", recording, "--listen", "127.0.0.1:0", stderr=subprocess.PIPE
    )
    timer = threading.Timer(PATIENCE, child.kill)
    timer.start()
    for line in child.stderr:
        if "serving http://" in line:
            timer.cancel()
            return child, line.split("http://")[1].split("/")[0]
    return fail("an exporter ended before it served")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Prometheus:
    """A running server."""

    def __init__(self, fleet, binary, folder, targets):
        shutil.copytree(RULES, folder / "etc")
        config = (folder / "etc/scrape.yml").read_text()
        config = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n" + config
        (folder / "etc/prometheus.yml").write_text(config)
        (folder / "etc/ebpftop.targets.json").write_text(json.dumps([{"targets": targets}]))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = open(folder / "log", "w+", encoding="utf-8")
        fleet.start(
            binary,
            f"--config.file={folder}/etc/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            stdout=self.log,
            stderr=self.log,
        )

    def get(self, path, **query):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """Labels and value of each sample."""
        result = self.get("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def one(self, expression):
        """The value of the only sample; 0 without one."""
        samples = self.query(expression)
        return samples[0][1] if samples else 0.0


def report(program, recording, by):
    """The rows and the summary of `report`."""
    text = run(program, "report", recording, "--by", by, "--top", "100000", "--format", "json")
    lines = [json.loads(line) for line in text.splitlines()]
    return lines[:-1], lines[-1]


def check_numbers(server, targets, program, recording):
    """Each series has gained, from 0 on, as much as the recording has."""
    _, summary = report(program, recording, "program")
    failures, _ = report(program, recording, "failure")
    talkers, _ = report(program, recording, "talker")
    expected = {
        "ebpftop_opens_total": summary["opens"] + summary["opens_lost"],
        "ebpftop_open_failures_total": sum(row["failed"] for row in failures),
        'ebpftop_interface_bytes_total{direction="rx"}': sum(row["rx_bytes"] for row in talkers),
        'ebpftop_talker_bytes_total{direction="tx"}': sum(row["tx_bytes"] for row in talkers),
    }
    for metric, right in expected.items():
        gained = f"max_over_time({metric}[10m]) - min_over_time({metric}[10m])"
        counted = {m["instance"]: n for m, n in server.query(f"sum by (instance) ({gained})")}
        if counted != dict.fromkeys(targets, float(right)):
            fail(f"{metric}: {right} in the recording, {counted} in Prometheus")
    print(f"{len(targets)} machines: {summary['opens']} opens each, no increment lost")


def check_rules(server):
    """Every rule works, and every recording rule has an answer."""
    groups = server.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            fail(f"{rule['name']}: {rule.get('lastError', rule['health'])}")
        if rule["type"] == "recording" and not server.query(rule["name"]):
            fail(f"{rule['name']} has no answer")
    print(f"{len(rules)} rules")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "target/debug/ebpftop", type=Path)
    parser.add_argument("--recording", default=ROOT / "assets/demo.ebpftop", type=Path)
    parser.add_argument("--machines", default=10, type=int)
    options = parser.parse_args()
    program = options.program.resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    prometheus, promtool = tools(target)

    run(promtool, "check", "rules", *sorted(RULES.glob("*.rules.yml")), *sorted(RULES.glob("*.alerts.yml")))
    run(promtool, "check", "config", "scrape.yml", cwd=RULES)
    run(promtool, "test", "rules", *(path.name for path in RULES.glob("*.test.yml")), cwd=RULES)

    with tempfile.TemporaryDirectory() as folder, Fleet() as fleet:
        machines = {}
        # The server first: it has to see each series at 0.
        started = [exporter(fleet, program, options.recording) for _ in range(options.machines)]
        machines.update({address: child for child, address in started})
        targets = sorted(machines)
        server = Prometheus(fleet, prometheus, Path(folder), targets)
        until("all machines", lambda: server.one("sum(up)") == len(targets))
        with urllib.request.urlopen(f"http://{targets[0]}/metrics", timeout=20) as answer:
            run(promtool, "check", "metrics", input=answer.read().decode())
        ended = lambda: server.one("sum(ebpftop_recording_ended)") == len(targets)
        until("the end of the recordings", ended)
        # The last increments come with the next scrapes.
        time.sleep(5)
        check_numbers(server, targets, program, options.recording)
        check_rules(server)

        gone = targets[0]
        machines[gone].terminate()
        if machines[gone].wait(20) != 0:
            fail("an exporter did not end cleanly")
        down = lambda: [
            alert
            for alert in server.get("alerts")["alerts"]
            if alert["labels"]["alertname"] == "EbpftopDown"
        ]
        alerts = until("the alert on a machine that is gone", down)
        if [alert["labels"]["instance"] for alert in alerts] != [gone]:
            fail(f"{gone} is gone, and the alerts are {alerts}")
        print(f"{gone} ended, and EbpftopDown is {alerts[0]['state']}")


if __name__ == "__main__":
    main()
