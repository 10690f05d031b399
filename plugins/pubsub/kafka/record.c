/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <ctype.h>
#include <stdlib.h>

#define OWN 5 /* pairs that are no headers */

/* Where text is written; with at == NULL only measured. */
struct writer {
	char *at;
	size_t n;
};

struct record *record_new(void)
{
	struct record *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->refs = 1;
	return r;
}

void record_fill(struct record *r, rd_kafka_message_t *message)
{
	r->message = message;
	snprintf(r->order, sizeof(r->order), "%d", (int)message->partition);
}

void record_ref(struct record *r)
{
	__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
}

void record_unref(void *record)
{
	struct record *r = record;

	if (r == NULL || __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (r->message != NULL)
		rd_kafka_message_destroy(r->message);
	free((void *)r->out.metadata);
	free(r);
}

static void put(struct writer *w, char c)
{
	if (w->at != NULL)
		w->at[w->n] = c;
	w->n++;
}

/* As the query of a URL is escaped. */
static void put_escaped(struct writer *w, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";

	if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') {
		put(w, (char)c);
	} else if (c == ' ') {
		put(w, '+');
	} else {
		put(w, '%');
		put(w, hex[c >> 4]);
		put(w, hex[c & 15]);
	}
}

static struct davit_str put_text(struct writer *w, const void *text, size_t n, int escape)
{
	struct davit_str s = { w->at ? w->at + w->n : "", w->n };
	const unsigned char *c = text;
	size_t i;

	for (i = 0; i < n; i++)
		if (escape)
			put_escaped(w, c[i]);
		else
			put(w, (char)c[i]);
	s.n = w->n - s.n;
	put(w, '\0');
	return s;
}

struct pairs {
	struct davit_pair *p;
	uint64_t n;
	struct writer w;
	int escape;
};

/* A later one of the same name takes the earlier one's place, as in a map. */
static void add(struct pairs *to, const char *name, const void *value, size_t n, int escape)
{
	struct davit_pair pair = { put_text(&to->w, name, strlen(name), 0), put_text(&to->w, value, n, escape) };
	uint64_t i;

	if (to->p == NULL) {
		to->n++;
		return;
	}
	for (i = 0; i < to->n; i++)
		if (davit_str_is(to->p[i].key, name))
			break;
	to->p[i] = pair;
	if (i == to->n)
		to->n++;
}

static void add_number(struct pairs *to, const char *name, int64_t value)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%lld", (long long)value);

	add(to, name, text, (size_t)n, 0);
}

static void add_all(struct pairs *to, const rd_kafka_message_t *m, const struct settings *s)
{
	const char *topic = rd_kafka_topic_name(m->rkt), *name;
	rd_kafka_timestamp_type_t kind;
	rd_kafka_headers_t *headers;
	const void *value;
	size_t n, i;

	if (m->key != NULL)
		add(to, "__key", m->key, m->key_len, s->escape_headers);
	add_number(to, "__offset", m->offset);
	add(to, "__topic", topic, strlen(topic), 0);
	add_number(to, "__timestamp", rd_kafka_message_timestamp(m, &kind));
	add_number(to, "__partition", m->partition);
	if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	for (i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &n) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		if (s->exclude == NULL || !pattern_matches(s->exclude, name))
			add(to, name, value, value ? n : 0, s->escape_headers);
}

int record_prepare(struct record *r, const struct settings *s)
{
	const rd_kafka_message_t *m = r->message;
	struct pairs to = { .p = NULL };
	size_t most;
	const char *topic = rd_kafka_topic_name(m->rkt);

	if (r->out.metadata != NULL)
		return 0;
	add_all(&to, m, s); /* measured, then written */
	most = to.n;
	to.p = malloc(most * sizeof(*to.p) + to.w.n);
	if (to.p == NULL)
		return -1;
	to.w = (struct writer){ (char *)(to.p + most), 0 };
	to.n = 0;
	add_all(&to, m, s);
	r->out = (struct davit_message)DAVIT_INIT(davit_message, .token = (uint64_t)(uintptr_t)r,
						  .topic = davit_str(topic), .data = { m->payload, m->len },
						  .order = davit_str(r->order), .metadata = to.p, .nmetadata = to.n);
	if (m->payload == NULL) /* a tombstone */
		r->out.data = (struct davit_bytes){ "null", 4 };
	return 0;
}
