/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

#include <davit/sleep.h>
#include <davit/uuid.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_DELAY 800 /* ms */
#define LAST_DELAY 60000

static int worth_it(const struct azure_exchange *e, davit_status status, const struct davit_http_response *r)
{
	static const int codes[] = { 408, 429, 500, 502, 503, 504 };
	size_t i;

	if (status != DAVIT_OK)
		return status == DAVIT_UNAVAILABLE || status == DAVIT_INTERNAL;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (r->code == codes[i])
			return 1;
	return e->again != NULL && e->again(r->code);
}

static int64_t number(struct davit_str s)
{
	return s.n > 0 && s.n < 10 && s.p[0] >= '0' && s.p[0] <= '9' ? strtoll(s.p, NULL, 10) : -1;
}

/* What the server asks for, in ms; -1: nothing. */
static int64_t asked_delay(const struct davit_http_response *r)
{
	struct davit_str after = davit_http_field(r, "retry-after");
	struct tm tm = { 0 };
	int64_t ms;

	ms = number(davit_http_field(r, "retry-after-ms"));
	if (ms < 0)
		ms = number(davit_http_field(r, "x-ms-retry-after-ms"));
	if (ms >= 0)
		return ms;
	if (number(after) >= 0)
		return number(after) * 1000;
	if (after.n > 0 && strptime(after.p, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL) {
		ms = ((int64_t)timegm(&tm) - (int64_t)time(NULL)) * 1000;
		return ms < 0 ? 0 : ms;
	}
	return -1;
}

/* Before the try after `tried` ones. */
static int64_t delay(int tried, const struct davit_http_response *r)
{
	int64_t ms = r == NULL ? -1 : asked_delay(r);
	uint32_t chance = 0;

	if (ms >= 0)
		return ms;
	ms = tried > 7 ? LAST_DELAY : FIRST_DELAY * ((INT64_C(1) << tried) - 1);
	davit_random(&chance, sizeof(chance));
	ms = ms * (800 + (int64_t)(chance % 501)) / 1000;
	return ms > LAST_DELAY ? LAST_DELAY : ms;
}

davit_status azure_exchange(const struct azure_exchange *e, struct davit_call *call,
			    const struct davit_http_response **ret_response, struct azure_fault *f)
{
	const struct davit_http_service *http = davit_http_service(e->instance);
	const struct davit_sleep_service *sleeper = davit_sleep_service(e->instance);
	char why[AZURE_WHY];
	davit_status status;
	int64_t ms;
	int tried;

	for (tried = 1;; tried++) {
		struct davit_http_request q = DAVIT_INIT(davit_http_request, .why = why, .nwhy = sizeof(why));
		const struct davit_http_response *r = NULL;

		why[0] = '\0';
		status = e->make(e->arg, call, &q, f);
		if (status != DAVIT_OK)
			return status;
		status = http->request(e->instance, call, &q, &r);
		if (tried > e->retries || !worth_it(e, status, r) || davit_cancelled(call) ||
		    (ms = delay(tried, r)) >= davit_remaining_ms(call)) {
			*ret_response = r;
			return status == DAVIT_OK ? DAVIT_OK : azure_fault_set(f, status, "%s", why);
		}
		http->release(r);
		status = sleeper->sleep(e->instance, call, ms);
		if (status != DAVIT_OK)
			return azure_fault_set(f, status, "the call ended while waiting to try again%s%s",
					       why[0] ? ": " : "", why);
	}
}
