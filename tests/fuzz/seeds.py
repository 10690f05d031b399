#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds.py <target> <folder>: what each target begins with, one file each. Small, and one of each thing that the target can
say, since what a fuzzer never sees together it seldom makes."""
import glob
import os
import struct
import sys

import fuzz_frames as f

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(pattern):
    out = []
    for path in sorted(glob.glob(pattern, recursive=True)):
        with open(path, "rb") as file:
            out.append(file.read()[:4096])
    return out


def http1():
    h = b"Host: x\r\n"
    return [b"GET / HTTP/1.1\r\n" + h + b"\r\n",
            b"GET /a%2Fb?q=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            b"POST /whole HTTP/1.1\r\n" + h + b"Content-Length: 5\r\n\r\nhelloGET /none HTTP/1.1\r\n" + h + b"\r\n",
            b"PUT /stream HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked\r\nTrailer: t\r\n\r\n"
            b"5;x=1\r\nhello\r\n0\r\nt: 1\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + h + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
            b"GET http://h/p HTTP/1.1\r\nHost: h\r\nA:\tb \r\nConnection: close\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\n" + h + b"\r\n",
            b"GET / HTTP/1.1\r\n" + h + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
            b"HEAD /stream HTTP/1.1\r\n" + h + b"\r\n\r\nGET / HTTP/1.1\r\n" + h + b"\r\n"]


def http2():
    get, post = f.block(("GET", "/"), end=True), f.block(("POST", "/whole"), end=False)
    frames = [f.frame(1, 5, 1, get),
              f.frame(1, 4, 1, post) + f.frame(0, 1, 1, b"hello"),
              f.frame(1, 4, 1, f.block(("PUT", "/stream"))) + f.frame(0, 0, 1, b"ab") + f.frame(1, 5, 1, f.field("t", "1")),
              f.frame(1, 1, 1, get[:10]) + f.frame(9, 4, 1, get[10:]),
              f.frame(4, 0, 0, struct.pack(">HI", 4, 1)) + f.frame(1, 5, 3, get) + f.frame(8, 0, 3, struct.pack(">I", 9)),
              f.frame(6, 0, 0, b"12345678") + f.frame(3, 0, 1, struct.pack(">I", 8)) + f.frame(7, 0, 0, bytes(8)),
              f.frame(1, 0x2d, 1, b"\2" + bytes(5) + get + b"pp") + f.frame(2, 0, 1, bytes(5)),
              f.frame(1, 5, 1, bytes([0x82, 0x86, 0x84, 0x41, 1]) + b"x")]
    return [b"s" + x for x in frames] + [b"r" + f.wire(x) for x in frames]


def internal():
    """message InternalInvokeRequest {ver=1, metadata=2 map<string, ListStringValue>, message=3 InvokeRequest, actor=4}."""
    pair = f.text(1, "x-a") + f.inside(2, f.text(1, "b"))
    http = f.inside(4, f.number(1, 1) + f.text(2, "a=1"))
    invoke = f.text(1, "hello") + f.inside(2, f.text(1, "") + f.text(2, "body")) + f.text(3, "text/plain") + http
    request = f.number(1, 1) + f.inside(2, pair) + f.inside(3, invoke)
    plain = f.number(1, 1) + f.inside(2, pair) + f.inside(3, f.text(1, "whole") + http)
    part = f.inside(1, plain) + f.inside(2, f.text(1, "abc"))
    more = f.inside(2, f.text(1, "def") + f.number(2, 1))
    gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"
    return [b"\0\1" + f.message(request), b"\1\1" + f.message(part) + f.message(more), b"\1\0" + f.message(f.inside(1, plain)),
            b"\2\1" + f.message(request), b"\3\1" + f.message(b"x"), b"\4\1\1" + f.message(gzip)[1:], b"\1\1" + f.message(part[:-2])]


def protobuf():
    pairs = f.text(1, "store") + f.text(2, "key") + f.inside(4, f.text(1, "a") + f.text(2, "b"))
    deep = b""
    for _ in range(30):
        deep = f.inside(3, deep)
    return [bytes([i]) + body for i in range(0, 160, 3) for body in (pairs, f.number(1, 7) + f.inside(2, pairs))] + [b"\0" + deep]


def resources():
    head = b"apiVersion: dapr.io/v1alpha1\nkind: %s\nmetadata:\n  name: a\n  namespace: n\n"
    spec = (b"spec:\n  type: state.redis\n  version: v1\n  ignoreErrors: yes\n  initTimeout: 5s\n  metadata:\n  - name: redisHost\n"
            b"    value: 'h:1'\n  - name: p\n    secretKeyRef: {name: s, key: k}\n  - {name: n, value: 0x1f}\n  - name: e\n    envRef: E\n"
            b"auth:\n  secretStore: s\nscopes: [app, b]\n")
    return [head % b"Component" + spec, head % b"Component" + spec + b"---\n" + head % b"Resiliency" + b"spec: {}\n",
            b"a: &x {b: [1, 2.5, ~, !!str 3, \"q\\n\", 'q']}\nc: *x\nd: {<<: *x, e: |\n  t\n}\n",
            b"kind: Component\nspec: {metadata: [{name: a, value: [1, {b: .inf}]}]}\n", head % b"HTTPEndpoint" + b"spec: {baseUrl: http://x}\n",
            b"%YAML 1.1\n--- >-\n  folded\n  text\n...\n"]


def subscription():
    head = b"apiVersion: dapr.io/%s\nkind: Subscription\nmetadata:\n  name: a\n"
    return [head % b"v1alpha1" + b"spec:\n  pubsubname: bus\n  topic: t\n  route: /o\n  deadLetterTopic: d\n  metadata: {a: b}\n"
            b"  bulkSubscribe: {enabled: true, maxMessagesCount: 5, maxAwaitDurationMs: 10}\nscopes: [app]\n",
            head % b"v2alpha1" + b"spec:\n  pubsubname: bus\n  topic: t\n  routes:\n    default: /d\n    rules:\n"
            b"    - match: event.type == \"order\" && event.data.n.size() > 2\n      path: /a\n"
            b"    - {match: 'has(event.x) || event.id.matches(\"^[0-9]+$\")', path: /b}\n"]


def configuration():
    return [b"kind: Configuration\nmetadata: {name: c}\nspec:\n  tracing: {samplingRate: '1', stdout: true, zipkin: {endpointAddress: $A},"
            b" otel: {endpointAddress: 'h:1', protocol: http, isSecure: false, headers: [a=b], timeout: 5s}}\n",
            b"spec:\n  metrics: {enabled: true, recordErrorCodes: yes, http: {increasedCardinality: false, pathMatching: [/a/{b}]},\n"
            b"    latencyDistributionBuckets: [1, 2], rules: [{name: n, labels: [{name: l, regex: {v: '[0-9]+'}}]}]}\n",
            b"spec:\n  secrets: {scopes: [{storeName: s, defaultAccess: deny, allowedSecrets: [a, b]}]}\n  components: {deny: [state.x, y/v2]}\n"
            b"  api: {allowed: [{name: state, version: v1.0, protocol: http}]}\n  features: [{name: HotReload, enabled: false}]\n",
            b"spec:\n  accessControl: {defaultAction: deny, trustDomain: t, policies: [{appId: a, defaultAction: allow, trustDomain: t,"
            b" namespace: n, operations: [{name: /op/*, httpVerb: [GET], action: allow}]}]}\n  mtls: {enabled: true, workloadCertTTL: 1h}\n",
            b"spec: {httpPipeline: {handlers: [{name: a, type: b.c, selector: {fields: [{field: f, value: v}]}}]}, nameResolution:"
            b" {component: mdns, version: v1, configuration: {a: [1]}}, logging: {apiLogging: {enabled: true}},"
            b" workflow: {maxConcurrentWorkflowInvocations: 3}}\n"]


def manifest():
    head = b'm{"name":"acme","version":"1.0.0","vendor":"A","licence":"MIT","library":"acme.so","abi":1,"sha256":"%s","components":[' \
           % (b"0" * 64)
    managed = b'{"type":"state.acme","version":"v1","block":"state","status":"stable","tier":"managed","metadata":[{"name":"url",' \
              b'"type":"string","required":true,"sensitive":true,"aliases":["uri"]},{"name":"n","type":"number","default":3}]}'
    default = b'{"type":"state.acme","version":"v2","tier":"standard","default":true,"open":true,"metadata":[{"name":"m",' \
              b'"allowed":["a","b"],"missing":"say m"}]}'
    return [head + managed + b"]}", head + default + b"]}", head + managed + b"," + default + b"]}"] + [
        b"m" + x for x in read("manifests/**/*.json")[::7]] + [
        b'i{"entries":[{"type":"state.redis","version":"v1","plugin_version":"1.0.0","sha256":"%s","tier":"managed"}]}' % (b"a" * 64)]


def note():
    name, version = b"state.acme\0".ljust(96, b"\0"), b"0.1.0\0".ljust(32, b"\0")
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    out = []
    for rest in (140, 144, 200):
        body = (struct.pack("<IIII", 0, 1, 1, 0) + name + version).ljust(rest, b"\0")
        segment = struct.pack("<III", 8, len(body), 1) + b"Davit\0\0\0" + body
        out.append(head + struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(segment), len(segment), 4) + segment)
    return out


def json():
    item = b'[{"key":"a","value":{"b":[1,2.5e3,null,"\\u00e9\\n"]},"etag":"1","metadata":{"ttlInSeconds":"5"},' \
           b'"options":{"concurrency":"first-write","consistency":"strong"}}]'
    return [b"i" + item, b"i[]", b"inull", b'b{"keys":["a","b"],"parallelism":3,"metadata":{"a":"b"}}',
            b't{"operations":[{"operation":"upsert","request":{"key":"a","value":1}},{"operation":"delete","request":{"key":"b"}}],'
            b'"metadata":{"a":"b"}}',
            b's[{"pubsubname":"p","topic":"t","route":"/r","metadata":{"a":"b"},"deadLetterTopic":"d"},{"pubsubname":"p","topic":"t",'
            b'"routes":{"rules":[{"match":"event.type == 1","path":"/a"}],"default":"/d"},"bulkSubscribe":{"enabled":true}}]',
            b"x" + item, b'x{"a":"\\ud83d\\ude00","b":-0.0e-1,"":[{}]} ', b"x" + b"[" * 200 + b"]" * 200]


def cloudevent():
    event = b'{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"application/json","data":{"a":[1]},' \
            b'"traceparent":"%s","expiration":"2026-01-02T03:04:05Z","topic":"t","pubsubname":"p","x":1.5}' % PARENT.encode()
    coded = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"aGVsbG8="}'
    proto = f.text(1, "1") + f.text(2, "s") + f.text(3, "1.0") + f.text(4, "t") + f.inside(5, f.text(1, "k") + f.inside(2, f.text(3, "v")))
    return [b"c" + event, b"c" + coded, b'j{"a":1}', b"thello", b"o\0\xff", b"p" + proto + f.text(7, "x"), b"r" + event, b"rraw", b"b" + b'{"a":1}',
            b'a{"status":"RETRY"}', b'a{"status":"DROP","x":[1]}', b"e" + event, b"e" + coded]


def mdns():
    def name(*parts):
        return b"".join(bytes([len(p)]) + p.encode() for p in parts) + b"\0"

    def record(n, kind, data, ttl=120):
        return n + struct.pack(">HHIH", kind, 0x8001, ttl, len(data)) + data

    entry, host = name("h-2", "orders", "local"), name("h2", "local")
    srv = record(entry, 33, struct.pack(">HHH", 0, 0, 3500) + host)
    answers = [record(name("orders", "local"), 12, entry), srv, record(entry, 16, b"\6orders"), record(host, 1, b"\x0a\0\0\1"),
               record(host, 28, bytes(15) + b"\1")]
    question = name("shop", "local") + struct.pack(">HH", 12, 1)
    pointed = b"\0\0\x84\0\0\0\0\2\0\0\0\0" + record(name("a", "local"), 12, b"\1b\xc0\x0e") + record(b"\xc0\x0c", 16, b"\1x")
    return [struct.pack(">HHHHHH", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers),
            struct.pack(">HHHHHH", 0, 0x8400, 0, 1, 0, 0) + record(entry, 33, struct.pack(">HHH", 0, 0, 1) + host, 0),
            struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + question, pointed]


def redis():
    def bulk(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

    slots = b"*2\r\n*3\r\n:0\r\n:8000\r\n*3\r\n$9\r\n127.0.0.1\r\n:7101\r\n$2\r\nid\r\n*4\r\n:8001\r\n:16383\r\n*2\r\n$0\r\n\r\n:7102\r\n*2\r\n$1\r\nh\r\n:1\r\n"
    entries = b"*1\r\n*2\r\n$3\r\n1-1\r\n" + bulk(b"data", b"hello", b"metadata", b'{"a":"b"}')
    pending = b"*2\r\n" + b"*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:9\r\n:1\r\n" * 2
    return [b"l\xff+OK\r\n+OK\r\n", b"l\x03-WRONGPASS no\r\n", b"c\x20" + slots, b"m\xff-MOVED 3999 127.0.0.1:6381\r\n-ASK 1 :2\r\n",
            b"s\xff" + bulk(b"127.0.0.1", b"6379"), b"h\xff" + bulk(b"data", b"1", b"version", b"2"),
            b"k\xff*2\r\n$1\r\n0\r\n" + bulk(b"ab", b"b"), b"p\xff" + pending, b"e\xff" + entries, b"e\xff%1\r\n+a\r\n#t\r\n_\r\n,1.5\r\n(99\r\n~0\r\n=7\r\ntxt:abc\r\n"]


def main(target, folder):
    os.makedirs(folder, exist_ok=True)
    for number, seed in enumerate(globals()[target]()):
        with open("%s/%d" % (folder, number), "wb") as file:
            file.write(seed)


main(sys.argv[1], sys.argv[2])
