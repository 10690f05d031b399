/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over memory: a client's session and a server's talk to each other here, whole or byte by byte. */
#include "tls/session.h"

#include "tls_ca.h"

#include <check.h>

static struct ca_pair authority, stranger, server, expired, client;
static char why[256];

static void make_all(void)
{
	ca_make(&authority, "Authority", NULL, NULL, 30);
	ca_make(&stranger, "Stranger", NULL, NULL, 30);
	ca_make(&server, "server", "DNS:server.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1", &authority, 30);
	ca_make(&expired, "expired", "DNS:server.example", &authority, -1);
	ca_make(&client, "client", NULL, &authority, 30);
}

static void release_all(void)
{
	ca_release(&authority);
	ca_release(&stranger);
	ca_release(&server);
	ca_release(&expired);
	ca_release(&client);
}

static struct tls_options client_options(void)
{
	return (struct tls_options){ .only_own = 1, .ca_pem = str_of(authority.cert_pem) };
}

static struct tls_options server_options(const struct ca_pair *pair)
{
	return (struct tls_options){ .server = 1,
				     .cert_pem = str_of(pair->cert_pem),
				     .key_pem = str_of(pair->key_pem) };
}

/* What one has to say goes to the other, at most `most` bytes of it. 1: there was something. */
static int carry(struct tls_session *from, struct tls_session *to, size_t most)
{
	const char *p;
	size_t n = tls_session_peek(from, &p);

	n = n < most ? n : most;
	if (n == 0)
		return 0;
	ck_assert_int_eq(tls_session_give(to, p, n), 0);
	tls_session_taken(from, n);
	return 1;
}

/* Until neither has anything to say: what the client and the server ended with. */
static void shake(struct tls_session *c, struct tls_session *s, size_t step, int *ret_client, int *ret_server)
{
	int busy;

	do {
		*ret_client = tls_session_shake(c);
		busy = carry(c, s, step);
		*ret_server = tls_session_shake(s);
		busy |= carry(s, c, step);
	} while (busy);
}

struct talk {
	struct tls_context *client_context, *server_context;
	struct tls_session *c, *s;
	int client, server;
};

static struct talk talk(struct tls_options ours, struct tls_options theirs, const char *name, size_t step)
{
	struct talk t = { tls_context_new(&ours, why, sizeof(why)), tls_context_new(&theirs, why, sizeof(why)) };

	ck_assert_msg(t.client_context != NULL && t.server_context != NULL, "%s", why);
	t.c = tls_session_new(t.client_context, str_of(name));
	t.s = tls_session_new(t.server_context, STR_NONE);
	ck_assert(t.c != NULL && t.s != NULL);
	shake(t.c, t.s, step, &t.client, &t.server);
	return t;
}

static void hang_up(struct talk *t)
{
	tls_session_free(t->c);
	tls_session_free(t->s);
	tls_context_unref(t->client_context);
	tls_context_unref(t->server_context);
}

START_TEST(both_sides_talk)
{
	static const size_t steps[] = { SIZE_MAX, 1, 7 };
	struct talk t = talk(client_options(), server_options(&server), "server.example", steps[_i]);
	static char big[100000], got[100000];
	size_t sent = 0, came = 0;
	ssize_t n;

	ck_assert_int_eq(t.client, 1);
	ck_assert_int_eq(t.server, 1);
	for (n = 0; n < (ssize_t)sizeof(big); n++)
		big[n] = (char)(n * 7);
	while (came < sizeof(got)) {
		if (sent < sizeof(big)) {
			n = tls_session_write(t.c, big + sent, sizeof(big) - sent);
			ck_assert_int_gt(n, 0);
			sent += (size_t)n;
		}
		while (carry(t.c, t.s, _i == 1 ? 1000 : steps[_i]))
			continue;
		while ((n = tls_session_read(t.s, got + came, sizeof(got) - came)) > 0)
			came += (size_t)n;
		ck_assert(n == TLS_MORE || came == sizeof(got));
	}
	ck_assert_mem_eq(big, got, sizeof(got));
	tls_session_end(t.c);
	while (carry(t.c, t.s, SIZE_MAX))
		continue;
	ck_assert_int_eq(tls_session_read(t.s, got, 1), TLS_END);
	hang_up(&t);
}
END_TEST

START_TEST(an_end_without_a_word_is_not_the_end)
{
	struct talk t = talk(client_options(), server_options(&server), "server.example", SIZE_MAX);
	char c;

	ck_assert_int_eq(tls_session_read(t.s, &c, 1), TLS_MORE);
	tls_session_give_end(t.s);
	ck_assert_int_eq(tls_session_read(t.s, &c, 1), TLS_CUT);
	ck_assert_str_eq(tls_session_why(t.s), "tls: the connection ended without a word");
	hang_up(&t);
}
END_TEST

START_TEST(nonsense_fails)
{
	struct talk t = talk(client_options(), server_options(&server), "server.example", SIZE_MAX);
	static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	char c;

	ck_assert_int_eq(tls_session_give(t.c, garbage, sizeof(garbage)), 0);
	ck_assert_int_eq(tls_session_read(t.c, &c, 1), TLS_FAILED);
	ck_assert_int_eq(strncmp(tls_session_why(t.c), "tls: ", 5), 0);
	hang_up(&t);
}
END_TEST

