/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/http_exchange.h"

#include "base/banned.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/adapter.h"
#include "plugin/http_request.h"

struct davit_http_exchange {
	struct instance *instance;
	struct davit_call *call;
	struct loop *loop;
	struct arena *arena;
	struct http_asking q;
	struct service_work *reader, *writer; /* what waits in it now */
	int64_t until_ns;		      /* of all of it; 0: none */
	struct str piece;		      /* of the answer, not yet taken */
	struct davit_http_response response;
	int headed;
};

/* One step of an exchange. */
struct step {
	struct service_work work;
	struct davit_http_exchange *x;
	const struct davit_bytes *piece;
	char *p;
	size_t n, done;
};

static int nobody_waits(void *arg)
{
	const struct davit_http_exchange *x = arg;

	return (x->call != NULL && davit_cancelled(x->call)) || (x->reader != NULL && x->reader->cancelled) ||
	       (x->writer != NULL && x->writer->cancelled);
}

static void open_work(struct service_work *w)
{
	struct davit_http_exchange *x = ((struct step *)w)->x;

	x->until_ns = w->until_ns;
	x->writer = w;
	w->status = http_asking_start(&x->q, w, x->instance, nobody_waits, x);
	x->writer = NULL;
}

/* Its own loop. */
static void close_work(struct service_work *w)
{
	struct davit_http_exchange *x = ((struct step *)w)->x;

	http_asking_end(&x->q);
	arena_unref(x->arena); /* x lies in it */
	w->status = DAVIT_OK;
}

/* The request, which the plugin need not keep. -1: no memory. */
static int keep(struct davit_http_exchange *x, const struct davit_http_request *in)
{
	struct davit_http_request *q = &x->q.in;
	struct str s = { in->url.p, in->url.p ? in->url.n : 0 };
	struct davit_pair *pairs = arena_try(x->arena, (q->nfields + 1) * sizeof(*pairs));
	size_t i, text = s.n + in->method.n + 2;
	char *at;

	if (pairs == NULL)
		return -1;
	for (i = 0; i < q->nfields; i++)
		text += q->fields[i].key.n + q->fields[i].value.n + 2;
	at = arena_try(x->arena, text);
	if (at == NULL)
		return -1;
#define KEEP(to, from) \
	do { \
		struct davit_str f = (from); \
		if (f.n > 0) \
			memcpy(at, f.p, f.n); \
		at[f.n] = '\0'; \
		(to) = (struct davit_str){ at, f.n }; \
		at += f.n + 1; \
	} while (0)
	KEEP(q->url, q->url);
	KEEP(q->method, q->method);
	for (i = 0; i < q->nfields; i++) {
		KEEP(pairs[i].key, q->fields[i].key);
		KEEP(pairs[i].value, q->fields[i].value);
	}
#undef KEEP
	q->fields = pairs;
	return 0;
}

static davit_status no_memory(const struct davit_http_request *in)
{
	service_say(in->why, in->nwhy, "http: out of memory");
	return DAVIT_EXHAUSTED;
}

davit_status http_exchange_open(struct davit_instance *handle, struct davit_call *call,
				const struct davit_http_request *in, struct davit_http_exchange **ret_exchange)
{
	struct step s = { .work.run = open_work, .work.status = DAVIT_EXHAUSTED };
	struct arena *a = arena_new();
	struct davit_http_exchange *x = a ? arena_try(a, sizeof(*x)) : NULL;
	struct step closing = { .work.run = close_work, .work.brief = 1, .x = x };

	service_say(in->why, in->nwhy, "%s", "");
	if (x == NULL) {
		arena_unref(a);
		return no_memory(in);
	}
	*x = (struct davit_http_exchange){ .instance = instance_of(handle), .call = call, .arena = a };
	x->q.arena = a;
	x->q.in = http_request_read(in);
	x->loop = service_loop(handle);
	if (keep(x, in) < 0) {
		arena_unref(a);
		return no_memory(in);
	}
	s.x = x;
	service_do(&s.work, x->loop, call, x->q.in.timeout_ms);
	if (s.work.status == DAVIT_OK) {
		*ret_exchange = x;
		return DAVIT_OK;
	}
	if (in->why != NULL && in->nwhy > 0 && in->why[0] == '\0')
		service_say(in->why, in->nwhy, "http: no fiber is free for the request");
	service_do(&closing.work, x->loop, NULL, 0);
	return s.work.status;
}

