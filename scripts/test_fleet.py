#!/usr/bin/env python3
"""Scrapes a fleet of recorded machines with Prometheus, and checks numbers, rules, dashboards and alerts.

Each machine is `ebpftop export --from RECORDING` on a loopback port. Prometheus, promtool, Alertmanager and amtool
are those in PATH, else those of Debian's packages: they are downloaded with apt-get and unpacked into target/fleet,
which installs nothing and starts no service. Every wait has an end; a check that cannot run fails.
"""

import argparse
import http.server
import json
import os
import re
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

from victoria import Victoria

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
RULES = PACKAGING / "prometheus"
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


def tools(target, package, names):
    """The paths of programs: in PATH, else of a package of Debian."""
    found = [shutil.which(name) for name in names]
    if all(found):
        return found
    place = target / "fleet"
    place.mkdir(parents=True, exist_ok=True)
    unpacked = place / package
    programs = [unpacked / "usr/bin" / name for name in names]
    if not all(program.exists() for program in programs):
        if not shutil.which("apt-get"):
            fail(f"install {' and '.join(names)}: they are not in PATH, and there is no apt-get")
        run("apt-get", "-q", "download", package, cwd=place)
        for file in place.glob(f"{package}_*.deb"):
            run("dpkg-deb", "-x", file, unpacked)
            file.unlink()
    return programs


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
        program, "export", "--from", recording, "--listen", "127.0.0.1:0", "--watched", "/**",
        stderr=subprocess.PIPE,
    )
    timer = threading.Timer(PATIENCE, child.kill)
    timer.daemon = True
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


class Webhook:
    """A receiver of Alertmanager's messages, on a thread that ends with the program."""

    def __init__(self):
        self.alerts = []
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.alerts += json.loads(body)["alerts"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/alerts"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def relocated(binary, folder):
    """Debian's Alertmanager reads its templates from a fixed place, where they are only when the package is installed.
    A copy of an unpacked one reads them from its working directory: the program and that directory."""
    place = b"/usr/share/prometheus/alertmanager"
    templates = Path(binary).parents[2] / place.decode().strip("/")
    if Path(place.decode()).exists() or not templates.exists():
        return binary, folder
    copy = folder / "alertmanager-copy"
    # Of the same length, as a string of the program has to be.
    copy.write_bytes(Path(binary).read_bytes().replace(place, b"./" + b"/" * (len(place) - 2)))
    copy.chmod(0o755)
    return copy, templates


def alertmanager(fleet, binary, folder, webhook):
    """Starts Alertmanager with the example of the packages, which waits for less; its address."""
    config = (PACKAGING / "alertmanager/alertmanager.yml").read_text()
    config = config.replace("http://127.0.0.1:9095/alerts", webhook.url)
    config = re.sub(r"group_wait: \w+", "group_wait: 0s", config)
    (folder / "alertmanager.yml").write_text(config)
    address = f"127.0.0.1:{free_port()}"
    log = open(folder / "alertmanager.log", "w", encoding="utf-8")
    program, where = relocated(binary, folder)
    fleet.start(
        program,
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        cwd=where,
        stdout=log,
        stderr=log,
    )

    def answers():
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=20) as answer:
            return answer.status == 200

    until("Alertmanager", answers)
    return address


class Prometheus:
    """A running server."""

    def __init__(self, fleet, binary, folder, targets, alertmanager_address):
        # A scrape that takes longer than its interval is lost.
        interval = 1 + len(targets) // 50
        shutil.copytree(RULES, folder / "etc")
        config = (folder / "etc/scrape.yml").read_text()
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_address]}]}]}
        config = (
            f"global: {{scrape_interval: {interval}s, evaluation_interval: 1s}}\n"
            f"alerting: {json.dumps(alerting)}\n{config}"
        )
        (folder / "etc/prometheus.yml").write_text(config)
        # A test does not wait for five minutes.
        alerts = folder / "etc/ebpftop.alerts.yml"
        alerts.write_text(alerts.read_text().replace("for: 5m", "for: 1s"))
        (folder / "etc/ebpftop.targets.json").write_text(json.dumps([{"targets": targets}]))
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.log = open(folder / "log", "w+", encoding="utf-8")
        fleet.start(
            binary,
            f"--config.file={folder}/etc/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.address}",
            f"--web.console.templates={PACKAGING}/consoles",
            f"--web.console.libraries={PACKAGING}/consoles",
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

    def page(self, path):
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=20) as answer:
            return answer.read().decode()


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
        # An alert that is not raised has no answer, but each metric in it has.
        for metric in re.findall(r"\b(?:up|ebpftop_\w+)(?:\{[^}]*\})?", rule["query"]):
            # Machines without --otlp have none of its metrics, and the recording has no listeners.
            if not re.search("_otlp_|_listener_", metric) and not server.query(metric):
                fail(f"{rule['name']}: {metric} has no answer")
    print(f"{len(rules)} rules")


