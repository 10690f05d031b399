/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/http.h - the service "davit.http/1": HTTP requests to other servers, over kept connections, with TLS by the
 * kernel's OpenSSL and through proxies. On a worker its functions block, on a loop they park the fiber; the code is
 * the same.
 *
 *	struct davit_pair fields[] = { { davit_str("accept"), davit_str("application/json") } };
 *	struct davit_http_request q = DAVIT_INIT(davit_http_request, .method = davit_str("GET"), .url = davit_str(url),
 *						 .fields = fields, .nfields = 1, .timeout_ms = 5000,
 *						 .why = why, .nwhy = sizeof(why));
 *	status = http->request(instance, call, &q, &r);
 *	if (status != DAVIT_OK)
 *		return davit_fail(call, status, NULL, "%s", why);
 *	if (r->code == 404) ...			every answer is DAVIT_OK, whatever its code
 *	etag = davit_http_field(r, "etag");	r->body, r->fields: the call's memory
 *
 * or in pieces, for bodies that are large or never end:
 *
 *	status = http->open(instance, call, &q, &x);	with DAVIT_HTTP_STREAMED: the head goes out, the body is to follow
 *	status = http->write(x, &piece, 0);		as often as wanted, then http->finish(x)
 *	status = http->head(x, 0, &r);			code and fields; r->body is empty
 *	status = http->read(x, buffer, sizeof(buffer), 0, &n);	n == 0: the body has ended
 *	http->close(x);
 *
 * Connections are kept for the next request to the same scheme, host and port with the same TLS and proxy: each loop
 * has up to 256 to one such origin, of which 64 are kept without a request for 90 s, and requests beyond wait in
 * line, their time running. The version is HTTP/1.1. A request whose body was given whole is sent once more by itself
 * if a kept connection turns out to have been closed by the server before a byte of an answer came: always when
 * nothing of it was sent, else only GET, HEAD, OPTIONS and TRACE. Nothing else is ever sent twice: trying again is
 * the plugin's matter.
 *
 * Not done: bodies are passed as they come (nothing is compressed, accept-encoding is not sent), there are no
 * cookies, and a redirect is an answer like any other unless `redirects` is set.
 *
 * Proxies are found as curl finds them: for http:// URLs in http_proxy (never HTTP_PROXY), for https:// in
 * https_proxy, HTTPS_PROXY, for both then in all_proxy, ALL_PROXY; no_proxy, NO_PROXY (in that order) has the hosts
 * that are asked directly: "*", or names, which stand for their subdomains too, addresses, and networks as
 * 10.0.0.0/8, with commas or spaces between. Read once, when first needed. A proxy is
 * "http://[user:password@]host[:port]", or that without "http://"; port 1080 by default. http:// requests are handed
 * to it, https:// goes through it by CONNECT. Proxies by https or SOCKS are refused with DAVIT_UNIMPLEMENTED.
 *
 * Failures: DAVIT_INVALID_ARGUMENT (a URL, method, field, certificate or key that cannot be used), DAVIT_UNAVAILABLE
 * (nobody listens, no such host, the connection broke, TLS or the proxy refused), DAVIT_DEADLINE_EXCEEDED,
 * DAVIT_CANCELLED (the call, or a shutdown), DAVIT_INTERNAL (the answer is not HTTP), DAVIT_EXHAUSTED (memory,
 * descriptors, fibers, a limit). What a failure says never holds a field, a body, a query or a password.
 */
#ifndef DAVIT_HTTP_H
#define DAVIT_HTTP_H
#include <davit/dial.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_HTTP "davit.http/1"

enum { davit_http_service_kind = 10500, davit_http_request_kind, davit_http_response_kind };

enum {
	DAVIT_HTTP_STREAMED = 1u << 0 /* open(): the body follows by write() and finish(); `body` is not looked at */
};

#define DAVIT_HTTP_BODY_LIMIT (UINT64_C(16) * 1024 * 1024)

