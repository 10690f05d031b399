/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions and events of any bytes, on a fiber's stack. An input is an expression, and behind a NUL the event's JSON. The
 * variable `event` is that JSON, every other one an int. What is compiled is evaluated twice, which must give the same.
 */
#include "cel_text.h"
#include "fuzz_stack.h"

struct input {
	struct str expression, event;
};

struct environment {
	struct cel_value event;
};

static int lookup(void *arg, struct str name, struct cel_value *ret_value)
{
	struct environment *env = arg;

	*ret_value = str_is(name, "event") ? env->event : cel_int((int64_t)name.n);
	return name.n != 3;
}

/* Compiled and evaluated on the small stack; printed behind it, since that goes deeper. */
struct outcome {
	struct input in;
	struct arena *a;
	struct cel *c;
	int done[2];
	struct cel_value value[2];
	struct str error[2];
};

static void run(void *arg)
{
	struct outcome *o = arg;
	struct cel_fault fault;
	jmp_buf no_memory;

	if (setjmp(no_memory)) {
		o->c = NULL;
		return;
	}
	arena_on_oom(o->a, &no_memory);
	o->c = cel_compile(o->a, o->in.expression, &fault);
	if (!o->c && (fault.line < 1 || fault.column < 1 || fault.message.n == 0))
		abort();
	for (int i = 0; o->c && i < 2; i++) {
		struct environment values = { cel_json(o->a, o->in.event) };
		struct cel_env env = { lookup, &values };

		o->done[i] = cel_eval(o->c, o->a, &env, &o->value[i], &o->error[i]);
	}
	arena_on_oom(o->a, NULL);
}

static void compare(const struct outcome *o)
{
	if (o->done[0] != o->done[1])
		abort();
	if (o->done[0] < 0 && !str_eq(o->error[0], o->error[1]))
		abort();
	if (o->done[0] < 0)
		return;
	if (o->value[0].kind == CEL_BOOL && !cel_may_be_bool(o->c))
		abort();
	if (!str_eq(cel_text(o->a, o->value[0]), cel_text(o->a, o->value[1])))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct outcome o = { .a = arena_new() };

	if (!str_cut(text, '\0', &o.in.expression, &o.in.event))
		o.in.event = STR(
			"{\"type\": \"a.b\", \"n\": 1, \"data\": {\"list\": [1, \"2\", null, {\"k\": [true]}], "
			"\"s\": \"\\u00e9\"}}");
	fuzz_on_fiber(run, &o);
	if (o.c)
		compare(&o);
	arena_unref(o.a);
	return 0;
}
