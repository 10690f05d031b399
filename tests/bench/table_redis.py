# SPDX-License-Identifier: Apache-2.0
"""Through the sidecar to Redis, beside redis-benchmark with as many connections, unpipelined."""
import through
from load import VALUE
from machine import SECONDS
from servers import RedisServer, pair

COMMANDS = {"get": ["hgetall", "bench||key"], "save": ["hset", "bench||key", "data", VALUE, "version", "1"]}


def run(bench):
    server = RedisServer(bench.scratch)

    def bound(operation):
        command = COMMANDS[operation]
        return server.benchmark(command, int(server.benchmark(command, 20000)) * SECONDS)

    try:
        through.table(bench, "state in Redis", "state.redis", pair("redisHost", "127.0.0.1:%d" % server.port), bound, "redis-benchmark")
    finally:
        server.stop()
