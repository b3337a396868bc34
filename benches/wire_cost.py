#!/usr/bin/env python3
"""Overhead of watching the wire: throughput of others, and CPU of the tool, beside the baseline and iftop.

    sudo benches/wire_cost.py [ROUNDS] [PART...]

Parts: small (60-byte frames through a veth pair as fast as one thread can), bulk (one TCP stream,
iperf3) and user (CPU of the tool at 300,000 frames a second, and the share of them that it counts).
Runs in network namespaces of its own. The tools take turns within a round; a figure is the
median of ROUNDS (default 5), a ratio the median of the rounds' own ratios. Compare within a run
only. The binary is target/release/ebpftop or $BINARY; iftop is left out where it is
not installed.
"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("BINARY", os.path.join(HERE, "../target/release/ebpftop"))
SECONDS = 2
USER_SECONDS = 5
# Until the maps have grown and every address has come into them.
SETTLE_SECONDS = 6
FRAMES_A_SECOND = 300_000
# Bytes of one frame of the load as iftop counts them: without the Ethernet header.
IFTOP_BYTES = 46
PASS = '__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }\n'


HEAD = re.compile(rb'"direction":"(..)".*?"packets":(\d+).*?"other_packets":(\d+)')


def sh(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Bench:
    """A veth pair: `near` is here and watched, `far` in another namespace."""

    def __init__(self, work):
        self.work = work
        self.load = f"{work}/load"
        sh("cc", "-O2", "-o", self.load, f"{HERE}/load.c")
        with open(f"{work}/pass.c", "w") as source:
            source.write(PASS)
        sh("clang", "-O2", "-g", "-target", "bpf", "-c", f"{work}/pass.c", "-o", f"{work}/pass.o")
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        while self.namespace(self.holder.pid) == self.namespace("self"):
            time.sleep(0.02)
        self.beyond = ["nsenter", "--net", "-t", str(self.holder.pid)]
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        sh("ip", "link", "set", "far", "netns", str(self.holder.pid))
        for name, address, where in (("near", "10.0.0.1/8", []), ("far", "10.0.0.2/8", self.beyond)):
            sh(*where, "ip", "address", "add", address, "dev", name)
            sh(*where, "ip", "link", "set", name, "up")
        # Owns the port, so that no ICMP answers.
        self.sink = subprocess.Popen([self.load, "sink", "3600"])

    @staticmethod
    def namespace(pid):
        return os.readlink(f"/proc/{pid}/ns/net")

    def end(self):
        for process in (self.holder, self.sink):
            process.kill()
            process.wait()

    def arrived(self):
        """Frames that `near` received so far, by the kernel's counter."""
        return json.loads(sh("ip", "-j", "-s", "link", "show", "near"))[0]["stats64"]["rx"]["packets"]

    def mac(self, name, where=()):
        return json.loads(sh(*where, "ip", "-j", "link", "show", name))[0]["address"]

    def frames(self, direction, addresses, rate, seconds):
        """Starts to send frames that `near` receives, or sends."""
        receives = direction == "rx"
        to = self.mac("near") if receives else self.mac("far", self.beyond)
        return subprocess.Popen(
            [*(self.beyond if receives else []), self.load, "frames", "far" if receives else "near",
             to, direction, str(addresses), str(rate), str(seconds)],
            stdout=subprocess.PIPE, text=True)

    def small(self):
        """Frames a second that arrive."""
        before, started = self.arrived(), time.monotonic()
        sh(*self.beyond, self.load, "send", "10.0.0.1", str(SECONDS))
        return (self.arrived() - before) / (time.monotonic() - started)

    def bulk(self):
        """Bits a second of one TCP stream that `near` receives."""
        server = subprocess.Popen(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
        for _ in range(100):
            if ":5201 " in sh("ss", "-tlnH"):
                break
            time.sleep(0.05)
        try:
            report = sh(*self.beyond, "iperf3", "-J", "-c", "10.0.0.1", "-t", str(SECONDS))
        finally:
            server.kill()
            server.wait()
        return json.loads(report)["end"]["sum_received"]["bits_per_second"]


class Baseline:
    """The base of all tools, which does nothing. A tool is attached once it is constructed."""

    def __init__(self, _bench):
        self.process = None

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu(self):
        """Seconds on a CPU, all threads, exact to the nanosecond."""
        tasks = f"/proc/{self.process.pid}/task"
        return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0])
                   for task in os.listdir(tasks)) / 1e9

    def begin(self):
        """All addresses have come: counts by address start here."""

    def share(self, _sent):
        """The share of the sent frames that it counts, as text."""
        return "-"


