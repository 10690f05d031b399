#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds_azure.py <folder>: an operation, an environment, a step, then records: properties, metadata, answers."""
import base64
import os
import subprocess
import sys
import tempfile

KEY = base64.b64encode(b"k" * 64)
TOKEN = b'{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ.a.b"}'
MANAGED = b'{"access_token":"eyJ","client_id":"c","expires_in":"86399","expires_on":"1900000000","resource":"r","token_type":"Bearer"}'
ERROR = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>What it is.\nRequestId:1-2\nTime:now</Message></Error>'


def props(**given):
    return b"\x1f".join(k.encode() + b"=" + (v if isinstance(v, bytes) else v.encode()) for k, v in given.items())


def answer(status, body=b"", *fields):
    head = [b"HTTP/1.1 %s" % status, b"Server: Blob", b"x-ms-request-id: 1-2", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def refused(status, code):
    return answer(status, ERROR % code, b"x-ms-error-code: " + code, b"Content-Type: application/xml")


def seed(how, *records):
    return how + b"\x1e".join(records)


def certificate():
    with tempfile.TemporaryDirectory() as d:
        def run(*words):
            subprocess.run(["openssl", *words], cwd=d, check=True, capture_output=True)
        run("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-out", "c", "-days", "9000", "-subj", "/CN=a")
        run("pkcs12", "-export", "-inkey", "k", "-in", "c", "-out", "p", "-passout", "pass:p", "-macalg", "sha1", "-iter", "1",
            "-keypbe", "NONE", "-certpbe", "NONE")
        with open(d + "/k", "rb") as k, open(d + "/c", "rb") as c, open(d + "/p", "rb") as p:
            return k.read() + c.read(), base64.b64encode(p.read())


def seeds():
    key = props(accountName="a", accountKey=KEY, containerName="c", endpoint="http://h:1")
    made, gone = answer(b"201 Created"), refused(b"409 Conflict", b"ContainerAlreadyExists")
    value = answer(b"200 OK", b"val", b'ETag: "0x8D"', b"Content-Type: text/plain", b"x-ms-meta-a: b")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\netag: W/\"1\"\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n"
    pem, bundle = certificate()
    entra = {"accountName": "a", "containerName": "c", "azureTenantId": "t", "azureClientId": "i"}
    secret = props(azureClientSecret="s", **entra)
    bare = props(accountName="a", containerName="c", azureAuthMethods="mi")
    string = b"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=%s;EndpointSuffix=core.windows.net" % KEY
    out = [seed(b"g2\xff", key, b"", made, value, value), seed(b"g1\x03", key, b"", gone, chunked, refused(b"404 Not Found", b"BlobNotFound")),
           seed(b"s2\xff", key, props(contentType="text/html", contentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", cacheControl="no-cache", my_Key="v"), made,
                made, refused(b"409 Conflict", b"BlobAlreadyExists")),
           seed(b"S2\xff", key, b"", made, refused(b"412 Precondition Failed", b"ConditionNotMet"), made),
           seed(b"D2\xff", key, b"", made, answer(b"202 Accepted")), seed(b"p2\xff", key, b"", made, refused(b"403 Forbidden", b"AuthorizationFailure")),
           seed(b"g2\xff", key + b"\x1fretryCount=2", b"", answer(b"503 Busy", b"", b"Retry-After: 3"), answer(b"500 E", b"", b"retry-after-ms: 5"),
                answer(b"429 E", b"", b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), answer(b"408 E", b"<Code>x</Code>", b"x-ms-retry-after-ms: 1")),
           seed(b"g2\xff", props(connectionString=string, containerName="c", publicAccessLevel="blob"), b"", made, value),
           seed(b"g2\xff", props(connectionString="BlobEndpoint=https://h/a;SharedAccessSignature=?sv=1&sig=x%3D", containerName="c"), b"", made),
           seed(b"g2\xff", props(connectionString="UseDevelopmentStorage=true", containerName="$root", disableEntityManagement="y"), b"", value),
           seed(b"g2\xff", secret, b"", answer(b"200 OK", TOKEN), made, answer(b"401 No"), answer(b"200 OK", TOKEN), value),
           seed(b"g2\xff", secret + b"\x1fazureEnvironment=AzureChinaCloud", b"",
                answer(b"401 No", b'{"error":"invalid_client","error_description":"AADSTS7000215: Invalid.","error_codes":[7]}')),
           seed(b"gv\xff", bare, b"", answer(b"410 Gone"), answer(b"200 OK", MANAGED), made, value),
           seed(b"gv\xff", bare, b"", answer(b"400 Bad", b'{"error":"invalid_request","error_description":"Identity not found"}')),
           seed(b"gA\xff", bare, b"", answer(b"200 OK", MANAGED), made), seed(b"ga\xff", bare, b"", answer(b"200 OK", MANAGED), made, value),
           seed(b"gw\xff", props(accountName="a", containerName="c", azureAuthMethods="wi, creds"), b"", answer(b"200 OK", TOKEN), made, value),
           seed(b"g2\xff", props(azureCertificate=pem, **entra), b"", answer(b"200 OK", TOKEN), made, value),
           seed(b"g2\xff", props(azureCertificateFile=bundle, azureCertificatePassword="p", **entra), b"", answer(b"200 OK", TOKEN), made)]
    return out


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for number, content in enumerate(seeds()):
        with open("%s/%d" % (folder, number), "wb") as file:
            file.write(content)


main(sys.argv[1])
