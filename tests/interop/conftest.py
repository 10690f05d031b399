# SPDX-License-Identifier: Apache-2.0
"""The official SDKs as clients: the fixtures are those of tests/api."""
import json

import pytest

from sidecar import LOOPS, Sidecar, component, configuration

SECRETS = {"plain": "v1", "db": {"user": "root"}, "closed": "c"}


@pytest.fixture(scope="module", params=[(k, n) for k in ("state.in-memory", "state.sqlite") for n in LOOPS], ids=lambda p: "%s-%dloops" % p)
def sidecar(request, tmp_path_factory):
    kind, loops = request.param
    folder = tmp_path_factory.mktemp("sdk")
    (folder / "secrets.json").write_text(json.dumps(SECRETS))
    metadata = {"connectionString": "file:%s/state.db" % folder} if kind == "state.sqlite" else {}
    s = Sidecar(folder / "run", component("store", kind, metadata),
                component("vault", "secretstores.local.file", {"secretsFile": str(folder / "secrets.json")}), loops=loops,
                config=[configuration({"secrets": {"scopes": [{"storeName": "vault", "defaultAccess": "allow", "deniedSecrets": ["closed"]}]}})])
    s.start()
    yield s
    s.stop()
