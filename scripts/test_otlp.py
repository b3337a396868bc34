#!/usr/bin/env python3
"""Sends a recording by OTLP to a receiver of others, and compares what that has read with `report`.

The receiver is rotel, of PyPI: 28 MB in target/fleet/rotel. It prints each data point and log record that it has
decoded. Once as it is and once packed with gzip.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from pathlib import Path

from test_fleet import PATIENCE, ROOT, Fleet, free_port, report, run, until

PACKAGE = "rotel==0.0.1a15"


def fail(message):
    sys.exit(f"test-otlp: {message}")


def receiver():
    """The path of rotel's program."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    place = target / "fleet/rotel"
    if not list(place.glob("lib/*/site-packages/rotel/rotel-agent")):
        venv.create(place, with_pip=True)
        run(place / "bin/python", "-m", "pip", "install", "-q", PACKAGE)
    agent = next(place.glob("lib/*/site-packages/rotel/rotel-agent"))
    agent.chmod(0o755)
    return agent


def data_points(text):
    """Name, attributes, time and value of each data point that rotel printed."""
    name, attributes, at = None, {}, None
    for line in text.splitlines():
        if match := re.match(r"\s+-> Name: (\S+)$", line):
            name = match[1]
        elif line.startswith("NumberDataPoints #"):
            attributes = {}
        elif match := re.match(r"\s+-> (\S+): (?:Str|Int)\((.*)\)$", line):
            attributes[match[1]] = match[2]
        elif match := re.match(r"Timestamp: (\d+)$", line):
            at = int(match[1])
        elif (match := re.match(r"Value: (\S+)$", line)) and name:
            yield name, attributes, at, float(match[1])


def sums(text):
    """Sums of the newest snapshot by metric, and by metric and direction."""
    points = list(data_points(text))
    newest = max(at for _, _, at, _ in points)
    all_sums = defaultdict(float)
    for name, attributes, at, value in points:
        if at == newest:
            all_sums[name] += value
            for key in ("direction", "network.io.direction"):
                if key in attributes:
                    all_sums[name, attributes[key]] += value
    return all_sums


def check(agent, program, recording, compression):
    """Sends everything to a new receiver, and compares."""
    with tempfile.TemporaryDirectory() as folder, Fleet() as fleet:
        log = open(Path(folder) / "rotel.log", "w+", encoding="utf-8")
        port = free_port()
        fleet.start(
            agent, "start", "--otlp-http-endpoint", f"127.0.0.1:{port}",
            "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}", "--exporter", "blackhole",
            "--debug-log", "metrics", "--debug-log", "logs", "--debug-log-verbosity", "detailed",
            stdout=log, stderr=log,
        )
        written = lambda: Path(log.name).read_text(encoding="utf-8")
        until("rotel", lambda: "Starting Rotel" in written())
        exporter = fleet.start(
            program, "export", "--from", recording, "--at-once", "--interval", "1s",
            "--listen", "127.0.0.1:0", "--otlp", f"http://127.0.0.1:{port}", "--otlp-events",
            env={**os.environ, "OTEL_EXPORTER_OTLP_COMPRESSION": compression},
            stderr=subprocess.PIPE,
        )
        _, summary = report(program, recording, "program")
        failures, _ = report(program, recording, "failure")
        talkers, _ = report(program, recording, "talker")
        failed = sum(row["failed"] for row in failures)
        records = lambda: written().count("EventName: ebpftop.open")
        until("the records", lambda: records() >= failed)
        exporter.terminate()
        said = exporter.communicate(timeout=PATIENCE)[1]
        if exporter.returncode != 0 or "did not arrive" in said:
            fail(said)
        rx = sum(row["rx_bytes"] for row in talkers)

        def wrong():
            found = sums(written())
            expected = {
                "ebpftop.opens": summary["opens"] + summary["opens_lost"],
                "ebpftop.open_failures": failed,
                ("ebpftop.interface_bytes", "rx"): rx,
                ("system.network.io", "receive"): rx,
                "process.network.io": found["ebpftop.connection_bytes"],
            }
            return {key: (found[key], n) for key, n in expected.items() if found[key] != n}

        # It prints a request a little after its answer.
        deadline = time.monotonic() + 20
        while wrong() and time.monotonic() < deadline:
            time.sleep(0.25)
        if wrong() or records() != failed:
            fail(f"received and right: {wrong()}; {records()} records of {failed}")
        print(f"{compression}: {summary['opens']} opens and {failed} log records, as in the report")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "target/debug/ebpftop", type=Path)
    parser.add_argument("--recording", default=ROOT / "assets/demo.ebpftop", type=Path)
    options = parser.parse_args()
    agent = receiver()
    for compression in ("none", "gzip"):
        check(agent, options.program.resolve(), options.recording, compression)


if __name__ == "__main__":
    main()