/* The step's time, beside that of the request and of the call, which the client looks after. */
static void within(struct davit_http_exchange *x, struct service_work *w, int writing)
{
	http_call_within(x->q.call, writing, w->until_ns);
}

static davit_status verdict(struct davit_http_exchange *x, struct error e)
{
	return error_is(&e) ? http_asking_fail(&x->q, e) : DAVIT_OK;
}

static void write_work(struct service_work *w)
{
	struct step *s = (struct step *)w;
	struct davit_http_exchange *x = s->x;
	struct http_call *c = x->q.call;

	if (x->writer != NULL) {
		w->status = DAVIT_FAILED_PRECONDITION;
		return;
	}
	x->writer = w;
	within(x, w, 1);
	w->status = verdict(x, s->piece ? http_call_write(c, (struct str){ s->piece->p, s->piece->n })
					: http_call_end(c, NULL, 0));
	x->writer = NULL;
}

davit_status http_exchange_write(struct davit_http_exchange *x, const struct davit_bytes *piece, int64_t timeout_ms)
{
	struct step s = { .work.run = write_work, .x = x, .piece = piece };

	service_do(&s.work, x->loop, x->call, timeout_ms);
	return s.work.status;
}

davit_status http_exchange_finish(struct davit_http_exchange *x)
{
	return http_exchange_write(x, NULL, 0);
}

static struct error read_head(struct davit_http_exchange *x)
{
	struct http_call *c = x->q.call;
	struct error e = http_call_head(c);

	if (error_is(&e) || x->headed)
		return e;
	x->response = (struct davit_http_response)DAVIT_INIT(davit_http_response, .code = c->status,
							     .nfields = c->nfields, .body = { "", 0 });
	if (http_asking_pairs(x->arena, c->fields, c->nfields, &x->response.fields) < 0)
		return (struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") };
	x->headed = 1;
	return e;
}

static void head_work(struct service_work *w)
{
	struct davit_http_exchange *x = ((struct step *)w)->x;

	if (x->reader != NULL) {
		w->status = DAVIT_FAILED_PRECONDITION;
		return;
	}
	x->reader = w;
	within(x, w, 0);
	w->status = verdict(x, read_head(x));
	x->reader = NULL;
}

davit_status http_exchange_head(struct davit_http_exchange *x, int64_t timeout_ms,
				const struct davit_http_response **ret_response)
{
	struct step s = { .work.run = head_work, .x = x };

	service_do(&s.work, x->loop, x->call, timeout_ms);
	if (s.work.status == DAVIT_OK)
		*ret_response = &x->response;
	return s.work.status;
}

static void read_work(struct service_work *w)
{
	struct step *s = (struct step *)w;
	struct davit_http_exchange *x = s->x;
	struct error e = ERROR_NONE;
	int rc = 1;

	w->status = DAVIT_FAILED_PRECONDITION;
	if (x->reader != NULL)
		return;
	x->reader = w;
	within(x, w, 0);
	while (x->piece.n == 0 && rc > 0)
		rc = http_call_read(x->q.call, &x->piece, &e);
	x->reader = NULL;
	w->status = rc < 0 ? verdict(x, e) : DAVIT_OK;
	if (rc <= 0)
		return;
	s->done = x->piece.n < s->n ? x->piece.n : s->n;
	memcpy(s->p, x->piece.p, s->done);
	x->piece = str_from(x->piece, s->done);
}

davit_status http_exchange_read(struct davit_http_exchange *x, void *p, uint64_t n, int64_t timeout_ms, uint64_t *ret_n)
{
	struct step s = { .work.run = read_work, .x = x, .p = p, .n = n };

	if (n == 0)
		return DAVIT_INVALID_ARGUMENT;
	service_do(&s.work, x->loop, x->call, timeout_ms);
	*ret_n = s.work.status == DAVIT_OK ? s.done : 0;
	return s.work.status;
}

void http_exchange_close(struct davit_http_exchange *x)
{
	struct step s = { .work.run = close_work, .work.brief = 1, .x = x };

	if (x != NULL)
		service_do(&s.work, x->loop, NULL, 0);
}
