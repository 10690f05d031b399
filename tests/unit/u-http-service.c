/* SPDX-License-Identifier: Apache-2.0 */
/* The service davit.http/1, from a loop and from a worker, in the clear and by TLS, with servers good and bad. */
#include <davit/http.h>
#include <davit/sleep.h>
#include <signal.h>

#include "base/mem.h"
#include "service_rig.h"
#include "web_peer.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

static struct web web;
static struct ca_pair authority, stranger, server, client;
static char why[512];

static void make_all(void)
{
	signal(SIGPIPE, SIG_IGN);
	ca_make(&authority, "Authority", NULL, NULL, 30);
	ca_make(&stranger, "Stranger", NULL, NULL, 30);
	ca_make(&server, "server", "DNS:localhost,DNS:other.example,IP:127.0.0.1", &authority, 30);
	ca_make(&client, "client", NULL, &authority, 30);
}

static void release_all(void)
{
	ca_release(&authority);
	ca_release(&stranger);
	ca_release(&server);
	ca_release(&client);
}

/* ---- What an operation asks ---- */

struct job {
	struct davit_http_request q;
	struct davit_tls tls;
	char url[256];
	int times;
	int code;
	char body[9000], etag[32], two[32];
	size_t n;
	davit_status status;
};

static struct job get(int sealed, const char *path)
{
	struct job j = { .times = 1 };

	j.q = (struct davit_http_request)DAVIT_INIT(davit_http_request, .method = davit_str("GET"), .timeout_ms = 10000,
						    .why = why, .nwhy = sizeof(why));
	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = DAVIT_TLS_ONLY_OWN,
					     .ca_pem = davit_str(authority.cert_pem));
	snprintf(j.url, sizeof(j.url), "%s://127.0.0.1:%d%s", sealed ? "https" : "http", web.port, path);
	return j;
}

static davit_status ask(struct davit_call *call, void *arg)
{
	const struct davit_http_service *http = davit_http_service(handle);
	const struct davit_http_response *r = NULL;
	struct job *j = arg;
	int i;

	j->q.url = davit_str(j->url);
	j->q.tls = &j->tls;
	for (i = 0; i < j->times; i++) {
		j->status = http->request(handle, call, &j->q, &r);
		if (j->status != DAVIT_OK)
			return j->status;
	}
	j->code = r->code;
	j->n = r->body.n;
	snprintf(j->body, sizeof(j->body), "%.8999s", (const char *)r->body.p);
	snprintf(j->etag, sizeof(j->etag), "%.31s", davit_http_field(r, "etag").p ? davit_http_field(r, "etag").p : "");
	for (i = 0; (uint64_t)i < r->nfields; i++)
		if (davit_str_is(r->fields[i].key, "x-two"))
			snprintf(j->two + strlen(j->two), 8, "%.3s", r->fields[i].value.p);
	if (r->ntrailers == 1)
		snprintf(j->etag, sizeof(j->etag), "%.10s: %.10s", r->trailers[0].key.p, r->trailers[0].value.p);
	return DAVIT_OK;
}

/* Each from a fiber (even) and a worker (odd), plain (0, 1) and sealed (2, 3). */
#define WHICH (_i % 2)
#define SEALED (_i / 2)

static struct operation set_up(int i, const char *path, struct job *j)
{
	rig_set_up();
	web_start(&web, i / 2 ? &server : NULL, NULL);
	*j = get(i / 2, path);
	return rig_operation(i % 2, ask, j);
}

static void tear_down(void)
{
	rig_tear_down();
	web_stop(&web);
}

