/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies of the state API, and what the application says it subscribes to: the first byte says which. What jansson
 * takes, our own readers (the kernel's and the kit's) take as well, and what is compacted is still the same value.
 */
#include <davit/json.h>
#include <jansson.h>

#include "api/decode.h"
#include "app/config.h"
#include "app/topic_event.h"
#include "fuzz_input.h"

/* All that lies in it is reached, and each text survives being quoted. */
static void walk(struct davit_json v)
{
	char text[64], quoted[512], again[64];
	struct davit_json name, value;
	size_t place = 0, n;
	int64_t number;

	n = davit_json_text(v, text, sizeof(text));
	if (v.kind == DAVIT_JSON_TEXT && n < sizeof(text)) {
		n = davit_json_quote(text, n, quoted, sizeof(quoted));
		fuzz_require(davit_json_parse(quoted, n, &value) == 0);
		fuzz_require(davit_json_text(value, again, sizeof(again)) < sizeof(again));
		fuzz_require(strcmp(text, again) == 0);
	}
	davit_json_integer(v, &number);
	davit_json_member(v, "a", &value);
	while (davit_json_next(v, &place, &name, &value))
		walk(value);
}

static void compare_kit(struct str input)
{
	struct davit_json v;
	json_t *theirs;

	if (davit_json_parse(input.p, input.n, &v) == 0) {
		walk(v);
		return;
	}
	if (input.n == 0 || memchr(input.p, '\0', input.n) != NULL ||
	    davit_json_depth(input.p, input.n) > DAVIT_JSON_DEPTH)
		return;
	theirs = json_loadb(input.p, input.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	fuzz_require(theirs == NULL);
}

static void compare(struct arena *a, struct str input)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	struct buf b = buf_in(a);
	json_t *theirs, *again;

	compare_kit(input);
	if (jstream_check(input) < 0) {
		if (input.n == 0 || memchr(input.p, '\0', input.n) != NULL) /* which jansson takes for the end */
			return;
		theirs = json_loadb(input.p, input.n, flags, NULL);
		fuzz_require(theirs == NULL);
		return;
	}
	jstream_compact(&b, input);
	fuzz_require(jstream_check(buf_str(&b)) == 0);
	theirs = json_loadb(input.p, input.n, flags, NULL);
	again = json_loadb(b.p, b.n, flags, NULL);
	fuzz_require((theirs == NULL) == (again == NULL));
	fuzz_require(theirs == NULL || json_equal(theirs, again));
	json_decref(theirs);
	json_decref(again);
}

static void run(struct arena *a, struct str input)
{
	unsigned choice = fuzz_choice(&input);
	struct decode d = decode_of(a, input);
	struct decode_transaction t;
	struct decode_bulk bulk;
	struct state_item *items;
	struct subscription *list;
	struct str why = STR("");
	size_t n;

	switch (choice) {
	case 'i': decode_items(&d, &items, &n); break;
	case 'b': decode_bulk(&d, &bulk); break;
	case 't':
		decode_transaction(&d, &t);
		FUZZ_PLANTED(t.n > 1);
		break;
	case 's':
		if (topic_list_http(a, input, &list, &n, &why) < 0)
			fuzz_require(why.n > 0);
		return;
	default: compare(a, input); return;
	}
	fuzz_require(decode_end(&d) == 1 || d.message.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
