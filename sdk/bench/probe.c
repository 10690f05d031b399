/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

static char key[256];

static size_t state_probes(const struct davit_state_ops *ops, struct probe *p)
{
	static struct davit_state_set set = DAVIT_INIT(davit_state_set, .flags = DAVIT_STATE_JSON);
	static struct davit_state_key one = DAVIT_INIT(davit_state_key);
	static const struct davit_state_key *const keys[] = { &one, &one };
	static const struct davit_state_op step = DAVIT_INIT(davit_state_op, .set = &set);
	static const struct davit_state_op *const steps[] = { &step };
	static const struct davit_state_multi multi = DAVIT_INIT(davit_state_multi, .ops = steps, .nops = 1);
	static const struct davit_state_bulk bulk = DAVIT_INIT(davit_state_bulk, .keys = keys, .n = 2);
	size_t n = 0;

	set.key = one.key = davit_str(key);
	set.value = (struct davit_bytes){ "\"probe\"", 7 };
	p[n++] = (struct probe){ "set", (davit_op *)(void *)ops->set, &set };
	p[n++] = (struct probe){ "get", (davit_op *)(void *)ops->get, &one };
	if (DAVIT_HAS(davit_state_ops, ops, multi) && ops->multi != NULL)
		p[n++] = (struct probe){ "multi", (davit_op *)(void *)ops->multi, &multi };
	if (DAVIT_HAS(davit_state_ops, ops, bulk_get) && ops->bulk_get != NULL)
		p[n++] = (struct probe){ "bulk_get", (davit_op *)(void *)ops->bulk_get, &bulk };
	p[n++] = (struct probe){ "del", (davit_op *)(void *)ops->del, &one };
	return n;
}

size_t probes_of(const struct host *h, struct probe ret_probes[PROBES])
{
	static const struct davit_secret_key nobody = DAVIT_INIT(davit_secret_key, .name = { "bench-nobody", 12 });
	static const struct davit_secret_key all = DAVIT_INIT(davit_secret_key, .name = { "", 0 });
	static const struct davit_name_query query = DAVIT_INIT(davit_name_query, .app_id = { "bench-nobody", 12 },
								.name_space = { "default", 7 }, .port = 50002);
	static const struct davit_publish publish = DAVIT_INIT(davit_publish, .topic = { "bench-probe", 11 },
							       .data = { "1", 1 });
	const void *ops = h->component->ops;
	const struct davit_secrets_ops *secrets = ops;
	size_t n = 0;

	snprintf(key, sizeof(key), "%sbench||probe", h->key_prefix ? h->key_prefix : "");
	switch (h->component->block) {
	case DAVIT_BLOCK_STATE: return state_probes(ops, ret_probes);
	case DAVIT_BLOCK_SECRETS:
		ret_probes[n++] = (struct probe){ "get", (davit_op *)(void *)secrets->get, &nobody };
		if (secrets->bulk_get != NULL)
			ret_probes[n++] = (struct probe){ "bulk_get", (davit_op *)(void *)secrets->bulk_get, &all };
		break;
	case DAVIT_BLOCK_NAMES:
		ret_probes[n++] = (struct probe){ "resolve",
						  (davit_op *)(void *)((const struct davit_names_ops *)ops)->resolve,
						  &query };
		break;
	case DAVIT_BLOCK_PUBSUB:
		if (((const struct davit_pubsub_ops *)ops)->publish != NULL)
			ret_probes[n++] = (struct probe){
				"publish", (davit_op *)(void *)((const struct davit_pubsub_ops *)ops)->publish, &publish
			};
		break;
	default: break;
	}
	return n;
}
