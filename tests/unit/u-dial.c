/* SPDX-License-Identifier: Apache-2.0 */
/* The service davit.dial/1, from a loop and from a worker, plain and sealed, against servers good and bad. */
#include <davit/dial.h>
#include <davit/sleep.h>
#include <signal.h>

#include "dial_peer.h"
#include "service_rig.h"

#include <check.h> /* last: it has a macro fail, which is a name of the plugin line */

static struct peer peer;
static struct ca_pair authority, stranger, server, client;
static char why[256];

static void make_all(void)
{
	signal(SIGPIPE, SIG_IGN);
	ca_make(&authority, "Authority", NULL, NULL, 30);
	ca_make(&stranger, "Stranger", NULL, NULL, 30);
	ca_make(&server, "server", "DNS:localhost,IP:127.0.0.1", &authority, 30);
	ca_make(&client, "client", NULL, &authority, 30);
}

static void release_all(void)
{
	ca_release(&authority);
	ca_release(&stranger);
	ca_release(&server);
	ca_release(&client);
}

/* ---- What an operation does with a stream ---- */

struct job {
	struct davit_dial_to to;
	struct davit_tls tls;
	size_t n; /* bytes to send and to get back */
	int64_t read_ms, write_ms;
	davit_status dialled, wrote, read, read_again;
	uint64_t came;
	char first[8];
	char stream_why[256];
};

static struct job to_peer(int sealed)
{
	struct job j = { .to = DAVIT_INIT(davit_dial_to, .host = davit_str("127.0.0.1"), .port = peer.port,
					  .timeout_ms = 5000, .why = why, .nwhy = sizeof(why)),
			 .n = 100 };

	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = DAVIT_TLS_ONLY_OWN,
					     .ca_pem = davit_str(authority.cert_pem));
	(void)sealed;
	return j;
}

static void fill(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 251);
}

/* Sends n bytes in pieces of all sizes, and reads as many back while they are on their way. */
static davit_status echo_all(const struct davit_dial_service *dial, struct davit_stream *s, struct davit_call *call,
			     struct job *j)
{
	struct davit_bytes pieces[100];
	char *out = malloc(j->n + 1), *in = malloc(j->n + 1);
	size_t sent = 0, k, part;
	uint64_t n;

	fill(out, j->n);
	while (j->came < j->n && j->read == DAVIT_OK && j->wrote == DAVIT_OK) {
		/* At most 50 KB ahead: the peer does not read while nobody takes its echo. */
		for (k = 0; k < 100 && sent < j->n && sent - j->came < 50000; k++) {
			part = (sent * 7 + 13) % 3000 + 1;
			part = part < j->n - sent ? part : j->n - sent;
			pieces[k] = (struct davit_bytes){ out + sent, part };
			sent += part;
		}
		if (k > 0)
			j->wrote = dial->write(s, call, pieces, k, j->write_ms);
		if (j->wrote == DAVIT_OK)
			j->read = dial->read(s, call, in + j->came, j->n - j->came, j->read_ms, &n);
		if (j->read == DAVIT_OK && n == 0)
			j->read = DAVIT_DATA_LOSS;
		j->came += n;
	}
	if (j->came == j->n && memcmp(out, in, j->n) != 0)
		j->read = DAVIT_DATA_LOSS;
	free(out);
	free(in);
	return j->wrote != DAVIT_OK ? j->wrote : j->read;
}

static davit_status dial_and(struct davit_call *call, struct job *j,
			     davit_status (*then)(const struct davit_dial_service *dial, struct davit_stream *s,
						  struct davit_call *call, struct job *j))
{
	const struct davit_dial_service *dial = davit_dial_service(handle);
	struct davit_stream *s = NULL;
	davit_status status;

	j->dialled = dial->dial(handle, call, &j->to, &s);
	if (j->dialled != DAVIT_OK)
		return j->dialled;
	status = then(dial, s, call, j);
	snprintf(j->stream_why, sizeof(j->stream_why), "%s", dial->why(s));
	dial->close(s);
	return status;
}

static davit_status do_echo(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, echo_all);
}

static davit_status ask_and_read(const struct davit_dial_service *dial, struct davit_stream *s, struct davit_call *call,
				 struct job *j)
{
	struct davit_bytes q = { "?", 1 };
	uint64_t n;