def check_dashboards(server, instance):
    """Every expression of the dashboards has an answer."""
    asked = 0
    values = {"$__rate_interval": "1m", "$__range": "10m", "$job": ".*", "$instance": instance}
    for path in sorted((PACKAGING / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in values.items():
                    expression = expression.replace(name, value)
                if "$" in expression:
                    fail(f"{path.name}: {expression} has another variable")
                # A recording without --io, --slow, --files and listeners has nothing of these.
                if re.search("ebpftop_(file|listener)_", expression):
                    continue
                if not server.query(expression):
                    fail(f"{path.name}, {panel['title']}: {expression} has no answer")
                asked += 1
    print(f"{asked} expressions of dashboards")


def check_console(server, targets):
    """The console template shows every machine, and each of its queries has an answer."""
    template = (PACKAGING / "consoles/ebpftop.html").read_text()
    queries = re.findall(r"(?:query|printf) `([^`]+)`", template)
    for query in queries:
        # Alerts and probes that are off have no answer while all is well.
        if query.startswith("ALERTS") or query.endswith("== 0"):
            continue
        if not server.query(query.replace("%s", targets[0])):
            fail(f"console: {query} has no answer")
    page = server.page("consoles/ebpftop.html")
    missing = [target for target in targets if f"<td>{target}</td>" not in page]
    if missing or "otherother" in page or "worker" not in page or "ENOENT" not in page:
        fail(f"the console lacks {missing or 'programs'}: {page}")
    print(f"{len(queries)} queries of the console")


def picture(url, file, folder):
    """A picture of a page, by Chromium without a screen."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        fail("install chromium for a picture of the console")
    run(
        chromium,
        "--headless",
        # The page is this test's own; root has no sandbox.
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={folder}/chromium",
        "--window-size=820,1120",
        f"--screenshot={file}",
        url,
    )
    if not file.exists():
        fail(f"chromium made no {file}")
    print(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "target/debug/ebpftop", type=Path)
    parser.add_argument("--recording", default=ROOT / "assets/demo.ebpftop", type=Path)
    parser.add_argument("--machines", default=50, type=int)
    parser.add_argument("--picture", type=Path, help="a PNG of the console, by Chromium")
    options = parser.parse_args()
    program = options.program.resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    prometheus, promtool = tools(target, "prometheus", ["prometheus", "promtool"])
    alerts, amtool = tools(target, "prometheus-alertmanager", ["prometheus-alertmanager", "amtool"])
    victoria = tools(target, "victoria-metrics", ["victoria-metrics", "vmalert"])
    run(sys.executable, ROOT / "scripts/dashboards.py", "--check")
    run(amtool, "check-config", PACKAGING / "alertmanager/alertmanager.yml")

    run(promtool, "check", "rules", *sorted(RULES.glob("*.rules.yml")), *sorted(RULES.glob("*.alerts.yml")))
    run(promtool, "check", "config", "scrape.yml", cwd=RULES)
    run(promtool, "test", "rules", *(path.name for path in RULES.glob("*.test.yml")), cwd=RULES)

    with tempfile.TemporaryDirectory() as folder, Fleet() as fleet:
        machines = {}
        # The server first: it has to see each series at 0.
        started = [exporter(fleet, program, options.recording) for _ in range(options.machines)]
        machines.update({address: child for child, address in started})
        targets = sorted(machines)
        webhook = Webhook()
        address = alertmanager(fleet, alerts, Path(folder), webhook)
        server = Prometheus(fleet, prometheus, Path(folder), targets, address)
        others = sorted(exporter(fleet, program, options.recording)[1] for _ in range(2))
        ports = (free_port(), free_port())
        second = Victoria(fleet, victoria, Path(folder), RULES, others, ports, address)
        until("all machines", lambda: server.one("sum(up)") == len(targets))
        with urllib.request.urlopen(f"http://{targets[0]}/metrics", timeout=20) as answer:
            run(promtool, "check", "metrics", input=answer.read().decode())
        ended = lambda: server.one("sum(ebpftop_recording_ended)") == len(targets)
        until("the end of the recordings", ended)
        # The last increments come with the next scrapes.
        time.sleep(5 + len(targets) // 25)
        check_numbers(server, targets, program, options.recording)
        check_rules(server)
        check_dashboards(server, targets[0])
        check_console(server, targets)
        try:
            until("the rules in VictoriaMetrics", lambda: not second.wrong())
        except SystemExit:
            print("\n".join(second.wrong()))
            raise
        print(f"{len(second.rules())} rules in VictoriaMetrics")

        gone = targets[0]
        machines[gone].terminate()
        if machines[gone].wait(20) != 0:
            fail("an exporter did not end cleanly")
        down = lambda: [
            alert
            for alert in webhook.alerts
            if alert["labels"]["alertname"] == "EbpftopDown" and alert["status"] == "firing"
        ]
        arrived = until("the alert on a machine that is gone, at the webhook", down)
        if {alert["labels"]["instance"] for alert in arrived} != {gone}:
            fail(f"{gone} is gone, and the alerts are {arrived}")
        page = server.page("consoles/ebpftop.html")
        if "EbpftopDown" not in page or page.count(">gone<") != 1:
            fail(f"the console does not show that {gone} is gone: {page}")
        if options.picture:
            picture(f"{server.url}/consoles/ebpftop.html", options.picture.resolve(), Path(folder))
        print(f"{gone} ended: EbpftopDown is at the webhook and on the console")


if __name__ == "__main__":
    main()
