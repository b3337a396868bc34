#!/usr/bin/env python3
"""CPU of reading listeners: the thread `listeners` of `ebpftop stream listeners`.

    sudo benches/listener_cost.py [ROUNDS]

The loads: 10 and 1,000 TCP listeners in ten processes, half of which are in network namespaces of their
own; then 10 listeners beside 1,000 processes with 100 open files each. The figure is the thread's CPU time a
reading, the BPF iterator's included since it runs in that thread: the median of ROUNDS (default 5), with
the least and the most. `stream` reads once a second, `record` every ten seconds. The binary is
target/release/ebpftop or $BINARY.
"""

import glob
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ.get("BINARY", os.path.join(HERE, "../target/release/ebpftop"))
# Listeners, and processes beside them.
LOADS = [(10, 0), (1_000, 0), (10, 1_000)]
FILES = 100
# Seconds that the tool runs after its start, and between two looks at its time.
SECONDS = 8
LOOK = 0.05


def listen(count):
    """Holds so many listeners until it is killed."""
    held = []
    for _ in range(count):
        held.append(socket.socket())
        held[-1].bind(("127.0.0.1", 0))
        held[-1].listen()
    print("ready", flush=True)
    signal.pause()


def hold(count):
    """Starts so many processes with open files, which end with this one."""
    files = [open("/dev/null", "rb") for _ in range(FILES - 3)]
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("ready", len(files), flush=True)
    signal.pause()
    for child in children:
        os.kill(child, signal.SIGKILL)


def start(*command):
    """Starts this script's other part, and waits until it is ready."""
    started = subprocess.Popen(command, stdout=subprocess.PIPE)
    started.stdout.readline()
    return started


def load(listeners, processes):
    """Ten processes with the listeners, half of them in another network namespace, and the others."""
    started = []
    for n in range(10):
        command = [sys.executable, __file__, "listen", str(listeners // 10)]
        if n % 2:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
        started.append(start(*command))
    if processes:
        started.append(start(sys.executable, __file__, "hold", str(processes)))
    return started


def cpu_ms(pid):
    """CPU time of the thread so far; None before it is there."""
    for comm in glob.glob(f"/proc/{pid}/task/*/comm"):
        with open(comm) as name:
            if name.read() != "listeners\n":
                continue
        with open(comm.replace("comm", "schedstat")) as stat:
            return int(stat.read().split()[0]) / 1e6
    return None


def measure():
    """Milliseconds a reading."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    tool = subprocess.Popen([BINARY, "stream", "listeners"], **quiet)
    try:
        while cpu_ms(tool.pid) is None:
            if tool.poll() is not None:
                sys.exit("it does not start (root?)")
            time.sleep(0.05)
        # The program is loaded, and the first reading done. Expensive ones are further apart.
        time.sleep(2.5)
        first = last = cpu_ms(tool.pid)
        readings, busy, ends = 0, True, time.monotonic() + SECONDS
        while time.monotonic() < ends:
            time.sleep(LOOK)
            now = cpu_ms(tool.pid)
            readings += now > last and not busy
            busy, last = now > last, now
        return (last - first) / max(1, readings)
    finally:
        tool.send_signal(signal.SIGINT)
        tool.wait()


def main():
    if sys.argv[1:2] == ["listen"]:
        return listen(int(sys.argv[2]))
    if sys.argv[1:2] == ["hold"]:
        return hold(int(sys.argv[2]))
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for listeners, processes in LOADS:
        started = load(listeners, processes)
        try:
            figures = [measure() for _ in range(rounds)]
        finally:
            for one in started:
                one.terminate()
                one.wait()
        middle = statistics.median(figures)
        print(
            f"{listeners} listeners, {processes} more processes: {middle:.2f} ms a reading"
            f" ({min(figures):.2f} to {max(figures):.2f})",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
