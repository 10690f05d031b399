# SPDX-License-Identifier: Apache-2.0
"""Through the sidecar to PostgreSQL, beside pgbench with as many connections and prepared statements: `pgbench -S`, which reads a
row by its key, and one that inserts or updates a row by its key. Not durable (fsync=off): a disk would be the bound of both."""
import through
from machine import BenchError
from servers import PostgresServer, pair


def run(bench):
    try:
        server = PostgresServer(bench.scratch)
    except BenchError as e:
        with bench.row("state in PostgreSQL", "davitd"):
            raise e
        return
    try:
        metadata = ", ".join([pair("connectionString", server.url), pair("maxConns", str(through.UNDER_WAY))])
        through.table(bench, "state in PostgreSQL", "state.postgresql", metadata,
                      lambda operation: server.benchmark(operation, through.UNDER_WAY), "pgbench")
    finally:
        server.stop()
