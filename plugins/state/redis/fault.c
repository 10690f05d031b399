/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "redis/link.h"

davit_status fault_set(struct fault *f, davit_status status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	f->reason = reason;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	return status;
}

davit_status fault_no_memory(struct fault *f)
{
	return fault_set(f, DAVIT_EXHAUSTED, NULL, "no memory left");
}

davit_status fault_reply(struct fault *f, const redisReply *r, const char *doing)
{
	static const struct {
		const char *word;
		davit_status status;
	} words[] = {
		{ "NOPERM", DAVIT_PERMISSION_DENIED },
		{ "NOAUTH", DAVIT_UNAUTHENTICATED },
		{ "OOM", DAVIT_EXHAUSTED },
		{ "LOADING", DAVIT_UNAVAILABLE },
		{ "READONLY", DAVIT_UNAVAILABLE },
		{ "MISCONF", DAVIT_UNAVAILABLE },
		{ "CLUSTERDOWN", DAVIT_UNAVAILABLE },
		{ "MASTERDOWN", DAVIT_UNAVAILABLE },
		{ "TRYAGAIN", DAVIT_UNAVAILABLE },
		{ "NOREPLICAS", DAVIT_UNAVAILABLE },
	};
	davit_status status = DAVIT_INTERNAL;
	size_t i;

	if (r->type != REDIS_REPLY_ERROR)
		return fault_set(f, status, NULL, "%s: unexpected reply", doing);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (redis_reply_is(r, words[i].word))
			status = words[i].status;
	return fault_set(f, status, NULL, "%s: %.*s", doing, r->len > 400 ? 400 : (int)r->len, r->str);
}

davit_status fault_tell(const struct fault *f, struct davit_call *call)
{
	return davit_fail_text(call, f->status, f->reason, f->text, strlen(f->text));
}
