/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service "davit.http/1": a request with its whole answer. The answer lies in an arena of its own, which the
 * asker hands to his call when the work is over: the work may have run on another loop's thread.
 */
#include "base/banned.h"
#include "base/mem.h"
#include "plugin/adapter.h"
#include "plugin/host.h"
#include "plugin/http_exchange.h"
#include "plugin/http_request.h"

#define REDIRECTS 20 /* followed at most, whatever is asked for */

/* An answer, with what holds it. */
struct answer_box {
	struct davit_http_response response; /* first */
	struct arena *arena;		     /* NULL: released before its call ended */
	int of_call;			     /* the box itself goes with the call */
};

struct whole {
	struct service_work work;
	struct instance *instance;
	struct http_asking q;
	struct answer_box *box;
};

static int nobody_waits(void *arg)
{
	struct service_work *w = arg;

	return w->cancelled || (w->call != NULL && davit_cancelled(w->call));
}

static davit_status no_memory(const struct whole *o)
{
	return http_asking_fail(&o->q,
				(struct error){ .code = ERROR_RESOURCE_EXHAUSTED, .message = STR("out of memory") });
}

/* The answer so far, read to its end. */
static davit_status read_answer(struct whole *o)
{
	struct http_asking *q = &o->q;
	struct davit_http_response *r = &o->box->response;
	struct error e = http_call_head(q->call);
	struct str body = STR("");

	if (!error_is(&e))
		e = http_call_read_all(q->call, q->in.body_limit > 0 ? q->in.body_limit : DAVIT_HTTP_BODY_LIMIT, &body);
	if (error_is(&e))
		return http_asking_fail(q, e);
	*r = (struct davit_http_response)DAVIT_INIT(davit_http_response, .code = q->call->status,
						    .nfields = q->call->nfields, .body = { body.p, body.n },
						    .ntrailers = q->call->ntrailers);
	if (http_asking_pairs(q->arena, q->call->fields, q->call->nfields, &r->fields) < 0 ||
	    http_asking_pairs(q->arena, q->call->trailers, q->call->ntrailers, &r->trailers) < 0)
		return no_memory(o);
	return DAVIT_OK;
}

/* Without what is meant for one server alone. -1: no memory. */
static int drop_secrets(struct http_asking *q)
{
	static const struct str secret[] = { STR("authorization"), STR("cookie"), STR("proxy-authorization") };
	struct davit_pair *pairs = arena_try(q->arena, (q->in.nfields + 1) * sizeof(*pairs));
	size_t n = 0, i, k;

	if (pairs == NULL)
		return -1;
	for (i = 0; i < q->in.nfields; i++) {
		struct str name = { q->in.fields[i].key.p, q->in.fields[i].key.n };

		for (k = 0; k < sizeof(secret) / sizeof(secret[0]); k++)
			if (str_ieq(name, secret[k]))
				break;
		if (k == sizeof(secret) / sizeof(secret[0]))
			pairs[n++] = q->in.fields[i];
	}
	q->in.fields = pairs;
	q->in.nfields = n;
	return 0;
}

/* 1: the answer sends us on, and q->in says where; 0: it is the last; -1: *ret_status. */
static int sent_on(struct whole *o, davit_status *ret_status)
{
	struct http_asking *q = &o->q;
	int code = o->box->response.code;
	struct davit_str location = davit_http_field(&o->box->response, "location");
	struct http_url next;
	struct str url;
	struct error e;

	if (location.p == NULL || !(code == 307 || code == 308 || (code >= 301 && code <= 303)))
		return 0;
	url = http_url_join(q->arena, &q->url, (struct str){ location.p, location.n });
	if (url.p == NULL) {
		*ret_status = no_memory(o);
		return -1;
	}
	e = http_url_parse(q->arena, url, &next);
	if (!error_is(&e) && q->url.tls && !next.tls)
		e = (struct error){ .code = ERROR_UNAVAILABLE, .message = STR("redirected from https to http") };
	if (error_is(&e)) {
		*ret_status = http_asking_fail(q, (struct error){ .code = ERROR_UNAVAILABLE, .message = e.message });
		return -1;
	}
	if ((next.tls != q->url.tls || !str_ieq(next.authority, q->url.authority)) && drop_secrets(q) < 0) {
		*ret_status = no_memory(o);
		return -1;
	}
	if (code <= 303 && !davit_str_is(q->in.method, "HEAD")) {
		q->in.method = davit_str("GET");
		q->in.body = (struct davit_bytes){ NULL, 0 };
	}
	q->in.url = (struct davit_str){ url.p, url.n };
	return 1;
}

static void ask(struct service_work *w)
{
	struct whole *o = (struct whole *)w;
	unsigned left = o->q.in.redirects < REDIRECTS ? o->q.in.redirects : REDIRECTS;
	int on;

	do {
		w->status = http_asking_start(&o->q, w, o->instance, nobody_waits, w);
		if (w->status == DAVIT_OK)
			w->status = read_answer(o);
		http_asking_end(&o->q);
		on = w->status == DAVIT_OK && left-- > 0 ? sent_on(o, &w->status) : 0;
	} while (on > 0);
}

static void release(const struct davit_http_response *response)
{
	struct answer_box *box = (struct answer_box *)response;
	struct arena *a;

	if (box == NULL)
		return;
	a = box->arena;
	box->arena = NULL;
	if (!box->of_call)
		mem_free(box);
	arena_unref(a);
}

static void call_ended(void *arg)
{
	struct answer_box *box = arg;

	arena_unref(box->arena);
	mem_free(box);
}

/* To the call that asked, where it is one that ends with its answer. -1: no memory. */
static int hand_over(struct answer_box *box, struct davit_call *call)
{
	if (call == NULL || call->host != &host_table)
		return 0;
	box->of_call = 1;
	return arena_try_defer(call_arena(call), call_ended, box);
}

static davit_status request(struct davit_instance *handle, struct davit_call *call, const struct davit_http_request *in,
			    const struct davit_http_response **ret_response)
{
	struct whole o = { .work.run = ask, .work.status = DAVIT_EXHAUSTED, .instance = instance_of(handle) };

	o.q.in = http_request_read(in);
	o.q.in.flags &= ~(uint32_t)DAVIT_HTTP_STREAMED;
	service_say(in->why, in->nwhy, "%s", "");
	o.box = mem_zalloc(sizeof(*o.box));
	o.q.arena = o.box ? arena_new() : NULL;
	if (o.q.arena == NULL) {
		mem_free(o.box);
		return no_memory(&o);
	}
	o.box->arena = o.q.arena;
	service_do(&o.work, service_loop(handle), call, o.q.in.timeout_ms);
	if (o.work.status == DAVIT_OK && hand_over(o.box, call) == 0) {
		*ret_response = &o.box->response;
		return DAVIT_OK;
	}
	if (o.work.status == DAVIT_OK)
		o.work.status = no_memory(&o);
	else if (in->why != NULL && in->nwhy > 0 && in->why[0] == '\0')
		service_say(in->why, in->nwhy, "http: no fiber is free for the request");
	o.box->of_call = 0;
	release(&o.box->response);
	return o.work.status;
}

const struct davit_http_service http_service = DAVIT_INIT(davit_http_service, .request = request, .release = release,
							  .open = http_exchange_open, .write = http_exchange_write,
							  .finish = http_exchange_finish, .head = http_exchange_head,
							  .read = http_exchange_read, .close = http_exchange_close);