	j->wrote = dial->write(s, call, &q, 1, j->write_ms);
	j->read = dial->read(s, call, j->first, sizeof(j->first) - 1, j->read_ms, &j->came);
	if (j->read == DAVIT_OK)
		j->read_again = dial->read(s, call, j->first + j->came, 1, j->read_ms, &n);
	return j->read;
}

static davit_status do_ask(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, ask_and_read);
}

/* ---- Tests: each from a fiber (even) and a worker (odd), plain (0, 1) and sealed (2, 3) ---- */

#define WHICH (_i % 2)
#define SEALED (_i / 2)

static struct operation set_up(int i, enum manners manners, struct job *j,
			       davit_status (*fn)(struct davit_call *, void *))
{
	rig_set_up();
	peer_start(&peer, manners, NULL, i / 2 ? &server : NULL, NULL);
	*j = to_peer(i / 2);
	if (i / 2)
		j->to.tls = &j->tls;
	return rig_operation(i % 2, fn, j);
}

static void tear_down(void)
{
	rig_tear_down();
	peer_stop(&peer);
}

START_TEST(what_is_sent_comes_back)
{
	static const size_t sizes[] = { 1, 100, 70000, 3000000 };
	struct operation o;
	struct job j;
	size_t i;

	o = set_up(_i, PEER_ECHO, &j, do_echo);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		j.n = sizes[i];
		j.came = 0;
		ck_assert_int_eq(rig_run(&o), DAVIT_OK);
		ck_assert_uint_eq(j.came, sizes[i]);
	}
	tear_down();
}
END_TEST

START_TEST(an_answer_may_end_half_way)
{
	struct operation o;
	struct job j;

	o = set_up(_i, PEER_HALF, &j, do_ask);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_str_eq(j.first, "half");
	/* Without TLS it is an end like any other; with TLS the end was not said. */
	ck_assert_int_eq(j.read_again, (SEALED ? DAVIT_UNAVAILABLE : DAVIT_OK));
	tear_down();
}
END_TEST

START_TEST(a_reset_is_a_failure)
{
	struct operation o;
	struct job j;

	o = set_up(_i, PEER_RESET, &j, do_ask);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_eq(j.read_again, DAVIT_UNAVAILABLE);
	ck_assert_msg(strncmp(j.stream_why, "read: ", 6) == 0, "%s", j.stream_why);
	tear_down();
}
END_TEST

START_TEST(a_read_has_its_own_end)
{
	struct operation o;
	struct job j;

	o = set_up(_i, PEER_SWALLOW, &j, do_ask);
	j.read_ms = 50;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_str_eq(j.stream_why, "read: i/o timeout");
	ck_assert_int_lt(o.took_ms, 2000);
	j.read_ms = 0;
	o.timeout_ms = 100;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_lt(o.took_ms, 2000);
	o.timeout_ms = 0;
	o.cancel_ms = 100;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	ck_assert_int_lt(o.took_ms, 2000);
	tear_down();
}
END_TEST

static davit_status write_much(const struct davit_dial_service *dial, struct davit_stream *s, struct davit_call *call,
			       struct job *j)
{
	size_t n = 64 << 20;
	struct davit_bytes b = { calloc(1, n), n };

	j->wrote = dial->write(s, call, &b, 1, j->write_ms);
	free((void *)b.p);
	b = (struct davit_bytes){ "x", 1 };
	j->read_again = dial->write(s, call, &b, 1, j->write_ms);
	return j->wrote;
}

static davit_status do_write_much(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, write_much);
}

START_TEST(who_does_not_read_ends_a_write)
{
	struct operation o;
	struct job j;

	o = set_up(WHICH, PEER_SILENT, &j, do_write_much);
	j.write_ms = 100;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_eq(j.read_again, DAVIT_UNAVAILABLE);
	ck_assert_str_eq(j.stream_why, "write: the stream is broken");
	j.write_ms = 0;
	o.cancel_ms = 100;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	tear_down();
}
END_TEST

static davit_status listen_late(const struct davit_dial_service *dial, struct davit_stream *s, struct davit_call *call,
				struct job *j)
{
	char c, *buf = malloc(100000);
	uint64_t n;

	/* What comes meanwhile is kept up to a limit, and then the sender waits. */
	if (dial->read(s, call, &c, 1, 0, &n) != DAVIT_OK)
		j->read = DAVIT_DATA_LOSS;
	davit_sleep_service(handle)->sleep(handle, call, 200);
	for (j->came = 1; j->came < 1000000 && j->read == DAVIT_OK; j->came += n)
		j->read = dial->read(s, call, buf, 1 + j->came % 100000, 0, &n);
	free(buf);
	return j->read;
}

