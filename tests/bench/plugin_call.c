/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one operation of a component costs inside the process: a fiber asks a state store for a key, over and over.
 *
 *	plugin_call PLUGINS TYPE CALLS		prints the nanoseconds of a call
 */
#include <davit/state.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop/fiber.h"
#include "loop/loop.h"
#include "plugin/call.h"
#include "plugin/instance.h"

struct errand {
	struct component_type *type;
	struct loop *loop;
	long calls;
	int64_t ns;
	uv_sem_t over;
};

static void fail(struct str why)
{
	fprintf(stderr, "plugin_call: " STR_FMT "\n", STR_ARG(why));
	exit(1);
}

static struct answer ask(struct instance *i, davit_op *op, const void *in)
{
	struct arena *a = arena_new();
	struct scope s = { .arena = a };
	struct answer answer = call_instance(&s, i, op, in);

	if (answer.status != DAVIT_OK)
		fail(answer.message);
	arena_unref(a);
	return answer;
}

static void measure(void *arg)
{
	struct davit_state_set set = { sizeof(set), davit_state_set_kind, .key = { "key", 3 },
				       .value = { (const uint8_t *)"value", 5 } };
	struct davit_state_key get = { sizeof(get), davit_state_key_kind, .key = { "key", 3 } };
	struct errand *e = arg;
	struct error error = ERROR_NONE;
	struct instance_options o = { .type = e->type,
				      .name = STR("bench"),
				      .app_id = STR("bench"),
				      .name_space = STR(""),
				      .loops = &e->loop,
				      .nloops = 1 };
	const struct davit_state_ops *ops = e->type->ops;
	struct arena *a = arena_new();
	struct instance *i = instance_open(a, &o, &error);
	int64_t start;

	if (i == NULL)
		fail(error.message);
	ask(i, (davit_op *)ops->set, &set);
	for (long n = 0; n < e->calls / 10; n++)
		ask(i, (davit_op *)ops->get, &get);
	start = clock_ns();
	for (long n = 0; n < e->calls; n++)
		ask(i, (davit_op *)ops->get, &get);
	e->ns = clock_ns() - start;
	instance_close(i, 5000);
	arena_unref(a);
	uv_sem_post(&e->over);
}

static void start(void *arg)
{
	struct errand *e = arg;

	if (fiber_start(e->loop, measure, e) < 0)
		fail(STR("no fiber"));
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct registry_wish wish = { .type = STR_NONE };
	struct errand e = { 0 };
	struct registry *r;
	struct str root, why;

	if (argc != 4)
		fail(STR("usage: plugin_call PLUGINS TYPE CALLS"));
	root = str_of(argv[1]);
	r = registry_new(&root, 1);
	wish.type = str_of(argv[2]);
	e.type = registry_find(r, &wish, a, &why);
	if (e.type == NULL || registry_load(r, e.type, a, &why) < 0)
		fail(why);
	e.calls = atol(argv[3]);
	e.loop = loop_new(0);
	if (e.loop == NULL || loop_start(e.loop) < 0)
		fail(STR("no loop"));
	uv_sem_init(&e.over, 0);
	loop_call(e.loop, start, &e);
	uv_sem_wait(&e.over);
	printf("%.1f\n", (double)e.ns / (double)e.calls);
	fflush(stdout);
	_Exit(0); /* a loop and a library that only this program knows of */
}
