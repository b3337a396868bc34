#!/usr/bin/env python3
"""Puts lines of `ebpftop stream` into ClickHouse and DuckDB by the shipped files, and compares with its summary.

ClickHouse is chdb, DuckDB is duckdb, both from PyPI: installed into target/fleet/venv, a minute and 1 GB. So this is no
part of `make test`. Needs root, for the lines.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["chdb==4.4.0", "duckdb==2.0.1"]


def fail(message):
    sys.exit(f"test-sql: {message}")


def within_venv():
    """Runs this program again in a venv that has the packages, unless it runs there."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    place = target / "fleet/venv"
    if Path(sys.prefix) == place:
        return
    python = place / "bin/python"
    if not python.exists():
        venv.create(place, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True, timeout=600)
    os.execv(python, [python, *sys.argv])


def lines(program):
    """Lines of four seconds with some opens and connections of this program's own."""
    command = [program, "stream", "opens", "connections", "--format", "json", "--duration", "4s"]
    if os.geteuid() != 0:
        command.insert(0, "sudo")
    stream = subprocess.Popen(
        command + ["--field", "machine=here"], stdout=subprocess.PIPE, text=True
    )
    ready = stream.stdout.readline()
    for _ in range(100):
        Path("/nonexistent/file").exists()
        try:
            open("/nonexistent/file", encoding="utf-8")
        except OSError:
            open("/etc/hosts", encoding="utf-8").close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(10):
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            client.sendall(b"x" * 1000)
            accepted.recv(1000, socket.MSG_WAITALL)
            client.close()
            accepted.close()
    rest, _ = stream.communicate(timeout=60)
    if stream.returncode != 0:
        fail("stream failed")
    return [ready.rstrip("\n"), *rest.splitlines()]


def expected(all_lines):
    """The sums, from the lines themselves, and checked against the summary."""
    parsed = [json.loads(line) for line in all_lines]
    opens = [line for line in parsed if line["type"] == "open"]
    closes = [line for line in parsed if line["type"] == "close"]
    summary = parsed[-1]
    if (len(opens), len(closes)) != (summary["opens"], summary["closes"]):
        fail("the lines are not those of the summary")
    return {
        "opens": len(opens),
        "failed": sum(line["errno"] is not None for line in opens),
        "closes": len(closes),
        "rx_bytes": sum(line["rx_bytes"] or 0 for line in closes),
        "tx_bytes": sum(line["tx_bytes"] or 0 for line in closes),
    }


def clickhouse(all_lines, folder):
    from chdb import session

    database = session.Session(str(folder / "clickhouse"))
    schema = re.sub(r"--[^\n]*", "", (ROOT / "packaging/clickhouse/schema.sql").read_text())
    for statement in filter(str.strip, schema.split(";")):
        database.query(statement)
    (folder / "all.json").write_text("\n".join(all_lines) + "\n")
    database.query(
        f"INSERT INTO ebpftop.lines SELECT json FROM file('{folder}/all.json', JSONAsString, 'json String')"
    )
    one = lambda query: json.loads(database.query(query, "JSONEachRow").bytes())
    found = one("SELECT count() AS opens, count(errno) AS failed FROM ebpftop.opens WHERE host = 'here'")
    found |= one(
        "SELECT count() AS closes, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes FROM ebpftop.connections"
    )
    hours = one("SELECT sum(h.opens) AS opens, sumIf(h.opens, errno != '') AS failed FROM ebpftop.opens_by_hour AS h")
    number = lambda rows: {key: int(value) for key, value in rows.items()}
    if number(hours) != {key: int(found[key]) for key in hours}:
        fail(f"by hour {hours}, and {found}")
    empty = one("SELECT countIf(time < '2020-01-01' OR process = '') AS odd FROM ebpftop.opens")
    if int(empty["odd"]):
        fail(f"{empty} opens without a time or a process")
    return number(found)


def duckdb(all_lines, folder):
    import duckdb as engine

    (folder / "lines").mkdir()
    half = len(all_lines) // 2
    for name, part in (("1.json", all_lines[:half]), ("2.json", all_lines[half:])):
        (folder / "lines" / name).write_text("\n".join(part) + "\n")
    os.chdir(folder)
    database = engine.connect()
    for statement in database.extract_statements((ROOT / "packaging/duckdb/queries.sql").read_text()):
        if not database.execute(statement).fetchall() and "CREATE" not in statement.query:
            fail(f"no answer: {statement.query}")
    opens = database.execute("SELECT count(*), count(errno) FROM lines WHERE type = 'open'").fetchone()
    closes = database.execute("SELECT count(*), sum(rx_bytes), sum(tx_bytes) FROM lines WHERE type = 'close'").fetchone()
    return dict(zip(("opens", "failed", "closes", "rx_bytes", "tx_bytes"), map(int, opens + closes)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "target/debug/ebpftop", type=Path)
    options = parser.parse_args()
    within_venv()
    folder = Path(tempfile.mkdtemp())
    try:
        all_lines = lines(options.program.resolve())
        right = expected(all_lines)
        for engine in (clickhouse, duckdb):
            found = engine(all_lines, folder)
            if found != right:
                fail(f"{engine.__name__} has {found}, the lines have {right}")
            print(f"{engine.__name__}: {found}")
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
