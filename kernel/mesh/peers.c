/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/peers.h"

#include "base/banned.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"

struct peer {
	struct grpc_client *client;
	int calls;
};

struct side { /* of one loop */
	struct map peers;
};

struct peers {
	struct peers_options o;
	struct loop **loops;
	struct side *sides;
	int nloops;
};

struct peers *peers_new(const struct peers_options *o, struct loop *const *loops, int nloops)
{
	struct peers *p = mem_zalloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->o = *o;
	p->nloops = nloops;
	p->loops = mem_alloc(sizeof(*p->loops) * (size_t)nloops);
	p->sides = mem_zalloc(sizeof(*p->sides) * (size_t)nloops);
	if (p->loops == NULL || p->sides == NULL) {
		mem_free(p->loops);
		mem_free(p->sides);
		mem_free(p);
		return NULL;
	}
	memcpy(p->loops, loops, sizeof(*p->loops) * (size_t)nloops);
	return p;
}

static struct side *my_side(struct peers *p)
{
	int i;

	for (i = 0; i < p->nloops; i++)
		if (p->loops[i] == loop_self())
			return &p->sides[i];
	return NULL;
}

static void free_side(void *peers)
{
	struct side *s = my_side(peers);
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&s->peers, &at)) != NULL) {
		struct peer *peer = e->value;

		grpc_client_free(peer->client);
		mem_free(peer);
	}
	map_free(&s->peers);
}

void peers_free(struct peers *p)
{
	int i;

	if (p == NULL)
		return;
	for (i = 0; i < p->nloops; i++)
		loop_call(p->loops[i], free_side, p);
	mem_free(p->loops);
	mem_free(p->sides);
	mem_free(p);
}

/* Makes room: all that nobody uses go. Their connections would come again at the next call. */
static void forget_idle(struct side *s)
{
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&s->peers, &at)) != NULL) {
		struct peer *peer = e->value;

		if (peer->calls > 0)
			continue;
		map_remove(&s->peers, e->key);
		grpc_client_free(peer->client);
		mem_free(peer);
	}
}

static struct peer *connect_to(struct peers *p, struct str address)
{
	struct grpc_client_options o = grpc_client_defaults();
	struct peer *peer = mem_zalloc(sizeof(*peer));
	char host[256];
	int64_t port;
	size_t i = address.n;

	while (i > 0 && address.p[i - 1] != ':')
		i--;
	if (peer == NULL || i < 2 || i > sizeof(host) || str_int(str_from(address, i), &port) < 0 || port < 1 || port > 65535) {
		mem_free(peer);
		return NULL;
	}
	memcpy(host, address.p, i - 1);
	host[i - 1] = '\0';
	o.host = str_of(host);
	o.port = (int)port;
	o.message_limit = p->o.body_limit;
	if (p->o.header_limit > o.header_limit)
		o.header_limit = p->o.header_limit;
	peer->client = grpc_client_new(loop_self(), &o);
	if (peer->client == NULL) {
		mem_free(peer);
		return NULL;
	}
	return peer;
}

struct grpc_client *peers_take(struct peers *p, struct str address, struct error *ret_error)
{
	struct side *s = my_side(p);
	struct peer *peer = s != NULL ? map_get(&s->peers, address) : NULL;

	*ret_error = (struct error){ .code = ERROR_UNAVAILABLE, .message = STR("out of memory, or no such address") };
	if (s == NULL)
		return NULL;
	if (peer == NULL) {
		if (s->peers.n >= PEERS_MOST)
			forget_idle(s);
		peer = connect_to(p, address);
		if (peer == NULL)
			return NULL;
		if (map_set(&s->peers, address, peer, NULL) < 0) {
			grpc_client_free(peer->client);
			mem_free(peer);
			return NULL;
		}
	}
	peer->calls++;
	return peer->client;
}

void peers_give(struct peers *p, struct str address)
{
	struct side *s = my_side(p);
	struct peer *peer = s != NULL ? map_get(&s->peers, address) : NULL;

	if (peer != NULL)
		peer->calls--;
}
