/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events on both ways: data wrapped into an envelope or kept as one, and a broker's message read and made ready for an
 * application over HTTP and gRPC. The first byte says which; what we wrap we must be able to read.
 */
#include "base/jstream.h"
#include "blocks/cloudevent.h"
#include "blocks/event.h"
#include "fuzz_input.h"

static const struct davit_pair binary_mode[] = {
	{ { "content-type", 12 }, { "application/json", 16 } },
	{ { "ce_id", 5 }, { "1", 1 } },
	{ { "ce_type", 7 }, { "t", 1 } },
	{ { "ce_source", 9 }, { "s", 1 } },
	{ { "ce_specversion", 14 }, { "1.0", 3 } },
};

static void deliver(struct arena *a, const struct topic_event *e)
{
	struct str why = STR("");
	size_t n;

	topic_fields(a, e->metadata, e->nmetadata, 3, &n);
	if (topic_grpc_request(a, e, &why) == NULL)
		fuzz_require(why.n > 0);
	event_expired(a, e, 1767323045000000000);
}

static void wrap(struct arena *a, struct str input, const char *type)
{
	struct cloudevent e = { .data = input,
				.content_type = str_of(type),
				.source = STR("app"),
				.topic = STR("t"),
				.pubsub = STR("p"),
				.trace_parent = STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
				.trace_state = STR(""),
				.ttl_ns = 1000000000,
				.now_ns = 1767323045000000000 };
	struct topic_event back = { .topic = STR("t"), .pubsub = STR("p") };
	struct str body, why = STR("");

	if (cloudevent_wrap(a, &e, &body, &why) < 0) {
		fuzz_require(why.n > 0);
		return;
	}
	fuzz_require(jstream_check(body) == 0);
	FUZZ_PLANTED(input.n > 0 && input.p[0] == '<');
	if (event_read_json(a, body, &back, &why) == 0)
		deliver(a, &back);
	else
		fuzz_require(why.n > 0);
}

static void receive(struct arena *a, struct str input, int raw, size_t npairs)
{
	struct davit_message m = DAVIT_INIT(davit_message, .data = { input.p, input.n }, .metadata = binary_mode,
					    .nmetadata = npairs);
	struct topic_event e = { .topic = STR("t") };
	struct str why = STR("");

	if (event_read(a, &m, STR("p"), STR("t"), raw, &e, &why) == 0)
		deliver(a, &e);
	else
		fuzz_require(why.n > 0);
}

static void answer(struct arena *a, struct str input)
{
	struct topic_event e = { .topic = STR("t"), .pubsub = STR("p"), .json = STR("{}") };

	topic_http_answer(a, &e, 200, input);
}

static void run(struct arena *a, struct str input)
{
	switch (fuzz_choice(&input)) {
	case 'c': wrap(a, input, CLOUDEVENT_CONTENT_TYPE); break;
	case 'j': wrap(a, input, "application/json"); break;
	case 't': wrap(a, input, "text/plain"); break;
	case 'o': wrap(a, input, "application/octet-stream"); break;
	case 'p':
		cloudevent_is_protobuf(input);
		wrap(a, input, "application/cloudevents+protobuf");
		break;
	case 'r': receive(a, input, 1, 0); break;
	case 'b': receive(a, input, 0, sizeof(binary_mode) / sizeof(binary_mode[0])); break;
	case 'a': answer(a, input); break;
	default: receive(a, input, 0, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
