#!/usr/bin/env python3
"""The same known transfers seen by ebpftop, nethogs and ss.

One process sends 10,000,000 bytes over one connection in four seconds, another one 5,000 bytes over
each of 200 connections that are closed at once, both to a third process in another network
namespace. All tools watch at the same time; the numbers of each by process are printed beside the true ones.
Needs root, ip, nethogs and ss; the namespaces are removed at the end.

    benches/conn_peers.py [--program target/release/ebpftop]
"""

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import time

LONG, SHORT, TIMES = 10_000_000, 5_000, 200
HERE, THERE = f"peers-a-{os.getpid()}", f"peers-b-{os.getpid()}"
SERVER = """
import socket
server = socket.create_server(("10.77.0.2", 7000), backlog=64)
while True:
    conn, _ = server.accept()
    while conn.recv(65536):
        pass
    conn.close()
"""
SENDS_LONG = f"""
import socket, time
conn = socket.create_connection(("10.77.0.2", 7000))
for _ in range(40):
    conn.sendall(bytes({LONG // 40}))
    time.sleep(0.1)
conn.close()
"""
SENDS_SHORT = f"""
import socket
for _ in range({TIMES}):
    conn = socket.create_connection(("10.77.0.2", 7000))
    conn.sendall(bytes({SHORT}))
    conn.close()
"""


def run(command):
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def within(namespace, code):
    return subprocess.Popen(["ip", "netns", "exec", namespace, "python3", "-c", code])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--program", default="target/release/ebpftop")
    program = parser.parse_args().program
    for namespace in (HERE, THERE):
        run(f"ip netns add {namespace}")
    try:
        run(f"ip link add pa netns {HERE} type veth peer name pb netns {THERE}")
        for namespace, name, ip in ((HERE, "pa", "10.77.0.1"), (THERE, "pb", "10.77.0.2")):
            run(f"ip -n {namespace} addr add {ip}/24 dev {name}")
            run(f"ip -n {namespace} link set {name} up")
        compare(program)
    finally:
        for namespace in (HERE, THERE):
            run(f"ip netns del {namespace}")


def compare(program):
    with tempfile.TemporaryFile("w+") as ours, tempfile.TemporaryFile("w+") as nethogs:
        looks = subprocess.Popen([program, "stream", "connections", "--format", "json"], stdout=ours)
        # -v 1: bytes since its start, in KB of 1024
        hogs = subprocess.Popen(
            ["ip", "netns", "exec", HERE, "nethogs", "-t", "-d", "1", "-v", "1", "pa"],
            stdout=nethogs,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(3)
        server = within(THERE, SERVER)
        time.sleep(1)
        long, short = within(HERE, SENDS_LONG), within(HERE, SENDS_SHORT)
        time.sleep(3)
        sockets = run(f"ip netns exec {HERE} ss -tinpOH dst 10.77.0.2")
        long.wait()
        short.wait()
        time.sleep(3)
        hogs.terminate()
        looks.send_signal(signal.SIGINT)
        for process in (hogs, looks):
            process.wait()
        server.kill()
        server.wait()
        ours.seek(0)
        nethogs.seek(0)
        lines = [json.loads(line) for line in ours]
        last = nethogs.read().split("Refreshing:")[-1]
    table = [line for line in lines if line["type"] == "owners"][-1]["processes"]
    rows = {row["pid"]: row for row in table}
    for name, process, truth, count in (
        ("one connection", long, LONG, 1),
        (f"{TIMES} short ones", short, SHORT * TIMES, TIMES),
    ):
        pid = process.pid
        hog = re.search(rf"/{pid}/\d+\t([\d.]+)", last)
        held = [line for line in sockets.splitlines() if f"pid={pid}," in line]
        acked = sum(int(n) for line in held for n in re.findall(r"bytes_acked:(\d+)", line))
        row = rows.get(pid, {"tx_bytes": 0, "begun": 0})
        print(f"{name}: sent {truth:,} bytes over {count}")
        print(f"  ebpftop  {row['tx_bytes']:,} over {row['begun']}")
        print(f"  nethogs  {float(hog[1]) * 1024 if hog else 0:,.0f} (frames, with headers)")
        print(f"  ss       {acked:,} over {len(held)}, at half time")
    unknown = re.search(r"unknown TCP/\d+/\d+\t([\d.]+)", last)
    print(f"nethogs, of an unknown process: {float(unknown[1]) * 1024 if unknown else 0:,.0f}")


if __name__ == "__main__":
    main()
