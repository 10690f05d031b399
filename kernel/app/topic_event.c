/* SPDX-License-Identifier: Apache-2.0 */
#include "app/topic_event.h"

#include "base/banned.h"
#include "base/jstream.h"

struct str topic_text(struct arena *a, struct str json_value)
{
	return json_value.n > 0 && json_value.p[0] == '"' ? jstream_unquote(a, json_value) : STR("");
}

struct str topic_shown(struct arena *a, struct str json_value)
{
	if (json_value.p == NULL)
		return STR("<nil>");
	return json_value.n > 0 && json_value.p[0] == '"' ? jstream_unquote(a, json_value) : json_value;
}

struct topic_answer topic_status_answer(struct arena *a, const struct topic_event *e, int status)
{
	struct str id = topic_shown(a, e->is.id);

	switch (status) {
	case DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__TOPIC_EVENT_RESPONSE_STATUS__SUCCESS:
		return (struct topic_answer){ .verdict = TOPIC_SUCCESS };
	case DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__TOPIC_EVENT_RESPONSE_STATUS__RETRY:
		return (struct topic_answer){
			.verdict = TOPIC_RETRY,
			.why = arena_printf(a,
					    "RETRY status returned from app while processing pub/sub "
					    "event " STR_FMT,
					    STR_ARG(id))
		};
	case DAPR__PROTO__RUNTIME__V1__TOPIC_EVENT_RESPONSE__TOPIC_EVENT_RESPONSE_STATUS__DROP:
		return (struct topic_answer){
			.verdict = TOPIC_DROP,
			.asked = 1,
			.why = arena_printf(a,
					    "DROP status returned from app while processing pub/sub "
					    "event " STR_FMT,
					    STR_ARG(id))
		};
	default:
		return (struct topic_answer){
			.verdict = TOPIC_RETRY,
			.why = arena_printf(a,
					    "unknown status returned from app while processing pub/sub "
					    "event " STR_FMT ", status: %d",
					    STR_ARG(id), status)
		};
	}
}