START_TEST(an_answer_comes_whole)
{
	struct operation o;
	struct job j;

	o = set_up(_i, "/hello?x=%2F#part", &j);
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_int_eq(j.code, 200);
	ck_assert_str_eq(j.body, "hello");
	ck_assert_str_eq(j.etag, "\"1\"");
	ck_assert_str_eq(j.two, "ab");
	ck_assert_ptr_nonnull(strstr(web.head, "GET /hello?x=%2F HTTP/1.1\r\nHost: 127.0.0.1:"));
	j = get(SEALED, "/none");
	o = rig_operation(WHICH, ask, &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.code, 404);
	j = get(SEALED, "/drip");
	o = rig_operation(WHICH, ask, &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_str_eq(j.body, "dropdropdropdropdrop");
	ck_assert_str_eq(j.etag, "x-end: yes");
	tear_down();
}
END_TEST

START_TEST(a_connection_is_kept)
{
	struct operation o;
	struct job j;

	o = set_up(_i, "/hello", &j);
	j.times = 20;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(web.asked, 20);
	/* A worker's requests go to each loop in turn. */
	ck_assert_int_le(web.accepted, WHICH ? LOOPS : 1);
	tear_down();
}
END_TEST

START_TEST(a_kept_connection_that_was_closed_is_replaced)
{
	struct operation o;
	struct job j;

	o = set_up(_i, "/bye", &j);
	j.times = 20;
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_str_eq(j.body, "bye");
	ck_assert_int_eq(web.asked, 20);
	tear_down();
}
END_TEST

START_TEST(a_body_goes_out_and_comes_back)
{
	static const size_t sizes[] = { 0, 1, 100, 70000, 3000000 };
	struct operation o;
	struct job j;
	char *body = malloc(3000000);
	size_t i;

	for (i = 0; i < 3000000; i++)
		body[i] = (char)(i * 31 + i / 251) | 1;
	o = set_up(_i, "/echo", &j);
	j.q.method = davit_str("PUT");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		j.q.body = (struct davit_bytes){ body, sizes[i] };
		ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
		ck_assert_uint_eq(j.n, sizes[i]);
		ck_assert_int_eq(memcmp(j.body, body, sizes[i] < 8999 ? sizes[i] : 8999), 0);
	}
	free(body);
	tear_down();
}
END_TEST

START_TEST(fields_are_ours_or_the_connections)
{
	struct davit_pair fields[] = { { davit_str("x-ms-version"), davit_str("2021-12-02") },
				       { davit_str("HOST"), davit_str("evil") },
				       { davit_str("Content-Length"), davit_str("7") } };
	struct operation o;
	struct job j;

	o = set_up(WHICH, "/head", &j);
	j.q.fields = fields;
	j.q.nfields = 3;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_ptr_nonnull(strstr(j.body, "\r\nX-Ms-Version: 2021-12-02\r\n"));
	ck_assert_ptr_null(strstr(j.body, "evil"));
	ck_assert_ptr_null(strstr(j.body, "Content-Length"));
	fields[0].value = davit_str("a\r\nx: y");
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(why, "invalid header field value for \"x-ms-version\""));
	tear_down();
}
END_TEST

START_TEST(bad_urls_are_refused)
{
	static const struct {
		const char *url, *why;
	} bad[] = {
		{ "", "http: the URL begins neither with http:// nor with https://" },
		{ "ftp://host/", "http: the URL begins neither with http:// nor with https://" },
		{ "http://", "http: the URL has no host that can be used" },
		{ "http://me:secret@127.0.0.1/", "http: a name or password in a URL is not used: send an authorization "
						 "field" },
		{ "http://127.0.0.1:0/", "http: the URL's port is not one" },
		{ "http://127.0.0.1:65536/", "http: the URL's port is not one" },
		{ "http://127.0.0.1:1x/", "http: the URL's port is not one" },
		{ "http://[::1/", "http: the address in brackets cannot be read" },
		{ "http://127.0.0.1/a b", "http: the URL has bytes that must be escaped" },
		{ "http://127.0.0.1/a\r\nX: y", "http: the URL has bytes that must be escaped" },
	};
	struct operation o;
	struct job j;
	size_t i;

	o = set_up(WHICH, "/", &j);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(j.url, sizeof(j.url), "%s", bad[i].url);
		ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
		ck_assert_str_eq(why, bad[i].why);
	}
	j = get(0, "/");
	j.q.method = davit_str("GE T");
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	ck_assert_int_eq(web.accepted, 0);
	tear_down();
}
END_TEST

START_TEST(an_answer_has_a_limit)
{
	struct operation o;
	struct job j;

	o = set_up(_i, "/big/100000", &j);
	j.q.body_limit = 100000;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_uint_eq(j.n, 100000);
	j.q.body_limit = 99999;
	ck_assert_int_eq(rig_run(&o), DAVIT_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(why, "/big/100000: response body larger than 99999 bytes"));
	tear_down();
}
END_TEST

START_TEST(a_request_has_an_end)
{
	struct operation o;
	struct job j;

	o = set_up(_i, "/never", &j);
	j.q.timeout_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_ptr_nonnull(strstr(why, "/never: context deadline exceeded"));
	j.q.timeout_ms = 0;
	o.timeout_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	o.timeout_ms = 0;
	o.cancel_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	ck_assert_int_lt(o.took_ms, 3000);
	tear_down();
}
END_TEST

