/* SPDX-License-Identifier: Apache-2.0 */
/* The service "davit.dial/1": name to addresses to connection to TLS. */
#include "plugin/dial.h"

#include <stdio.h>
#include <sys/un.h>

#include "base/banned.h"
#include "base/clock.h"
#include "plugin/resolve.h"

#define SHORTEST_TRY 2000 /* milliseconds for one address, while others wait */
#define NAME (INET6_ADDRSTRLEN + 16)

struct dialling {
	struct service_work work;
	const struct davit_dial_to *to;
	struct davit_stream *stream;
};

static davit_status no_stream(const struct davit_dial_to *to)
{
	service_say(to->why, to->nwhy, "dial: no memory or descriptor left");
	return DAVIT_EXHAUSTED;
}

static void name_address(const struct sockaddr_storage *from, char ret_name[NAME])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	int v6 = from->ss_family == AF_INET6;
	int port = ntohs(v6 ? ((const struct sockaddr_in6 *)from)->sin6_port
			    : ((const struct sockaddr_in *)from)->sin_port);

	if (v6)
		uv_ip6_name((const struct sockaddr_in6 *)from, ip, sizeof(ip));
	else
		uv_ip4_name((const struct sockaddr_in *)from, ip, sizeof(ip));
	snprintf(ret_name, NAME, v6 ? "[%s]:%d" : "%s:%d", ip, port);
}

static davit_status connect_unix(struct dialling *d)
{
	const struct davit_dial_to *to = d->to;
	struct davit_stream *s;
	davit_status status;

	if (to->host.n >= sizeof(((struct sockaddr_un *)0)->sun_path)) { /* libuv would cut it */
		service_say(to->why, to->nwhy, "dial unix %.80s...: the path is too long", to->host.p);
		return DAVIT_INVALID_ARGUMENT;
	}
	s = wire_new(d->work.loop, 1);
	if (s == NULL)
		return no_stream(to);
	status = wire_connect_unix(s, &d->work, to->host.p);
	if (status == DAVIT_OK) {
		d->stream = s;
		return status;
	}
	service_say(to->why, to->nwhy, "dial unix %s: %s", to->host.p, s->why);
	wire_drop(s);
	return status;
}

static davit_status connect_address(struct dialling *d, const struct sockaddr_storage *address)
{
	struct davit_stream *s = wire_new(d->work.loop, 0);
	davit_status status;
	char name[NAME];

	if (s == NULL)
		return no_stream(d->to);
	status = wire_connect(s, &d->work, (const struct sockaddr *)address);
	if (status == DAVIT_OK) {
		d->stream = s;
		return status;
	}
	name_address(address, name);
	service_say(d->to->why, d->to->nwhy, "dial tcp %s: %s", name, s->why);
	wire_drop(s);
	return status;
}

/* One address after another; each gets its share of the time, so that a silent one does not cost the others theirs. */
static davit_status connect_any(struct dialling *d, const struct resolved *r)
{
	struct service_work *w = &d->work;
	davit_status status = DAVIT_NOT_FOUND;
	int64_t until = w->until_ns;
	size_t i;

	for (i = 0; i < r->n && status != DAVIT_OK && status != DAVIT_CANCELLED; i++) {
		int64_t left = (until - clock_ns()) / 1000000, share = left / (int64_t)(r->n - i);

		if (until != 0 && left <= 0)
			break;
		if (until != 0 && i + 1 < r->n)
			service_within(w, share < SHORTEST_TRY ? SHORTEST_TRY : share);
		status = connect_address(d, &r->addresses[i]);
		w->until_ns = until;
	}
	return status;
}

static davit_status connect_host(struct dialling *d)
{
	const struct davit_dial_to *to = d->to;
	struct resolved r = { NULL, 0 };
	davit_status status;
	char why[WIRE_WHY] = "";

	if (to->host.n > 0 && to->host.p[0] == '/')
		return connect_unix(d);
	if (to->port < 1 || to->port > 65535) {
		service_say(to->why, to->nwhy, "dial tcp: %d is no port", (int)to->port);
		return DAVIT_INVALID_ARGUMENT;
	}
	status = resolve_host(&d->work, to->host, to->port, &r, why, sizeof(why));
	if (status != DAVIT_OK) {
		service_say(to->why, to->nwhy, "dial tcp: %s", why);
		return status == DAVIT_NOT_FOUND ? DAVIT_UNAVAILABLE : status;
	}
	status = connect_any(d, &r);
	resolve_release(&r);
	return status;
}

static void dial_work(struct service_work *w)
{
	struct dialling *d = (struct dialling *)w;
	const struct davit_dial_to *to = d->to;

	w->status = connect_host(d);
	if (w->status != DAVIT_OK || to->tls == NULL)
		return;
	w->status = dial_start_tls(d->stream, w, to->tls, to->host);
	if (w->status == DAVIT_OK)
		return;
	service_say(to->why, to->nwhy, "%s", d->stream->why);
	dial_close(d->stream);
	d->stream = NULL;
}

static davit_status dial_dial(struct davit_instance *instance, struct davit_call *call, const struct davit_dial_to *to,
			      struct davit_stream **ret_stream)
{
	struct dialling d = { .work.run = dial_work, .to = to };

	service_say(to->why, to->nwhy, "%s", "");
	service_do(&d.work, service_loop(instance), call, to->timeout_ms);
	if (d.work.status == DAVIT_OK)
		*ret_stream = d.stream;
	return d.work.status;
}

static void start_tls_work(struct service_work *w)
{
	struct dialling *d = (struct dialling *)w;
	struct davit_stream *s = d->stream;

	if (s->tls != NULL || s->reading || s->sending || d->to->tls == NULL) {
		w->status = DAVIT_FAILED_PRECONDITION;
		return;
	}
	s->reading = s->sending = 1;
	w->status = dial_start_tls(s, w, d->to->tls, d->to->host);
	s->reading = s->sending = 0;
	if (w->status != DAVIT_OK)
		service_say(d->to->why, d->to->nwhy, "%s", s->why);
}

static davit_status start_tls(struct davit_stream *s, struct davit_call *call, const struct davit_dial_to *to)
{
	struct dialling d = { .work.run = start_tls_work, .to = to, .stream = s };

	service_do(&d.work, s->loop, call, to->timeout_ms);
	return d.work.status;
}

static const char *stream_why(const struct davit_stream *s)
{
	return s->why;
}

static const char *stream_alpn(const struct davit_stream *s)
{
	return s->alpn;
}

const struct davit_dial_service dial_service = DAVIT_INIT(davit_dial_service, .dial = dial_dial, .start_tls = start_tls,
							  .read = dial_read, .write = dial_write,
							  .shutdown = dial_shutdown, .close = dial_close,
							  .why = stream_why, .alpn = stream_alpn);
