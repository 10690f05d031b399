/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define OVERHEAD 36 /* of a record, and of each of its headers, at most */
#define HEADER_OVERHEAD 10

/* A message as librdkafka is to be given it. */
struct outgoing {
	struct davit_str topic;
	struct davit_bytes data;
	struct davit_str key; /* p == NULL: none */
	int32_t partition;
	rd_kafka_headers_t *headers; /* ours until it is sent */
	size_t size;
};

struct refusal {
	davit_status status;
	char why[512];
};

static int refuse(struct refusal *r, davit_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(struct refusal *r, davit_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	r->status = status;
	return -1;
}

static int read_partition(struct davit_str s, int32_t *ret_number, struct refusal *ret_refusal)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(s.p, &end, 10);
	if (s.n == 0 || *end != '\0' || errno != 0 || n > INT32_MAX || n < INT32_MIN)
		return refuse(ret_refusal, DAVIT_INVALID_ARGUMENT, "invalid partitionNumber metadata value \"%s\"",
			      s.p);
	if (n < 0)
		return refuse(ret_refusal, DAVIT_INVALID_ARGUMENT, "partitionNumber must be non-negative, got %lld", n);
	*ret_number = (int32_t)n;
	return 0;
}

static int check_schema(struct davit_str value, struct refusal *ret_refusal)
{
	if (strcasecmp(value.p, "none") == 0)
		return 0;
	if (strcasecmp(value.p, "avro") == 0)
		return refuse(ret_refusal, DAVIT_UNIMPLEMENTED,
			      "valueSchemaType Avro is not offered by this component yet");
	return refuse(ret_refusal, DAVIT_INVALID_ARGUMENT, "error parsing schema type. '%s' is not a supported value",
		      value.p);
}

static int add_header(struct outgoing *o, const struct settings *s, const struct davit_pair *pair)
{
	if (s->exclude != NULL && pattern_matches(s->exclude, pair->key.p))
		return 0;
	o->size += pair->key.n + pair->value.n + HEADER_OVERHEAD;
	return rd_kafka_header_add(o->headers, pair->key.p, (ssize_t)pair->key.n, pair->value.p,
				   (ssize_t)pair->value.n) == RD_KAFKA_RESP_ERR_NO_ERROR
		       ? 0
		       : -1;
}

static int read_pair(struct outgoing *o, const struct settings *s, const struct davit_pair *pair,
		     struct refusal *ret_refusal)
{
	if (davit_str_is(pair->key, "partitionKey") || davit_str_is(pair->key, "__key"))
		o->key = pair->value;
	else if (davit_str_is(pair->key, "partitionNumber") &&
		 read_partition(pair->value, &o->partition, ret_refusal) < 0)
		return -1;
	else if (pair->key.n == 15 && strcasecmp(pair->key.p, "valueSchemaType") == 0 &&
		 check_schema(pair->value, ret_refusal) < 0)
		return -1;
	return add_header(o, s, pair) < 0 ? refuse(ret_refusal, DAVIT_EXHAUSTED, "no memory left") : 0;
}

static int is_among(const struct davit_pair *pairs, uint64_t n, struct davit_str key)
{
	uint64_t i;

	for (i = 0; i < n; i++)
		if (pairs[i].key.n == key.n && memcmp(pairs[i].key.p, key.p, key.n) == 0)
			return 1;
	return 0;
}

/* The whole request's metadata, if any, comes before that of its entry. 0; -1 with a refusal, nothing to release. */
static int prepare(struct producer *p, const struct davit_publish *in, const struct davit_pair *whole, uint64_t nwhole,
		   struct outgoing *ret_outgoing, struct refusal *ret_refusal)
{
	const struct settings *s = p->settings;
	struct outgoing o = { .topic = in->topic, .data = in->data, .partition = RD_KAFKA_PARTITION_UA };
	int failed = 0;
	uint64_t i;

	o.headers = rd_kafka_headers_new(in->nmetadata + nwhole);
	for (i = 0; i < in->nmetadata && !failed; i++)
		if (!is_among(whole, nwhole, in->metadata[i].key))
			failed = read_pair(&o, s, &in->metadata[i], ret_refusal) < 0;
	for (i = 0; i < nwhole && !failed; i++)
		failed = read_pair(&o, s, &whole[i], ret_refusal) < 0;
	o.size += OVERHEAD + o.key.n + o.data.n;
	if (!failed && o.size > (size_t)s->max_message_bytes)
		failed = refuse(ret_refusal, DAVIT_INVALID_ARGUMENT,
				"kafka: a message of %zu bytes, headers included, is larger than maxMessageBytes: %d",
				o.size, s->max_message_bytes) < 0;
	if (failed) {
		rd_kafka_headers_destroy(o.headers);
		return -1;
	}
	*ret_outgoing = o;
	return 0;
}

