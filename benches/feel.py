#!/usr/bin/env python3
"""How the dashboard feels: from a key to the screen while 300,000 opens and 300,000 packets a second
arrive, and what a frame costs a slow line. Needs root.

    sudo benches/feel.py [KEYS] [BINARY] [short]

With `short` each process opens 100 files and ends: 3,000 processes a second.
Runs in a network namespace of its own, as benches/dashboard.py does. A key is `?`, which changes
nearly every cell; it is timed from the write into the pseudo-terminal until the last byte of the frame
that answers it was read. Marks of the synchronised updates separate the frames. Beside it stands
what the machine takes under the same load to echo one byte: `cat` on another pseudo-terminal, in turn.
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
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
BINARY = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "../target/release/ebpftop")
PROGRAM = sys.argv[3] if len(sys.argv) > 3 else "opens"
A_SECOND = "300000"
END = b"\x1b[?2026l"


def sh(*command):
    subprocess.run(command, check=True)


def percentile(values, share):
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Dashboard:
    """The program in a pseudo-terminal."""

    def __init__(self, size, *options):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8",
                              XDG_CONFIG_HOME="/nonexistent")
            os.execv(BINARY, [BINARY, "-i", "near", *options])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.rest = b""
        self.frames = []
        self.until(b"OPENS/S", 20)

    def read(self, until):
        """Reads available output; true when something came before the time `until`."""
        if not select.select([self.fd], [], [], max(until - time.monotonic(), 0))[0]:
            return False
        self.rest += os.read(self.fd, 65536)
        *frames, self.rest = self.rest.split(END)
        self.frames += [frame + END for frame in frames]
        return True

    def until(self, text, seconds):
        """Reads until a whole frame has `text` in it."""
        seen, deadline = 0, time.monotonic() + seconds
        while not any(text in frame for frame in self.frames[seen:]):
            seen = len(self.frames)
            if not self.read(deadline) and time.monotonic() > deadline:
                sys.exit(f"no frame with {text} within the time limit")

    def press(self, key, text):
        """Milliseconds from a key to the frame that has `text` in it."""
        self.frames.clear()
        start = time.monotonic()
        os.write(self.fd, key)
        self.until(text, 20)
        return (time.monotonic() - start) * 1000

    def keys(self, n, echo):
        """Milliseconds of each key, and of each echo in between."""
        times, echoes = [], []
        for i in range(n):
            # Not in step with the ticks, nor with the last frame.
            pause = time.monotonic() + 0.023 + (i * 7 % 31) / 1000
            while time.monotonic() < pause:
                self.read(pause)
            # The footer has this word then; the cells around it change.
            text = b"quit" if i % 2 else b"Help"
            times.append(self.press(b"?", text))
            echoes.append(echo.press())
        return times, echoes

    def watch(self, seconds):
        self.frames.clear()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(deadline)
        return [len(frame) for frame in self.frames]

    def lost(self):
        """The number of lost events in the header of the last frames."""
        counts = re.findall(rb"lost[^0-9]{0,12}([0-9]+)", b"".join(self.frames))
        return int(counts[-1]) if counts else 0

    def memory(self):
        """MiB of memory in use at the most."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Echo:
    """A program that only echoes."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp("sh", ["sh", "-c", "stty raw -echo; echo ready; exec cat"])
        while b"ready" not in os.read(self.fd, 100):
            pass

    def press(self):
        start = time.monotonic()
        os.write(self.fd, b"x")
        os.read(self.fd, 1)
        return (time.monotonic() - start) * 1000

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def taken():
    """Seconds that the CPUs were not idle since the start, softirqs and steal included."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, *rest = map(int, stat.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def print_times(what, times):
    print(f"  {what:28} median {percentile(times, 0.5):5.1f} ms, p99 {percentile(times, 0.99):5.1f} ms, "
          f"max {max(times):5.1f} ms of {len(times)}")


def print_bytes(what, sizes, seconds):
    print(f"  {what:28} {len(sizes) / seconds:4.1f} frames/s, mean {sum(sizes) / max(len(sizes), 1):6.0f} bytes, "
          f"p99 {percentile(sizes, 0.99) if sizes else 0:6} bytes, {sum(sizes) * 8 / seconds / 1000:5.1f} kbit/s")


def main():
    if "IN_NAMESPACE" not in os.environ:
        os.environ["IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    work = tempfile.mkdtemp(prefix="feel.")
    far = subprocess.Popen(["unshare", "--net", "sleep", "1200"])
    loads = []
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

        for size in (80, 24), (200, 60):
            print(f"{size[0]}x{size[1]}")
            dashboard = Dashboard(size)
            echo = Echo()
            times, echoes = dashboard.keys(KEYS // 4 * 2, echo)
            print_times("key to screen, idle", times)
            print_times("  echo", echoes)
            print_bytes("idle", dashboard.watch(10), 10)
            seconds = str(30 + KEYS / 10)
            sink = subprocess.Popen([f"{work}/load", "sink", seconds])
            opens = subprocess.Popen([f"{work}/load", PROGRAM, files, seconds, A_SECOND],
                                     stdout=subprocess.PIPE, text=True)
            mac = subprocess.run(["ip", "-j", "link", "show", "near"], check=True, capture_output=True,
                                 text=True).stdout.split('"address":"')[1][:17]
            sends = subprocess.Popen([*beyond, f"{work}/load", "frames", "far", mac, "rx", "50",
                                      A_SECOND, seconds],
                                     stdout=subprocess.PIPE, text=True)
            loads = [sink, opens, sends]
            time.sleep(2)
            start, busy = time.monotonic(), taken()
            times, echoes = dashboard.keys(KEYS // 2 * 2, echo)
            cpus = (taken() - busy) / (time.monotonic() - start)
            print_times("key to screen, under load", times)
            print_times("  echo", echoes)
            print(f"    {cpus:.1f} of {os.cpu_count()} CPUs were busy meanwhile, with everything that ran")
            print_bytes("under load", dashboard.watch(15), 15)
            pairs = int(opens.communicate()[0].split()[1])
            packets = int(sends.communicate()[0].split()[0])
            print(f"    {pairs / float(seconds):.0f} opens/s, {packets / float(seconds):.0f} packets/s, "
                  f"lost {dashboard.lost()}; at most {dashboard.memory():.0f} MiB of memory")
            echo.end()
            sink.kill()
            sink.wait()
            dashboard.end()
    finally:
        for load in [*loads, far]:
            load.kill()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
