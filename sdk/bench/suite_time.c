/* SPDX-License-Identifier: Apache-2.0 */
/* State: what expires. */
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "state.h"

static int64_t expiry(struct host *h, const char *key)
{
	struct call c;
	int64_t ms = -1;

	if (state_get(h, &c, key) == DAVIT_OK && c.nrecords == 1)
		ms = c.records[0].expires_ms;
	call_release(&c);
	return ms;
}

static void put_for(struct host *h, const char *key, int64_t ttl_s)
{
	struct put p = { key, "1", 1, DAVIT_STATE_JSON, NULL, ttl_s };
	struct call c;

	report(state_put(h, &c, &p) == DAVIT_OK, &c, "a value is saved with a time to live");
	call_release(&c);
}

void suite_state_time(struct host *h)
{
	struct put again = { "ttl||short", "2", 1, DAVIT_STATE_JSON | DAVIT_STATE_FIRST_WRITE, NULL, 0 };
	static const char *const keys[] = { "ttl||short", "ttl||long" };
	int64_t now = (int64_t)time(NULL) * 1000, ms;
	char etag[128];
	struct call c;

	if (!(state_features(h) & DAVIT_STATE_TTL))
		return;
	put_for(h, "ttl||short", 2);
	put_for(h, "ttl||long", 1000);
	put_for(h, "ttl||never", -1);
	put_for(h, "ttl||far", INT64_MAX / 2);
	ms = expiry(h, "ttl||long");
	if (h->silent_ttl)
		report(ms == 0, NULL, "its end is not told");
	else
		report(ms >= now + 998000 && ms <= now + 1003000, NULL, "its end is told");
	report(expiry(h, "ttl||never") == 0, NULL, "-1 is never");
	report(expiry(h, "ttl||far") == 0 || expiry(h, "ttl||far") > now, NULL,
	       "a time beyond all clocks does no harm");
	report(state_etag(h, "ttl||short", etag), NULL, "it is there until then");
	sleep(3);
	report(state_is(h, "ttl||short", NULL, 0), NULL, "and gone after it");
	report(state_is(h, "ttl||long", "1", 1) && (h->silent_ttl || expiry(h, "ttl||long") > 0), NULL, "others stay");
	report(state_bulk_get(h, &c, keys, 2) == DAVIT_OK && c.nrecords == 1, &c,
	       "bulk get leaves out what has expired");
	call_release(&c);
	again.etag = etag;
	report(state_put(h, &c, &again) == DAVIT_ABORTED, &c, "the ETag of what has expired is a mismatch");
	call_release(&c);
	again.etag = NULL;
	report(state_put(h, &c, &again) == DAVIT_OK && state_is_text(h, again.key, "2"), &c,
	       "first-write saves over what has expired");
	call_release(&c);
	if (h->silent_ttl) /* whether it still has one cannot be seen here */
		return;
	put_for(h, "ttl||long", 0);
	report(expiry(h, "ttl||long") == 0, NULL, "a save without a time to live takes it away");
}
