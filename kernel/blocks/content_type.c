/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/content_type.h"

#include "base/banned.h"

int content_type_is(struct str type, const char *wanted)
{
	struct str head, tail;

	str_cut(type, ';', &head, &tail);
	return str_ieq(head, str_of(wanted));
}

int content_type_json(struct str type)
{
	return content_type_is(type, "application/json");
}

int content_type_text(struct str type)
{
	return str_istarts(type, STR("text/")) || content_type_is(type, "application/xml");
}

int content_type_binary(struct str type)
{
	return content_type_is(type, "application/octet-stream");
}

int content_type_cloudevent(struct str type)
{
	return content_type_is(type, "application/cloudevents+json");
}