START_TEST(failures_are_told)
{
	struct operation o;
	struct job j;
	char *at;

	o = set_up(_i, "/half?sig=secret", &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(why, "GET http"));
	ck_assert_ptr_null(strstr(why, "secret"));
	at = strstr(why, "/half: ");
	ck_assert_msg(at != NULL && (strstr(at, "EOF") != NULL), "%s", why);
	j = get(SEALED, "/noise");
	ck_assert_int_eq(rig_run(&o), DAVIT_INTERNAL);
	j = get(!SEALED, "/hello"); /* the other scheme */
	j.q.timeout_ms = 6000;
	ck_assert_int_ne(rig_run(&o), DAVIT_OK);
	ck_assert_msg(strstr(why, SEALED ? "EOF" : "tls: ") || strstr(why, "reset"), "%s", why);
	j = get(SEALED, "/hello");
	web_stop(&web);
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_msg(strstr(why, ": connect: connection refused") != NULL, "%s", why);
	snprintf(j.url, sizeof(j.url), "http://nobody.invalid/");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_msg(strncmp(why, "GET http://nobody.invalid/: dial tcp: lookup nobody.invalid: ", 60) == 0, "%s",
		      why);
	rig_tear_down();
}
END_TEST

START_TEST(who_answers_must_be_who_was_asked)
{
	struct operation o;
	struct job j;

	o = set_up(2 + WHICH, "/hello", &j);
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	j.tls.server_name = davit_str("another.example");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(why, "tls: failed to verify certificate: "));
	j.tls.server_name = davit_str("other.example");
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .ca_pem = davit_str(stranger.cert_pem));
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = DAVIT_TLS_INSECURE);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	j.tls.ca_file = davit_str("/nowhere.pem");
	j.tls.flags = 0;
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(why, "tls: the file of CA certificates cannot be used"));
	tear_down();
}
END_TEST

START_TEST(we_show_our_certificate)
{
	struct operation o;
	struct job j;

	rig_set_up();
	web_start(&web, &server, &authority);
	j = get(1, "/hello");
	o = rig_operation(WHICH, ask, &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	j.tls.cert_pem = davit_str(client.cert_pem);
	j.tls.key_pem = davit_str(client.key_pem);
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	tear_down();
}
END_TEST

START_TEST(redirects_are_followed_where_asked_for)
{
	struct davit_pair fields[] = { { davit_str("Authorization"), davit_str("Bearer secret") } };
	struct operation o;
	struct job j;

	o = set_up(_i, "/a/b/away", &j);
	j = get(SEALED, "/away");
	j.q.method = davit_str("POST");
	j.q.body = (struct davit_bytes){ "body", 4 };
	j.q.fields = fields;
	j.q.nfields = 1;
	snprintf(web.location, sizeof(web.location), "../head");
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.code, 302);
	j.q.redirects = 1;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.code, 200);
	ck_assert_ptr_nonnull(strstr(j.body, "GET /head HTTP/1.1"));
	ck_assert_ptr_nonnull(strstr(j.body, "Bearer secret"));
	/* Another host: the secret stays here. */
	snprintf(web.location, sizeof(web.location), "%s://localhost:%d/head", SEALED ? "https" : "http", web.port);
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_ptr_null(strstr(j.body, "Bearer secret"));
	snprintf(web.location, sizeof(web.location), "/away");
	j.q.redirects = 5;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.code, 302);
	snprintf(web.location, sizeof(web.location), "http://127.0.0.1:1/");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_msg(strstr(why, SEALED ? "redirected from https to http" : "refused") != NULL, "%s", why);
	tear_down();
}
END_TEST

START_TEST(a_307_keeps_the_body)
{
	struct operation o;
	struct job j;

	o = set_up(WHICH, "/away307", &j);
	j.q.method = davit_str("POST");
	j.q.redirects = 3;
	snprintf(web.location, sizeof(web.location), "/echo");
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.code, 200);
	ck_assert_uint_eq(j.n, 0);
	tear_down();
}
END_TEST

/* ---- In pieces ---- */

