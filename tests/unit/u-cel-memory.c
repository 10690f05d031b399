/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions when the n-th allocation fails, for every n: the arena's exit or an error, the same answer when it goes well
 * again, and nothing left behind. The kernel's allocator is this file's. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cel/cel.h"

static long fail_at, living;

static void *counted(void *p)
{
	if (p != NULL)
		living++;
	return p;
}

static int fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *mem_alloc(size_t n)
{
	return fails() ? NULL : counted(malloc(n ? n : 1));
}

void *mem_zalloc(size_t n)
{
	return fails() ? NULL : counted(calloc(1, n ? n : 1));
}

void *mem_resize(void *p, size_t n)
{
	void *q = fails() ? NULL : realloc(p, n ? n : 1);

	if (p == NULL && q != NULL)
		living++;
	return q;
}

char *mem_dup(const void *p, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (copy != NULL) {
		memcpy(copy, p, n);
		copy[n] = '\0';
	}
	return copy;
}

void mem_free(void *p)
{
	if (p != NULL)
		living--;
	free(p);
}

static int lookup(void *arg, struct str name, struct cel_value *ret_value)
{
	(void)name;
	*ret_value = *(struct cel_value *)arg;
	return 1;
}

/* Large enough that every part needs memory of its own. */
static const char rule[] =
	"e.list.map(x, x + 1.0).filter(x, x > 1.0).size() > 3 && e.type.matches('^(ab|cd)*[0-9]{1,30}$') && "
	"e.list + e.list == e.list.map(x, x) + e.list && {'a': e, 'b': [e]} == {'b': [e], 'a': e} && "
	"timestamp('2024-07-01T12:00:00Z').getHours('Europe/Berlin') >= 12 && e.pattern.matches(e.pattern)";

static struct str event(struct arena *a)
{
	struct buf b = buf_in(a);

	buf_adds(&b, STR("{\"type\": \"abcd12\", \"pattern\": \"a{1,20}\\u0062*\", \"list\": ["));
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "%s%d", i ? "," : "", i);
	buf_adds(&b, STR("]"));
	for (int i = 0; i < 50; i++)
		buf_printf(&b, ",\"key%d\":{\"k\":[%d]}", i, i);
	buf_adds(&b, STR("}"));
	return buf_str(&b);
}

/* 1: it went to the end and gave true; 0: memory ended on the way. */
static int run(struct arena *a)
{
	struct cel_fault fault;
	struct cel_value e;
	struct cel_env env = { lookup, &e };
	struct str error;
	jmp_buf no_memory;
	struct cel *c;
	int value;

	if (setjmp(no_memory))
		return 0;
	arena_on_oom(a, &no_memory);
	c = cel_compile(a, str_of(rule), &fault);
	ck_assert_msg(c != NULL, STR_FMT, STR_ARG(fault.message));
	e = cel_json(a, event(a));
	if (cel_eval_bool(c, a, &env, &value, &error) < 0) {
		ck_assert_msg(str_find(error, STR("out of memory")) >= 0, STR_FMT, STR_ARG(error));
		return 0;
	}
	ck_assert_int_eq(value, 1);
	return 1;
}

START_TEST(every_allocation_may_fail)
{
	long n = 0;
	int whole = 0;

	while (!whole) {
		struct arena *a = arena_new();
		long before = living;

		ck_assert_ptr_nonnull(a);
		fail_at = ++n;
		whole = run(a) && fail_at > 0;
		fail_at = 0;
		arena_unref(a);
		arena_drop_stock();
		ck_assert_int_lt(living, before);
		ck_assert_int_lt(n, 10000);
	}
	ck_assert_int_gt(n, 10);
	ck_assert_int_eq(living, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cel-memory");
	TCase *t = tcase_create("cel-memory");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, every_allocation_may_fail);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? 1 : 0;
}
