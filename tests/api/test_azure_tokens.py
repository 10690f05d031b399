# SPDX-License-Identifier: Apache-2.0
"""Tokens of Entra ID and of managed identities, against a service that takes nothing else: Azurite over HTTPS."""
import base64
import json
import os
import subprocess
import sys
import time

import pytest
from azure.identity import ManagedIdentityCredential

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from azure_server import ACCOUNT, TENANT, Azurite, Entra, Platform  # noqa: E402
from certificates import Certificates  # noqa: E402
from sidecar import COMPARE, Sidecar, component  # noqa: E402

TYPE = "state.azure.blobstorage"
pytestmark = pytest.mark.skipif(bool(COMPARE), reason="Dapr's sidecar sends its secrets to Azure's own address alone")


class World:
    def __init__(self, folder):
        self.certificates = Certificates(folder / "ca")
        self.pem = str(folder / "client.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out",
                        str(folder / "cert.pem"), "-days", "30", "-subj", "/CN=certified"], check=True, capture_output=True,
                       env=dict(os.environ, LD_PRELOAD=""))
        with open(self.pem, "w", encoding="utf-8") as f:
            f.write(Certificates.text(folder / "cert.pem") + Certificates.text(folder / "key.pem"))
        self.pfx = str(folder / "client.pfx")
        subprocess.run(["openssl", "pkcs12", "-export", "-in", self.pem, "-inkey", str(folder / "key.pem"), "-out", self.pfx,
                        "-passout", "pass:open sesame"], check=True, capture_output=True, env=dict(os.environ, LD_PRELOAD=""))
        self.azurite = Azurite(folder / "azurite", self.certificates.server)
        self.entra = Entra(folder / "entra", self.certificates.server, str(folder / "cert.pem"))
        self.token_file = folder / "token"
        self.token_file.write_text("token of the platform\n", encoding="utf-8")

    def sidecar(self, folder, env=None, **props):
        p = dict({"accountName": ACCOUNT, "endpoint": self.azurite.endpoint, "containerName": "tokens", "retryCount": "1"}, **props)
        return Sidecar(folder, component("store", TYPE, p, version="v2"), loops=1,
                       env=dict({"SSL_CERT_FILE": self.certificates.ca, "AZURE_AUTHORITY_HOST": self.entra.authority}, **(env or {})))

    def token(self, lifetime=3600):
        """As Azurite wants it; it does not look at the signature."""
        def part(o):
            return base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=").decode()
        now = int(time.time())
        return ".".join([part({"alg": "RS256", "typ": "JWT"}), part({
            "aud": "https://storage.azure.com", "iss": "https://sts.windows.net/%s/" % TENANT, "nbf": now - 60, "iat": now - 60,
            "exp": now + lifetime}), "c2ln"])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("azure"))
    yield w
    w.azurite.stop()
    w.entra.stop()


def works(s, n=3):
    s.start()
    try:
        for i in range(n):
            assert s.post("/v1.0/state/store", [{"key": "k", "value": i}]).status == 204
            assert s.get("/v1.0/state/store/k").json == i
    finally:
        s.stop()
    return s.log()


def fails(s, text):
    code, log = s.run()
    assert code == 1 and text in log, log[-3000:]


# -- Entra ID

def test_a_secret_gets_one_token_for_many_requests(world, tmp_path):
    before = world.entra.asked()
    log = works(world.sidecar(tmp_path, azureTenantId=TENANT, azureClientId="secretive", azureClientSecret="p@ss w/rd&="))
    assert world.entra.asked() == before + 1
    assert "p@ss" not in log


def test_aliases_of_the_properties(world, tmp_path):
    works(world.sidecar(tmp_path, spnTenantId=TENANT, clientId="secretive", spnClientSecret="p@ss w/rd&=", azureADAuthMethods="Creds"))


def test_a_wrong_secret_is_told_but_not_shown(world, tmp_path):
    s = world.sidecar(tmp_path, azureTenantId=TENANT, azureClientId="secretive", azureClientSecret="hunter2")
    fails(s, "AADSTS7000215")
    assert "hunter2" not in s.log()


