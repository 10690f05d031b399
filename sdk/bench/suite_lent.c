/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation is given is the host's, and is there until the call is over. Here it lies in pages of its own, which nobody may
 * read afterwards: who has kept a pointer crashes at the next call, and end.c can tell why.
 */
#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "end.h"
#include "probe.h"
#include "report.h"

#define ROUNDS 3
#define LENT 8192 /* bytes of pages for one call */

/* The texts in what an operation is given; davit_str and davit_bytes are laid out alike. */
static const struct {
	uint32_t kind;
	size_t at;
} texts[] = {
	{ davit_state_set_kind, offsetof(struct davit_state_set, key) },
	{ davit_state_set_kind, offsetof(struct davit_state_set, value) },
	{ davit_state_key_kind, offsetof(struct davit_state_key, key) },
	{ davit_secret_key_kind, offsetof(struct davit_secret_key, name) },
	{ davit_name_query_kind, offsetof(struct davit_name_query, app_id) },
	{ davit_name_query_kind, offsetof(struct davit_name_query, name_space) },
	{ davit_publish_kind, offsetof(struct davit_publish, topic) },
	{ davit_publish_kind, offsetof(struct davit_publish, data) },
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static int known(uint32_t kind)
{
	size_t i;

	for (i = 0; i < TEXTS && texts[i].kind != kind; i++)
		;
	return i < TEXTS;
}

/* A copy of the whole in the pages. */
static void *lend(const void *in, char *pages)
{
	const uint32_t *head = in; /* size, kind */
	char *to = pages + (head[0] + 15) / 16 * 16;
	struct davit_str *text;
	size_t i;

	memcpy(pages, in, head[0]);
	for (i = 0; i < TEXTS; i++) {
		if (texts[i].kind != head[1])
			continue;
		text = (struct davit_str *)(void *)(pages + texts[i].at);
		if (text->n > 0)
			memcpy(to, text->p, text->n);
		to[text->n] = '\0';
		text->p = to;
		to += text->n + 1;
	}
	return pages;
}

static void one(struct host *h, const struct probe *p)
{
	char *pages = mmap(NULL, LENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct call c;

	if (pages == MAP_FAILED)
		abort();
	call_init(&c, h);
	call_run(&c, p->op, lend(p->in, pages));
	call_release(&c);
	end_lent(pages, LENT);
	mprotect(pages, LENT, PROT_NONE); /* for good: nothing else shall come to lie there */
}

void suite_lent(struct host *h)
{
	struct probe probes[PROBES];
	size_t n = probes_of(h, probes), i;
	char text[128];
	int round;

	for (i = 0; i < n; i++) {
		if (!known(((const uint32_t *)probes[i].in)[1]))
			continue;
		for (round = 0; round < ROUNDS; round++)
			one(h, &probes[i]);
		snprintf(text, sizeof(text), "%s: keeps no pointer to what it was given", probes[i].name);
		report(1, NULL, text); /* else the bench would be over */
	}
}
