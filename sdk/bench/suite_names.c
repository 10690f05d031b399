/* SPDX-License-Identifier: Apache-2.0 */
/* Name resolution: who is told of is found, who is not is not, by one and by many at once. */
#include <davit/names.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

#define AT_ONCE 8
#define PORT 50002

static const struct davit_names_ops *ops_of(const struct host *h)
{
	return h->component->ops;
}

static davit_status resolve(struct host *h, struct call *ret_call, struct davit_str app)
{
	struct davit_name_query in = DAVIT_INIT(davit_name_query, .app_id = app, .name_space = davit_str("default"),
						.port = PORT);

	call_init(ret_call, h);
	return call_run(ret_call, (davit_op *)(void *)ops_of(h)->resolve, &in);
}

static int has(const struct call *c, struct davit_str address)
{
	size_t i;

	for (i = 0; i < c->nrecords; i++)
		if (c->records[i].name.n == address.n && memcmp(c->records[i].name.p, address.p, address.n) == 0)
			return 1;
	return 0;
}

/* Each address is one that can be dialled: something, a colon and a port. */
static int well_formed(const struct call *c)
{
	size_t i;

	for (i = 0; i < c->nrecords; i++) {
		struct davit_str a = c->records[i].name;
		const char *colon = a.p ? strrchr(a.p, ':') : NULL;

		if (colon == NULL || colon == a.p || strlen(a.p) != a.n || strtol(colon + 1, NULL, 10) < 1 ||
		    strtol(colon + 1, NULL, 10) > 65535)
			return 0;
	}
	return c->nrecords > 0;
}

static void nobody(struct host *h, struct davit_str app)
{
	struct call c;
	davit_status status = resolve(h, &c, app);

	report(status == DAVIT_NOT_FOUND && c.nrecords == 0, &c, "an application that is nowhere is NOT_FOUND");
	report(c.text[0] != '\0', &c, "with a sentence");
	call_release(&c);
}

struct asking {
	struct host *host;
	struct davit_str app;
	int well;
};

static void *ask(void *arg)
{
	struct asking *a = arg;
	struct call c;

	a->well = resolve(a->host, &c, a->app) == DAVIT_OK && well_formed(&c);
	call_release(&c);
	return NULL;
}

static void many_at_once(struct host *h, struct davit_str app)
{
	struct asking asking[AT_ONCE];
	pthread_t threads[AT_ONCE];
	int i, well = 1;

	for (i = 0; i < AT_ONCE; i++) {
		asking[i] = (struct asking){ h, app, 0 };
		if (pthread_create(&threads[i], NULL, ask, &asking[i]) != 0)
			abort();
	}
	for (i = 0; i < AT_ONCE; i++) {
		pthread_join(threads[i], NULL);
		well &= asking[i].well;
	}
	report(well, NULL, "several ask at once and all are answered");
}

static void announced(struct host *h)
{
	char app[64], port[16];
	struct davit_name_entry in = DAVIT_INIT(davit_name_entry, .name_space = davit_str("default"),
						.host = davit_str("127.0.0.1"), .port = PORT);
	struct call c;
	size_t i;
	int well;

	if (ops_of(h)->announce == NULL)
		return;
	snprintf(app, sizeof(app), "bench-%d", (int)getpid());
	snprintf(port, sizeof(port), ":%d", PORT);
	in.app_id = davit_str(app);
	call_init(&c, h);
	report(call_run(&c, (davit_op *)(void *)ops_of(h)->announce, &in) == DAVIT_OK, &c, "this sidecar is announced");
	call_release(&c);
	report(resolve(h, &c, in.app_id) == DAVIT_OK && well_formed(&c), &c, "and found");
	for (i = 0, well = 1; i < c.nrecords; i++)
		well &= c.records[i].name.n > 6 && strcmp(c.records[i].name.p + c.records[i].name.n - 6, port) == 0;
	report(well, &c, "at its port");
	call_release(&c);
	many_at_once(h, in.app_id);
}

void suite_names(struct host *h, const struct davit_pair *expected, size_t n, const struct davit_str *absent,
		 size_t nabsent)
{
	struct call c;
	size_t i;

	if (ops_of(h)->resolve == NULL) {
		report(0, NULL, "the component resolves");
		return;
	}
	for (i = 0; i < n; i++) {
		report(resolve(h, &c, expected[i].key) == DAVIT_OK && well_formed(&c) && has(&c, expected[i].value), &c,
		       expected[i].key.p);
		call_release(&c);
		many_at_once(h, expected[i].key);
	}
	for (i = 0; i < nabsent; i++)
		nobody(h, absent[i]);
	announced(h);
	nobody(h, davit_str("bench-nobody-has-this-name"));
}