def bare(mode):
    class Pass(Baseline):
        def __init__(self, bench):
            super().__init__(bench)
            sh("ip", "link", "set", "dev", "near", mode, "obj", f"{bench.work}/pass.o", "sec", "xdp")

        def end(self):
            sh("ip", "link", "set", "dev", "near", mode, "off")
    return Pass


def ebpftop(*options):
    class Stream(Baseline):
        """Its lines are read all the time; the numbers of the last one are stored."""

        def __init__(self, _bench):
            self.summary = None
            # Packets, and those in `other`, by direction.
            self.counted = {}
            self.since = {}
            self.process = subprocess.Popen(
                [BINARY, "stream", "talkers", "-i", "near", "--format", "json", *options],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            line = self.process.stdout.readline()
            if b'"ready"' not in line:
                sys.exit(f"wire_cost: ebpftop {options} does not start")
            self.reader = threading.Thread(target=self.read, daemon=True)
            self.reader.start()

        def read(self):
            for line in self.process.stdout:
                if b'"type":"summary"' in line:
                    self.summary = json.loads(line)
                elif head := HEAD.search(line, 0, 1000):
                    self.counted[head[1]] = (int(head[2]), int(head[3]))

        def begin(self):
            self.since = dict(self.counted)

        def share(self, sent):
            counted = self.counted
            packets, other = (sum(counted[d][n] - self.since.get(d, (0, 0))[n] for d in counted)
                              for n in (0, 1))
            self.end()
            self.reader.join()
            total = self.summary["rx_packets"] + self.summary["tx_packets"]
            return f"{100 * total / sent:.2f} %, by address {100 * (1 - other / packets):.1f} %"
    return Stream


class Screen(Baseline):
    """The dashboard in a terminal of 200x60 whose output is read all the time."""

    def __init__(self, _bench):
        self.terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
        self.process = subprocess.Popen([BINARY, "-i", "near"], stdin=end, stdout=end, stderr=end,
                                        env={**os.environ, "TERM": "xterm-256color"},
                                        start_new_session=True)
        os.close(end)
        threading.Thread(target=self.read, daemon=True).start()
        time.sleep(2)

    def read(self):
        try:
            while os.read(self.terminal, 65536):
                pass
        except OSError:
            pass

    def end(self):
        super().end()
        os.close(self.terminal)


class Iftop(Baseline):
    """Its totals come every two seconds; a line at a time, so that the last is there."""

    def __init__(self, bench):
        self.output = open(f"{bench.work}/iftop", "w+")
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "iftop", "-t", "-n", "-N", "-B", "-i", "near"],
            stdout=self.output, stderr=subprocess.DEVNULL)
        time.sleep(2)
        if self.process.poll() is not None:
            sys.exit("wire_cost: iftop ended at once")

    def share(self, sent):
        time.sleep(3)
        self.output.seek(0)
        last = re.findall(r"^Cumulative.*?([\d.]+)([KMG]?)B\s*$", self.output.read(), re.M)
        if not last:
            return "no totals"
        number, unit = last[-1]
        total = float(number) * 1024 ** " KMG".index(unit or " ")
        return f"{100 * total / IFTOP_BYTES / sent:.0f} %"


class Bandwhich(Baseline):
    """It prints the traffic of each second by address, a line each."""

    def __init__(self, bench):
        self.output = open(f"{bench.work}/bandwhich", "w+")
        self.process = subprocess.Popen(
            ["bandwhich", "--raw", "--no-resolve", "-a", "-i", "near"],
            stdout=self.output, stderr=subprocess.DEVNULL)
        time.sleep(2)
        if self.process.poll() is not None:
            sys.exit("wire_cost: bandwhich ended at once")

    def share(self, sent):
        time.sleep(3)
        self.output.seek(0)
        found = re.findall(r"^remote_address: .*up/down Bps: \d+/(\d+)", self.output.read(), re.M)
        return f"{100 * sum(map(int, found)) / IFTOP_BYTES / sent:.0f} %"


