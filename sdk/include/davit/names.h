/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/names.h - the names block: where the sidecars of an application listen for others, and telling them where this one
 * does.
 * Source: https://docs.dapr.io/reference/components-reference/supported-name-resolution/
 */
#ifndef DAVIT_NAMES_H
#define DAVIT_NAMES_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { davit_names_ops_kind = 500, davit_name_query_kind, davit_name_address_kind, davit_name_entry_kind };

/* resolve: emits one address, or several of which the kernel takes any. None is DAVIT_NOT_FOUND, with a sentence. */
struct davit_name_query {
	uint32_t size, kind;
	struct davit_str app_id, name_space;
	uint32_t port, unused; /* of sidecars by default; 0: there is none */
};

struct davit_name_address {
	uint32_t size, kind;
	struct davit_str address; /* "10.0.0.7:50002", "[fd00::7]:50002" */
};

/* announce: from now on until close() others find this sidecar there. Called once. */
struct davit_name_entry {
	uint32_t size, kind;
	struct davit_str app_id, name_space;
	struct davit_str host; /* an address without brackets, or a name */
	uint32_t port, unused;
};

struct davit_names_ops {
	uint32_t size, kind;
	uint32_t features, unused;
	davit_status (*resolve)(void *self, struct davit_call *call, const struct davit_name_query *in);
	davit_status (*announce)(void *self, struct davit_call *call,
				 const struct davit_name_entry *in); /* may be NULL */
};

#define DAVIT_NAMES(type_, version_, ops_, ...) \
	{ \
		.size = (uint32_t)sizeof(struct davit_component), .kind = davit_component_kind, \
		.block = DAVIT_BLOCK_NAMES, .type = type_, .version = version_, \
		.ops = 1 ? (ops_) : (const struct davit_names_ops *)NULL, __VA_ARGS__ \
	}

#ifdef __cplusplus
}
#endif
#endif