static davit_status do_listen_late(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, listen_late);
}

START_TEST(a_sender_waits_for_its_reader)
{
	struct operation o;
	struct job j;

	o = set_up(_i, PEER_TALK, &j, do_listen_late);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	ck_assert_int_lt(peer.swallowed, 64 << 20); /* what the system keeps, and we */
	tear_down();
}
END_TEST

static davit_status do_dial(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, ask_and_read);
}

START_TEST(failures_are_told)
{
	struct operation o;
	struct job j;
	char path[200];

	o = set_up(WHICH, PEER_ECHO, &j, do_dial);
	peer_stop(&peer);
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(why, "dial tcp 127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(why, ": connect: connection refused"));
	j.to.host = davit_str("localhost"); /* both addresses are tried */
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	j.to.host = davit_str("/nowhere/at/all.sock");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_str_eq(why, "dial unix /nowhere/at/all.sock: connect: no such file or directory");
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[199] = '\0';
	j.to.host = davit_str(path);
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	j.to.host = davit_str("");
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	j.to.host = davit_str("127.0.0.1");
	j.to.port = 70000;
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	ck_assert_str_eq(why, "dial tcp: 70000 is no port");
	rig_tear_down();
}
END_TEST

START_TEST(dialling_has_an_end)
{
	struct operation o;
	struct job j;

	/* It accepts by the system's grace, and never says anything to our TLS. */
	o = set_up(2 + WHICH, PEER_SILENT, &j, do_dial);
	j.to.timeout_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	ck_assert_int_lt(o.took_ms, 2000);
	j.to.timeout_ms = 0;
	o.timeout_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_DEADLINE_EXCEEDED);
	o.timeout_ms = 0;
	o.cancel_ms = 80;
	ck_assert_int_eq(rig_run(&o), DAVIT_CANCELLED);
	ck_assert_int_lt(o.took_ms, 2000);
	tear_down();
}
END_TEST

START_TEST(a_unix_socket_is_dialled)
{
	char path[64];
	struct operation o;
	struct job j;

	snprintf(path, sizeof(path), "/tmp/u-dial-%d.sock", (int)getpid());
	rig_set_up();
	peer_start(&peer, PEER_ECHO, path, NULL, NULL);
	j = to_peer(0);
	j.to.host = davit_str(path);
	j.n = 200000;
	o = rig_operation(WHICH, do_echo, &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	tear_down();
	unlink(path);
}
END_TEST

START_TEST(who_answers_must_be_who_was_dialled)
{
	struct operation o;
	struct job j;

	o = set_up(2 + WHICH, PEER_ECHO, &j, do_echo);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	j.tls.server_name = davit_str("other.example");
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(why, "tls: failed to verify certificate: "));
	j.tls.flags |= DAVIT_TLS_ANY_NAME;
	j.came = 0;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .ca_pem = davit_str(stranger.cert_pem));
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	j.tls = (struct davit_tls)DAVIT_INIT(davit_tls, .flags = DAVIT_TLS_INSECURE);
	j.came = 0;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	j.tls.ca_file = davit_str("/nowhere.pem");
	j.tls.flags = 0;
	ck_assert_int_eq(rig_run(&o), DAVIT_INVALID_ARGUMENT);
	tear_down();
}
END_TEST

START_TEST(we_show_our_certificate)
{
	struct operation o;
	struct job j;

	rig_set_up();
	peer_start(&peer, PEER_ECHO, NULL, &server, &authority);
	j = to_peer(1);
	j.to.tls = &j.tls;
	o = rig_operation(WHICH, do_echo, &j);
	ck_assert_int_eq(rig_run(&o), DAVIT_UNAVAILABLE);
	j = to_peer(1);
	j.to.tls = &j.tls;
	j.tls.cert_pem = davit_str(client.cert_pem);
	j.tls.key_pem = davit_str(client.key_pem);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	tear_down();
}
END_TEST

static davit_status upgrade(const struct davit_dial_service *dial, struct davit_stream *s, struct davit_call *call,
			    struct job *j)
{
	struct davit_dial_to to = j->to;
	struct davit_bytes b = { "S", 1 };
	davit_status status = dial->write(s, call, &b, 1, 0);
	uint64_t n = 0, k;