static davit_status stream(struct davit_call *call, void *arg)
{
	const struct davit_http_service *http = davit_http_service(handle);
	const struct davit_http_response *r;
	struct davit_http_exchange *x = NULL;
	struct davit_bytes piece = { "0123456789", 10 };
	struct job *j = arg;
	uint64_t n = 1;
	int i;

	j->q.url = davit_str(j->url);
	j->q.tls = &j->tls;
	j->q.method = davit_str("PUT");
	j->q.flags = DAVIT_HTTP_STREAMED;
	j->status = http->open(handle, call, &j->q, &x);
	if (j->status != DAVIT_OK)
		return j->status;
	for (i = 0; i < j->times && j->status == DAVIT_OK; i++)
		j->status = http->write(x, &piece, 5000);
	if (j->status == DAVIT_OK)
		j->status = http->finish(x);
	if (j->status == DAVIT_OK || j->status == DAVIT_ABORTED)
		j->status = http->head(x, 5000, &r);
	if (j->status == DAVIT_OK)
		j->code = r->code;
	while (j->status == DAVIT_OK && n > 0 && j->n < sizeof(j->body) - 8) {
		j->status = http->read(x, j->body + j->n, 7, 5000, &n);
		j->n += n;
	}
	http->close(x);
	return j->status;
}

START_TEST(bodies_come_in_pieces)
{
	struct operation o;
	struct job j;

	set_up(_i, "/echo", &j);
	o = rig_operation(WHICH, stream, &j);
	j.q.length = 100;
	j.times = 10;
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_uint_eq(j.n, 100);
	ck_assert_int_eq(memcmp(j.body, "01234567890123456789", 20), 0);
	j = get(SEALED, "/echo");
	j.q.length = -1;
	j.times = 50;
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_uint_eq(j.n, 500);
	j = get(SEALED, "/echo");
	j.q.length = 5;
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	/* Who is answered before he is done reads the answer. */
	j = get(SEALED, "/none");
	j.q.length = -1;
	j.times = 1000;
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_int_eq(j.code, 404);
	tear_down();
}
END_TEST

static davit_status read_slowly(struct davit_call *call, void *arg)
{
	const struct davit_http_service *http = davit_http_service(handle);
	const struct davit_http_response *r;
	struct davit_http_exchange *x = NULL;
	struct job *j = arg;
	uint64_t n;

	j->q.url = davit_str(j->url);
	j->q.tls = &j->tls;
	j->status = http->open(handle, call, &j->q, &x);
	if (j->status != DAVIT_OK)
		return j->status;
	j->status = http->head(x, j->times, &r);
	if (j->status == DAVIT_OK)
		j->status = http->read(x, j->body, 1000, 0, &n);
	if (j->status == DAVIT_OK)
		davit_sleep_service(handle)->sleep(handle, call, 300);
	while (j->status == DAVIT_OK && n > 0) {
		j->n += n;
		j->status = http->read(x, j->body, 8000, 0, &n);
	}
	http->close(x);
	return j->status;
}

START_TEST(what_is_not_read_is_not_kept)
{
	struct operation o;
	struct job j;

	set_up(_i, "/big/200000000", &j);
	o = rig_operation(WHICH, read_slowly, &j);
	j.times = 5000;
	j.q.timeout_ms = 60000;
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	ck_assert_uint_eq(j.n, 200000000);
	j = get(SEALED, "/never");
	j.times = 50;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	j.times = 0;
	o.cancel_ms = 50;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	tear_down();
}
END_TEST

/* ---- Proxies ---- */

static struct web proxy;

START_TEST(a_proxy_passes_on)
{
	char url[100];
	struct operation o;
	struct job j;

	o = set_up(_i, "/head", &j);
	web_start(&proxy, NULL, NULL);
	proxy.proxy = 1;
	snprintf(j.url, sizeof(j.url), "%s://other.example:%d/head?x", SEALED ? "https" : "http", web.port);
	snprintf(url, sizeof(url), "http://me:s%%26p@127.0.0.1:%d/", proxy.port);
	j.q.proxy = davit_str(url);
	ck_assert_msg(rig_run(&o) == DAVIT_OK, "%s", why);
	if (SEALED) {
		ck_assert_ptr_nonnull(strstr(proxy.head, "CONNECT other.example:"));
		ck_assert_ptr_nonnull(strstr(j.body, "GET /head?x HTTP/1.1\r\nHost: other.example:"));
		ck_assert_ptr_null(strstr(j.body, "Proxy-Authorization"));
	} else {
		ck_assert_ptr_nonnull(strstr(j.body, "GET http://other.example:"));
		ck_assert_int_eq(web.accepted, 0);
	}
	snprintf(url, sizeof(url), "127.0.0.1:%d", proxy.port);
	j.q.proxy = davit_str(url);
	if (SEALED) {
		ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
		ck_assert_msg(strstr(why, "it answered \"407 Proxy Authentication Required\"") != NULL, "%s", why);
	} else {
		ck_assert_int_eq(rig_run(&o), DAVIT_OK);
		ck_assert_int_eq(j.code, 407);
	}
	j.q.proxy = davit_str("socks5://127.0.0.1:1");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNIMPLEMENTED);
	rig_tear_down();
	web_stop(&proxy);
	web_stop(&web);
}
END_TEST

