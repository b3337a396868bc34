#!/usr/bin/env python3
"""What the dashboard itself costs: time to the first frame, CPU and memory when idle, under
opens and under packets at full speed. Needs root; rates are what this machine can do.

    sudo benches/dashboard.py [SECONDS] [BINARY]

Runs in a network namespace of its own. The terminal is 200x60. CPU is the time that
the process ran in SECONDS (default 8), in percent of one core.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
BINARY = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "../target/release/ebpftop")


def sh(*command):
    subprocess.run(command, check=True)


class Dashboard:
    """The program in a pseudo-terminal whose output is read all the time."""

    def __init__(self):
        started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(BINARY, [BINARY, "-i", "near"])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 200, 0, 0))
        self.written = 0
        self.first = None
        head = b""
        while self.first is None:
            select.select([self.fd], [], [])
            head += os.read(self.fd, 65536)
            if b"opens" in head and "─".encode() in head:
                self.first = time.monotonic() - started
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while True:
                self.written += len(os.read(self.fd, 65536))
        except OSError:
            pass

    def cpu(self):
        """Seconds on a CPU, all threads, exact to the nanosecond (ticks are too coarse here)."""
        threads = os.listdir(f"/proc/{self.pid}/task")
        return sum(int(open(f"/proc/{self.pid}/task/{t}/schedstat").read().split()[0])
                   for t in threads) / 1e9

    def memory(self):
        with open(f"/proc/{self.pid}/status") as status:
            text = status.read()
        return {k: int(re.search(rf"{k}:\s+(\d+)", text)[1]) for k in ("RssAnon", "RssFile")}

    def measure(self, what):
        cpu, written = self.cpu(), self.written
        time.sleep(SECONDS)
        used = (self.cpu() - cpu) / SECONDS * 100
        screen = (self.written - written) / SECONDS / 1024
        print(f"  {what:34} {used:5.2f} % of a core, {screen:5.1f} KiB/s to the terminal, "
              f"RssAnon {self.memory()['RssAnon'] / 1024:.1f} MiB")

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


def main():
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    work = tempfile.mkdtemp(prefix="dashboard.")
    far = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        time.sleep(0.3)
        sh("cc", "-O2", "-o", f"{work}/load", f"{HERE}/load.c")
        sh("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        sh("ip", "link", "set", "far", "netns", str(far.pid))
        sh("ip", "addr", "add", "10.9.0.1/24", "dev", "near")
        sh("ip", "link", "set", "near", "up")
        beyond = ["nsenter", "--net", "-t", str(far.pid)]
        sh(*beyond, "ip", "addr", "add", "10.9.0.2/24", "dev", "far")
        sh(*beyond, "ip", "link", "set", "far", "up")
        files = f"{work}/one/two"
        os.makedirs(files)
        for i in range(100):
            open(f"{files}/file{i:02}", "w").close()

        firsts = []
        for _ in range(5):
            dashboard = Dashboard()
            firsts.append(dashboard.first * 1000)
            dashboard.end()
        print(f"first frame: median {sorted(firsts)[2]:.0f} ms of {', '.join(f'{f:.0f}' for f in firsts)}")

        dashboard = Dashboard()
        time.sleep(2)
        dashboard.measure("idle")
        loaded = str(SECONDS + 1)
        load = subprocess.Popen([f"{work}/load", "opens", files, loaded], stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        dashboard.measure("opens at full speed, one thread")
        pairs = int(load.communicate()[0].split()[1])
        print(f"    {pairs / float(loaded):.0f} opens/s")
        sink = subprocess.Popen([f"{work}/load", "sink", str(SECONDS + 3)])
        time.sleep(0.5)
        load = subprocess.Popen([*beyond, f"{work}/load", "send", "10.9.0.1", loaded],
                                stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        dashboard.measure("packets at full speed, one thread")
        print(f"    {load.communicate()[0].split()[0]} packets/s")
        sink.kill()
        memory = dashboard.memory()
        print(f"  RssFile {memory['RssFile'] / 1024:.1f} MiB: the binary, its libraries and the ring, mapped twice")
        dashboard.end()
    finally:
        far.kill()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
