/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/pubsub.h> says what each operation must do. */
#include <davit/plugin.hpp>

#include <memory>

#include "backend.hh"

namespace
{

Backend &backend(void *self)
{
	return *static_cast<Backend *>(self);
}

davit_status publish(void *self, davit_call *call, const davit_publish *in)
{
	return davit::guard(call, [&]() -> davit_status {
		try {
			backend(self).publish(davit::view(in->topic), davit::view(in->data));
		} catch (const Backend::Full &e) {
			return davit_fail(call, DAVIT_EXHAUSTED, nullptr, "%s", e.what());
		}
		return DAVIT_OK;
	});
}

/*
 * A long call on a thread of its own, which may therefore block: in next() until something comes, in davit_emit while there is
 * no credit. It ends when it is cancelled.
 */
davit_status subscribe(void *self, davit_call *call, const davit_subscribe *in)
{
	return davit::guard(call, [&]() -> davit_status {
		Backend::Reader reader(backend(self), davit::view(in->topic));
		const std::string *data = nullptr;
		davit_status status;

		davit_on_cancel(call, [](void *r) { static_cast<Backend::Reader *>(r)->stop(); }, &reader);
		status = davit_emit_subscribed(call);
		while (status == DAVIT_OK) {
			auto m = davit::make<davit_message>(davit_message_kind);

			m.token = reader.next(&data);
			if (m.token == 0)
				break;
			m.topic = in->topic;
			m.data = davit::bytes(*data);
			status = davit_emit_message(call, &m); /* copies */
			if (status == DAVIT_EXHAUSTED) {       /* no memory: not taken */
				backend(self).settle(m.token, true);
				status = DAVIT_OK;
			}
		}
		davit_on_cancel(call, nullptr, nullptr); /* from here on nobody stops it any more */
		return status == DAVIT_CANCELLED ? davit_status{ DAVIT_OK } : status;
	});
}

davit_status settle(void *self, davit_call *call, const davit_settle *in)
{
	return davit::guard(call, [&] {
		for (uint64_t i = 0; i < in->ntokens; i++)
			backend(self).settle(in->tokens[i], in->outcome == DAVIT_SETTLE_RETRY);
		return davit_status{ DAVIT_OK };
	});
}

davit_status open(void *, davit_call *call, const davit_open *in)
{
	return davit::guard(call, [&]() -> davit_status {
		if (davit::view(davit_prop(in, "url")) != "memory:")
			return davit_fail(call, DAVIT_INVALID_ARGUMENT, nullptr,
					  "url: only memory: is there until src/backend.hh is replaced");
		auto made = std::make_unique<Backend>();
		davit_status status = davit_emit_self(call, made.get());

		if (status == DAVIT_OK) /* else nobody waits any more */
			made.release();
		return status;
	});
}

davit_status close(void *self, davit_call *, const void *)
{
	delete static_cast<Backend *>(self); /* every subscription has ended before */
	return DAVIT_OK;
}

constexpr davit_pubsub_ops make_ops()
{
	auto o = davit::make<davit_pubsub_ops>(davit_pubsub_ops_kind);

	o.publish = publish;
	o.subscribe = subscribe;
	o.settle = settle;
	return o;
}

constexpr davit_pubsub_ops ops = make_ops();

/* No flags: up to four threads for what is short, and one for each subscription. */
constexpr davit_component broker = davit::component("@TYPE@", "v1", &ops, { open, close });

} /* namespace */

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &broker);
