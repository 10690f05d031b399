/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client_tunnel.h"

#include "base/banned.h"
#include "base/buf.h"
#include "loop/fiber.h"

#define ANSWER 16384u /* bytes of the proxy's answer at most */

struct tunnel {
	struct client_link *link;
	struct fiber *fiber;
	struct buf answer;
	ssize_t ended; /* a code of the link's, 1: it has not ended */
	int complete;
};

static void came(void *owner, const char *p, ssize_t n)
{
	struct tunnel *t = owner;

	if (n <= 0)
		t->ended = n;
	else if (t->answer.n + (size_t)n <= ANSWER)
		buf_add(&t->answer, p, (size_t)n);
	else
		t->answer.failed = 1;
	if (t->answer.n >= 4 && memmem(t->answer.p, t->answer.n, "\r\n\r\n", 4) != NULL) {
		t->complete = 1;
		client_link_read(t->link, 0);
	}
	fiber_wake(t->fiber);
}

static void written(void *owner, int status)
{
	struct tunnel *t = owner;

	if (status < 0)
		t->ended = status;
	fiber_wake(t->fiber);
}

/* 0: it agrees; -1: why. */
static int read_answer(const struct tunnel *t, char why[CLIENT_TUNNEL_WHY])
{
	const char *p = t->answer.p, *end = memmem(p, t->answer.n, "\r\n\r\n", 4), *line = memchr(p, '\r', t->answer.n);
	int code, n = (int)(line - p);

	if (t->answer.n < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[8] != ' ' || p[9] < '1' || p[9] > '9' ||
	    p[10] < '0' || p[10] > '9' || p[11] < '0' || p[11] > '9') {
		snprintf(why, CLIENT_TUNNEL_WHY, "its answer is not HTTP");
		return -1;
	}
	code = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	if (code < 200 || code > 299) {
		snprintf(why, CLIENT_TUNNEL_WHY, "it answered \"%.*s\"", n - 9 < 100 ? n - 9 : 100, p + 9);
		return -1;
	}
	if (end + 4 != p + t->answer.n) {
		snprintf(why, CLIENT_TUNNEL_WHY, "bytes came before the tunnel was used");
		return -1;
	}
	return 0;
}

static int exchange(struct tunnel *t, const char *request, size_t n, int64_t until_ns, int (*stop)(void *arg),
		    void *arg, char why[CLIENT_TUNNEL_WHY])
{
	uv_buf_t buf = uv_buf_init((char *)request, (unsigned)n);
	size_t sent;
	int late = 0, rc = client_link_write(t->link, &buf, 1, &sent);

	if (rc < 0)
		t->ended = rc;
	client_link_read(t->link, 1);
	while (!(t->complete && !t->link->writing) && t->ended > 0 && !t->answer.failed && !late && !stop(arg))
		late = fiber_park_until(until_ns) < 0;
	if (t->complete)
		return read_answer(t, why);
	if (t->ended > 0 && !t->answer.failed)
		return -2;
	snprintf(why, CLIENT_TUNNEL_WHY, "%s",
		 t->answer.failed ? "its answer is too large"
		 : t->ended == 0  ? "it closed the connection"
				  : client_link_reason(t->link, t->ended));
	return -1;
}

int client_tunnel(struct client_link *l, struct str to, struct str authorization, int64_t until_ns,
		  int (*stop)(void *arg), void *arg, char why[CLIENT_TUNNEL_WHY])
{
	struct tunnel t = { .link = l, .fiber = fiber_self(), .ended = 1 };
	struct buf request = buf_init();
	int rc = -1;

	buf_printf(&request, "CONNECT " STR_FMT " HTTP/1.1\r\nHost: " STR_FMT "\r\n", STR_ARG(to), STR_ARG(to));
	if (authorization.n > 0)
		buf_printf(&request, "Proxy-Authorization: " STR_FMT "\r\n", STR_ARG(authorization));
	buf_printf(&request, "\r\n");
	l->owner = &t;
	l->came = came;
	l->written = written;
	if (request.failed)
		snprintf(why, CLIENT_TUNNEL_WHY, "out of memory");
	else
		rc = exchange(&t, request.p, request.n, until_ns, stop, arg, why);
	/* On failure the link is closed at once by who asked, so that a write under way does not come back here. */
	client_link_read(l, 0);
	l->owner = NULL;
	buf_free(&t.answer);
	buf_free(&request);
	return rc;
}
