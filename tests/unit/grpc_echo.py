# SPDX-License-Identifier: Apache-2.0
"""kernel/grpc on the wire: grpc_echo driven by grpcio and, where grpcio is too polite, by frames of our own.

GRPC_ECHO names the program. Needs pytest, grpcio, grpcio-status and h2.
"""
import base64
import os
import socket
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from google.protobuf import wrappers_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

ECHO = os.environ.get("GRPC_ECHO", "build/tests/grpc_echo")
LIMIT = 4 << 20
BIG = 32 << 20
Bytes = wrappers_pb2.BytesValue
Code = grpc.StatusCode


class Server:
    def __init__(self, limit=LIMIT, *more):
        # LOOPS is for this file alone; the sanitizers' findings end the program with another code than 0.
        loops = os.environ.get("LOOPS", "2")
        self.process = subprocess.Popen([ECHO, "0", str(limit), loops, *more], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel("127.0.0.1:%d" % self.port, options)

    def unary(self, method, reply=Bytes):
        return self.channel.unary_unary(
            "/test.Echo/" + method, lambda m: m.SerializeToString(), reply.FromString)

    def counts(self):
        words = self.unary("Counts", wrappers_pb2.StringValue)(Bytes()).value.split()
        found = {"befores": int(words[1]), "cancels": int(words[3])}
        found.update((int(w.split("=")[0]), int(w.split("=")[1])) for w in words[4:])
        return found

    def stop(self):
        self.channel.close()
        self.process.terminate()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def big_server():
    s = Server(BIG)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def open_server():
    s = Server(LIMIT, "unknown")
    yield s
    s.stop()


def failure(call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    return caught.value


def framed(message, flag=0):
    return struct.pack(">BI", flag, len(message)) + message


class Raw:
    """One connection, whatever we like to send on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(5)
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, path="/test.Echo/Echo", method="POST", content_type="application/grpc", more=(), end=False):
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
        if content_type is not None:
            headers.append(("content-type", content_type))
        self.h2.send_headers(stream, headers + list(more), end_stream=end)
        self.flush()
        return stream

    def data(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def answer(self, stream):
        """(list of header blocks, body, code of a reset or None); a block is a dict."""
        blocks, body = [], b""
        while True:
            received = self.socket.recv(65536)
            assert received, "the server closed the connection"
            for e in self.h2.receive_data(received):
                assert not isinstance(e, h2.events.ConnectionTerminated), e
                if getattr(e, "stream_id", None) != stream:
                    continue
                if isinstance(e, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    blocks.append(dict(e.headers))
                elif isinstance(e, h2.events.DataReceived):
                    body += e.data
                    self.h2.acknowledge_received_data(e.flow_controlled_length, stream)
                elif isinstance(e, h2.events.StreamEnded):
                    return blocks, body, None
                elif isinstance(e, h2.events.StreamReset):
                    return blocks, body, e.error_code
            self.flush()

    def call(self, data=framed(b""), **kwargs):
        stream = self.begin(**kwargs)
        self.data(stream, data, end=True)
        return self.answer(stream)


@pytest.fixture
def raw(server):
    r = Raw(server.port)
    yield r
    r.socket.close()


# grpcio


def test_unary(server):
    reply, call = server.unary("Echo").with_call(Bytes(value=b"hello"))
    assert reply.value == b"hello"
    assert call.code() == Code.OK and call.details() == ""


def test_an_empty_message(server):
    assert server.unary("Echo")(Bytes()).value == b""


def test_metadata_both_ways(server):
    data = bytes(range(256))
    reply, call = server.unary("Echo").with_call(
        Bytes(), metadata=(("x-data-bin", data), ("x-text", "some text")))
    assert dict(call.initial_metadata()).get("y-data-bin") == data
    assert dict(call.initial_metadata()).get("y-text") == "some text"
    assert dict(call.trailing_metadata()) == {"z-data-bin": data, "z-text": "some text"}


def test_binary_metadata_of_every_length(server):
    echo = server.unary("Echo")
    for n in range(1, 8):
        data = b"\xff" * n
        _, call = echo.with_call(Bytes(), metadata=(("x-data-bin", data),))
        assert dict(call.initial_metadata())["y-data-bin"] == data


@pytest.mark.parametrize("code", [c for c in Code if c is not Code.OK])
def test_every_status(server, code):
    e = failure(server.unary("Echo"), Bytes(), metadata=(("x-status", str(code.value[0])), ("x-message", "100%")))
    assert e.code() == code


def test_a_failure_with_headers_of_its_own(server):
    e = failure(server.unary("Echo"), Bytes(), metadata=(("x-status", "5"), ("x-text", "t"), ("x-message", "m")))
    assert (e.code(), e.details()) == (Code.NOT_FOUND, "m")
    assert dict(e.initial_metadata())["y-text"] == "t" and dict(e.trailing_metadata())["z-text"] == "t"


def test_details(server):
    e = failure(server.unary("Echo"), Bytes(), metadata=(("x-status", "9"), ("x-message", "etag")))
    status = rpc_status.from_call(e)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, status.message) == ("DAPR_TEST", "dapr.io", "etag")


def test_unknown_names(server):
    for path, text in (("/no.Such/Method", "unknown service no.Such"),
                       ("/test.Echo/Nope", "unknown method Nope for service test.Echo"),
                       ("/test.Echo/", "unknown method  for service test.Echo"),
                       ("/a/b/c", "unknown service a/b"),
                       ("/test.Echo", 'malformed method name: "/test.Echo"')):
        e = failure(server.channel.unary_unary(path), b"")
        assert (e.code(), e.details()) == (Code.UNIMPLEMENTED, text)


def test_unknown_names_may_have_a_handler(open_server):
    call = open_server.channel.stream_stream("/any.Service/At.All")
    assert list(call(iter([b"a", b"", b"b" * 100000]))) == [b"a", b"", b"b" * 100000]
    call = open_server.channel.unary_unary("/any.Service/At.All")
    assert call(b"x" * 1000, compression=grpc.Compression.Gzip) == b"x" * 1000


def test_before_refuses(server):
    e = failure(server.unary("Echo"), Bytes(), metadata=(("x-forbidden", "1"),))
    assert (e.code(), e.details()) == (Code.PERMISSION_DENIED, "not for you")


def test_gzip(server):
    for n in (0, 1, 1000, 1 << 20):
        data = os.urandom(n // 2) + bytes(n - n // 2)
        assert server.unary("Echo")(Bytes(value=data), compression=grpc.Compression.Gzip).value == data


def test_size_limit(server):
    data = bytes(LIMIT + 1)
    e = failure(server.unary("Echo"), Bytes(value=data))
    assert e.code() == Code.RESOURCE_EXHAUSTED
    assert e.details() == "grpc: received message larger than max (%d vs. %d)" % (LIMIT + 6, LIMIT)
    e = failure(server.unary("Echo"), Bytes(value=data), compression=grpc.Compression.Gzip)
    assert e.code() == Code.RESOURCE_EXHAUSTED
    assert e.details() == "grpc: received message after decompression larger than max %d" % LIMIT
    repeat = server.channel.unary_stream(
        "/test.Echo/Repeat", lambda m: m.SerializeToString(), Bytes.FromString)
    e = failure(list, repeat(Bytes(), metadata=(("x-size", str(LIMIT)),)))
    assert e.code() == Code.RESOURCE_EXHAUSTED
    assert e.details() == "trying to send message larger than max (%d vs. %d)" % (LIMIT + 5, LIMIT)


def test_the_largest_message(server):
    data = os.urandom(LIMIT - 5)
    assert server.unary("Echo")(Bytes(value=data)).value == data


def test_20_megabytes(big_server):
    data = os.urandom(20 << 20)
    assert big_server.unary("Echo")(Bytes(value=data)).value == data


def test_many_large_messages_at_once(big_server):
    data = os.urandom(1 << 20)
    calls = [big_server.unary("Echo").future(Bytes(value=data)) for _ in range(50)]
    assert all(c.result(60).value == data for c in calls)


def test_a_thousand_calls_at_once(server):
    calls = [server.unary("Echo").future(Bytes(value=b"%d" % i), metadata=(("x-sleep-ms", "300"),))
             for i in range(1000)]
    assert [c.result(20).value for c in calls] == [b"%d" % i for i in range(1000)]


def test_server_stream(server):
    repeat = server.channel.unary_stream("/test.Echo/Repeat", lambda m: m.SerializeToString(), Bytes.FromString)
    got = list(repeat(Bytes(), metadata=(("x-count", "1000"), ("x-size", "5000"))))
    assert len(got) == 1000 and all(m.value == bytes(5000) for m in got)
    e = failure(list, repeat(Bytes(), metadata=(("x-count", "0"), ("x-status", "5"), ("x-message", "none"))))
    assert (e.code(), e.details()) == (Code.NOT_FOUND, "none")


def test_a_stream_fails_behind_its_messages(server):
    repeat = server.channel.unary_stream("/test.Echo/Repeat", lambda m: m.SerializeToString(), Bytes.FromString)
    call = repeat(Bytes(), metadata=(("x-count", "3"), ("x-status", "9"), ("x-message", "late")))
    got = []
    with pytest.raises(grpc.RpcError) as caught:
        for m in call:
            got.append(m)
    assert len(got) == 3 and caught.value.details() == "late"
    assert rpc_status.from_call(caught.value).details


def test_bidi(server):
    chat = server.channel.stream_stream("/test.Echo/Chat", lambda m: m.SerializeToString(), Bytes.FromString)
    turn = threading.Semaphore(0)

    def talk():
        for i in range(200):
            yield Bytes(value=b"%d" % i)
            turn.acquire()

    seen = 0
    for m in chat(talk()):
        assert m.value == b"%d" % seen
        seen += 1
        turn.release()
    assert seen == 200


def test_bidi_in_gzip(server):
    chat = server.channel.stream_stream("/test.Echo/Chat", lambda m: m.SerializeToString(), Bytes.FromString)
    data = [Bytes(value=b"abc" * i) for i in range(100)]
    assert list(chat(iter(data), compression=grpc.Compression.Gzip)) == data


@pytest.mark.plain
def test_a_long_stream_keeps_no_memory(server):
    def resident():
        with open("/proc/%d/statm" % server.process.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    chat = server.channel.stream_stream("/test.Echo/Chat", lambda m: m.SerializeToString(), Bytes.FromString)
    data = bytes(100000)
    before = None
    for i, m in enumerate(chat(Bytes(value=data) for _ in range(1500))):
        assert len(m.value) == len(data)
        if i == 200:
            before = resident()
    assert resident() - before < 30 << 20, "150 MB went through"


def test_cancel(server):
    before = server.counts()
    call = server.unary("Wait").future(Bytes())
    time.sleep(0.2)
    assert not call.done()
    call.cancel()
    wait_until(lambda: server.counts()["cancels"] == before["cancels"] + 1)
    wait_until(lambda: server.counts().get(1, 0) == before.get(1, 0) + 1)


def test_a_stream_is_cancelled(server):
    before = server.counts()
    repeat = server.channel.unary_stream("/test.Echo/Repeat", lambda m: m.SerializeToString(), Bytes.FromString)
    call = repeat(Bytes(), metadata=(("x-count", "1000000"), ("x-size", "1000")))
    next(call)
    call.cancel()
    wait_until(lambda: server.counts().get(1, 0) == before.get(1, 0) + 1)


def test_a_client_that_vanishes(server):
    before = server.counts()
    r = Raw(server.port)
    stream = r.begin(path="/test.Echo/Wait")
    r.data(stream, framed(b""), end=True)
    time.sleep(0.2)
    r.socket.close()
    wait_until(lambda: server.counts()["cancels"] == before["cancels"] + 1)


def test_deadline(server):
    e = failure(server.unary("Wait"), Bytes(), timeout=0.2)
    assert e.code() == Code.DEADLINE_EXCEEDED
    wait_until(lambda: server.counts().get(4, 0) >= 1)
    assert server.unary("Echo")(Bytes(value=b"in time"), timeout=5).value == b"in time"


def wait_until(so, seconds=5):
    until = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_utf8(server):
    text = server.unary("Text", wrappers_pb2.StringValue)
    assert text(wrappers_pb2.StringValue(value="äöü 😀")).value == "äöü 😀"
    call = server.channel.unary_unary("/test.Echo/Text")
    e = failure(call, b"\x0a\x01\xff")
    assert e.code() == Code.INTERNAL and "invalid UTF-8" in e.details()
    e = failure(call, b"\x0a\x03a\x00b")
    assert e.code() == Code.INVALID_ARGUMENT and "google.protobuf.StringValue.value" in e.details()
    e = failure(call, b"\x0a\x09short")
    assert e.code() == Code.INTERNAL and e.details().startswith("grpc: error unmarshalling request: proto:")


def test_several_clients(server):
    def work(i):
        channel = grpc.insecure_channel("127.0.0.1:%d" % server.port, [("grpc.use_local_subchannel_pool", 1)])
        echo = channel.unary_unary("/test.Echo/Echo", lambda m: m.SerializeToString(), Bytes.FromString)
        good = all(echo(Bytes(value=b"%d" % k)).value == b"%d" % k for k in range(50))
        channel.close()
        return good

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(24)))


# Frames of our own


def test_the_reply_is_lean(raw):
    blocks, body, reset = raw.call(framed(b"\x0a\x01x"))
    assert blocks == [{":status": "200", "content-type": "application/grpc"}, {"grpc-status": "0"}]
    assert body == framed(b"\x0a\x01x") and reset is None


def test_errors_are_trailers_only(raw):
    blocks, body, reset = raw.call(path="/no.Such/Method")
    assert body == b"" and len(blocks) == 1 and reset is None
    assert blocks[0] == {":status": "200", "content-type": "application/grpc", "grpc-status": "12",
                         "grpc-message": "unknown service no.Such"}


def test_the_message_of_a_status_is_percent_encoded(raw):
    blocks, _, _ = raw.call(more=[("x-status", "3"), ("x-message", "100% \u00e4")])
    assert blocks[0]["grpc-message"] == "100%25 %C3%A4"


def test_a_message_byte_by_byte(raw):
    stream = raw.begin()
    data = framed(b"\x0a\x05hello")
    for i in range(len(data)):
        raw.data(stream, data[i:i + 1])
        time.sleep(0.005)
    raw.data(stream, b"", end=True)
    assert raw.answer(stream)[1] == data


def test_several_messages_in_one_frame(raw):
    stream = raw.begin(path="/test.Echo/Chat")
    data = framed(b"\x0a\x01a") + framed(b"") + framed(b"\x0a\x02bc")
    raw.data(stream, data + framed(b"\x0a\x01d")[:3])
    time.sleep(0.05)
    raw.data(stream, framed(b"\x0a\x01d")[3:], end=True)
    assert raw.answer(stream)[1] == data + framed(b"\x0a\x01d")


@pytest.mark.parametrize("content_type,answer", [
    ("application/grpc+proto", "application/grpc+proto"), ("application/grpc;x", "application/grpc+x"),
    ("application/grpc+json", "application/grpc+json"), ("application/grpc+", "application/grpc")])
def test_content_types(raw, content_type, answer):
    blocks, _, _ = raw.call(content_type=content_type)
    assert blocks[0]["content-type"] == answer and blocks[1]["grpc-status"] == "0"


@pytest.mark.parametrize("content_type", ["application/json", "application/grpcx", "", None, "text/plain"])
def test_what_is_no_grpc(raw, content_type):
    blocks, body, _ = raw.call(content_type=content_type)
    assert blocks[0][":status"] == "415" and blocks[0]["grpc-status"] == "3" and body == b""
    assert blocks[0]["grpc-message"] == 'invalid gRPC request content-type "%s"' % (content_type or "")


def test_the_method_is_post(raw):
    blocks, _, _ = raw.call(method="PUT")
    assert blocks[0][":status"] == "405" and blocks[0]["grpc-status"] == "13"


@pytest.mark.parametrize("timeout", ["", "1", "S", "1s", "-1S", "123456789S", "1.5S"])
def test_malformed_timeouts(raw, timeout):
    blocks, _, _ = raw.call(more=[("grpc-timeout", timeout)])
    assert blocks[0][":status"] == "400" and blocks[0]["grpc-status"] == "13"
    assert blocks[0]["grpc-message"].startswith("malformed grpc-timeout: ")


def test_malformed_binary_metadata(raw):
    blocks, _, _ = raw.call(more=[("x-data-bin", "a!b")])
    assert blocks[0][":status"] == "400" and blocks[0]["grpc-status"] == "13"
    assert blocks[0]["grpc-message"].startswith('malformed binary metadata "a!b" in header "x-data-bin"')


def test_padded_binary_metadata(raw):
    blocks, _, _ = raw.call(more=[("x-data-bin", "Zg==")])
    assert base64.b64decode(blocks[0]["y-data-bin"] + "==") == b"f"


def test_the_server_keeps_the_deadline(raw):
    began = time.monotonic()
    blocks, _, _ = raw.call(path="/test.Echo/Wait", more=[("grpc-timeout", "200m")])
    assert blocks[0]["grpc-status"] == "4" and blocks[0]["grpc-message"] == "context deadline exceeded"
    assert 0.19 < time.monotonic() - began < 1


def test_a_deadline_while_the_request_is_still_coming(raw):
    for path in ("/test.Echo/Echo", "/test.Echo/Chat"):
        stream = raw.begin(path=path, more=[("grpc-timeout", "100m")])
        raw.data(stream, framed(b"\x0a\x05hello")[:7])
        blocks, _, _ = raw.answer(stream)
        assert blocks[0]["grpc-status"] == "4"


def test_a_deadline_within_a_stream(raw):
    stream = raw.begin(path="/test.Echo/Chat", more=[("grpc-timeout", "200m")])
    raw.data(stream, framed(b"\x0a\x01a"))
    blocks, body, reset = raw.answer(stream)
    assert body == framed(b"\x0a\x01a")
    assert blocks[-1].get("grpc-status") == "4" or reset == 8


def test_a_deadline_of_a_slow_handler(raw):
    began = time.monotonic()
    blocks, _, _ = raw.call(more=[("grpc-timeout", "100m"), ("x-sleep-ms", "600")])
    assert blocks[0]["grpc-status"] == "4" and time.monotonic() - began < 0.5
    blocks, _, _ = raw.call()
    assert blocks[1]["grpc-status"] == "0"


def test_no_time_at_all(raw):
    blocks, _, _ = raw.call(more=[("grpc-timeout", "0n")])
    assert blocks[0]["grpc-status"] == "4"


def test_many_deadlines(raw):
    due = {}
    for i in range(80):
        ms = 100 + (i * 37) % 400
        began = time.monotonic()
        stream = raw.begin(path="/test.Echo/Wait", more=[("grpc-timeout", "%dm" % ms)])
        raw.data(stream, framed(b""), end=True)
        due[stream] = began + ms / 1000
    while due:
        for e in raw.h2.receive_data(raw.socket.recv(65536)):
            if isinstance(e, h2.events.ResponseReceived):
                assert dict(e.headers)["grpc-status"] == "4"
                assert 0 <= time.monotonic() - due.pop(e.stream_id) < 1


def test_encodings(raw):
    blocks, _, _ = raw.call(more=[("grpc-encoding", "snappy")])
    assert blocks[0]["grpc-status"] == "12"
    assert blocks[0]["grpc-message"] == 'grpc: Decompressor is not installed for grpc-encoding "snappy"'
    assert blocks[0]["grpc-accept-encoding"] == "identity,gzip"
    blocks, _, _ = raw.call(framed(b"", 1), more=[("grpc-encoding", "identity")])
    assert blocks[0]["grpc-message"] == "grpc: compressed flag set with identity or empty encoding"
    blocks, _, _ = raw.call(framed(b"no gzip", 1), more=[("grpc-encoding", "gzip")])
    assert blocks[0]["grpc-status"] == "13"
    blocks, body, _ = raw.call(framed(b"\x0a\x01x"), more=[("grpc-encoding", "gzip")])
    assert blocks[0]["grpc-encoding"] == "gzip" and body[0] == 1
    blocks, body, _ = raw.call(
        framed(b"\x0a\x01x"), more=[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity")])
    assert "grpc-encoding" not in blocks[0] and body[0] == 0


def test_requests_that_end_too_early(raw):
    blocks, _, _ = raw.call(b"")
    assert (blocks[0]["grpc-status"], blocks[0]["grpc-message"]) == ("2", "EOF")
    for cut in (3, 5, 7):
        blocks, _, _ = raw.call(framed(b"\x0a\x05hello")[:cut])
        assert (blocks[0]["grpc-status"], blocks[0]["grpc-message"]) == ("2", "unexpected EOF")
    blocks, _, _ = raw.call(b"", path="/test.Echo/Repeat")
    assert blocks[0]["grpc-status"] == "13" and blocks[0]["grpc-message"].startswith("cardinality violation")
    blocks, _, _ = raw.call(framed(b"\x0a\x05hello")[:7], path="/test.Echo/Chat")
    assert (blocks[0]["grpc-status"], blocks[0]["grpc-message"]) == ("13", "unexpected EOF")
    blocks, _, _ = raw.call(framed(b"", 2))
    assert blocks[0]["grpc-message"] == "grpc: received unexpected payload format 2"


def test_a_reset_in_the_middle(raw, server):
    before = server.counts()
    stream = raw.begin()
    raw.data(stream, framed(b"\x0a\x05hello")[:7])
    raw.h2.reset_stream(stream, 8)
    raw.flush()
    wait_until(lambda: server.counts().get(1, 0) == before.get(1, 0) + 1)
    assert raw.call()[0][1]["grpc-status"] == "0"


def test_every_call_is_counted_once(server):
    before, done = server.counts(), 0
    for i in range(20):
        server.unary("Echo")(Bytes())
        failure(server.unary("Echo"), Bytes(), metadata=(("x-status", "11"),))
        failure(server.channel.unary_unary("/no.Such/Method"), b"")
    after = server.counts()
    assert after[0] - before[0] == 21  # the first Counts is in it
    assert after[11] - before.get(11, 0) == 20 and after[12] - before.get(12, 0) == 20
    assert after["befores"] - before["befores"] == 41


@pytest.mark.parametrize("method", ["Echo", "Repeat", "Chat"])
def test_memory_that_fails_is_an_answer(method):
    s = Server()
    call = s.channel.stream_stream("/test.Echo/" + method, lambda m: m.SerializeToString(), Bytes.FromString)
    metadata = (("x-text", "t" * 1000), ("x-status", "9"), ("x-message", "%" * 500), ("x-count", "3"))

    def fail(n):
        """Whether the failure set before was still to come."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:  # an allocation of this call may be the one
                return s.unary("Fail", wrappers_pb2.StringValue)(
                    Bytes(), metadata=(("x-count", str(n)),), wait_for_ready=True).value == "more"
            except grpc.RpcError:
                continue
        raise AssertionError("the server does not come back")

    for compression in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        code, refused, n = None, 0, 0
        while not fail(n):
            n += 1
            assert n < 500
            fail(n)
            e = failure(list, call(iter([Bytes(value=os.urandom(20000))]), metadata=metadata, timeout=10,
                                   compression=compression, wait_for_ready=True))
            code = e.code()
            assert code != Code.DEADLINE_EXCEEDED, "no call may hang"
            refused += code == Code.RESOURCE_EXHAUSTED
        assert code == Code.FAILED_PRECONDITION and n > 3 and refused > 0
    s.stop()
