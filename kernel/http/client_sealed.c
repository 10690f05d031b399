/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session works over memory: what the socket gave goes in, what it has to say is taken out and sent. A large write is
 * sealed part by part, as the socket takes it, so that it is never in memory twice.
 */
#include "http/client_sealed.h"

#include "base/banned.h"
#include "base/mem.h"
#include "loop/fiber.h"

#define BATCH 65536u  /* sealed bytes that gather before they are sent */
#define RECORD 16384u /* plain bytes of one record at most (RFC 8446, 5.1) */

static _Thread_local char opened[RECORD]; /* came() copies what it does not use at once */

/* Of the owner's write as much as one batch holds. -1: the session has failed. */
static int seal(struct client_sealed *s)
{
	const char *p;
	ssize_t n;

	while (s->nplain > 0 && tls_session_peek(s->session, &p) < BATCH) {
		uv_buf_t *b = &s->plain[0];

		n = tls_session_write(s->session, b->base, b->len < RECORD ? b->len : RECORD);
		if (n <= 0)
			return -1;
		b->base += n;
		b->len -= (size_t)n;
		if (b->len > 0)
			continue;
		s->nplain--;
		memmove(b, b + 1, s->nplain * sizeof(*b));
	}
	return 0;
}

/* What the socket did not take stays in memory of its own: the session may say more meanwhile, and moves what it shows. */
static int send_rest(struct client_link *l, const char *p, size_t n)
{
	struct client_sealed *s = l->sealed;
	uv_buf_t buf;
	int rc;

	s->out = mem_alloc(n);
	if (s->out == NULL)
		return UV_ENOMEM;
	memcpy(s->out, p, n);
	tls_session_taken(s->session, n);
	buf = uv_buf_init(s->out, (unsigned)n);
	rc = client_link_push(l, &buf);
	if (rc < 0) {
		mem_free(s->out);
		s->out = NULL;
		return rc;
	}
	s->busy = 1;
	return 1;
}

/* 0: nothing is left; 1: the socket has yet to take some; below: libuv's code. */
static int pump(struct client_link *l)
{
	struct client_sealed *s = l->sealed;
	const char *p;
	size_t n;
	int rc;

	while (!s->busy) {
		if (seal(s) < 0)
			return UV_EPROTO;
		n = tls_session_peek(s->session, &p);
		if (n == 0)
			return 0;
		rc = uv_try_write(&l->stream, &(uv_buf_t){ .base = (char *)p, .len = n }, 1);
		if (rc < 0 && rc != UV_EAGAIN)
			return rc;
		tls_session_taken(s->session, rc > 0 ? (size_t)rc : 0);
		n = tls_session_peek(s->session, &p);
		if (n > 0 && (rc = send_rest(l, p, n)) < 0)
			return rc;
	}
	return 1;
}

int client_sealed_write(struct client_link *l, const uv_buf_t *bufs, unsigned nbufs, size_t *ret_sent)
{
	struct client_sealed *s = l->sealed;
	size_t total = 0;
	unsigned i;
	int rc;

	for (i = 0, s->nplain = 0; i < nbufs; i++) {
		total += bufs[i].len;
		if (bufs[i].len > 0)
			s->plain[s->nplain++] = bufs[i];
	}
	rc = pump(l);
	if (rc < 0)
		s->nplain = 0; /* what is left is the owner's again */
	l->writing = rc == 1;
	*ret_sent = rc >= 0 ? total : 0;
	return rc;
}

void client_sealed_written(struct client_link *l, int status)
{
	struct client_sealed *s = l->sealed;

	s->busy = 0;
	mem_free(s->out);
	s->out = NULL;
	if (s->shaking)
		fiber_wake(l->dialer);
	status = status < 0 ? status : pump(l);
	if (status < 0)
		s->nplain = 0;
	if (status == 1 || !l->writing)
		return;
	l->writing = 0;
	l->written(l->owner, status);
}

/* How the other side's bytes ended, for the owner. */
static ssize_t ending(const struct client_sealed *s, ssize_t verdict)
{
	if (verdict == TLS_END)
		return 0;
	return verdict == TLS_CUT && s->error < 0 ? s->error : UV_EPROTO;
}

