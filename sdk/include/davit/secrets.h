/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/secrets.h - the secrets block. A secret is a set of key-value pairs under a name; a store of plain values emits
 * one pair whose key is the name. A secret that does not exist is DAVIT_NOT_FOUND.
 * Source: https://docs.dapr.io/reference/api/secrets_api/
 */
#ifndef DAVIT_SECRETS_H
#define DAVIT_SECRETS_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { davit_secrets_ops_kind = 400, davit_secret_key_kind, davit_secret_item_kind };

enum { DAVIT_SECRETS_MULTIPLE = 1u << 0 }; /* a secret may have more than one pair */

/* get; bulk_get with an empty name. */
struct davit_secret_key {
	uint32_t size, kind;
	struct davit_str name;
	const struct davit_pair *metadata;
	uint64_t nmetadata;
};

/* Emitted for each pair. */
struct davit_secret_item {
	uint32_t size, kind;
	struct davit_str name; /* of the secret */
	struct davit_str key, value;
};

struct davit_secrets_ops {
	uint32_t size, kind;
	uint32_t features, unused;
	davit_status (*get)(void *self, struct davit_call *call, const struct davit_secret_key *in);
	davit_status (*bulk_get)(void *self, struct davit_call *call,
				 const struct davit_secret_key *in); /* may be NULL */
};

#define DAVIT_SECRETS(type_, version_, ops_, ...) \
	{ \
		.size = (uint32_t)sizeof(struct davit_component), .kind = davit_component_kind, \
		.block = DAVIT_BLOCK_SECRETS, .type = type_, .version = version_, \
		.ops = 1 ? (ops_) : (const struct davit_secrets_ops *)NULL, __VA_ARGS__ \
	}

#ifdef __cplusplus
}
#endif
#endif
