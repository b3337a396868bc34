-- ClickHouse 24.8 or newer: tables for the JSON lines of `ebpftop stream`, with the meaning of each key in docs/stream.md.
--
--   clickhouse client --multiquery < schema.sql
--   sudo ebpftop stream opens connections --format json --failed --field machine=$(hostname) |
--     clickhouse client --query 'INSERT INTO ebpftop.lines FORMAT JSONAsString'
--
-- Each line goes into `lines`, which stores nothing: materialised views put it into the table of its type. A line of a type
-- without a table is dropped. Keys that a table does not have stay out; new ones are a column and an expression more.

CREATE DATABASE IF NOT EXISTS ebpftop;

CREATE TABLE IF NOT EXISTS ebpftop.lines (line String) ENGINE = Null;

CREATE TABLE IF NOT EXISTS ebpftop.opens
(
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    pid UInt32,
    ppid UInt32,
    uid UInt32,
    comm LowCardinality(String),
    process LowCardinality(String),
    syscall LowCardinality(String),
    path Nullable(String),
    resolved Nullable(String),
    flags Array(LowCardinality(String)),
    errno LowCardinality(Nullable(String)),
    latency_ns Nullable(UInt64),
    unit LowCardinality(String),
    container LowCardinality(String),
    container_name LowCardinality(String),
    pod_name LowCardinality(String),
    namespace LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (host, process, time)
TTL toDateTime(time) + INTERVAL 14 DAY;

-- The machine is a constant field of the lines: ebpftop stream --field machine=$(hostname)
CREATE MATERIALIZED VIEW IF NOT EXISTS ebpftop.to_opens TO ebpftop.opens AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(line, 'time'), 9, 'UTC') AS time,
    JSONExtractString(line, 'machine') AS host,
    JSONExtractUInt(line, 'pid') AS pid,
    JSONExtractUInt(line, 'ppid') AS ppid,
    JSONExtractUInt(line, 'uid') AS uid,
    JSONExtractString(line, 'comm') AS comm,
    JSONExtractString(line, 'process') AS process,
    JSONExtractString(line, 'syscall') AS syscall,
    JSONExtract(line, 'path', 'Nullable(String)') AS path,
    JSONExtract(line, 'resolved', 'Nullable(String)') AS resolved,
    JSONExtract(line, 'flags', 'Array(String)') AS flags,
    JSONExtract(line, 'errno', 'Nullable(String)') AS errno,
    JSONExtract(line, 'latency_ns', 'Nullable(UInt64)') AS latency_ns,
    JSONExtractString(line, 'unit') AS unit,
    JSONExtractString(line, 'container') AS container,
    JSONExtractString(line, 'container_name') AS container_name,
    JSONExtractString(line, 'pod_name') AS pod_name,
    JSONExtractString(line, 'namespace') AS namespace
FROM ebpftop.lines
WHERE JSONExtractString(line, 'type') = 'open';

-- Opens and failures by hour, process and directory's first two names: small enough for a year.
CREATE TABLE IF NOT EXISTS ebpftop.opens_by_hour
(
    hour DateTime('UTC'),
    host LowCardinality(String),
    unit LowCardinality(String),
    container_name LowCardinality(String),
    process LowCardinality(String),
    folder String,
    errno LowCardinality(String),
    opens UInt64
)
ENGINE = SummingMergeTree(opens)
PARTITION BY toYYYYMM(hour)
ORDER BY (host, unit, container_name, process, errno, folder, hour)
TTL hour + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS ebpftop.to_opens_by_hour TO ebpftop.opens_by_hour AS
SELECT
    toStartOfHour(toDateTime(time, 'UTC')) AS hour,
    host,
    unit,
    container_name,
    process,
    extract(coalesce(resolved, path, ''), '^(/[^/]*(?:/[^/]*)?)/') AS folder,
    coalesce(errno, '') AS errno,
    count() AS opens
FROM ebpftop.opens
GROUP BY hour, host, unit, container_name, process, folder, errno;

-- Connections at their end, with the bytes that they have carried.
CREATE TABLE IF NOT EXISTS ebpftop.connections
(
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    pid Nullable(UInt32),
    comm LowCardinality(String),
    protocol LowCardinality(String),
    local_ip String,
    local_port UInt16,
    remote_ip String,
    remote_port UInt16,
    duration_s Nullable(Float64),
    rx_bytes Nullable(UInt64),
    tx_bytes Nullable(UInt64)
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (host, comm, time)
TTL toDateTime(time) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS ebpftop.to_connections TO ebpftop.connections AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(line, 'time'), 9, 'UTC') AS time,
    JSONExtractString(line, 'machine') AS host,
    JSONExtract(line, 'pid', 'Nullable(UInt32)') AS pid,
    JSONExtractString(line, 'comm') AS comm,
    JSONExtractString(line, 'protocol') AS protocol,
    JSONExtractString(line, 'local_ip') AS local_ip,
    JSONExtractUInt(line, 'local_port') AS local_port,
    JSONExtractString(line, 'remote_ip') AS remote_ip,
    JSONExtractUInt(line, 'remote_port') AS remote_port,
    JSONExtract(line, 'duration_s', 'Nullable(Float64)') AS duration_s,
    JSONExtract(line, 'rx_bytes', 'Nullable(UInt64)') AS rx_bytes,
    JSONExtract(line, 'tx_bytes', 'Nullable(UInt64)') AS tx_bytes
FROM ebpftop.lines
WHERE JSONExtractString(line, 'type') = 'close';

-- Losses: where there are rows, the tables are not complete.
CREATE TABLE IF NOT EXISTS ebpftop.lost
(
    time DateTime64(9, 'UTC'),
    host LowCardinality(String),
    reason LowCardinality(String),
    opens UInt64,
    connections UInt64,
    processes UInt64,
    lines UInt64
)
ENGINE = MergeTree
ORDER BY (host, time)
TTL toDateTime(time) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS ebpftop.to_lost TO ebpftop.lost AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(line, 'time'), 9, 'UTC') AS time,
    JSONExtractString(line, 'machine') AS host,
    JSONExtractString(line, 'reason') AS reason,
    JSONExtractUInt(line, 'opens') AS opens,
    JSONExtractUInt(line, 'connections') AS connections,
    JSONExtractUInt(line, 'processes') AS processes,
    JSONExtractUInt(line, 'lines') AS lines
FROM ebpftop.lines
WHERE JSONExtractString(line, 'type') = 'lost';
