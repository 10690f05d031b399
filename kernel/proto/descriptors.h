/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

#include <stddef.h>

/*
 * Everything that the .proto files below kernel/proto declare, for server reflection: one
 * google.protobuf.FileDescriptorSet, encoded, in which each file comes after all that it imports.
 * Read it with google__protobuf__file_descriptor_set__unpack() of
 * google/protobuf/descriptor.pb-c.h, or walk its bytes: each file is field 1 of the set and is
 * what reflection sends, as it stands.
 *
 * It says what is declared, not what is served. Lives as long as the program; nobody frees it.
 */
extern const unsigned char proto_descriptors[];

/* In bytes. */
extern const size_t proto_descriptors_size;

#endif
