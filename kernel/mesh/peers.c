/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/peers.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"

#define LOG_SCOPE "dapr.runtime.grpc.manager"

struct peer {
	struct grpc_client *client;
	int calls;
	int64_t idle_ms; /* since when there are none */
};

struct side { /* of one loop */
	struct map peers;
	uv_timer_t *timer; /* made with the first peer */
	const struct peers_options *o;
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

static void free_timer(uv_handle_t *h)
{
	mem_free(h);
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
	if (s->timer != NULL)
		uv_close((uv_handle_t *)s->timer, free_timer);
	s->timer = NULL;
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

/* Those that nobody has used for so long go. Their connections would come again at the next call. */
static void forget_idle(struct side *s, int64_t for_ms)
{
	int64_t now = clock_ms();
	const struct map_entry *e;
	size_t at = 0;

	while ((e = map_next(&s->peers, &at)) != NULL) {
		struct peer *peer = e->value;

		if (peer->calls > 0 || now - peer->idle_ms < for_ms)
			continue;
		if (for_ms > 0)
			log_debug("Purged 1 expired gRPC connection(s) to " STR_FMT, STR_ARG(e->key));
		map_remove(&s->peers, e->key);
		grpc_client_free(peer->client);
		mem_free(peer);
	}
}

static void look(uv_timer_t *t)
{
	struct side *s = t->data;

	forget_idle(s, s->o->idle_ms);
}

/* Without it they stay until there are too many: no reason to fail a call. */
static void start_looking(struct peers *p, struct side *s)
{
	uv_timer_t *t = s->timer == NULL && p->o.look_ms > 0 ? mem_zalloc(sizeof(*t)) : NULL;

	if (t == NULL)
		return;
	uv_timer_init(loop_uv(loop_self()), t);
	t->data = s;
	s->o = &p->o;
	s->timer = t;
	uv_timer_start(t, look, (uint64_t)p->o.look_ms, (uint64_t)p->o.look_ms);
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
	if (peer == NULL || i < 2 || i > sizeof(host) || str_int(str_from(address, i), &port) < 0 || port < 1 ||
	    port > 65535) {
		mem_free(peer);
		return NULL;
	}
	memcpy(host, address.p, i - 1);
	host[i - 1] = '\0';
	o.host = str_of(host);
	o.port = (int)port;
	o.message_limit = p->o.body_limit;
	o.idle_timeout_ms = 0; /* looked after here */
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
			forget_idle(s, 0);
		start_looking(p, s);
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

	if (peer != NULL && --peer->calls == 0)
		peer->idle_ms = clock_ms();
}
