/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of strangers on the multicast group, as the resolver takes them: read, heard, answered. It asks for one
 * application and has announced another.
 */
#include "../../plugins/nameresolution/mdns/run.c"

#include "../../plugins/nameresolution/mdns/packet.c"
#include "fuzz_input.h"

static struct resolver resolver;
static struct app *app;

void resolver_send(struct resolver *r, const struct packet *p)
{
	struct message m;

	(void)r;
	fuzz_require(p->full || packet_read(p->bytes, p->n, &m) == 0); /* what we say, others can read */
}

static void set_up(void)
{
	pthread_mutex_init(&resolver.lock, NULL);
	pthread_cond_init(&resolver.found, NULL);
	snprintf(resolver.id, sizeof(resolver.id), "shop");
	snprintf(resolver.service, sizeof(resolver.service), "shop.local");
	snprintf(resolver.entry, sizeof(resolver.entry), "h-1.shop.local");
	snprintf(resolver.host, sizeof(resolver.host), "h.local");
	app = calloc(1, sizeof(*app));
	fuzz_require(app != NULL);
	snprintf(app->id, sizeof(app->id), "orders");
	snprintf(app->service, sizeof(app->service), "orders.local");
	resolver.apps = app;
}

static void run(struct arena *a, struct str input)
{
	struct message m;
	size_t i;

	(void)a;
	app->naddresses = 0;
	if (packet_read((const uint8_t *)input.p, input.n, &m) < 0)
		return;
	for (i = 0; i < m.nrecords; i++)
		fuzz_require(memchr(m.records[i].name, '\0', NAME_MOST) != NULL &&
			     memchr(m.records[i].text, '\0', NAME_MOST) != NULL);
	if (m.response)
		hear(&resolver, &m);
	else
		answer(&resolver, &m);
	FUZZ_PLANTED(app->naddresses > 1);
	fuzz_require(app->naddresses <= ADDRESSES_MOST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (app == NULL)
		set_up();
	return fuzz_input(data, size, run);
}
