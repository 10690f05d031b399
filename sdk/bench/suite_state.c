/* SPDX-License-Identifier: Apache-2.0 */
/* State: one key at a time. */
#include "report.h"
#include "state.h"

#include <stdlib.h>

static void values_come_back(struct host *h)
{
	static const char bytes[] = "\0\xff\xfe a\0b\n\x80";
	struct put p = { "basic||bytes", bytes, sizeof(bytes), 0, NULL, 0 };
	struct call c;

	report(state_is(h, "basic||nothing", NULL, 0), NULL, "a missing key is an empty answer");
	report(state_put_text(h, "basic||k", "{\"a\":1}") == DAVIT_OK, NULL, "a value is saved");
	report(state_is_text(h, "basic||k", "{\"a\":1}"), NULL, "and read");
	report(state_put_text(h, "basic||k", "\"two\"") == DAVIT_OK && state_is_text(h, "basic||k", "\"two\""), NULL,
	       "a value is replaced");
	report(state_put(h, &c, &p) == DAVIT_OK, &c, "bytes of any kind are saved");
	call_release(&c);
	report(state_is(h, p.key, bytes, sizeof(bytes)), NULL, "and come back the same");
	p.value = "";
	p.n = 0;
	report(state_put(h, &c, &p) == DAVIT_OK && state_is(h, p.key, "", 0), &c, "an empty value is a value");
	call_release(&c);
	report(state_del(h, &c, "basic||k", 0, NULL) == DAVIT_OK && state_is(h, "basic||k", NULL, 0), &c,
	       "a deleted key is gone");
	call_release(&c);
	report(state_del(h, &c, "basic||k", 0, NULL) == DAVIT_OK, &c, "a missing key is deleted without complaint");
	call_release(&c);
}

static void odd_keys(struct host *h)
{
	static const char *const keys[] = {
		"odd||a b",
		"odd||a/b",
		"odd||%_\\",
		"odd||'\"; DROP TABLE state; --",
		"odd||\xc3\xa4\xf0\x9f\x98\x80",
		"odd||a||b||c",
		"odd||A",
		"odd||a",
		"odd||\n\t",
	};
	size_t i, n = sizeof(keys) / sizeof(keys[0]);
	int ok = 1;

	for (i = 0; i < n; i++)
		ok &= state_put_text(h, keys[i], keys[i]) == DAVIT_OK;
	for (i = 0; i < n; i++)
		ok &= state_is_text(h, keys[i], keys[i]);
	report(ok, NULL, "odd keys are kept apart");
}

static void large_values(struct host *h)
{
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 65536, 1000003, 4194304 };
	size_t i, k;
	int ok = 1;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *value = malloc(sizes[i]);
		struct put p = { "large", value, sizes[i], 0, NULL, 0 };
		struct call c;

		if (value == NULL)
			abort();
		for (k = 0; k < sizes[i]; k++)
			value[k] = (char)(k * 31 + i);
		ok &= state_put(h, &c, &p) == DAVIT_OK && state_is(h, "large", value, sizes[i]);
		call_release(&c);
		free(value);
	}
	report(ok, NULL, "values of all sizes come back the same");
}

static int refused(struct call *c, davit_status status)
{
	return status == DAVIT_ABORTED && strcmp(c->reason, "ETAG_MISMATCH") == 0;
}

static void etags(struct host *h)
{
	struct put p = { "etag||k", "1", 1, DAVIT_STATE_JSON, NULL, 0 };
	char first[128], second[128];
	struct call c;

	report(state_put_text(h, p.key, "0") == DAVIT_OK && state_etag(h, p.key, first), NULL, "a value has an ETag");
	p.etag = first;
	report(state_put(h, &c, &p) == DAVIT_OK && state_is_text(h, p.key, "1"), &c, "the right ETag saves");
	call_release(&c);
	report(state_etag(h, p.key, second) && strcmp(first, second) != 0, NULL, "and changes");
	p.value = "2";
	report(refused(&c, state_put(h, &c, &p)), &c, "an old ETag is refused as a mismatch");
	call_release(&c);
	p.etag = "not one of ours";
	report(refused(&c, state_put(h, &c, &p)) || state_etag_invalid(&c), &c, "so is one that never was");
	call_release(&c);
	p.key = "etag||none";
	p.etag = second;
	report(refused(&c, state_put(h, &c, &p)) && state_is(h, p.key, NULL, 0), &c, "and one for a missing key");
	call_release(&c);
	report(state_is_text(h, "etag||k", "1"), NULL, "a refused save changes nothing");
	report(refused(&c, state_del(h, &c, "etag||k", 0, first)), &c, "an old ETag does not delete");
	call_release(&c);
	report(state_del(h, &c, "etag||k", 0, second) == DAVIT_OK && state_is(h, "etag||k", NULL, 0), &c,
	       "the right one does");
	call_release(&c);
	report(refused(&c, state_del(h, &c, "etag||k", 0, second)), &c, "an ETag does not delete a missing key");
	call_release(&c);
	p = (struct put){ "etag||k", "3", 1, DAVIT_STATE_JSON, "", 0 };
	report(state_put(h, &c, &p) == DAVIT_OK, &c, "an empty ETag counts as none");
	call_release(&c);
}

static void first_write(struct host *h)
{
	struct put p = { "first||k", "1", 1, DAVIT_STATE_JSON | DAVIT_STATE_FIRST_WRITE, NULL, 0 };
	char etag[128];
	struct call c;

	report(state_put(h, &c, &p) == DAVIT_OK, &c, "first-write saves where nothing is");
	call_release(&c);
	p.value = "2";
	report(refused(&c, state_put(h, &c, &p)), &c, "and is refused where something is");
	call_release(&c);
	report(state_etag(h, p.key, etag), NULL, "first-write leaves an ETag");
	p.etag = etag;
	report(state_put(h, &c, &p) == DAVIT_OK && state_is_text(h, p.key, "2"), &c,
	       "first-write with the right ETag saves");
	call_release(&c);
	report(refused(&c, state_put(h, &c, &p)) && state_is_text(h, p.key, "2"), &c, "and with an old one does not");
	call_release(&c);
}

void suite_state(struct host *h)
{
	values_come_back(h);
	odd_keys(h);
	large_values(h);
	if (state_features(h) & DAVIT_STATE_ETAG) {
		etags(h);
		first_write(h);
	}
}
