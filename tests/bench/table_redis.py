# SPDX-License-Identifier: Apache-2.0
"""Through the sidecar to Redis, beside redis-benchmark with as many connections."""
import tempfile

from load import SAVE_BODY, VALUE, state_rate
from machine import SECONDS, BenchError, heading, row
from servers import RedisServer, Sidecar, pair

COMMANDS = {"get": ["hgetall", "bench||key"], "save": ["hset", "bench||key", "data", VALUE, "version", "1"]}


def run(bench):
    heading("state in Redis", "per CPU-s", "of the bound", "per second")
    server = RedisServer(bench.scratch)
    try:
        for operation, command in COMMANDS.items():
            limit = server.benchmark(command, server.benchmark(command, 20000) * SECONDS // 1)
            row("redis-benchmark, " + operation, "", "1.00", limit)
            for name, program in bench.programs:
                with bench.row("  %s, %s" % (operation, name), name):
                    s = Sidecar(program, tempfile.mkdtemp(dir=bench.scratch) + "/s",
                                [("store", "state.redis", pair("redisHost", "127.0.0.1:%d" % server.port))])
                    try:
                        if s.ask("POST", "/v1.0/state/store", SAVE_BODY) != 204:
                            raise BenchError("state.redis does not save")
                        per_cpu, per_second = state_rate(s, "HTTP", operation, bench.scratch)
                    finally:
                        s.stop()
                    row("  %s, %s" % (operation, name), per_cpu, "%.2f" % (per_second / limit), per_second)
                    bench.note(program=name, wire="HTTP", operation=operation, store="state.redis", per_cpu_second=per_cpu,
                               per_second=per_second, bound_per_second=limit)
    finally:
        server.stop()
