#!/usr/bin/env python3
"""Writes packaging/grafana/*.json, the dashboards, from the table in this file.

`scripts/dashboards.py` writes them; `--check` fails where a file is not what would be written. scripts/test_fleet.py
asks a running Prometheus every expression.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "packaging/grafana"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24


@dataclass(frozen=True)
class Query:
    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """`kind` is `stat`, `timeseries` or `table`; `unit` one of Grafana's; `bad` colours values from 1 on."""

    title: str
    kind: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 12
    height: int = 8
    about: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Variable:
    name: str
    query: str
    several: bool = False


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...] = field(default_factory=tuple)


def stat(title, expression, unit="short", bad=False, about="", width=4):
    return Panel(title, "stat", (Query(expression),), unit, width, 4, about, bad)


def graph(title, *queries, unit="short", width=12, about=""):
    return Panel(title, "timeseries", tuple(Query(*query) for query in queries), unit, width, 8, about)


def table(title, expression, unit="short", width=12, about=""):
    return Panel(title, "table", (Query(expression),), unit, width, 10, about)


SERVICE = "unit, container, namespace, pod"
NAME = "{{unit}}{{container}} {{pod}} {{program}}"
EXACT = "Lost events are counted: a total that is not exact says so here."

JOB = Variable("job", "label_values(ebpftop_build_info, job)", several=True)

FLEET = Dashboard(
    "ebpftop-fleet",
    "ebpftop: fleet",
    "Opens, failures, connections and traffic of all machines that run `ebpftop export`.",
    (JOB,),
    (
        stat("Machines", 'count(up{job=~"$job"} == 1)'),
        stat("Machines gone", 'count(up{job=~"$job"} == 0) or vector(0)', bad=True),
        stat("Probes that do not run", 'count(ebpftop_probe_up{job=~"$job"} == 0) or vector(0)', bad=True),
        stat(
            "Events lost, 1 h",
            'sum(increase(ebpftop_opens_lost_total{job=~"$job"}[1h])) + sum(increase('
            'ebpftop_connection_events_lost_total{job=~"$job",reason!="evicted"}[1h]))',
            bad=True,
            about=EXACT,
        ),
        stat("Opens a second", 'sum(rate(ebpftop_opens_total{job=~"$job"}[$__rate_interval]))', "ops"),
        stat("Failed a second", 'sum(rate(ebpftop_open_failures_total{job=~"$job"}[$__rate_interval]))', "ops"),
        graph(
            "Opens by machine",
            ('sum by (instance) (rate(ebpftop_opens_total{job=~"$job"}[$__rate_interval]))', "{{instance}}"),
            unit="ops",
        ),
        graph(
            "Failed opens by machine",
            ('sum by (instance) (rate(ebpftop_open_failures_total{job=~"$job"}[$__rate_interval]))', "{{instance}}"),
            unit="ops",
        ),
        table(
            "Programs that open the most",
            f'topk(20, sum by ({SERVICE}, program) (rate(ebpftop_opens_total{{job=~"$job"}}[$__range])))',
            "ops",
        ),
        table(
            "Programs that fail the most, by error",
            f'topk(20, sum by ({SERVICE}, program, errno) (rate(ebpftop_open_failures_total{{job=~"$job"}}[$__range])))',
            "ops",
        ),
        graph(
            "Traffic by scope of the remote address",
            (
                'sum by (scope, direction) (rate(ebpftop_talker_bytes_total{job=~"$job"}[$__rate_interval]))',
                "{{scope}} {{direction}}",
            ),
            unit="Bps",
        ),
        graph(
            "Traffic by machine",
            (
                'sum by (instance, direction) (rate(ebpftop_interface_bytes_total{job=~"$job"}[$__rate_interval]))',
                "{{instance}} {{direction}}",
            ),
            unit="Bps",
        ),
        table(
            "Services by payload",
            f'topk(20, sum by ({SERVICE}, direction) (rate(ebpftop_connection_bytes_total{{job=~"$job"}}[$__range])))',
            "Bps",
        ),
        table(
            "Services whose connections fail",
            f'topk(20, sum by ({SERVICE}, program) (rate(ebpftop_connect_failures_total{{job=~"$job"}}[$__range])))',
            "ops",
        ),
        table(
            "Opens of watched paths",
            'sort_desc(sum by (instance, path) (increase(ebpftop_watched_opens_total{job=~"$job"}[$__range])))',
        ),
        table(
            "Machines by age of their numbers",
            'sort_desc(time() - ebpftop_snapshot_timestamp_seconds{job=~"$job"})',
            "s",
            about="More than some seconds: the exporter does not count any more, or the clocks differ.",
        ),
    ),
)

