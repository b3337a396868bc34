#!/usr/bin/env python3
"""CPU and memory of `export` beside `stream` and Prometheus' node_exporter: idle, under 300,000 opens/s and
under packets at full speed of one thread. Needs root; node_exporter is left out where it is not in PATH.

    sudo benches/export_cost.py [ROUNDS] [SECONDS] [BINARY]

Runs in a network namespace of its own. The tools take turns within a round (default 5 of 5 s for each measurement);
medians are printed. Programs with a port are scraped once a second. CPU is the time that the process ran, in percent
of one core, without the BPF programs: their part is in the rate of the load, of which the baseline is the one without
any tool. The load has one core, the tool what is left of the other.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
BINARY = sys.argv[3] if len(sys.argv) > 3 else os.path.join(HERE, "../target/release/ebpftop")
PORT = 19435
# A second, or what the machine can do.
OPENS = 300_000
PHASES = ("idle", "opens", "packets")


def sh(*command):
    subprocess.run(command, check=True)


class Tool:
    """A program that runs for a round of measurements, or none."""

    def __init__(self, name, command, scraped):
        self.name, self.command, self.scraped = name, command, scraped
        self.child = None
        self.ends = threading.Event()

    def start(self):
        if not self.command:
            return
        self.child = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.ends.clear()
        if self.scraped:
            deadline = time.monotonic() + 30
            while not self.scrape():
                if time.monotonic() > deadline or self.child.poll() is not None:
                    sys.exit(f"{self.name} does not answer")
                time.sleep(0.1)
            threading.Thread(target=self.scrape_on, daemon=True).start()

    @staticmethod
    def scrape():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def scrape_on(self):
        while not self.ends.wait(1):
            self.scrape()

    def cpu(self):
        """Seconds on a CPU, all threads."""
        if not self.child:
            return 0.0
        task = f"/proc/{self.child.pid}/task"
        threads = os.listdir(task)
        return sum(int(open(f"{task}/{t}/schedstat").read().split()[0]) for t in threads) / 1e9

    def memory(self):
        """Anonymous memory, MiB."""
        if not self.child:
            return 0.0
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"RssAnon:\s+(\d+)", status.read())[1]) / 1024

    def lost(self):
        """Opens without a record, where the tool says so."""
        lost = re.findall(r"^ebpftop_opens_lost_total\{.*\} (\d+)", self.scrape(), re.M)
        return sum(map(int, lost))

    def end(self):
        self.ends.set()
        if self.child:
            self.child.terminate()
            if self.child.wait(30) != 0 and self.scraped and "ebpftop" in self.name:
                sys.exit(f"{self.name} failed")


class Loads:
    """Opens of a hundred files, and datagrams over a pair of interfaces."""

    def __init__(self, work, far):
        self.work = work
        self.beyond = ["nsenter", "--net", "-t", str(far.pid)]
        sh("cc", "-O2", "-o", f"{work}/load", f"{HERE}/load.c")
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        sh("ip", "link", "set", "far", "netns", str(far.pid))
        sh("ip", "addr", "add", "10.9.0.1/24", "dev", "near")
        sh("ip", "link", "set", "near", "up")
        sh(*self.beyond, "ip", "addr", "add", "10.9.0.2/24", "dev", "far")
        sh(*self.beyond, "ip", "link", "set", "far", "up")
        self.files = f"{work}/one/two"
        os.makedirs(self.files)
        for i in range(100):
            open(f"{self.files}/file{i:02}", "w").close()

    def run(self, phase, seconds):
        """Runs a load; what it did in a second."""
        if phase == "idle":
            time.sleep(seconds)
            return 0.0
        if phase == "opens":
            command = [f"{self.work}/load", "opens", self.files, str(seconds), str(OPENS)]
            return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1]) / seconds
        sink = subprocess.Popen([f"{self.work}/load", "sink", str(seconds + 3)])
        time.sleep(0.3)
        command = [*self.beyond, f"{self.work}/load", "send", "10.9.0.1", str(seconds)]
        sent = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        sink.kill()
        sink.wait()
        return float(sent.split()[0])


def tools():
    watch = ["-i", "near"]
    found = [
        Tool("baseline", None, False),
        Tool("ebpftop export", [BINARY, "export", "--listen", f"127.0.0.1:{PORT}", *watch], True),
        Tool(
            "ebpftop stream, JSON lines of all",
            [BINARY, "stream", "opens", "talkers", "connections", "--format", "json", *watch],
            False,
        ),
        Tool(
            "ebpftop stream, failed opens alone",
            [BINARY, "stream", "opens", "talkers", "connections", "--failed", "--format", "json", *watch],
            False,
        ),
    ]
    if node := shutil.which("prometheus-node-exporter") or shutil.which("node_exporter"):
        found.append(Tool("node_exporter", [node, f"--web.listen-address=127.0.0.1:{PORT}"], True))
    else:
        print("node_exporter is not in PATH: left out")
    return found


def main():
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    work = tempfile.mkdtemp(prefix="export_cost.")
    far = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        time.sleep(0.3)
        loads = Loads(work, far)
        every = tools()
        results = {(tool.name, phase): [] for tool in every for phase in PHASES}
        lost = 0
        for _ in range(ROUNDS):
            for tool in every:
                tool.start()
                time.sleep(2)
                for phase in PHASES:
                    before = tool.cpu()
                    began = time.monotonic()
                    rate = loads.run(phase, SECONDS)
                    used = (tool.cpu() - before) / (time.monotonic() - began) * 100
                    results[tool.name, phase].append((used, tool.memory(), rate))
                if tool.name == "ebpftop export":
                    lost += tool.lost()
                tool.end()
        print(f"medians of {ROUNDS} rounds of {SECONDS:.0f} s, {os.cpu_count()} cores")
        print("| | | CPU of a core | memory | load |\n|---|---|---|---|---|")
        for tool in every:
            for phase in PHASES:
                cpu, memory, rate = map(statistics.median, zip(*results[tool.name, phase]))
                load = f"{rate:,.0f} {phase}/s" if rate else ""
                print(f"| {tool.name} | {phase} | {cpu:.2f} % | {memory:.1f} MiB | {load} |")
        print(f"opens that export had no record of: {lost}")
    finally:
        far.kill()
        far.wait()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
