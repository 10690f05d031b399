# SPDX-License-Identifier: Apache-2.0
"""Messages and services of Dapr's pluggable component protocol, out of its .proto files."""
import importlib.util
import os
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.environ.get("DAPR_PROTO", os.path.join(HERE, "../../../kernel/proto"))
FILES = ["dapr/proto/components/v1/%s.proto" % name for name in ("common", "pubsub", "secretstore", "state")]
PACKAGE = "dapr.proto.components.v1."


def _compiled():
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "set")
        tools = importlib.util.find_spec("grpc_tools") is not None
        program = [sys.executable, "-m", "grpc_tools.protoc"] if tools else ["protoc", "-I/usr/include"]
        subprocess.run(program + ["-I" + PROTO, "--include_imports", "--descriptor_set_out=" + out, *FILES], check=True)
        with open(out, "rb") as f:
            return descriptor_pb2.FileDescriptorSet.FromString(f.read())


POOL = descriptor_pool.Default()
for _file in _compiled().file:
    try:
        POOL.FindFileByName(_file.name)
    except KeyError:
        POOL.Add(_file)


def message(name):
    """The class of a message of the protocol, by its name: message("GetRequest")."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(PACKAGE + name))


def handler(service, implementation):
    """A generic handler: each method of the service is the implementation's method of the same name in small letters, with
    underscores; fn(request, context) -> response, of a stream fn(requests, context) -> an iterator of responses."""
    methods = {}
    for m in POOL.FindServiceByName(PACKAGE + service).methods:
        name = "".join("_" + c.lower() if c.isupper() else c for c in m.name).lstrip("_")
        kind = grpc.stream_stream_rpc_method_handler if m.client_streaming else grpc.unary_unary_rpc_method_handler
        methods[m.name] = kind(
            getattr(implementation, name),
            request_deserializer=message_factory.GetMessageClass(m.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(m.output_type).SerializeToString)
    return grpc.method_handlers_generic_handler(PACKAGE + service, methods)
