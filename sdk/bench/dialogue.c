/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations from standard input, one a line, answered with one line each, for tests that need to do something in between:
 *	set KEY VALUE    (JSON)    setb KEY VALUE    (bytes)    get KEY    del KEY    etag KEY ETAG VALUE
 *	first KEY VALUE    (first-write)    strong KEY VALUE    ttl KEY SECONDS VALUE
 * "ok", "ok VALUE ETAG" or "fail STATUS REASON TEXT".
 */
#include <stdlib.h>

#include "report.h"
#include "state.h"

static void answer(struct call *c)
{
	const struct record *r = c->records;

	if (c->status != DAVIT_OK) {
		printf("fail %d %s %s\n", c->status, c->reason[0] ? c->reason : "-", c->text);
	} else if (c->nrecords == 0) {
		printf("ok\n");
	} else {
		printf("ok ");
		fwrite(r->value.p, 1, r->value.n, stdout); /* which may have a NUL */
		printf(" %s\n", r->etag.p ? r->etag.p : "-");
	}
	fflush(stdout);
	call_release(c);
}

void dialogue(struct host *h)
{
	char *line = NULL, *rest, *verb, *key, *word;
	size_t room = 0;
	struct call c;

	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		verb = strsep(&rest, " ");
		key = strsep(&rest, " ");
		if (key == NULL)
			continue;
		if (strcmp(verb, "get") == 0 && h->component->block == DAVIT_BLOCK_SECRETS) {
			secret_get(h, &c, davit_str(key));
		} else if (h->component->block != DAVIT_BLOCK_STATE) {
			continue;
		} else if (strcmp(verb, "get") == 0) {
			state_get(h, &c, key);
		} else if (strcmp(verb, "del") == 0) {
			state_del(h, &c, key, 0, NULL);
		} else if (rest != NULL && strncmp(verb, "set", 3) == 0) {
			struct put p = { key, rest, strlen(rest), verb[3] == 'b' ? 0 : DAVIT_STATE_JSON, NULL, 0 };

			state_put(h, &c, &p);
		} else if (rest != NULL && (strcmp(verb, "first") == 0 || strcmp(verb, "strong") == 0)) {
			struct put p = { key, rest, strlen(rest), DAVIT_STATE_JSON, NULL, 0 };

			p.flags |= verb[0] == 'f' ? DAVIT_STATE_FIRST_WRITE : DAVIT_STATE_STRONG;
			state_put(h, &c, &p);
		} else if (rest != NULL && strcmp(verb, "ttl") == 0) {
			word = strsep(&rest, " ");
			struct put p = { key,  rest ? rest : "",       rest ? strlen(rest) : 0, DAVIT_STATE_JSON,
					 NULL, strtoll(word, NULL, 10) };

			state_put(h, &c, &p);
		} else if (rest != NULL && strcmp(verb, "etag") == 0) {
			word = strsep(&rest, " ");
			struct put p = { key, rest ? rest : "", rest ? strlen(rest) : 0, DAVIT_STATE_JSON, word, 0 };

			state_put(h, &c, &p);
		} else {
			continue;
		}
		answer(&c);
	}
	free(line);
}