/* Borrowed until the function it is given to has returned; with open(), until close(). */
struct davit_http_request {
	uint32_t size, kind;
	uint32_t flags;		 /* DAVIT_HTTP_… */
	uint32_t redirects;	 /* request(): how many to follow; 0: none. See below */
	struct davit_str method; /* "GET"; any token but CONNECT */
	/* "https://host[:port]/path?query", sent as it stands: whoever makes it escapes it. A fragment is left out, a name
	 * and password in it are refused. */
	struct davit_str url;
	/* Names in any case, order kept. Those that the connection makes itself (host, connection, content-length,
	 * transfer-encoding, upgrade, te, trailer, expect, keep-alive, proxy-connection) are left out. */
	const struct davit_pair *fields;
	uint64_t nfields;
	struct davit_bytes body;    /* n == 0: none; a POST, PUT or PATCH then says so by content-length: 0 */
	int64_t length;		    /* of a streamed body; -1: not known (chunked) */
	int64_t timeout_ms;	    /* for all of it, redirects included; 0: no limit but the call's */
	int64_t connect_timeout_ms; /* name, connection, proxy and TLS; 0: 15 s */
	uint64_t
		body_limit; /* of the answer that request() gathers; 0: DAVIT_HTTP_BODY_LIMIT. Beyond: DAVIT_EXHAUSTED */
	/* For https. NULL: the system's trust anchors, no certificate of ours. Its alpn is not looked at. Settings that are
	 * the same by value share connections, and a file it names is read again only when a minute has passed. */
	const struct davit_tls *tls;
	struct davit_str proxy; /* p == NULL: by the environment; n == 0: none; else as one of its variables */
	char *why; /* where the reason of a failure is written, ended by a NUL; may be NULL. With open() good until close() */
	uint64_t nwhy; /* bytes there */
};

/*
 * Redirects, where asked for: 301, 302, 303 (which become GET without a body unless the request was HEAD), 307 and
 * 308 (which keep both), by a Location. Never from https to http (DAVIT_UNAVAILABLE). To another host, port or scheme
 * authorization, cookie and proxy-authorization are left out. More of them than asked for: the last one is the
 * answer.
 */

struct davit_http_response {
	uint32_t size, kind;
	int32_t code; /* 200 to 999: 1xx are passed over */
	uint32_t unused;
	const struct davit_pair *fields; /* names in lower case, as they came; one that came twice stands twice */
	uint64_t nfields;
	struct davit_bytes body;	   /* a NUL stands behind it, which n does not count */
	const struct davit_pair *trailers; /* request() alone */
	uint64_t ntrailers;
};

struct davit_http_exchange;

struct davit_http_service {
	uint32_t size, kind;
	/*
	 * Asks and waits for the whole answer. It is the plugin's to read until release() or, where the call is one
	 * that answers and ends, the end of the call, whichever is first. So only work without a call (NULL) and long
	 * calls (subscribe) must release what they got.
	 */
	davit_status (*request)(struct davit_instance *instance, struct davit_call *call,
				const struct davit_http_request *in, const struct davit_http_response **ret_response);
	void (*release)(const struct davit_http_response *response); /* any thread; NULL is fine */

	/*
	 * In pieces. An exchange belongs to the loop it was opened on and can be used from anywhere, as a stream of
	 * davit/dial.h; one may write while another waits for the head or reads. Its waits end with the call it was
	 * opened for, with timeout_ms of the request, and with their own timeout_ms (0: no limit of its own). After a
	 * failure it is good for nothing but close(), with one exception: write() and finish() say DAVIT_ABORTED when
	 * the server has answered and wants no more of the body; head() and read() then tell what it said.
	 */
	davit_status (*open)(struct davit_instance *instance, struct davit_call *call,
			     const struct davit_http_request *in, struct davit_http_exchange **ret_exchange);
	davit_status (*write)(struct davit_http_exchange *x, const struct davit_bytes *piece, int64_t timeout_ms);
	davit_status (*finish)(struct davit_http_exchange *x); /* the body is complete */
	/* The response is good until close(). */
	davit_status (*head)(struct davit_http_exchange *x, int64_t timeout_ms,
			     const struct davit_http_response **ret_response);
	/* What there is, at least one byte; *ret_n == 0: the body is complete. What is not read is not sent for long. */
	davit_status (*read)(struct davit_http_exchange *x, void *p, uint64_t n, int64_t timeout_ms, uint64_t *ret_n);
	/* Nobody may be in it. A connection whose request and answer are complete is kept. Does not wait; NULL is fine. */
	void (*close)(struct davit_http_exchange *x);
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_http_service *davit_http_service(struct davit_instance *instance)
{
	return (const struct davit_http_service *)instance->host->service(instance, DAVIT_HTTP);
}

/* The first field of that name, which is in lower case; p == NULL: there is none. */
static inline struct davit_str davit_http_field(const struct davit_http_response *response, const char *name)
{
	uint64_t i;

	for (i = 0; i < response->nfields; i++)
		if (davit_str_is(response->fields[i].key, name))
			return response->fields[i].value;
	return davit_str(NULL);
}

#ifdef __cplusplus
}
#endif
#endif
