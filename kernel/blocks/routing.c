/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/routing.h"

#include "base/banned.h"
#include "base/log.h"
#include "cel/cel.h"

#define LOG_SCOPE "dapr.runtime.processor.subscription"

struct compiled {
	const struct cel *match; /* NULL: always */
	struct str text, path;
};

struct routing {
	size_t n;
	struct compiled rules[];
};

static struct str place_of(struct arena *a, const struct subscription *s, const struct subscription_rule *r,
			   const struct cel_fault *fault)
{
	if (s->file == NULL)
		return arena_printf(a, "the subscription to topic " STR_FMT " of " STR_FMT, STR_ARG(s->topic),
				    STR_ARG(s->pubsub));
	return arena_printf(a, "%s:%d: spec.routes.rules of Subscription " STR_FMT, s->file,
			    r->line ? r->line + (int)fault->line - 1 : s->line, STR_ARG(s->name));
}

struct routing *routing_new(struct arena *a, const struct subscription *s, struct str *ret_why)
{
	struct routing *routing = arena_zalloc(a, sizeof(*routing) + (s->nrules + 1) * sizeof(routing->rules[0]));
	struct cel_fault fault;
	size_t i;

	for (i = 0; i < s->nrules; i++) {
		const struct subscription_rule *from = &s->rules[i];
		struct compiled *to = &routing->rules[routing->n++];

		to->text = str_trim(from->match);
		to->path = from->path;
		if (to->text.n == 0)
			continue;
		to->match = cel_compile(a, to->text, &fault);
		if (to->match == NULL) {
			*ret_why = arena_printf(a, STR_FMT ": match '" STR_FMT "', %u:%u: " STR_FMT,
						STR_ARG(place_of(a, s, from, &fault)), STR_ARG(to->text), fault.line,
						fault.column, STR_ARG(fault.message));
			return NULL;
		}
		fault.line = 1;
		if (!cel_may_be_bool(to->match))
			log_warn(STR_FMT ": match '" STR_FMT "' is never true or false: each event will fail at it",
				 STR_ARG(place_of(a, s, from, &fault)), STR_ARG(to->text));
	}
	return routing;
}

struct asking {
	struct arena *a;
	const struct topic_event *event;
	struct cel_value value;
	int read;
};

/* The event is read when a rule first looks at it, once for all of them. */
static int lookup(void *arg, struct str name, struct cel_value *ret_value)
{
	struct asking *ask = arg;

	if (!str_is(name, "event"))
		return 0;
	if (!ask->read) {
		ask->value = cel_json(ask->a, ask->event->json);
		ask->read = 1;
	}
	*ret_value = ask->value;
	return 1;
}

int routing_find(const struct routing *r, struct arena *a, const struct topic_event *e, struct str *ret_path,
		 struct str *ret_why)
{
	struct asking ask = { .a = a, .event = e };
	struct cel_env env = { .lookup = lookup, .arg = &ask };
	struct str why;
	size_t i;
	int yes;

	for (i = 0; i < r->n; i++) {
		yes = 1;
		if (r->rules[i].match != NULL && cel_eval_bool(r->rules[i].match, a, &env, &yes, &why) < 0) {
			*ret_why = arena_printf(a, "match '" STR_FMT "': " STR_FMT, STR_ARG(r->rules[i].text),
						STR_ARG(why));
			return -1;
		}
		if (yes) {
			*ret_path = r->rules[i].path;
			return 1;
		}
	}
	return 0;
}