def peers():
    found = [(name, kind) for name, kind in (("iftop", Iftop), ("bandwhich", Bandwhich))
             if shutil.which(name)]
    for name in {"iftop", "bandwhich"} - {name for name, _ in found}:
        print(f"wire_cost: {name} is left out: it is not installed")
    return found


def turns(bench, rounds, tools, measure):
    """The results of `measure` with each tool attached, a list of rounds for each."""
    found = {name: [] for name, _ in tools}
    for _ in range(rounds):
        for name, tool in tools:
            attached = tool(bench)
            try:
                found[name].append(measure())
            finally:
                attached.end()
    return found


def ratio(found, name, to):
    return statistics.median(a / b for a, b in zip(found[name], found[to]))


def report(found, unit, scale, against):
    """A line for each tool; `against` names another tool to compare it with."""
    print(f"{'tool':34} {unit:>10}  of the baseline")
    for name, values in found.items():
        also = against.get(name)
        beside = f", {ratio(found, name, also):.2f} of {also}" if also else ""
        print(f"{name:34} {statistics.median(values) / scale:10,.1f}  "
              f"{ratio(found, name, 'baseline'):.2f}{beside}")


GENERIC, NATIVE = ("ebpftop --xdp-mode generic", "ebpftop --xdp-mode native")
MODES = [(GENERIC, ebpftop("--xdp-mode", "generic")), (NATIVE, ebpftop("--xdp-mode", "native")),
         ("ebpftop --xdp-mode off", ebpftop("--xdp-mode", "off"))]


def small(bench, rounds):
    print(f"\nsmall frames, {rounds} rounds of {SECONDS} s")
    passes = [("XDP_PASS, generic", bare("xdpgeneric")), ("XDP_PASS, native", bare("xdpdrv"))]
    tools = [("baseline", Baseline), passes[0], MODES[0], passes[1], MODES[1], MODES[2], *peers()]
    found = turns(bench, rounds, tools, bench.small)
    report(found, "1,000/s", 1e3, {GENERIC: "XDP_PASS, generic", NATIVE: "XDP_PASS, native"})


def bulk(bench, rounds):
    if not shutil.which("iperf3"):
        print("wire_cost: bulk is left out: iperf3 is not installed")
        return
    print(f"\nbulk TCP, {rounds} rounds of {SECONDS} s")
    report(turns(bench, rounds, [("baseline", Baseline), *MODES], bench.bulk), "Gb/s", 1e9, {})


def user(bench, rounds):
    tools = [("ebpftop stream, 10 talkers", ebpftop("--top", "10")),
               ("ebpftop stream, all talkers", ebpftop()), ("ebpftop, the dashboard", Screen), *peers()]
    for addresses, directions in ((50, ("rx",)), (65_536, ("rx",)), (65_536, ("rx", "tx"))):
        print(f"\n{FRAMES_A_SECOND:,} frames/s, {addresses:,} addresses each in "
              f"{' and '.join(directions)}, {USER_SECONDS} s, {rounds} rounds")
        found = {name: ([], [], []) for name, _ in tools}
        for _ in range(rounds):
            for name, tool in tools:
                rate = FRAMES_A_SECOND // len(directions)
                attached = tool(bench)
                try:
                    seconds = SETTLE_SECONDS + USER_SECONDS + 1
                    loads = [bench.frames(d, addresses, rate, seconds) for d in directions]
                    time.sleep(SETTLE_SECONDS)
                    attached.begin()
                    before, started = attached.cpu(), time.monotonic()
                    time.sleep(USER_SECONDS)
                    used = 100 * (attached.cpu() - before) / (time.monotonic() - started)
                    sent = sum(int(load.communicate()[0]) for load in loads)
                    found[name][0].append(used)
                    found[name][1].append(sent / seconds)
                    found[name][2].append(attached.share(sent))
                finally:
                    attached.end()
        print(f"{'tool':34} {'% of a core':>11} {'frames/s':>9}  share counted, last round")
        for name, (used, rates, shares) in found.items():
            print(f"{name:34} {statistics.median(used):11.2f} {statistics.median(rates):9,.0f}  "
                  f"{shares[-1]}")


def main():
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    parts = {"small": small, "bulk": bulk, "user": user}
    chosen = sys.argv[2:] or list(parts)
    work = tempfile.mkdtemp(prefix="wire_cost.")
    bench = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        bench = Bench(work)
        for part in chosen:
            parts[part](bench, rounds)
    finally:
        if bench:
            bench.end()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