HOST = Dashboard(
    "ebpftop-host",
    "ebpftop: host",
    "One machine that runs `ebpftop export`.",
    (JOB, Variable("instance", 'label_values(ebpftop_build_info{job=~"$job"}, instance)')),
    (
        stat("Probes that run", 'sum(ebpftop_probe_up{instance="$instance"})'),
        stat("Features missing", 'ebpftop_features_missing{instance="$instance"}', bad=True, about="ebpftop doctor names them."),
        stat("Events lost, 1 h", 'sum(increase(ebpftop_opens_lost_total{instance="$instance"}[1h]))', bad=True, about=EXACT),
        stat("Connections", 'ebpftop_connections{instance="$instance"}'),
        stat("Groups", 'ebpftop_groups{instance="$instance"} / ebpftop_groups_limit{instance="$instance"}', "percentunit",
             about="Near 100 %: raise --max-groups, else small services count in `other`."),
        stat("Not delivered by OTLP, 1 h",
             'sum(increase(ebpftop_otlp_items_dropped_total{instance="$instance"}[1h])) or vector(0)', bad=True),
        graph(
            "Opens by program",
            (f'topk(15, sum by ({SERVICE}, program) (rate(ebpftop_opens_total{{instance="$instance"}}[$__rate_interval])))', NAME),
            unit="ops",
        ),
        graph(
            "Failed opens by program and error",
            (
                f'topk(15, sum by ({SERVICE}, program, errno) '
                '(rate(ebpftop_open_failures_total{instance="$instance"}[$__rate_interval])))',
                NAME + " {{errno}}",
            ),
            unit="ops",
        ),
        graph(
            "Bytes by interface",
            ('sum by (interface, direction) (rate(ebpftop_interface_bytes_total{instance="$instance"}[$__rate_interval]))',
             "{{interface}} {{direction}}"),
            unit="Bps",
        ),
        graph(
            "Packets by interface",
            ('sum by (interface, direction) (rate(ebpftop_interface_packets_total{instance="$instance"}[$__rate_interval]))',
             "{{interface}} {{direction}}"),
            unit="pps",
        ),
        graph(
            "Bytes by scope of the remote address",
            ('sum by (scope, direction) (rate(ebpftop_talker_bytes_total{instance="$instance"}[$__rate_interval]))',
             "{{scope}} {{direction}}"),
            unit="Bps",
        ),
        graph(
            "Payload by program",
            (f'topk(15, sum by ({SERVICE}, program, direction) '
             '(rate(ebpftop_connection_bytes_total{instance="$instance"}[$__rate_interval])))', NAME + " {{direction}}"),
            unit="Bps",
        ),
        graph(
            "Connections made, failed and accepted",
            ('sum(rate(ebpftop_connects_total{instance="$instance"}[$__rate_interval]))', "made"),
            ('sum(rate(ebpftop_connect_failures_total{instance="$instance"}[$__rate_interval]))', "failed"),
            ('sum(rate(ebpftop_accepts_total{instance="$instance"}[$__rate_interval]))', "accepted"),
            unit="ops",
        ),
        graph(
            "Payload without a process",
            ('sum by (reason) (ebpftop_connection_unattributed_bytes{instance="$instance"})', "{{reason}}"),
            unit="bytes",
        ),
        graph(
            "Bytes of files by program",
            (f'topk(15, sum by ({SERVICE}, program) (rate(ebpftop_file_read_bytes_total{{instance="$instance"}}[$__rate_interval])))',
             NAME + " read"),
            (f'topk(15, sum by ({SERVICE}, program) (rate(ebpftop_file_written_bytes_total{{instance="$instance"}}[$__rate_interval])))',
             NAME + " written"),
            unit="Bps",
            about="With --io. Bytes of calls, from the page cache too.",
        ),
        graph(
            "Slow reads and writes by program",
            (f'topk(15, sum by ({SERVICE}, program) (rate(ebpftop_file_slow_calls_total{{instance="$instance"}}[$__rate_interval])))',
             NAME),
            unit="ops",
            about="With --slow: calls that took its time or longer.",
        ),
        graph(
            "Changes of files by program",
            (f'topk(15, sum by ({SERVICE}, program, op) (rate(ebpftop_file_changes_total{{instance="$instance"}}[$__rate_interval])))',
             NAME + " {{op}}"),
            unit="ops",
            about="With --files: files created, removed, renamed and the like.",
        ),
        graph(
            "Drops of listeners by program",
            (f'topk(15, sum by ({SERVICE}, program, protocol) (rate(ebpftop_listener_drops_total{{instance="$instance"}}[$__rate_interval])))',
             NAME + " {{protocol}}"),
            unit="ops",
            about="Connections and datagrams, mostly since a queue was full.",
        ),
        graph(
            "Losses",
            ('sum by (reason) (rate(ebpftop_opens_lost_total{instance="$instance"}[$__rate_interval]))', "opens {{reason}}"),
            ('sum by (reason) (rate(ebpftop_connection_events_lost_total{instance="$instance"}[$__rate_interval]))',
             "connections {{reason}}"),
            ('rate(ebpftop_file_changes_lost_total{instance="$instance"}[$__rate_interval])', "changes of files"),
            ('rate(ebpftop_groups_evicted_total{instance="$instance"}[$__rate_interval])', "groups evicted"),
            unit="ops",
            about=EXACT,
        ),
        table(
            "Directions that are not counted whole",
            'ebpftop_interface_partial{instance="$instance"} + on (instance, interface, direction) '
            '(1 - ebpftop_interface_counted{instance="$instance"})',
            about="0: counted. Else the interface is gone, its hook was refused, or another program takes packets first.",
        ),
        table(
            "Opens of watched paths",
            'sort_desc(sum by (path) (increase(ebpftop_watched_opens_total{instance="$instance"}[$__range])))',
        ),
        graph(
            "The exporter's CPU",
            ('rate(ebpftop_process_cpu_seconds_total{instance="$instance"}[$__rate_interval])', "CPU"),
            unit="percentunit",
            width=6,
        ),
        graph(
            "The exporter's memory",
            ('ebpftop_process_resident_memory_bytes{instance="$instance"}', "resident"),
            unit="bytes",
            width=6,
        ),
    ),
)