static rd_kafka_vu_t pointer(rd_kafka_vtype_t type, const void *p, size_t n)
{
	rd_kafka_vu_t u = { .vtype = type };

	u.u.mem.ptr = (void *)p;
	u.u.mem.size = n;
	return u;
}

/* 0: the delivery will be told. -1 with a refusal. */
static int dispatch(struct producer *p, struct outgoing *o, struct delivery *d, struct refusal *ret_refusal)
{
	rd_kafka_vu_t what[7] = { { .vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = o->topic.p },
				  { .vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = o->partition },
				  { .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = 0 }, /* the data stays until it is told */
				  { .vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = d },
				  { .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = o->headers } };
	size_t n = 5;
	rd_kafka_resp_err_t err;

	what[n++] = pointer(RD_KAFKA_VTYPE_VALUE, o->data.p ? o->data.p : "", o->data.n);
	if (o->key.p != NULL)
		what[n++] = pointer(RD_KAFKA_VTYPE_KEY, o->key.p, o->key.n);
	err = producer_send(p, what, n);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	rd_kafka_headers_destroy(o->headers);
	ret_refusal->status = producer_explain(p, err, o->topic.p, ret_refusal->why, sizeof(ret_refusal->why));
	return -1;
}

/* ---- One ---- */

struct single {
	struct delivery delivery; /* must be first */
	struct producer *producer;
	struct davit_call *call;
};

static void single_done(struct delivery *d, rd_kafka_resp_err_t err, const char *topic)
{
	struct single *one = (struct single *)d;
	davit_status status = DAVIT_OK;
	char why[512];

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		status = producer_explain(one->producer, err, topic, why, sizeof(why));
		davit_fail(one->call, status, NULL, "%s", why);
	}
	davit_done(one->call, status);
}

davit_status publish_one(struct producer *p, struct davit_call *call, const struct davit_publish *in)
{
	struct single *one = davit_alloc(call, sizeof(*one));
	struct refusal no;
	struct outgoing o;

	if (one == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	*one = (struct single){ { single_done }, p, call };
	if (prepare(p, in, NULL, 0, &o, &no) == 0 && dispatch(p, &o, &one->delivery, &no) == 0)
		return DAVIT_PENDING;
	return davit_fail(call, no.status, NULL, "%s", no.why);
}

/* ---- Many ---- */

struct many {
	struct producer *producer;
	struct davit_call *call;
	const struct davit_publish_bulk *in;
	uint64_t left; /* atomic: entries not told of yet, and one for whoever sends them */
	pthread_mutex_t lock;
	davit_status status; /* of the first that failed */
	char why[512];
};

struct entry {
	struct delivery delivery; /* must be first */
	struct many *many;
	const struct davit_publish *in;
};

/* The failed go out one by one. */
static void entry_failed(struct many *m, const struct davit_publish *in, const struct refusal *no)
{
	struct davit_publish_result result = DAVIT_INIT(davit_publish_result, .status = no->status,
							.entry_id = in->entry_id, .error = davit_str(no->why));

	pthread_mutex_lock(&m->lock);
	if (m->status == DAVIT_OK) {
		m->status = no->status;
		memcpy(m->why, no->why, sizeof(m->why));
	}
	davit_emit(m->call, &result);
	pthread_mutex_unlock(&m->lock);
}

static void one_less(struct many *m)
{
	davit_status status;

	if (__atomic_sub_fetch(&m->left, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	status = m->status;
	if (status != DAVIT_OK)
		davit_fail(m->call, status, NULL, "%s", m->why);
	pthread_mutex_destroy(&m->lock);
	davit_done(m->call, status);
}

static void entry_done(struct delivery *d, rd_kafka_resp_err_t err, const char *topic)
{
	struct entry *e = (struct entry *)d;
	struct refusal no;

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		no.status = producer_explain(e->many->producer, err, topic, no.why, sizeof(no.why));
		entry_failed(e->many, e->in, &no);
	}
	one_less(e->many);
}

davit_status publish_many(struct producer *p, struct davit_call *call, const struct davit_publish_bulk *in)
{
	struct many *m = davit_alloc(call, sizeof(*m));
	struct entry *entries = davit_alloc(call, sizeof(*entries) * (in->nentries + 1));
	struct outgoing o;
	struct refusal no;
	uint64_t i;

	if (m == NULL || entries == NULL)
		return davit_fail(call, DAVIT_EXHAUSTED, NULL, "no memory left");
	*m = (struct many){ .producer = p, .call = call, .in = in, .left = in->nentries + 1 };
	pthread_mutex_init(&m->lock, NULL);
	for (i = 0; i < in->nentries; i++) {
		entries[i] = (struct entry){ { entry_done }, m, in->entries[i] };
		if (prepare(p, in->entries[i], in->metadata, in->nmetadata, &o, &no) == 0 &&
		    dispatch(p, &o, &entries[i].delivery, &no) == 0)
			continue;
		entry_failed(m, in->entries[i], &no);
		one_less(m);
	}
	one_less(m);
	return DAVIT_PENDING;
}
