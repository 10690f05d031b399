/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n: each request is answered, or its connection ends, and the next one is fine. */
#include "base/mem.h"
#include "http_rig.h"

static atomic_int fail_in; /* the allocation that fails; 0: none */

static int fails(void)
{
	int n = fail_in;

	while (n > 0 && !atomic_compare_exchange_weak(&fail_in, &n, n - 1))
		;
	return n == 1;
}

#include "failing_mem.h"

struct script {
	const char *name, *bytes;
	size_t n;
};

#define SCRIPT(name, bytes) \
	{ \
		name, bytes, sizeof(bytes) - 1 \
	}
#define PREFACE \
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" \
	"\0\0\0\4\0\0\0\0\0"
static const struct script scripts[] = {
	SCRIPT("get", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	SCRIPT("post", "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
	SCRIPT("chunked", "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
			  "5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
	SCRIPT("pieces", "GET /pieces HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	SCRIPT("large", "GET /large-write HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	SCRIPT("pipelined",
	       "GET /slow?1 HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
	/* 0x82 GET, 0x86 http, 0x41 :authority, 0x04 :path */
	SCRIPT("h2 get", PREFACE "\0\0\11\1\5\0\0\0\1"
				 "\x82\x86\x41\1h\4\2/a"
				 "\0\0\10\7\0\0\0\0\0"
				 "\0\0\0\0\0\0\0\0"),
	SCRIPT("h2 pieces", PREFACE "\0\0\16\1\5\0\0\0\1"
				    "\x82\x86\x41\1h\4\7/pieces"
				    "\0\0\10\7\0\0\0\0\0"
				    "\0\0\0\0\0\0\0\0"),
	SCRIPT("h2 post", PREFACE "\0\0\14\1\4\0\0\0\1"
				  "\x83\x86\x41\1h\4\5/echo"
				  "\0\0\5\0\1\0\0\0\1"
				  "hello"
				  "\0\0\10\7\0\0\0\0\0"
				  "\0\0\0\0\0\0\0\0"),
};

/* Sends the script; everything that comes until the end. */
static struct buf play(const struct script *s)
{
	struct buf b = buf_init();
	int fd = dial();

	put(fd, s->bytes, s->n);
	if (!take_all(fd, &b, s->name[0] == 'h' ? 100 : 3000))
		ck_assert_msg(s->name[0] == 'h', "%s: neither answer nor end", s->name);
	close(fd);
	return b;
}

START_TEST(each_allocation_may_fail)
{
	const struct script *s = &scripts[_i];
	struct buf b;
	int n, stop = 0;

	for (n = 1; !stop && n < 400; n++) {
		fail_in = n;
		b = play(s);
		stop = fail_in > 0; /* it was not reached */
		fail_in = 0;
		if (stop)
			ck_assert_msg(b.n > 0, "%s: no answer with all its memory", s->name);
		if (s->name[0] != 'h' && b.n > 0)
			ck_assert_msg(strncmp(b.p, "HTTP/1.1 200", 12) == 0 || strncmp(b.p, "HTTP/1.1 50", 11) == 0,
				      "%s: %d: %.100s", s->name, n, b.p);
		buf_free(&b);
		b = play(&scripts[0]);
		ck_assert_msg(b.n > 0 && strncmp(b.p, "HTTP/1.1 200 OK\r\n", 17) == 0, "after %s, %d", s->name, n);
		buf_free(&b);
	}
	ck_assert_msg(stop, "%s: it allocates for ever", s->name);
	printf("%s: %d allocations\n", s->name, n - 2);
	while (http_server_exchanges(rig.s) > 0)
		rig_nap(1);
}
END_TEST

START_TEST(a_server_opens_or_says_why)
{
	struct str message;
	struct http_server *s = NULL;
	int n;

	rig_prepare();
	rig_start_loops();
	for (n = 1; s == NULL && n < 100; n++) {
		message = STR_NONE;
		fail_in = n;
		s = http_listen_tcp(&rig.o, rig.loops, RIG_LOOPS, "127.0.0.1", 0, rig.arena, &message);
		fail_in = 0;
		ck_assert(s != NULL || str_eq(message, STR("out of memory")));
	}
	ck_assert_ptr_nonnull(s);
	rig.s = s;
	rig_stop();
}
END_TEST

static void setup(void)
{
	rig_prepare();
	rig_start();
}

int main(void)
{
	Suite *s = suite_create("http-memory");
	TCase *t = tcase_create("requests"), *u = tcase_create("opening");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, rig_stop);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, each_allocation_may_fail, 0, sizeof(scripts) / sizeof(*scripts));
	suite_add_tcase(s, t);
	tcase_add_test(u, a_server_opens_or_says_why);
	suite_add_tcase(s, u);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