DASHBOARDS = {"fleet": FLEET, "host": HOST}


def target(number, query, kind):
    return {
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "refId": "ABCDEFGH"[number],
        "instant": kind != "timeseries",
        "range": kind == "timeseries",
        "format": "table" if kind == "table" else "time_series",
    }


def model(number, panel, x, y):
    """Grafana's model of a panel."""
    steps = [{"color": "green", "value": None}]
    if panel.bad:
        steps.append({"color": "red", "value": 1})
    made = {
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [target(n, query, panel.kind) for n, query in enumerate(panel.queries)],
    }
    if panel.kind == "timeseries":
        made["options"] = {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "table":
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "job": True}}}]
    return made


def variable(one):
    return {
        "name": one.name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": one.query, "refId": one.name},
        "refresh": 2,
        "sort": 1,
        "multi": one.several,
        "includeAll": one.several,
        "allValue": ".*" if one.several else None,
        "current": {"text": "All", "value": "$__all"} if one.several else {},
    }


def written(name):
    """The file of a dashboard."""
    dashboard = DASHBOARDS[name]
    panels, x, y, height = [], 0, 0, 0
    for panel in dashboard.panels:
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        panels.append(model(len(panels) + 1, panel, x, y))
        x, height = x + panel.width, max(height, panel.height)
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    made = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["ebpftop"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, *map(variable, dashboard.variables)]},
        "panels": panels,
        "links": [{"title": "ebpftop", "type": "dashboards", "tags": ["ebpftop"], "includeVars": True, "keepTime": True}],
    }
    return json.dumps(made, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file is old")
    options = parser.parse_args()
    for name in DASHBOARDS:
        path, text = FOLDER / f"{name}.json", written(name)
        if not options.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is old: run scripts/dashboards.py")


if __name__ == "__main__":
    main()
