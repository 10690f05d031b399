# SPDX-License-Identifier: Apache-2.0
"""Dapr's JavaScript SDK (sdk.mjs) over HTTP and over gRPC."""
import os
import shutil
import subprocess

import pytest

from sidecar import SLOW

NODE = os.path.abspath("build/node")
STEPS = 12


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_javascript_sdk(sidecar, protocol):
    if shutil.which("node") is None or not os.path.isdir(NODE + "/node_modules/@dapr/dapr"):
        pytest.skip("node or @dapr/dapr is not installed (make check installs both)")
    port = sidecar.http if protocol == "http" else sidecar.grpc_port
    p = subprocess.run(["node", "tests/interop/sdk.mjs", NODE, protocol, str(port)], capture_output=True, text=True, timeout=60 * SLOW,
                       check=False)
    assert p.returncode == 0, p.stdout + p.stderr
    assert p.stdout.count("\nok ") + p.stdout.startswith("ok ") == STEPS, p.stdout
