#!/usr/bin/env python3
"""Makes an SVG of a terminal program's screen, from the real program under a small, bounded load.

    screenshot.py --program target/release/ebpftop --out assets/screenshot.svg
    screenshot.py --program PROGRAM --keys 'Enter Down' -- --interface lo

The program runs in tmux, on a server of its own. The load: processes `web`, `indexer` and
`backup` that open files that exist and some that do not, and packets from and to three addresses
over a veth pair. Network, host name and /srv are this script's own (namespaces), and everything
ends with it. Opens are seen machine-wide: select with `-- --process '~^(web|indexer|backup)$'`.
Needs Python 3.8, tmux, ip and root.
"""

import argparse
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from ansi_svg import to_svg

# --- the load ----------------------------------------------------------------------------------

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x20000, 0x4000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
NEAR, FAR = "veth0", "veth1"
PEERS = ("10.77.0.2", "10.77.0.3", "fd77::2")
PORT = 7777


def must(done, what):
    if done != 0:
        error = os.strerror(ctypes.get_errno())
        sys.exit(f"screenshot: cannot {what}: {error}")


def own_network():
    """Moves this process into a network namespace of its own, gone when it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    must(libc.unshare(CLONE_NEWNET), "make a network namespace")


def own_machine():
    """A network, a host name and a /srv of this process and its children."""
    own_network()
    libc = ctypes.CDLL(None, use_errno=True)
    must(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS), "make a mount namespace")
    must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make the mounts private")
    must(libc.mount(b"tmpfs", b"/srv", b"tmpfs", 0, None), "mount a tmpfs on /srv")
    socket.sethostname("demo")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def child(work):
    """Runs `work` in a process that dies with this one."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() == parent:
            work()
            status = 0
    finally:
        os._exit(status)


def rename_self(name):
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)


def make_services():
    """A folder for cgroups of services, below the root of cgroup v2."""
    with open("/proc/mounts") as mounts:
        roots = [fields[1] for fields in map(str.split, mounts) if fields[2] == "cgroup2"]
    if not roots:
        sys.exit("screenshot: cgroup v2 is not mounted")
    folder = os.path.join(roots[0], f"demo-{os.getpid()}.slice")
    os.mkdir(folder)
    return folder


def join_service(services, name):
    """Moves this process into the cgroup of a service of this name."""
    folder = os.path.join(services, name + ".service")
    os.mkdir(folder)
    with open(os.path.join(folder, "cgroup.procs"), "w") as processes:
        processes.write(str(os.getpid()))


def remove_services(services):
    """Removes the cgroups; their processes have ended."""
    for entry in os.scandir(services):
        if entry.is_dir():
            os.rmdir(entry.path)
    os.rmdir(services)


def opener(name, paths, per_second, deadline, services=None):
    """A process called `name` that opens each of `paths` in turn, as a service where there is a folder."""
    def work():
        rename_self(name)
        if services:
            join_service(services, name)
        while time.monotonic() < deadline:
            for path in paths:
                try:
                    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
                except OSError:
                    pass
            time.sleep(len(paths) / per_second)

    return child(work)


