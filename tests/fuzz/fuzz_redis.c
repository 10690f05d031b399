/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Redis server answers, byte by byte, where the plugins look at it: logging in, a cluster's slots and redirections, a
 * sentinel's master, a state's hash, a page of keys, entries of a stream and what is pending in it. The first byte chooses;
 * the second says how many bytes come at once. The rest is what the server sends.
 */
#include "../../plugins/common/redis/link.c"

#define fail cluster_fail
#include "../../plugins/common/redis/cluster.c"
#include "../../plugins/common/redis/sentinel.c"
#undef fail
#define is_string entry_is_string
#include "../../plugins/pubsub/redis/entry.c"
#undef is_string
#define ask claim_ask
#include "../../plugins/pubsub/redis/claim.c"
#undef ask
#include "../../plugins/state/redis/read.c"
#define begin keys_begin
#include "../../plugins/state/redis/keys.c"
#undef begin

#include "fuzz_input.h"

#define DEPTH_OF_PAGE 4

static struct str coming;
static size_t step;

/* ---- A host with a stream that brings the input ---- */

static davit_status dial(struct davit_instance *i, struct davit_call *c, const struct davit_dial_to *to,
			 struct davit_stream **ret_stream)
{
	(void)i, (void)c, (void)to;
	*ret_stream = (struct davit_stream *)&coming;
	return DAVIT_OK;
}

static davit_status take(struct davit_stream *s, struct davit_call *c, void *p, uint64_t n, int64_t timeout_ms,
			 uint64_t *ret_n)
{
	struct str piece = str_upto(coming, step < n ? step : n);

	(void)s, (void)c, (void)timeout_ms;
	memcpy(p, piece.p, piece.n);
	coming = str_from(coming, piece.n);
	*ret_n = piece.n;
	return DAVIT_OK;
}

static davit_status send_away(struct davit_stream *s, struct davit_call *c, const struct davit_bytes *pieces,
			      uint64_t n, int64_t timeout_ms)
{
	(void)s, (void)c, (void)pieces, (void)n, (void)timeout_ms;
	return DAVIT_OK;
}

static void nothing(struct davit_stream *s)
{
	(void)s;
}

static const char *why_of(const struct davit_stream *s)
{
	(void)s;
	return "";
}

static const struct davit_dial_service dial_service = { .size = sizeof(dial_service),
							.dial = dial,
							.read = take,
							.write = send_away,
							.shutdown = nothing,
							.close = nothing,
							.why = why_of };

static davit_status no_fiber(struct davit_instance *i, void (*fn)(void *arg), void *arg)
{
	(void)i, (void)fn, (void)arg;
	return DAVIT_EXHAUSTED;
}

static const struct davit_fiber_service fiber_service = { .size = sizeof(fiber_service), .start = no_fiber };

static const void *service(struct davit_instance *i, const char *name)
{
	(void)i;
	return strcmp(name, DAVIT_DIAL) == 0	? (const void *)&dial_service
	       : strcmp(name, DAVIT_FIBER) == 0 ? &fiber_service
						: NULL;
}

static const struct davit_host host = { .size = sizeof(host), .service = service };
static struct davit_instance instance = { &host };

/* What of a client its readers of replies touch. */
static struct redis_address seeds[] = { { "127.0.0.1", 6379 } };
static struct redis_options options = { .addresses = seeds,
					.naddresses = 1,
					.cluster = 1,
					.master = "m",
					.read_ms = 1,
					.dial_ms = 1,
					.password = "p",
					.username = "u" };
static struct redis_client *client;

/* ---- Each reader ---- */

static void read_pending(const redisReply *r)
{
	struct streams streams = { .settings = { .depth = DEPTH_OF_PAGE, .processing_ms = 0 } };
	struct subscription b = { .streams = &streams };
	struct old old = { .ids = calloc(DEPTH_OF_PAGE, ENTRY_ID) };
	char from[ENTRY_ID] = "-";

	fuzz_require(old.ids != NULL);
	if (r->type == REDIS_REPLY_ARRAY)
		sort_out(&b, r, &old, from);
	fuzz_require(old.n <= DEPTH_OF_PAGE);
	free(old.ids);
}

static void read_entries(const redisReply *r)
{
	struct entry_metadata m;
	struct entry e;
	size_t i;

	for (i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		if (entry_read(r->element[i], &e) < 0)
			continue;
		FUZZ_PLANTED(e.data.n == 3);
		entry_read_metadata(e.metadata, &m);
		entry_metadata_release(&m);
	}
	if (r->type == REDIS_REPLY_ARRAY) {
		has_nil(r);
		is_among(r, "1-1");
	}
}

static void read_slots(const redisReply *r)
{
	char why[REDIS_WHY] = "";
	size_t i;

	if (take_slots(client, r, &seeds[0], why) != DAVIT_OK)
		fuzz_require(why[0] != '\0');
	for (i = 0; i < REDIS_SLOTS; i += 97)
		fuzz_require(client->slots[i] == REDIS_NOBODY || client->slots[i] < client->nnodes);
}

static void read_reply(unsigned choice, const redisReply *r)
{
	struct redis_address to;
	struct davit_state_item item;
	struct found found = { .n = 0 };
	struct fault f;
	char why[REDIS_WHY], cursor[24] = "0";

	switch (choice) {
	case 'c': read_slots(r); break;
	case 'm':
		if (r->type == REDIS_REPLY_ERROR && (redis_reply_is(r, "MOVED") || redis_reply_is(r, "ASK")))
			redis_cluster_redirect(client, r, 1, 7);
		break;
	case 's': take_master(r, "m", &to, why); break;
	case 'h': take_hash(r, &item); break;
	case 'k':
		take_page(r, davit_str("a%"), &found, cursor, &f);
		release(&found);
		break;
	case 'p': read_pending(r); break;
	default: read_entries(r);
	}
}

static void run(struct arena *a, struct str input)
{
	unsigned choice = fuzz_choice(&input);
	struct redis_login login = { .username = "u", .password = choice == 'l' ? "p" : NULL, .db = choice == 'l' };
	struct redis_link link = { .stream = NULL };
	redisReply *reply;

	(void)a;
	step = fuzz_choice(&input) + 1;
	coming = input;
	if (redis_link_open(&link, &instance, NULL, &options, &seeds[0], &login) != DAVIT_OK)
		return;
	while (redis_link_read(&link, NULL, 1, &reply) == DAVIT_OK) {
		read_reply(choice, reply);
		freeReplyObject(reply);
	}
	fuzz_require(link.why[0] != '\0');
	redis_link_close(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (client == NULL) {
		client = redis_client_new(&instance, &options);
		fuzz_require(client != NULL && client->slots != NULL);
	}
	return fuzz_input(data, size, run);
}
