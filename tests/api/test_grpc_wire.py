# SPDX-License-Identifier: Apache-2.0
"""What the gRPC port does beyond its methods: reflection, health, sizes, compression, deadlines, unknown names, HTTP/1."""
import concurrent.futures
import time

import grpc
import pytest
from dapr.proto import api_service_v1, api_v1, common_v1
from google.protobuf import empty_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sidecar import component, refused

MEMORY = component("store", "state.in-memory")
Code = grpc.StatusCode
GET = api_v1.GetStateRequest(store_name="store", key="k")


def save(value):
    return api_v1.SaveStateRequest(store_name="store", states=[common_v1.StateItem(key="k", value=value)])


@pytest.mark.ours  # Dapr serves the newer form of reflection only
def test_reflection_lists_and_describes(start):
    s = start(MEMORY)
    stub = reflection_pb2_grpc.ServerReflectionStub(s.channel())
    Request = reflection_pb2.ServerReflectionRequest
    listed, found, missing = stub.ServerReflectionInfo(iter([
        Request(list_services=""), Request(file_containing_symbol="dapr.proto.runtime.v1.Dapr"), Request(file_containing_symbol="no.such.Thing")]))
    assert "dapr.proto.runtime.v1.Dapr" in {i.name for i in listed.list_services_response.service}
    assert found.file_descriptor_response.file_descriptor_proto
    assert missing.error_response.error_code == Code.NOT_FOUND.value[0]


@pytest.mark.parametrize("service", ["/no.such.Service/Method", "/dapr.proto.runtime.v1.Dapr/NoSuchMethod"])
def test_unknown_names(start, service):
    s = start()
    call = s.channel().unary_unary(service, request_serializer=lambda m: m.SerializeToString(), response_deserializer=empty_pb2.Empty.FromString)
    assert refused(call, empty_pb2.Empty()).code() in (Code.UNIMPLEMENTED, Code.UNKNOWN)


def test_a_message_that_is_no_protobuf(start):
    s = start(MEMORY)
    call = s.channel().unary_unary("/dapr.proto.runtime.v1.Dapr/GetState", request_serializer=lambda b: b,
                                   response_deserializer=api_v1.GetStateResponse.FromString)
    for junk in (b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x0b" * 200):
        assert refused(call, junk).code() in (Code.INTERNAL, Code.INVALID_ARGUMENT)
    assert s.rpc.GetState(GET).data == b""


def test_sizes(start):
    s = start(MEMORY, flags={"max-body-size": "1Mi"})
    s.rpc.SaveState(save(b"x" * 1000000))
    assert len(s.rpc.GetState(GET).data) == 1000000
    e = refused(s.rpc.SaveState, save(b"x" * 1100000))
    assert e.code() == Code.RESOURCE_EXHAUSTED
    assert len(s.rpc.GetState(GET).data) == 1000000


@pytest.mark.parametrize("n,each", [(1, 9000), (1, 60000), (400, 200)])
def test_metadata_of_many_kilobytes(start, n, each):
    s = start(MEMORY)
    s.rpc.SaveState(save(b"v"))
    assert s.rpc.GetState(GET, metadata=[("x-%d" % i, "y" * each) for i in range(n)]).data == b"v"


@pytest.mark.ours  # Dapr takes 4 MiB of each call
def test_metadata_has_a_bound(start):
    s = start(MEMORY)
    e = refused(s.rpc.GetState, GET, metadata=[("x-%d" % i, "y" * 1000) for i in range(150)])
    assert e.code() in (Code.RESOURCE_EXHAUSTED, Code.UNKNOWN, Code.INTERNAL)
    assert s.rpc.GetState(GET).data == b""


def test_text_that_is_no_utf8(start):
    s = start(MEMORY)
    call = s.channel().unary_unary("/dapr.proto.runtime.v1.Dapr/GetState", request_serializer=None, response_deserializer=None)
    e = refused(call, b"\x0a\x02\xff\xfe")
    assert (e.code(), e.details()) == (Code.INTERNAL, "grpc: error unmarshalling request: string field contains invalid UTF-8")


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.NoCompression])
def test_compression(start, compression):
    s = start(MEMORY)
    with grpc.insecure_channel("127.0.0.1:%d" % s.grpc_port, compression=compression) as channel:
        stub = api_service_v1.DaprStub(channel)
        stub.SaveState(save(b"abc" * 10000))
        assert stub.GetState(GET).data == b"abc" * 10000


@pytest.mark.ours  # Dapr leaves such sizes to its limits, too
def test_a_small_message_that_unpacks_to_much(start):
    s = start(MEMORY, flags={"max-body-size": "1Mi"})
    with grpc.insecure_channel("127.0.0.1:%d" % s.grpc_port, compression=grpc.Compression.Gzip) as channel:
        e = refused(api_service_v1.DaprStub(channel).SaveState, save(b"\0" * (64 << 20)))
    assert e.code() == Code.RESOURCE_EXHAUSTED
    with open("/proc/%d/status" % s.process.pid, encoding="ascii") as f:
        assert int(next(line for line in f if line.startswith("VmHWM")).split()[1]) < 200 * 1024


def test_a_deadline_that_has_passed(start):
    s = start(MEMORY)
    e = refused(s.rpc.GetState, GET, timeout=0.0000001)
    assert e.code() == Code.DEADLINE_EXCEEDED
    assert s.rpc.GetState(GET, timeout=10).data == b""


def test_many_calls_at_once(start):
    s = start(MEMORY)
    s.rpc.SaveState(save(b"1"))
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert all(r.data == b"1" for r in pool.map(lambda _: s.rpc.GetState(GET, timeout=30), range(2000)))


def test_a_drain_ends_calls_politely(start):
    s = start(MEMORY, flags={"dapr-block-shutdown-duration": "1s"})
    s.rpc.SaveState(save(b"1"))
    s.process.terminate()
    ok = 0
    end = time.monotonic() + 10
    while time.monotonic() < end and s.process.poll() is None:
        try:
            ok += s.rpc.GetState(GET, timeout=5).data == b"1"
        except grpc.RpcError as e:
            assert e.code() == Code.UNAVAILABLE
            break
    assert ok > 10
    assert s.exit_code() == 0


def test_keep_alive_pings_are_answered(start):
    s = start(MEMORY)
    with grpc.insecure_channel("127.0.0.1:%d" % s.grpc_port, [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 2000),
                                                              ("grpc.keepalive_permit_without_calls", 1),
                                                              ("grpc.http2.max_pings_without_data", 0)]) as channel:
        stub = api_service_v1.DaprStub(channel)
        for _ in range(3):
            assert stub.GetState(GET, timeout=5).data == b""
            time.sleep(1.2)


def test_invocation_by_metadata_is_told_apart(start):
    s = start(MEMORY)
    call = s.channel().unary_unary("/my.own.Service/Method", request_serializer=lambda m: m.SerializeToString(), response_deserializer=empty_pb2.Empty.FromString)
    e = refused(call, empty_pb2.Empty(), metadata=[("dapr-app-id", "nobody-there")], timeout=30)
    assert e.code() != Code.OK
