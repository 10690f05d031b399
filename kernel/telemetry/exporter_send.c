/* SPDX-License-Identifier: Apache-2.0 */
/* One batch on its way: to the log, or with one request to a collector. */
#include "base/banned.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "telemetry/exporter_inside.h"

#define ANSWER_MOST (64u << 10)
#define USER_AGENT "davitd"

/* ---- Where to ---- */

/* "host:port", "[::1]:port", "host". -1: no port number. */
static int split_port(struct arena *a, struct str address, int fallback, struct str *ret_host, int *ret_port)
{
	struct str host = address, rest = STR_NONE, before;
	int64_t port = fallback;

	if (address.n > 0 && address.p[0] == '[') {
		if (!str_cut(str_from(address, 1), ']', &host, &rest))
			return -1;
		if (rest.n > 0 && rest.p[0] != ':')
			return -1;
		rest = rest.n > 0 ? str_from(rest, 1) : STR_NONE;
	} else if (str_cut(address, ':', &before, &rest)) {
		host = before;
	} else {
		rest = STR_NONE;
	}
	if (rest.p != NULL && (str_int(rest, &port) < 0 || port < 1 || port > 65535))
		return -1;
	if (host.n == 0)
		return -1;
	*ret_host = arena_str(a, host);
	*ret_port = (int)port;
	return 0;
}

static int use_tls(struct exporter *x, struct arena *a, struct str *ret_message)
{
	struct str anchors = x->all->o.certificate;
	struct tls_options o = { .only_own = anchors.n > 0 };
	char why[256] = "";

	if (anchors.n > 0)
		o.ca_file = anchors;
	if (x->kind == EXPORTER_OTLP_GRPC)
		o.alpn = STR("h2");
	x->tls = tls_context_new(&o, why, sizeof(why));
	if (x->tls != NULL)
		return 0;
	*ret_message = arena_printf(a, "TLS to the collector: %s", why);
	return -1;
}

static int aim_zipkin(struct exporter *x, struct arena *a, struct str *ret_message)
{
	struct str url = x->all->o.zipkin, rest = url, authority, path;
	int secure = str_istarts(url, STR("https://"));

	if (secure || str_istarts(url, STR("http://")))
		rest = str_from(url, secure ? 8 : 7);
	if (rest.n == url.n || str_find(url, STR("@")) >= 0 || !str_utf8(url))
		goto malformed;
	if (!str_cut(rest, '/', &authority, &path))
		authority = rest;
	x->target = authority.n < rest.n ? arena_str(a, str_from(rest, authority.n)) : STR("/");
	if (split_port(a, authority, secure ? 443 : 80, &x->host, &x->port) == 0)
		return secure ? use_tls(x, a, ret_message) : 0;
malformed:
	*ret_message = arena_printf(a, "invalid collector URL \"" STR_FMT "\": write http://host:port/api/v2/spans",
				    STR_ARG(url));
	return -1;
}

static int aim_otel(struct exporter *x, struct arena *a, struct str *ret_message)
{
	struct str endpoint = x->all->o.otel, authority = endpoint, path = STR("");

	if (str_find(endpoint, STR("://")) >= 0)
		goto malformed;
	if (str_cut(endpoint, '/', &authority, &path)) {
		while (path.n > 0 && path.p[path.n - 1] == '/')
			path.n--;
	}
	x->target = x->kind == EXPORTER_OTLP_GRPC
			    ? STR("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
			    : arena_printf(a, "%s" STR_FMT "/v1/traces", path.n ? "/" : "", STR_ARG(path));
	if (split_port(a, authority, x->kind == EXPORTER_OTLP_GRPC || x->all->o.secure ? 443 : 80, &x->host,
		       &x->port) == 0)
		return x->all->o.secure ? use_tls(x, a, ret_message) : 0;
malformed:
	*ret_message = arena_printf(a, "invalid Otel endpoint address \"" STR_FMT "\": write host:port",
				    STR_ARG(endpoint));
	return -1;
}

static struct str lower(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t i;

	for (i = 0; i < s.n; i++)
		p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i]);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

static void make_fields(struct exporter *x, struct arena *a)
{
	const struct exporter_options *o = &x->all->o;
	size_t given = x->kind == EXPORTER_ZIPKIN ? 0 : o->nheaders, i;
	struct str name, value;

	x->fields = arena_alloc(a, (given + 2) * sizeof(*x->fields));
	if (x->kind != EXPORTER_OTLP_GRPC)
		x->fields[x->nfields++] = (struct http_field){ STR("content-type"),
							       x->kind == EXPORTER_ZIPKIN
								       ? STR("application/json")
								       : STR("application/x-protobuf") };
	x->fields[x->nfields++] = (struct http_field){ STR("user-agent"), STR(USER_AGENT) };
	for (i = 0; i < given; i++)
		if (str_cut(o->headers[i], '=', &name, &value) && name.n > 0)
			x->fields[x->nfields++] = (struct http_field){ lower(a, name), value };
}

int exporter_aim(struct exporter *x, struct arena *a, struct str *ret_message)
{
	int rc = 0;

	if (x->kind == EXPORTER_LOG)
		return 0;
	rc = x->kind == EXPORTER_ZIPKIN ? aim_zipkin(x, a, ret_message) : aim_otel(x, a, ret_message);
	if (rc == 0)
		make_fields(x, a);
	return rc;
}

/* ---- Connections, made when there is something to send ---- */

static int connect_http(struct exporter *x)
{
	struct http_client_options o = http_client_defaults();

	if (x->http != NULL)
		return 0;
	o.host = x->host;
	o.port = x->port;
	o.major = 1;
	o.tls = x->tls;
	o.connection_limit = 1;
	x->http = http_client_new(x->all->loop, &o);
	return x->http != NULL ? 0 : -1;
}

