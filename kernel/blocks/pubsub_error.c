/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks/pubsub_error.h"

#include "base/banned.h"

/* One kind of failure: what it is on each wire. */
struct kind {
	int code, http;
	const char *tag, *reason;
};

static int by_key(const void *a, const void *b)
{
	return str_cmp(((const struct error_pair *)a)->key, ((const struct error_pair *)b)->key);
}

static struct error make(struct arena *a, const struct kind *k, struct str message)
{
	struct error e = error_new(a, k->code, k->tag, STR_FMT, STR_ARG(message));

	e.http = k->http;
	e.category = "pubsub";
	return e;
}

/* The resource comes first and says the message once more. */
static void add_resource(struct arena *a, struct error *e, struct str name)
{
	struct error_detail *d = error_detail(a, e, DETAIL_RESOURCE_INFO);

	d->type = STR("pubsub");
	d->name = name;
	d->about = e->message;
}

static void add_info(struct arena *a, struct error *e, const struct kind *k, const struct error_pair *pairs, size_t n)
{
	struct error_detail *d = error_detail(a, e, DETAIL_ERROR_INFO);

	d->reason = str_of(k->reason);
	d->pairs = pairs;
	d->npairs = n;
}

static const struct error_pair *sorted(struct arena *a, const struct davit_pair *metadata, size_t n)
{
	struct error_pair *pairs = arena_alloc(a, sizeof(*pairs) * (n + 1));
	size_t i;

	for (i = 0; i < n; i++)
		pairs[i] = (struct error_pair){ { metadata[i].key.p, metadata[i].key.n },
						{ metadata[i].value.p, metadata[i].value.n } };
	if (n > 1)
		qsort(pairs, n, sizeof(*pairs), by_key);
	return pairs;
}

/* Two pairs, sorted by the caller; of an empty second value only the first. */
static struct error two(struct arena *a, const struct kind *k, struct str name, struct str message,
			struct error_pair one, struct error_pair other)
{
	struct error_pair *pairs = arena_alloc(a, 2 * sizeof(*pairs));
	struct error e = make(a, k, message);

	pairs[0] = one;
	pairs[1] = other;
	add_resource(a, &e, name);
	add_info(a, &e, k, pairs, other.value.p ? 2 : 1);
	return e;
}

struct error pubsub_error_not_configured(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n)
{
	static const struct kind k = { ERROR_FAILED_PRECONDITION, 400, "ERR_PUBSUB_NOT_CONFIGURED",
				       "DAPR_PUBSUB_NOT_CONFIGURED" };
	struct error e = make(a, &k, arena_printf(a, "pubsub " STR_FMT " is not configured", STR_ARG(name)));

	add_info(a, &e, &k, sorted(a, metadata, n), n);
	return e;
}

struct error pubsub_error_not_found(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 404, "ERR_PUBSUB_NOT_FOUND", "DAPR_PUBSUB_NOT_FOUND" };
	struct error e = make(a, &k, arena_printf(a, "pubsub " STR_FMT " is not found", STR_ARG(name)));

	add_info(a, &e, &k, sorted(a, metadata, n), n);
	return e;
}

struct error pubsub_error_name_empty(struct arena *a, const struct davit_pair *metadata, size_t n)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 404, "ERR_PUBSUB_EMPTY", "DAPR_PUBSUB_NAME_EMPTY" };
	struct error e = make(a, &k, STR("pubsub name is empty"));

	add_resource(a, &e, STR(""));
	add_info(a, &e, &k, sorted(a, metadata, n), n);
	return e;
}

struct error pubsub_error_topic_empty(struct arena *a, struct str name, const struct davit_pair *metadata, size_t n)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 404, "ERR_TOPIC_NAME_EMPTY",
				       "DAPR_PUBSUB_TOPIC_NAME_EMPTY" };
	struct error e = make(a, &k, arena_printf(a, "topic is empty in pubsub " STR_FMT, STR_ARG(name)));

	add_resource(a, &e, name);
	add_info(a, &e, &k, sorted(a, metadata, n), n);
	return e;
}

struct error pubsub_error_raw_payload(struct arena *a, struct str name, struct str value,
				      const struct davit_pair *metadata, size_t n)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 400, "ERR_PUBSUB_REQUEST_METADATA",
				       "DAPR_PUBSUB_METADATA_DESERIALIZATION" };
	struct error e = make(a, &k,
			      arena_printf(a,
					   "failed deserializing metadata. Error: rawPayload value must be a valid "
					   "boolean: actual is '" STR_FMT "'",
					   STR_ARG(value)));

	add_resource(a, &e, name);
	add_info(a, &e, &k, sorted(a, metadata, n), n);
	return e;
}