static const struct {
	const char *name;
	const struct ca_pair *server;
	const char *why; /* NULL: well */
} names[] = {
	{ "server.example", &server, NULL },
	{ "a.wild.example", &server, NULL },
	{ "127.0.0.1", &server, NULL },
	{ "::1", &server, NULL },
	{ "", &server, NULL },
	{ "other.example", &server, "hostname mismatch" },
	{ "a.b.wild.example", &server, "hostname mismatch" },
	{ "127.0.0.2", &server, "IP address mismatch" },
	{ "server.example", &expired, "certificate has expired" },
	{ "server.example", &stranger, "self-signed certificate" },
};

START_TEST(who_answers_is_checked)
{
	struct talk t = talk(client_options(), server_options(names[_i].server), names[_i].name, SIZE_MAX);

	if (names[_i].why == NULL) {
		ck_assert_int_eq(t.client, 1);
	} else {
		ck_assert_int_eq(t.client, TLS_FAILED);
		ck_assert_msg(strstr(tls_session_why(t.c), names[_i].why) != NULL, "%s", tls_session_why(t.c));
	}
	hang_up(&t);
}
END_TEST

START_TEST(the_check_is_left_out_when_told)
{
	struct tls_options o = { .insecure = 1 };
	struct talk t = talk(o, server_options(&stranger), "anything.example", SIZE_MAX);

	ck_assert_int_eq(t.client, 1);
	hang_up(&t);
	o = client_options();
	o.any_name = 1;
	t = talk(o, server_options(&server), "other.example", SIZE_MAX);
	ck_assert_int_eq(t.client, 1);
	hang_up(&t);
	t = talk(o, server_options(&stranger), "other.example", SIZE_MAX);
	ck_assert_int_eq(t.client, TLS_FAILED);
	hang_up(&t);
}
END_TEST

START_TEST(a_server_may_ask_for_a_certificate)
{
	struct tls_options theirs = server_options(&server), ours = client_options();
	struct talk t;

	theirs.ask = theirs.only_own = 1;
	theirs.ca_pem = str_of(authority.cert_pem);
	t = talk(ours, theirs, "server.example", SIZE_MAX);
	ck_assert_int_eq(t.server, TLS_FAILED);
	hang_up(&t);
	ours.cert_pem = str_of(client.cert_pem);
	ours.key_pem = str_of(client.key_pem);
	t = talk(ours, theirs, "server.example", SIZE_MAX);
	ck_assert_int_eq(t.client, 1);
	ck_assert_int_eq(t.server, 1);
	hang_up(&t);
}
END_TEST

START_TEST(protocols_are_agreed)
{
	struct tls_options theirs = server_options(&server), ours = client_options();
	struct talk t;

	ours.alpn = STR("h2, http/1.1");
	theirs.alpn = STR("http/1.1");
	t = talk(ours, theirs, "server.example", SIZE_MAX);
	ck_assert(str_is(tls_session_alpn(t.c), "http/1.1"));
	hang_up(&t);
	theirs.alpn = STR("other");
	t = talk(ours, theirs, "server.example", SIZE_MAX);
	ck_assert_int_eq(t.client, 1);
	ck_assert_uint_eq(tls_session_alpn(t.c).n, 0);
	hang_up(&t);
}
END_TEST

static void refused(struct tls_options o, const char *text)
{
	ck_assert_ptr_null(tls_context_new(&o, why, sizeof(why)));
	ck_assert_msg(strstr(why, text) != NULL, "%s", why);
	ck_assert_ptr_null(strstr(why, "secret"));
}

START_TEST(what_cannot_be_used_is_said)
{
	struct tls_options o = { .ca_pem = STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") };

	refused(o, "the CA certificates cannot be used");
	o = (struct tls_options){ .ca_pem = STR("no PEM") };
	refused(o, "the CA certificates cannot be used");
	o = (struct tls_options){ .ca_file = STR("/nowhere/ca.pem") };
	refused(o, "the file of CA certificates cannot be used");
	o = (struct tls_options){ .cert_pem = str_of(client.cert_pem) };
	refused(o, "a certificate needs its key");
	o.key_pem = str_of(server.key_pem);
	refused(o, "the key cannot be used with the certificate");
	o.key_pem = STR("secret");
	refused(o, "the key cannot be used with the certificate");
	o = (struct tls_options){ .cert_pem = STR("x"), .key_pem = str_of(server.key_pem) };
	refused(o, "the certificate cannot be used");
	o = (struct tls_options){ .server = 1 };
	refused(o, "a server needs a certificate");
	o = (struct tls_options){ .alpn = STR("h2,,http/1.1") };
	refused(o, "the names for ALPN cannot be used");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_all, release_all);
	tcase_add_loop_test(t, both_sides_talk, 0, 3);
	tcase_add_test(t, an_end_without_a_word_is_not_the_end);
	tcase_add_test(t, nonsense_fails);
	tcase_add_loop_test(t, who_answers_is_checked, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(t, the_check_is_left_out_when_told);
	tcase_add_test(t, a_server_may_ask_for_a_certificate);
	tcase_add_test(t, protocols_are_agreed);
	tcase_add_test(t, what_cannot_be_used_is_said);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
