/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/records.h"

#include <davit/names.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

#include "base/banned.h"
#include "plugin/minor.h"
#include "plugin/open_library.h"

enum form { FORM_END, FORM_STR, FORM_BYTES, FORM_PAIRS /* a pointer to pairs, their number right behind it */ };

struct part {
	enum form form;
	size_t at;
};

#define PART(form, type, field) \
	{ \
		FORM_##form, offsetof(struct type, field) \
	}

static const struct part state_item[] = {
	PART(STR, davit_state_item, key),
	PART(BYTES, davit_state_item, value),
	PART(STR, davit_state_item, etag),
	PART(STR, davit_state_item, content_type),
	PART(STR, davit_state_item, error),
	PART(PAIRS, davit_state_item, metadata),
	{ FORM_END, 0 },
};
static const struct part state_page[] = { PART(STR, davit_state_page, token), { FORM_END, 0 } };
static const struct part secret_item[] = {
	PART(STR, davit_secret_item, name),
	PART(STR, davit_secret_item, key),
	PART(STR, davit_secret_item, value),
	{ FORM_END, 0 },
};
static const struct part publish_result[] = {
	PART(STR, davit_publish_result, entry_id),
	PART(STR, davit_publish_result, error),
	{ FORM_END, 0 },
};
static const struct part message[] = {
	PART(STR, davit_message, topic), PART(BYTES, davit_message, data),     PART(STR, davit_message, content_type),
	PART(STR, davit_message, order), PART(PAIRS, davit_message, metadata), { FORM_END, 0 },
};
static const struct part name_address[] = { PART(STR, davit_name_address, address), { FORM_END, 0 } };
static const struct part opened[] = { { FORM_END, 0 } };

static const struct {
	uint32_t kind;
	size_t size;
	const struct part *parts;
} kinds[] = {
	{ davit_state_item_kind, sizeof(struct davit_state_item), state_item },
	{ davit_state_page_kind, sizeof(struct davit_state_page), state_page },
	{ davit_secret_item_kind, sizeof(struct davit_secret_item), secret_item },
	{ davit_publish_result_kind, sizeof(struct davit_publish_result), publish_result },
	{ davit_message_kind, sizeof(struct davit_message), message },
	{ davit_name_address_kind, sizeof(struct davit_name_address), name_address },
	{ davit_opened_kind, sizeof(struct davit_opened), opened },
};

/* davit_str and davit_bytes have one layout; a NUL behind the copy serves both. */
static int copy_text(struct arena *a, struct davit_str *s)
{
	char *p;

	if (s->p == NULL)
		return 0;
	p = arena_try(a, s->n + 1);
	if (p == NULL)
		return -1;
	memcpy(p, s->p, s->n);
	p[s->n] = '\0';
	s->p = p;
	return 0;
}

static int copy_pairs(struct arena *a, const struct davit_pair **list, uint64_t n)
{
	struct davit_pair *p;
	uint64_t i;

	if (n == 0 || *list == NULL)
		return 0;
	p = n > SIZE_MAX / sizeof(*p) ? NULL : arena_try(a, n * sizeof(*p));
	if (p == NULL)
		return -1;
	memcpy(p, *list, n * sizeof(*p));
	*list = p;
	for (i = 0; i < n; i++)
		if (copy_text(a, &p[i].key) < 0 || copy_text(a, &p[i].value) < 0)
			return -1;
	return 0;
}

static int copy_parts(struct arena *a, char *to, const struct part *p)
{
	uint64_t n;
	int r = 0;

	for (; p->form != FORM_END && r == 0; p++) {
		if (p->form == FORM_PAIRS) {
			memcpy(&n, to + p->at + sizeof(void *), sizeof(n));
			r = copy_pairs(a, (const struct davit_pair **)(void *)(to + p->at), n);
		} else {
			r = copy_text(a, (struct davit_str *)(void *)(to + p->at));
		}
	}
	return r;
}

void *record_copy(struct arena *a, const void *from, int deep, int *ret_unknown)
{
	uint32_t kind;
	size_t i;
	void *to;

	memcpy(&kind, (const char *)from + 4, sizeof(kind));
	*ret_unknown = 0;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (kinds[i].kind != kind)
			continue;
		to = arena_try(a, kinds[i].size);
		if (to == NULL)
			return NULL;
		adopt(to, kinds[i].size, from);
		if (kind == davit_opened_kind) /* what an earlier kernel does not know reads as zero in it */
			memset((char *)to + MINOR_OPENED_SIZE, 0, kinds[i].size - MINOR_OPENED_SIZE);
		return !deep || copy_parts(a, to, kinds[i].parts) == 0 ? to : NULL;
	}
	*ret_unknown = 1;
	return NULL;
}
