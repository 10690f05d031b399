# SPDX-License-Identifier: Apache-2.0
"""The short form of `make soak`: what was acknowledged reaches every group while everybody is killed and frozen at random."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))

import soak  # noqa: E402

pytestmark = pytest.mark.ours


def test_what_was_acknowledged_reaches_every_group(tmp_path):
    seed = random.randrange(1 << 30)
    soak.RANDOM.seed(seed)
    wrong, report = soak.soak(str(tmp_path), soak.arguments(["--messages", "4000", "--pause", "0.3", "--rate", "400"]))
    print("\n".join(report + ["seed %d" % seed]))
    assert wrong == [], report