static int connect_grpc(struct exporter *x)
{
	struct grpc_client_options o = grpc_client_defaults();

	if (x->grpc != NULL)
		return 0;
	o.host = x->host;
	o.port = x->port;
	o.message_limit = 0;
	o.tls = x->tls;
	x->grpc = grpc_client_new(x->all->loop, &o);
	return x->grpc != NULL ? 0 : -1;
}

void exporter_disconnect(struct exporter *x)
{
	http_client_free(x->http);
	grpc_client_free(x->grpc);
	x->http = NULL;
	x->grpc = NULL;
}

void exporter_cancel(struct exporter *x)
{
	if (x->http_call != NULL)
		http_call_cancel(x->http_call);
	if (x->stream != NULL)
		grpc_stream_cancel(x->stream);
}

/* ---- One attempt ---- */

static enum exporter_outcome send_log(const struct span_copy *list, size_t n, struct arena *a)
{
	size_t i;

	for (i = 0; i < n; i++, list = list->next) {
		struct buf b = buf_in(a);

		span_text_line(&b, list);
		log_with(LOG_INFO, "dapr.runtime.trace", NULL, 0, buf_str(&b));
	}
	return EXPORTER_SENT;
}

static int64_t deadline(const struct exporter *x)
{
	return clock_ns() + (x->kind == EXPORTER_ZIPKIN ? INT64_C(10000000000) : x->all->o.timeout_ns);
}

/* The status, or 0 and *ret_error. A redirection is no answer here. */
static int post(struct exporter *x, struct str body, struct arena *a, struct error *ret_error)
{
	struct http_request q = { .method = STR("POST"),
				  .target = x->target,
				  .fields = x->fields,
				  .nfields = x->nfields,
				  .body = body,
				  .deadline_ns = deadline(x) };
	struct http_call *call = connect_http(x) == 0 ? http_call_new(x->http, a) : NULL;
	struct str ignored;
	struct error e;
	int status = 0;

	*ret_error = error_new(a, ERROR_RESOURCE_EXHAUSTED, NULL, "out of memory");
	if (call == NULL)
		return 0;
	x->http_call = call;
	if (x->all->aborted)
		http_call_cancel(call);
	*ret_error = http_call_start(call, &q);
	if (!error_is(ret_error))
		*ret_error = http_call_head(call);
	if (!error_is(ret_error)) {
		status = call->status;
		e = http_call_read_all(call, ANSWER_MOST, &ignored); /* so that the connection is kept */
		(void)e;
	}
	x->http_call = NULL;
	http_call_close(call);
	return status;
}

static enum exporter_outcome send_http(struct exporter *x, struct str body, struct arena *a, struct str *ret_why)
{
	struct error e = ERROR_NONE;
	int status = post(x, body, a, &e);

	if (status >= 200 && status < 300)
		return EXPORTER_SENT;
	*ret_why = status == 0 ? e.message
			       : arena_printf(a, "the collector at " STR_FMT ":%d answered %d %s", STR_ARG(x->host),
					      x->port, status, http_reason(status));
	if (status == 0)
		return e.code == ERROR_UNAVAILABLE || e.code == ERROR_DEADLINE_EXCEEDED ? EXPORTER_AGAIN
											: EXPORTER_REFUSED;
	return status == 429 || status == 502 || status == 503 || status == 504 ? EXPORTER_AGAIN : EXPORTER_REFUSED;
}

static int comes_back(int code)
{
	return code == ERROR_CANCELLED || code == ERROR_DEADLINE_EXCEEDED || code == ERROR_ABORTED ||
	       code == ERROR_OUT_OF_RANGE || code == ERROR_UNAVAILABLE || code == ERROR_DATA_LOSS;
}

static enum exporter_outcome send_grpc(struct exporter *x, struct str body, struct arena *a, struct str *ret_why)
{
	struct grpc_request q = {
		.path = x->target, .deadline_ns = deadline(x), .metadata = x->fields, .nmetadata = x->nfields
	};
	struct grpc_stream *s = connect_grpc(x) == 0 ? grpc_stream_new(x->grpc, a) : NULL;
	struct error e = ERROR_NONE;
	struct str answer;

	*ret_why = STR("out of memory");
	if (s == NULL)
		return EXPORTER_REFUSED;
	x->stream = s;
	if (x->all->aborted)
		grpc_stream_cancel(s);
	e = grpc_stream_start_whole(s, &q, body);
	while (!error_is(&e) && grpc_stream_recv_bytes(s, &answer, &e) > 0)
		;
	x->stream = NULL;
	if (error_is(&e))
		*ret_why = arena_printf(a, "%d: " STR_FMT, e.code, STR_ARG(e.message));
	grpc_stream_close(s);
	return !error_is(&e) ? EXPORTER_SENT : comes_back(e.code) ? EXPORTER_AGAIN : EXPORTER_REFUSED;
}

enum exporter_outcome exporter_send(struct exporter *x, const struct span_copy *list, size_t n, struct arena *a,
				    struct str *ret_why)
{
	struct buf body = buf_in(a);

	if (x->kind == EXPORTER_LOG)
		return send_log(list, n, a);
	if (x->kind == EXPORTER_ZIPKIN)
		span_text_zipkin(&body, &x->all->o.resource, list, n);
	else
		span_text_otlp(&body, &x->all->o.resource, list, n);
	if (x->kind == EXPORTER_OTLP_GRPC)
		return send_grpc(x, buf_str(&body), a, ret_why);
	return send_http(x, buf_str(&body), a, ret_why);
}
