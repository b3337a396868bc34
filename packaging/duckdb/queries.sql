-- DuckDB on the JSON lines of one machine, as they are:
--
--   sudo ebpftop stream opens connections --format json --output lines --duration 1m
--   duckdb -init queries.sql
--
-- It reads every file of the folder `lines` again for each query.

CREATE OR REPLACE VIEW lines AS
SELECT * FROM read_json('lines/*', format = 'newline_delimited', union_by_name = true, ignore_errors = false,
    columns = {
        type: 'VARCHAR', time: 'TIMESTAMP_NS', pid: 'UINTEGER', comm: 'VARCHAR', process: 'VARCHAR', path: 'VARCHAR',
        resolved: 'VARCHAR', errno: 'VARCHAR', unit: 'VARCHAR', container_name: 'VARCHAR', remote_ip: 'VARCHAR',
        remote_port: 'USMALLINT', rx_bytes: 'UBIGINT', tx_bytes: 'UBIGINT', opens: 'UBIGINT', opens_lost: 'UBIGINT'
    });

-- Programs by opens and failures.
SELECT process, unit, count(*) AS opens, count(errno) AS failed
FROM lines WHERE type = 'open' GROUP BY ALL ORDER BY opens DESC LIMIT 20;

-- Files that are looked for and not found.
SELECT coalesce(resolved, path) AS file, errno, count(*) AS failed, count(DISTINCT process) AS programs
FROM lines WHERE type = 'open' AND errno IS NOT NULL GROUP BY ALL ORDER BY failed DESC LIMIT 20;

-- Peers by payload.
SELECT comm, remote_ip, remote_port, count(*) AS connections, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes
FROM lines WHERE type = 'close' GROUP BY ALL ORDER BY sum(rx_bytes) + sum(tx_bytes) DESC NULLS LAST LIMIT 20;

-- Opens by second.
SELECT date_trunc('second', time) AS second, count(*) AS opens FROM lines WHERE type = 'open' GROUP BY ALL ORDER BY second;

-- Is it everything? `opens` is the number of lines, `opens_lost` those without one.
SELECT time, opens, opens_lost FROM lines WHERE type = 'summary';
