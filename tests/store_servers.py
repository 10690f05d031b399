# SPDX-License-Identifier: Apache-2.0
"""A server for each store that has one, and the component that reaches it, perhaps by another way."""
from azure_server import ACCOUNT, KEY, Azurite
from postgresql_server import Postgres
from redis_server import Redis
from sidecar import component

SERVERS = ["redis", "postgresql", "azure"]


class StoreServer:
    """kind: one of SERVERS. A durable one has what it acknowledged after it was killed; Azurite never."""

    def __init__(self, kind, folder, durable=False):
        self.kind = kind
        if kind == "redis":
            self.server = Redis(folder / "redis", *((("appendonly", "yes"), ("appendfsync", "always")) if durable else ()))
        elif kind == "postgresql":
            # Not SCRAM: its 4,096 rounds take memory 20,000 times, which is in the way of who counts.
            self.server = Postgres("deadlock_timeout=20ms", durable=durable, hba="local all all scram-sha-256\nhost all all 127.0.0.1/32 password\n")
        else:
            self.server = Azurite(str(folder / "azurite"))
        self.port = self.server.port

    def component(self, host, port, name="store", **more):
        """Impatient: tried again once at most, and soon."""
        if self.kind == "redis":
            given = {"redisHost": "%s:%d" % (host, port), "redisMaxRetries": "1", "redisMinRetryInterval": "1ms",
                     "redisMaxRetryInterval": "10ms"}
            return component(name, "state.redis", dict(given, **more))
        if self.kind == "postgresql":
            url = "host=%s port=%d user=postgres password=pw dbname=postgres" % (host, port)
            return component(name, "state.postgresql", dict({"connectionString": url, "timeout": "1s"}, **more), version="v2")
        given = {"accountName": ACCOUNT, "accountKey": KEY, "retryCount": "0", "endpoint": "http://%s:%d" % (host, port),
                 "containerName": "container"}
        return component(name, "state.azure.blobstorage", dict(given, **more), version="v2")

    def stop(self):
        self.server.stop()
