/* SPDX-License-Identifier: Apache-2.0 */
#include "base/banned.h"
#include "base/mem.h"
#include "plugin/dial.h"
#include "plugin/tls_settings.h"
#include "tls/session.h"

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
	char why[WIRE_WHY] = "";

	if (s->kept_n > 0)
		return wire_fail(s, DAVIT_UNAVAILABLE, "tls: bytes came before the handshake");
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = (struct davit_str){ name.p + 1, name.n - 2 };
	/* Not shared: a connection is made when a certificate was changed, perhaps. */
	status = tls_settings_context(w, tls, STR_NONE, 0, &context, why, sizeof(why));
	if (status != DAVIT_OK)
		return wire_fail(s, status, "tls: %s", why);
	s->tls = tls_session_new(context, (struct str){ name.p, name.p ? name.n : 0 });
	tls_context_unref(context);
	if (s->tls == NULL)
		return wire_fail(s, DAVIT_EXHAUSTED, "tls: out of memory");
	status = shake_hands(s, w);
	alpn = tls_session_alpn(s->tls);
	if (alpn.n < sizeof(s->alpn))
		memcpy(s->alpn, alpn.p ? alpn.p : "", alpn.n);
	return status;
}