	while (status == DAVIT_OK && n < 2) {
		status = dial->read(s, call, j->first + n, 2 - n, 0, &k);
		n += k;
	}
	to.tls = &j->tls;
	if (status == DAVIT_OK)
		status = dial->start_tls(s, call, &to);
	return status == DAVIT_OK ? echo_all(dial, s, call, j) : status;
}

static davit_status do_upgrade(struct davit_call *call, void *arg)
{
	return dial_and(call, arg, upgrade);
}

START_TEST(a_plain_stream_becomes_a_sealed_one)
{
	struct operation o;
	struct job j;

	o = set_up(2 + WHICH, PEER_UPGRADE, &j, do_upgrade);
	j.to.tls = NULL;
	j.n = 100000;
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	tear_down();
}
END_TEST

/* ---- One reads while another writes, one of each ---- */

static struct davit_stream *common;
static _Atomic davit_status others;

static davit_status read_common(struct davit_call *call, void *arg)
{
	uint64_t n;
	char c;

	(void)arg;
	others = davit_dial_service(handle)->read(common, call, &c, 1, 0, &n);
	return others;
}

static davit_status use_common(struct davit_call *call, void *arg)
{
	const struct davit_dial_service *dial = davit_dial_service(handle);
	uint64_t n;
	char c;

	(void)arg;
	if (dial->read(common, call, &c, 1, 10, &n) != DAVIT_FAILED_PRECONDITION)
		return DAVIT_INTERNAL;
	dial->shutdown(common);
	while (others != DAVIT_CANCELLED)
		if (davit_sleep_service(handle)->sleep(handle, call, 5) != DAVIT_OK)
			return DAVIT_INTERNAL;
	return dial->read(common, call, &c, 1, 10, &n) == DAVIT_CANCELLED ? DAVIT_OK : DAVIT_INTERNAL;
}

static davit_status dial_common(struct davit_call *call, void *arg)
{
	struct job *j = arg;

	return davit_dial_service(handle)->dial(handle, call, &j->to, &common);
}

static davit_status close_common(struct davit_call *call, void *arg)
{
	(void)call, (void)arg;
	davit_dial_service(handle)->close(common);
	return DAVIT_OK;
}

START_TEST(shutdown_frees_whoever_reads)
{
	struct operation o, reading;
	struct errand e;
	struct job j;

	o = set_up(_i, PEER_SILENT, &j, dial_common);
	if (SEALED) {
		peer_stop(&peer);
		peer_start(&peer, PEER_SWALLOW, NULL, &server, NULL);
		j.to.port = peer.port;
	}
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	others = -9;
	/* The reader is on the other loop, or a worker: the stream is used from elsewhere. */
	reading = rig_operation(WHICH, read_common, NULL);
	rig_begin(&e, 1, rig_operate, &reading);
	usleep(50000);
	o = rig_operation(0, use_common, NULL);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	rig_end(&e);
	ck_assert_int_eq(others, DAVIT_CANCELLED);
	o = rig_operation(WHICH, close_common, NULL);
	ck_assert_int_eq(rig_run(&o), DAVIT_OK);
	tear_down();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dial");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, make_all, release_all);
	tcase_add_loop_test(t, what_is_sent_comes_back, 0, 4);
	tcase_add_loop_test(t, an_answer_may_end_half_way, 0, 4);
	tcase_add_loop_test(t, a_reset_is_a_failure, 0, 4);
	tcase_add_loop_test(t, a_read_has_its_own_end, 0, 4);
	tcase_add_loop_test(t, who_does_not_read_ends_a_write, 0, 2);
	tcase_add_loop_test(t, a_sender_waits_for_its_reader, 0, 4);
	tcase_add_loop_test(t, failures_are_told, 0, 2);
	tcase_add_loop_test(t, dialling_has_an_end, 0, 2);
	tcase_add_loop_test(t, a_unix_socket_is_dialled, 0, 2);
	tcase_add_loop_test(t, who_answers_must_be_who_was_dialled, 0, 2);
	tcase_add_loop_test(t, we_show_our_certificate, 0, 2);
	tcase_add_loop_test(t, a_plain_stream_becomes_a_sealed_one, 0, 2);
	tcase_add_loop_test(t, shutdown_frees_whoever_reads, 0, 4);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