def sender(near_ready, deadline):
    """The other end of the veth pair: three addresses that send, each at its own rate."""
    def work():
        own_network()
        rename_self("sender")
        near_ready.moved(os.getpid())
        near_ready.wait_addresses()
        ip("link", "set", "lo", "up")
        ip("link", "set", FAR, "up")
        for address in PEERS:
            ip("address", "add", *prefixed(address), "dev", FAR)
        sockets = []
        for i, address in enumerate(PEERS):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            to = ("fd77::1" if ":" in address else "10.77.0.1", PORT)
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.bind((address, 0))
            sockets.append((s, to, (120, 40, 12)[i], (1200, 500, 900)[i]))
        tick = 0
        while time.monotonic() < deadline:
            tick += 1
            swing = 1 + (tick // 40 % 3)
            for s, to, count, size in sockets:
                for _ in range(count * swing // 4):
                    try:
                        s.sendto(b"x" * size, to)
                    except OSError:
                        pass
            time.sleep(0.05)

    return child(work)


def answerer(deadline):
    """Answers every fourth packet, so that there is traffic out too."""
    def work():
        rename_self("answerer")
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(("::", PORT))
        s.settimeout(0.5)
        count = 0
        while time.monotonic() < deadline:
            try:
                _, to = s.recvfrom(2048)
                count += 1
                if count % 4 == 0:
                    s.sendto(b"y" * 300, to)
            except OSError:
                pass

    return child(work)


def prefixed(address):
    """The arguments of `ip address add` for this address."""
    return [address + "/64", "nodad"] if ":" in address else [address + "/24"]


class Meeting:
    """Two pipes: the child reports that it has moved, the parent that the veth end exists."""

    def __init__(self):
        self.up, self.down = os.pipe(), os.pipe()

    def moved(self, pid):
        os.write(self.up[1], str(pid).encode())

    def wait_moved(self):
        os.close(self.up[1])
        said = os.read(self.up[0], 32)
        if not said:
            sys.exit("screenshot: the sending side could not start")
        return int(said)

    def ready(self):
        os.write(self.down[1], b"x")

    def wait_addresses(self):
        os.read(self.down[0], 1)


def start_load(seconds, services):
    """Starts files, processes and packets for some seconds. Returns the processes."""
    deadline = time.monotonic() + seconds
    os.mkdir("/srv/www")
    sites = ["/srv/www/" + name for name in ("index.html", "style.css", "logo.svg")]
    for path in sites:
        open(path, "w").close()
    meeting = Meeting()
    pids = [sender(meeting, deadline)]
    far = meeting.wait_moved()
    ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", str(far))
    ip("link", "set", "lo", "up")
    for address in ("10.77.0.1", "fd77::1"):
        ip("address", "add", *prefixed(address), "dev", NEAR)
    ip("link", "set", NEAR, "up")
    ip("route", "add", "default", "via", "10.77.0.2")
    pids.append(answerer(deadline))
    meeting.ready()
    pids.append(opener("web", [*sites, sites[0] + ".gz"], 1500, deadline, services))
    users = ["/etc/passwd", "/etc/hosts", "/etc/group"]
    pids.append(opener("indexer", users, 300, deadline, services))
    backups = ["/etc/hostname", "/srv/backup/last", "/srv/backup/lock"]
    pids.append(opener("backup", backups, 30, deadline, services))
    return pids


# --- the program in tmux -------------------------------------------------------------------------


class Tmux:
    """A tmux server of its own, with one window of a given size."""

    def __init__(self, directory, columns, lines, command):
        self.base = ["tmux", "-S", os.path.join(directory, "tmux"), "-f", "/dev/null"]
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")}
        environment.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        settings = []
        for option in ("default-terminal tmux-256color", "remain-on-exit on", "status off"):
            settings += ["set-option", "-g", *option.split(), ";"]
        size = ["-x", str(columns), "-y", str(lines)]
        subprocess.run(
            [*self.base, "-u", *settings, "new-session", "-d", *size, *command],
            check=True, env=environment,
        )  # fmt: skip

    def run(self, *arguments):
        return subprocess.run([*self.base, *arguments], check=True, stdout=subprocess.PIPE).stdout

    def capture(self):
        return self.run("capture-pane", "-e", "-p", "-N").decode("utf-8", "replace")

    def dead(self):
        return self.run("display-message", "-p", "#{pane_dead}").strip() == b"1"

    def end(self):
        subprocess.run([*self.base, "kill-server"], stderr=subprocess.DEVNULL)


def shoot(options):
    for tool in ("tmux", "ip"):
        if not shutil.which(tool):
            sys.exit(f"screenshot: {tool} is missing: install it (apt: tmux, iproute2)")
    if os.geteuid() != 0:
        sys.exit("screenshot: needs root, for its namespaces and the program: run it with sudo")
    own_machine()
    keys = options.keys.split()
    with tempfile.TemporaryDirectory(prefix="screenshot-") as directory:
        pids, tmux = [], None
        services = make_services()
        try:
            pids = start_load(options.seconds + len(keys) + 20, services)
            command = [os.path.abspath(options.program), *options.arguments]
            tmux = Tmux(directory, options.columns, options.lines, command)
            wait(tmux, options.seconds)
            for key in keys:
                tmux.run("send-keys", key)
                wait(tmux, 0.4)
            wait(tmux, 1.2 if keys else 0)
            return tmux.capture()
        finally:
            if tmux:
                tmux.end()
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
            remove_services(services)


def wait(tmux, seconds):
    """Waits, and fails when the program ends meanwhile."""
    end = time.monotonic() + seconds
    while True:
        if tmux.dead():
            words = tmux.capture().strip()
            sys.exit("screenshot: the program ended by itself; its last words:\n" + words)
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.25))


def main():
    parser = argparse.ArgumentParser(description="An SVG of a terminal program's screen.")
    parser.add_argument("--program", required=True, help="the program to run under the load")
    parser.add_argument("--out", default="screenshot.svg")
    parser.add_argument("--title", default="sudo ebpftop")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--lines", type=int, default=36)
    parser.add_argument("--seconds", type=float, default=20, help="until the keys")
    parser.add_argument("--keys", default="", help="tmux key names to send before the capture")
    parser.add_argument("arguments", nargs="*", help="arguments of the program, after --")
    options = parser.parse_args()
    capture = shoot(options)
    with open(options.out, "w", encoding="utf-8") as out:
        out.write(to_svg(capture, options.columns, options.lines, options.title))
    if "SUDO_UID" in os.environ:  # whose checkout it is
        os.chown(options.out, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    print(f"screenshot: {options.out}")


if __name__ == "__main__":
    main()
