/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies of the state API, and what the application says it subscribes to: the first byte says which. What jansson
 * takes, our own reader takes as well, and what it compacts is still the same value.
 */
#include <jansson.h>

#include "api/decode.h"
#include "app/config.h"
#include "app/topic_event.h"
#include "fuzz_input.h"

static void compare(struct arena *a, struct str input)
{
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	struct buf b = buf_in(a);
	json_t *theirs, *again;

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
	case 'i':
		decode_items(&d, &items, &n);
		break;
	case 'b':
		decode_bulk(&d, &bulk);
		break;
	case 't':
		decode_transaction(&d, &t);
		FUZZ_PLANTED(t.n > 1);
		break;
	case 's':
		if (topic_list_http(a, input, &list, &n, &why) < 0)
			fuzz_require(why.n > 0);
		return;
	default:
		compare(a, input);
		return;
	}
	fuzz_require(decode_end(&d) == 1 || d.message.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