/* ---- Many ---- */

#define MANY 1000

static _Atomic int waiting_now, cancelled_calls;

static void one_of_many(void *arg)
{
	struct operation o = rig_operation(0, ask, arg);
	struct scope s = { .arena = arena_new() };
	struct task *in = arena_alloc(s.arena, sizeof(*in));

	*in = o.task;
	s.deadline_ns = clock_ns() + 4000 * MS;
	waiting_now++;
	if (call_instance(&s, o.instance, run_task, in).status == DAVIT_DEADLINE_EXCEEDED)
		cancelled_calls++;
	waiting_now--;
	arena_unref(s.arena);
}

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, pages = 0;

	if (f == NULL || fscanf(f, "%ld %ld", &size, &pages) != 2)
		abort();
	fclose(f);
	return pages * 4;
}

struct many {
	struct job jobs[MANY];
};

static void start_many(void *arg)
{
	struct many *m = arg;
	int i;

	for (i = 0; i < MANY; i++) {
		m->jobs[i].q.why = NULL;
		m->jobs[i].q.timeout_ms = 0;
		fiber_start(loops[0], one_of_many, &m->jobs[i]);
	}
}

/* A thousand wait for four servers' worth of connections, by TLS too; where the server is in this process its threads and its
 * side of TLS count as well. */
START_TEST(a_thousand_wait_on_one_loop)
{
	struct many *m = calloc(1, sizeof(*m));
	struct operation o;
	struct errand e;
	struct job j;
	long before;
	int i;

	o = set_up(0, "/hello", &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	for (i = 0; i < MANY; i++) {
		m->jobs[i] = get(0, "/never");
		memset(m->jobs[i].body, 0, sizeof(m->jobs[i].body));
	}
	before = resident_kb();
	rig_begin(&e, 0, start_many, m);
	rig_end(&e);
	usleep(1500000);
	ck_assert_int_eq(waiting_now, MANY);
	ck_assert_int_le(web.live, 256 + 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ck_assert_int_lt(resident_kb() - before, 64 * 1024);
#else
	ck_assert_int_gt(resident_kb(), before);
#endif
	while (waiting_now > 0)
		usleep(10000);
	ck_assert_int_eq(cancelled_calls, MANY);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK); /* and then all is as before */
	tear_down();
	free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http service");
	TCase *t = tcase_create("requests");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_all, release_all);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, an_answer_comes_whole, 0, 4);
	tcase_add_loop_test(t, a_connection_is_kept, 0, 4);
	tcase_add_loop_test(t, a_kept_connection_that_was_closed_is_replaced, 0, 4);
	tcase_add_loop_test(t, a_body_goes_out_and_comes_back, 0, 4);
	tcase_add_loop_test(t, fields_are_ours_or_the_connections, 0, 2);
	tcase_add_loop_test(t, bad_urls_are_refused, 0, 2);
	tcase_add_loop_test(t, an_answer_has_a_limit, 0, 4);
	tcase_add_loop_test(t, a_request_has_an_end, 0, 4);
	tcase_add_loop_test(t, failures_are_told, 0, 4);
	tcase_add_loop_test(t, who_answers_must_be_who_was_asked, 0, 2);
	tcase_add_loop_test(t, we_show_our_certificate, 0, 2);
	tcase_add_loop_test(t, redirects_are_followed_where_asked_for, 0, 4);
	tcase_add_loop_test(t, a_307_keeps_the_body, 0, 2);
	tcase_add_loop_test(t, bodies_come_in_pieces, 0, 4);
	tcase_add_loop_test(t, what_is_not_read_is_not_kept, 0, 4);
	tcase_add_loop_test(t, a_proxy_passes_on, 0, 4);
	tcase_add_test(t, a_thousand_wait_on_one_loop);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
