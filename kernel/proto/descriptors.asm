/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors as bytes of the program; see descriptors.h. */

	.section .rodata
	.balign 8

	.globl proto_descriptors
	.type proto_descriptors, %object
proto_descriptors:
	.incbin PROTO_BLOB
.Lproto_descriptors_end:
	.size proto_descriptors, . - proto_descriptors

	.balign 8
	.globl proto_descriptors_size
	.type proto_descriptors_size, %object
proto_descriptors_size:
	.dc.a .Lproto_descriptors_end - proto_descriptors
	.size proto_descriptors_size, . - proto_descriptors_size

	.section .note.GNU-stack, "", %progbits
