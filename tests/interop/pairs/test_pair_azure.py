# SPDX-License-Identifier: Apache-2.0
"""Blobs that one of the two has written and the other reads, changes and deletes, in both versions of the store; and that they are
the same blobs to Azure's own client."""
import os
import sys

import pytest
from azure.storage.blob import BlobServiceClient

from azure_server import Azurite
from sidecar import component

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_pair_state import (Both, test_an_etag_of_one_is_one_of_the_other, test_both_at_once,  # noqa: E402,F401
                             test_bytes_over_grpc, test_first_write_sees_what_the_other_wrote, test_value_over_http)

DAPR = os.environ["DAPRD"]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["v1", "v2"])
def both(request, programs, run, azurite):
    container = "pair" + os.urandom(4).hex()
    made = component("store", "state.azure.blobstorage", azurite.by_key(container), version=request.param)
    one, other = (run(program, made) for program in programs)
    b = Both(one, other, request.param)
    b.container = container
    yield b
    for s in (one, other):
        s.stop()


def test_the_same_blob(both, azurite):
    """What is saved by each, as the service has it."""
    client = BlobServiceClient.from_connection_string(azurite.connection_string).get_container_client(both.container)
    metadata = {"contentType": "application/json", "contentLanguage": "en", "cacheControl": "no-store", "contentEncoding": "utf-8",
                "contentDisposition": "attachment", "my-Key_1": "Gr\u00fc\u00dfe you", "plain": "x"}
    found = []
    for s in (both.one, both.other):
        assert s.save("blob", {"a": [1, 2]}, metadata=metadata).status == 204
        blob = client.get_blob_client("blob" if both.name == "v1" else s.app_id + "||blob")
        p = blob.get_blob_properties()
        found.append((p.name, blob.download_blob().readall(), dict(p.content_settings), {k.lower(): v for k, v in p.metadata.items()}, p.blob_type))
    assert found[0] == found[1]


def test_keys_that_are_no_names(both):
    for key in ("a b", "a/b", "100%", "q?x=1", "h#i", "Gr\u00fc\u00dfe", "~_.-!*'()", "a:b;c,d@e$f", "x" * 200):
        assert both.one.save(key, key).status == 204
        assert both.other.read(key).json == key, key