@pytest.mark.parametrize("props", [
    lambda w: {"azureCertificateFile": w.pem},
    lambda w: {"azureCertificate": Certificates.text(w.pem)},
    lambda w: {"azureCertificateFile": w.pfx, "azureCertificatePassword": "open sesame"},
], ids=["pem file", "pem", "pkcs12"])
def test_a_certificate(world, tmp_path, props):
    works(world.sidecar(tmp_path, azureTenantId=TENANT, azureClientId="certified", **props(world)), n=1)


def test_a_certificate_that_does_not_open(world, tmp_path):
    fails(world.sidecar(tmp_path, azureTenantId=TENANT, azureClientId="certified", azureCertificateFile=world.pfx,
                        azureCertificatePassword="open barley"), "certificate is not valid")


def test_workload_identity(world, tmp_path):
    env = {"AZURE_CLIENT_ID": "workload", "AZURE_TENANT_ID": TENANT, "AZURE_FEDERATED_TOKEN_FILE": str(world.token_file)}
    works(world.sidecar(tmp_path, env=env), n=1)


def test_the_authority_must_be_https(world, tmp_path):
    fails(world.sidecar(tmp_path, env={"AZURE_AUTHORITY_HOST": "http://localhost:1"}, azureTenantId=TENANT, azureClientId="secretive",
                        azureClientSecret="x"), "must begin with https://")


# -- managed identity

@pytest.mark.parametrize("form", ["imds", "app service"])
def test_a_managed_identity(world, tmp_path, form):
    platform = Platform(form, world.token)
    try:
        works(world.sidecar(tmp_path, env=platform.env))
        assert len(platform.requests) == 1
    finally:
        platform.stop()


@pytest.mark.parametrize("form", ["imds", "app service"])
def test_azures_own_client_passes_the_same_platform(world, monkeypatch, form):
    platform = Platform(form, lambda: "a token")
    try:
        for name, value in platform.env.items():
            monkeypatch.setenv(name, value)
        got = ManagedIdentityCredential(client_id="mine").get_token("https://storage.azure.com/.default")
        assert got.token == "a token" and got.expires_on > time.time() + 3600
    finally:
        platform.stop()


def test_a_user_assigned_identity_is_asked_for(world, tmp_path):
    platform = Platform("app service", world.token)
    try:
        works(world.sidecar(tmp_path, env=platform.env, azureClientId="mine", azureAuthMethods="mi"), n=1)
        assert "client_id=mine" in platform.requests[0]
    finally:
        platform.stop()


@pytest.mark.parametrize("form", ["app service", "imds"])
def test_a_busy_platform_is_asked_again(world, tmp_path, form):
    platform = Platform(form, world.token, busy=2)
    try:
        works(world.sidecar(tmp_path, env=platform.env), n=1)
        assert len(platform.requests) == 3
    finally:
        platform.stop()


def test_a_token_that_ends_is_renewed(world, tmp_path):
    platform = Platform("app service", lambda: world.token(3600))
    answer = platform.answer

    def short(target, headers):
        code, body = answer(target, headers)
        body["expires_on"] = str(int(time.time()) + 2)
        return code, body

    platform.answer = short
    try:
        s = world.sidecar(tmp_path, env=platform.env)
        s.start()
        time.sleep(3)
        assert s.post("/v1.0/state/store", [{"key": "k", "value": 1}]).status == 204
        s.stop()
        assert len(platform.requests) >= 2
    finally:
        platform.stop()


# -- which ways

@pytest.mark.parametrize("methods, text", [
    ("none", "all Azure auth methods have been disabled"),
    ("creds, telepathy", "invalid Azure auth method: telepathy"),
    ("cli", "starts no programs of a person's shell"),
    ("spiffe,cert", "missing client certificate"),
])
def test_ways_that_are_not_open(world, tmp_path, methods, text):
    fails(world.sidecar(tmp_path, azureAuthMethods=methods), text)


def test_a_way_that_is_not_there_leads_to_the_next(world, tmp_path):
    env = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1"}
    works(world.sidecar(tmp_path, env=env, azureTenantId=TENANT, azureClientId="secretive", azureClientSecret="p@ss w/rd&=",
                        azureAuthMethods="managedidentity,clientcredentials"), n=1)
