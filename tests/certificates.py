# SPDX-License-Identifier: Apache-2.0
"""Certificates for a test's servers and clients, made by the openssl program."""
import os
import subprocess


class Certificates:
    """A CA, a server's certificate for localhost and 127.0.0.1, a client's; `server` and `client` are (certificate, key)."""

    def __init__(self, folder, ask=False):
        self.folder, self.ask = str(folder), ask
        os.makedirs(self.folder, exist_ok=True)
        self.ca = os.path.join(self.folder, "ca.pem")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
                 "ca.pem", "-days", "30", "-subj", "/CN=Authority")
        self.server = self.make("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.client = self.make("client", "subjectAltName=DNS:client")

    def run(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, LD_PRELOAD=""))

    def make(self, name, extension, *more):
        with open(os.path.join(self.folder, name + ".ext"), "w", encoding="utf-8") as f:
            f.write(extension + "\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
                 name + ".csr", "-subj", "/CN=" + name)
        self.run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                 name + ".pem", "-extfile", name + ".ext", *(more or ("-days", "30")))
        return os.path.join(self.folder, name + ".pem"), os.path.join(self.folder, name + ".key")

    @staticmethod
    def text(path):
        with open(path, encoding="utf-8") as f:
            return f.read()