static struct error app_failed(struct arena *a, const struct kind *k, struct str name, struct str app_id,
			       struct str why, struct str message)
{
	return two(a, k, name, message, (struct error_pair){ STR("appID"), app_id },
		   (struct error_pair){ STR("error"), why });
}

struct error pubsub_error_envelope(struct arena *a, struct str name, struct str app_id, struct str why)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 500, "ERR_PUBSUB_CLOUD_EVENTS_SER",
				       "DAPR_PUBSUB_CLOUD_EVENT_CREATION" };

	return app_failed(a, &k, name, app_id, why, STR("cannot create cloudevent"));
}

struct error pubsub_error_entry_event(struct arena *a, struct str name, struct str topic, struct str app_id,
				      struct str why)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 400, "ERR_PUBSUB_EVENTS_SER",
				       "DAPR_PUBSUB_MARSHAL_ENVELOPE" };

	return app_failed(a, &k, name, app_id, why,
			  arena_printf(a,
				       "error when marshalling cloud event envelope for topic " STR_FMT
				       " pubsub " STR_FMT ": " STR_FMT,
				       STR_ARG(topic), STR_ARG(name), STR_ARG(why)));
}

struct error pubsub_error_entry_id(struct arena *a, struct str name, struct str topic, struct str app_id)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 400, "ERR_PUBSUB_EVENTS_SER",
				       "DAPR_PUBSUB_MARSHAL_EVENTS" };
	struct str why = STR("entryId is duplicated or not present for entry");

	return app_failed(a, &k, name, app_id, why,
			  arena_printf(a,
				       "error marshaling events to bytes for topic " STR_FMT " pubsub " STR_FMT
				       ". error: " STR_FMT,
				       STR_ARG(topic), STR_ARG(name), STR_ARG(why)));
}

struct error pubsub_error_entries(struct arena *a, struct str name, struct str topic, struct str app_id, struct str why)
{
	static const struct kind k = { ERROR_INVALID_ARGUMENT, 400, "ERR_PUBSUB_EVENTS_SER",
				       "DAPR_PUBSUB_UNMARSHAL_EVENTS" };

	return app_failed(a, &k, name, app_id, STR_NONE,
			  arena_printf(a,
				       "error when unmarshaling the request for topic " STR_FMT " pubsub " STR_FMT
				       ": " STR_FMT,
				       STR_ARG(topic), STR_ARG(name), STR_ARG(why)));
}

static struct error topic_failed(struct arena *a, const struct kind *k, struct str name, struct str topic,
				 struct str why, struct str message)
{
	return two(a, k, name, message, (struct error_pair){ STR("error"), why },
		   (struct error_pair){ STR("topic"), topic });
}

struct error pubsub_error_forbidden(struct arena *a, struct str name, struct str topic, struct str app_id)
{
	static const struct kind k = { ERROR_PERMISSION_DENIED, 403, "ERR_PUBSUB_FORBIDDEN", "DAPR_PUBSUB_FORBIDDEN" };
	struct str text = arena_printf(a, "topic " STR_FMT " is not allowed for app id " STR_FMT, STR_ARG(topic),
				       STR_ARG(app_id));

	return topic_failed(a, &k, name, topic, text, text);
}

struct error pubsub_error_outbox(struct arena *a, struct str app_id, struct str why)
{
	static const struct kind k = { ERROR_INTERNAL, 500, "ERR_PUBLISH_OUTBOX", "DAPR_PUBSUB_OUTBOX" };
	struct error e = make(a, &k, arena_printf(a, "error while publishing outbox message: " STR_FMT, STR_ARG(why)));
	struct error_pair *pairs = arena_alloc(a, 2 * sizeof(*pairs));

	pairs[0] = (struct error_pair){ STR("appID"), app_id };
	pairs[1] = (struct error_pair){ STR("error"), why };
	add_info(a, &e, &k, pairs, 2);
	return e;
}

struct error pubsub_error_publish(struct arena *a, struct str name, struct str topic, struct str why)
{
	static const struct kind k = { ERROR_INTERNAL, 500, "ERR_PUBSUB_PUBLISH_MESSAGE",
				       "DAPR_PUBSUB_PUBLISH_MESSAGE" };

	return topic_failed(a, &k, name, topic, why,
			    arena_printf(a,
					 "error when publishing to topic " STR_FMT " in pubsub " STR_FMT ": " STR_FMT,
					 STR_ARG(topic), STR_ARG(name), STR_ARG(why)));
}