/* What has come, to the owner, as long as he reads. He may close the link at any piece. */
static void deliver(struct client_link *l)
{
	struct client_sealed *s = l->sealed;
	ssize_t n = 1;

	while (n > 0 && l->reading && !l->closed && !s->told) {
		n = tls_session_read(s->session, opened, sizeof(opened));
		if (n > 0) {
			l->came(l->owner, opened, n);
		} else if (n != TLS_MORE) {
			s->told = 1;
			uv_read_stop(&l->stream);
			l->came(l->owner, NULL, ending(s, n));
		}
	}
	if (!l->closed)
		pump(l); /* what the session answers; if that fails, so will what comes next */
}

void client_sealed_came(struct client_link *l, const char *p, ssize_t n)
{
	struct client_sealed *s = l->sealed;

	if (n < 0) {
		uv_read_stop(&l->stream);
		s->error = (int)n;
		tls_session_give_end(s->session);
	} else if (tls_session_give(s->session, p, (size_t)n) < 0) {
		uv_read_stop(&l->stream);
		s->error = UV_ENOMEM;
		tls_session_give_end(s->session);
	}
	if (s->shaking)
		fiber_wake(l->dialer);
	else
		deliver(l);
}

static void run_again(struct loop_task *t)
{
	struct client_sealed *s = (struct client_sealed *)((char *)t - offsetof(struct client_sealed, again));

	s->lined = 0;
	if (s->link == NULL)
		mem_free(s);
	else
		deliver(s->link);
}

void client_sealed_resume(struct client_link *l)
{
	struct client_sealed *s = l->sealed;

	if (s->lined || s->shaking || (s->error == 0 && tls_session_given(s->session) == 0))
		return;
	s->lined = 1;
	loop_defer(l->loop, &s->again);
}

void client_sealed_close(struct client_link *l)
{
	struct client_sealed *s = l->sealed;
	const char *p;
	size_t n;

	l->sealed = NULL;
	if (!s->busy && s->nplain == 0) {
		tls_session_end(s->session);
		n = tls_session_peek(s->session, &p);
		if (n > 0)
			uv_try_write(&l->stream, &(uv_buf_t){ .base = (char *)p, .len = n }, 1);
	}
	tls_session_free(s->session);
	s->session = NULL;
	l->sealed_out = s->out; /* libuv has it until the handle is closed */
	s->out = NULL;
	s->link = NULL;
	if (!s->lined)
		mem_free(s);
}

/* 1: done; 0: not yet; -1: it failed, and *ret_why says it. */
static int shake(struct client_link *l, const char **ret_why)
{
	struct client_sealed *s = l->sealed;
	int rc = tls_session_shake(s->session), sent = pump(l);

	if (rc == 1)
		return sent == 0 ? 1 : sent < 0 ? (*ret_why = uv_strerror(sent), -1) : 0;
	if (rc == TLS_MORE && sent >= 0)
		return 0;
	*ret_why = s->error < 0 && s->error != UV_EOF ? uv_strerror(s->error) : tls_session_why(s->session);
	return -1;
}

int client_sealed_start(struct client_link *l, struct tls_context *c, struct str name, int64_t until_ns,
			int (*stop)(void *arg), void *arg, const char **ret_why)
{
	struct client_sealed *s = mem_zalloc(sizeof(*s));
	int rc = 0, late = 0;

	if (s == NULL)
		return -3;
	s->session = tls_session_new(c, name);
	if (s->session == NULL) {
		mem_free(s);
		return -3;
	}
	s->link = l;
	s->again.run = run_again;
	s->shaking = 1;
	l->sealed = s;
	l->dialer = fiber_self();
	client_link_read(l, 1);
	while ((rc = shake(l, ret_why)) == 0 && !late && !stop(arg))
		late = fiber_park_until(until_ns) < 0;
	s->shaking = 0;
	client_link_read(l, 0);
	return rc == 1 ? 0 : rc == 0 ? -2 : -1;
}
