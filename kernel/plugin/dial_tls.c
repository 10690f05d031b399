/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/mem.h"
#include "plugin/dial.h"
#include "tls/session.h"

/* A context is made on one of libuv's threads: it reads files, and keys cost time. */
struct making {
	uv_work_t req;
	const struct davit_tls *tls;
	struct fiber *fiber;
	struct tls_context *context;
	char why[WIRE_WHY];
	int done;
};

static struct str as_str(struct davit_str s)
{
	return (struct str){ s.p, s.p ? s.n : 0 };
}

static void make_context(uv_work_t *r)
{
	struct making *m = r->data;
	const struct davit_tls *t = m->tls;
	struct tls_options o = {
		.insecure = (t->flags & DAVIT_TLS_INSECURE) != 0,
		.only_own = (t->flags & DAVIT_TLS_ONLY_OWN) != 0,
		.any_name = (t->flags & DAVIT_TLS_ANY_NAME) != 0,
		.ca_pem = as_str(t->ca_pem),
		.ca_file = as_str(t->ca_file),
		.cert_pem = as_str(t->cert_pem),
		.key_pem = as_str(t->key_pem),
		.key_password = as_str(t->key_password),
		.alpn = as_str(t->alpn),
	};

	m->context = tls_context_new(&o, m->why, sizeof(m->why));
	tls_thread_done();
}

static void context_made(uv_work_t *r, int status)
{
	struct making *m = r->data;

	(void)status;
	m->done = 1;
	fiber_wake(m->fiber);
}

/* Waits for it whatever else ends: the thread has our memory. */
static davit_status context_for(struct davit_stream *s, struct service_work *w, const struct davit_tls *tls,
				struct tls_context **ret_context)
{
	struct making m = { .tls = tls, .fiber = fiber_self() };

	m.req.data = &m;
	if (uv_queue_work(loop_uv(w->loop), &m.req, make_context, context_made) < 0)
		return wire_fail(s, DAVIT_EXHAUSTED, "tls: out of memory");
	while (!m.done)
		fiber_park();
	if (m.context == NULL)
		return wire_fail(s, DAVIT_INVALID_ARGUMENT, "tls: %s", m.why);
	*ret_context = m.context;
	return DAVIT_OK;
}

davit_status dial_flush(struct davit_stream *s, struct service_work *w)
{
	davit_status status = DAVIT_OK;
	const char *p;
	uv_buf_t buf;
	char *copy;
	size_t n;

	while (status == DAVIT_OK && (n = tls_session_peek(s->tls, &p)) > 0) {
		int rc = s->broken || s->shut ? 0
					      : uv_try_write(&s->stream, &(uv_buf_t){ .base = (char *)p, .len = n }, 1);

		tls_session_taken(s->tls, rc > 0 ? (size_t)rc : 0);
		if (rc >= 0 && (size_t)rc == n)
			continue;
		/* The session may say more while these bytes wait, and what it shows then moves. */
		n = tls_session_peek(s->tls, &p);
		copy = mem_alloc(n);
		if (copy == NULL)
			return wire_fail(s, DAVIT_EXHAUSTED, "write: out of memory");
		memcpy(copy, p, n);
		tls_session_taken(s->tls, n);
		buf = (uv_buf_t){ .base = copy, .len = n };
		status = wire_write(s, w, &buf, 1);
		mem_free(copy);
	}
	return status;
}

static davit_status shake_hands(struct davit_stream *s, struct service_work *w)
{
	davit_status status = DAVIT_OK;
	int rc = TLS_MORE;

	while (rc == TLS_MORE && status == DAVIT_OK) {
		rc = tls_session_shake(s->tls);
		status = dial_flush(s, w); /* an alert too */
		if (rc == TLS_MORE && status == DAVIT_OK) {
			status = wire_await(s, w);
			if (status == DAVIT_UNAVAILABLE)
				status = DAVIT_OK; /* the session says it better */
		}
	}
	if (rc == 1 || rc == TLS_MORE)
		return status;
	return wire_fail(s, DAVIT_UNAVAILABLE, "%s", tls_session_why(s->tls));
}

davit_status dial_start_tls(struct davit_stream *s, struct service_work *w, const struct davit_tls *tls,
			    struct davit_str host)
{
	struct davit_str name = tls->server_name.n > 0 ? tls->server_name : host;
	struct tls_context *context = NULL;
	davit_status status;
	struct str alpn;

	if (s->kept_n > 0)
		return wire_fail(s, DAVIT_UNAVAILABLE, "tls: bytes came before the handshake");
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = (struct davit_str){ name.p + 1, name.n - 2 };
	status = context_for(s, w, tls, &context);
	if (status != DAVIT_OK)
		return status;
	s->tls = tls_session_new(context, as_str(name));
	tls_context_unref(context);
	if (s->tls == NULL)
		return wire_fail(s, DAVIT_EXHAUSTED, "tls: out of memory");
	status = shake_hands(s, w);
	alpn = tls_session_alpn(s->tls);
	if (alpn.n < sizeof(s->alpn))
		memcpy(s->alpn, alpn.p ? alpn.p : "", alpn.n);
	return status;
}
