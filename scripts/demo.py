#!/usr/bin/env python3
"""Makes assets/demo.ebpftop: a short recording of made-up processes, files and addresses.

    demo.py --program target/release/ebpftop --out assets/demo.ebpftop

Network, host name, mounts and /srv are this script's own (namespaces), the names of cgroups out of
reach, and only the processes that it starts are recorded: nothing of the machine that it runs on
is in the file. Needs Python 3.8, ip and root.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

import screenshot
from screenshot import Meeting, answerer, child, ip, opener, prefixed, rename_self, sender

SECONDS = 45
NAMES = "web|deploy|worker|backup|indexer"


def files(directory, names):
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in names]
    for path in paths:
        open(path, "w").close()
    return paths


def later(name, start, seconds, per_second, paths):
    """A process that begins after `start` seconds and opens for `seconds`."""

    def work():
        time.sleep(start)
        rename_self(name)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for path in paths:
                try:
                    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                except OSError:
                    pass
                time.sleep(1 / per_second)

    return child(work)


def start_load(deadline):
    meeting = Meeting()
    pids = [sender(meeting, deadline)]
    far = meeting.wait_moved()
    ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", str(far))
    ip("link", "set", "lo", "up")
    for address in ("10.77.0.1", "fd77::1"):
        ip("address", "add", *prefixed(address), "dev", "veth0")
    ip("link", "set", "veth0", "up")
    ip("route", "add", "default", "via", "10.77.0.2")
    pids.append(answerer(deadline))
    meeting.ready()
    site = files("/srv/www", ["index.html", "style.css", "logo.svg", "app.js", "fonts.woff2"])
    pids.append(opener("web", [*site, "/srv/www/favicon.ico"], 250, deadline))
    notes = files("/srv/notes", [f"{n:02}.md" for n in range(24)])
    pids.append(opener("indexer", notes, 40, deadline))
    release = files("/srv/app/release-7", [f"module-{n}.so" for n in range(40)])
    pids.append(later("deploy", 9, 6, 30, release))
    # The deployment removed a file.
    lost = ["/srv/app/release-6/settings.toml", "/srv/app/release-7/module-3.so"]
    pids.append(later("worker", 13, 22, 60, lost))
    archive = files("/srv/archive", [f"mail-{n:03}.mbox" for n in range(120)])
    pids.append(later("backup", 22, 15, 25, archive))
    return pids


def main():
    parser = argparse.ArgumentParser(description="The recording that `ebpftop replay` shows.")
    parser.add_argument("--program", required=True)
    parser.add_argument("--out", default="assets/demo.ebpftop")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("demo: needs root, for its namespaces and the program: run it with sudo")
    out = os.path.abspath(options.out)
    if os.path.exists(out):
        os.remove(out)
    screenshot.own_machine()
    subprocess.run(["umount", "--lazy", "--recursive", "/sys/fs/cgroup"], check=False)
    pids = start_load(time.monotonic() + SECONDS + 10)
    try:
        command = [os.path.abspath(options.program), "record", out, "--interface", "veth0"]
        choice = ["--process", f"~^({NAMES})$", "--duration", f"{SECONDS}s"]
        environment = {**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}
        subprocess.run([*command, *choice], check=True, env=environment)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    os.chmod(out, 0o644)


if __name__ == "__main__":
    main()
