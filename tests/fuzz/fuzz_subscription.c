/* SPDX-License-Identifier: Apache-2.0 */
/* Subscription files, loaded, read, their rules compiled, and an event taken through them. */
#include "blocks/event.h"
#include "blocks/routing.h"
#include "fuzz_input.h"

static void route(struct arena *a, const struct subscription *s)
{
	struct topic_event e = { .topic = s->topic, .pubsub = s->pubsub };
	struct str why = STR(""), path = STR("");
	struct routing *r = routing_new(a, s, &why);
	int rc;

	if (r == NULL) {
		fuzz_require(why.n > 0);
		return;
	}
	if (event_read_json(
		    a,
		    STR("{\"id\":\"1\",\"type\":\"order\",\"source\":\"x\",\"specversion\":\"1.0\",\"data\":{\"n\":"
			"[1,2.5,\"a\"]}}"),
		    &e, &why) < 0)
		return;
	rc = routing_find(r, a, &e, &path, &why);
	FUZZ_PLANTED(rc == 1 && s->nrules > 2);
	fuzz_require(rc >= 0 || why.n > 0);
}

static void run(struct arena *a, struct str input)
{
	const char *folder;
	struct subscription *list;
	struct resources *r;
	struct error e;
	size_t i, n;

	fuzz_file("s.yaml", input, &folder);
	r = resources_load(&folder, 1, STR("app"), STR("ns"), a, &e);
	if (r == NULL)
		return;
	list = subscriptions_read(r, a, &n);
	for (i = 0; i < n; i++)
		route(a, &list[i]);
	resources_unref(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
