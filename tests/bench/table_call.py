# SPDX-License-Identifier: Apache-2.0
"""What a plugin's operation costs inside the process: kernel's call, the plugin's answer, its copy."""
import subprocess

from machine import BUILD, heading, row

CALLS = 1_000_000


def run(bench):
    heading("a plugin call in process", "ns")
    with bench.row("state.in-memory, get", "davitd"):
        out = subprocess.run([BUILD + "/tests/plugin_call", BUILD + "/lib/davit/plugins", "state.in-memory", str(CALLS)],
                             capture_output=True, text=True, check=True).stdout
        ns = float(out.splitlines()[-1])  # behind what the kernel logs
        row("state.in-memory, get", ns)
        bench.note(plugin="state.in-memory", get_ns=ns)
