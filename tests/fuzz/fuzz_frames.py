# SPDX-License-Identifier: Apache-2.0
"""Frames of HTTP/2 as the target http2 takes them, header blocks, gRPC's frames and protobuf's fields, for seeds."""
import struct


def frame(kind, flags, stream, payload):
    """A byte each for type, flags, stream and length, as tests/fuzz/fuzz_frames.h reads them."""
    return bytes([kind, flags, stream, len(payload)]) + payload


def wire(frames):
    """The same as they are sent."""
    out = b""
    while frames:
        kind, flags, stream, n = frames[:4]
        out += struct.pack(">I", n)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + frames[4:4 + n]
        frames = frames[4 + n:]
    return out


def field(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def block(request, end=True):
    method, path = request
    head = field(":method", method) + field(":scheme", "http") + field(":authority", "x") + field(":path", path)
    return head if end else head + field("content-length", "5")


def message(body):
    return b"\0" + struct.pack(">I", len(body)) + body


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def number(tag, n):
    return varint(tag << 3) + varint(n)


def inside(tag, body):
    return varint(tag << 3 | 2) + varint(len(body)) + body


def text(tag, s):
    return inside(tag, s.encode())
