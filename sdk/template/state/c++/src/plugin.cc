/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/state.h> says what each operation must do. */
#include <davit/plugin.hpp>

#include <charconv>
#include <memory>

#include "backend.hh"

namespace
{

struct Condition {
	Backend::If kind = Backend::If::always;
	uint64_t revision = 0; /* an ETag is our revision in decimal; 0 is one that we never give */

	Condition(uint32_t flags, struct davit_str etag)
	{
		if (flags & DAVIT_STATE_HAS_ETAG && etag.n > 0) {
			auto read = std::from_chars(etag.p, etag.p + etag.n, revision);

			kind = Backend::If::revision;
			if (read.ec != std::errc() || read.ptr != etag.p + etag.n)
				revision = 0;
		} else if (flags & DAVIT_STATE_FIRST_WRITE) {
			kind = Backend::If::none;
		}
	}
};

Backend &backend(void *self)
{
	return *static_cast<Backend *>(self);
}

/* A missing key is an empty answer, not an error. */
davit_status get(void *self, davit_call *call, const davit_state_key *in)
{
	return davit::guard(call, [&] {
		const Backend::Value *value = backend(self).read(davit::view(in->key));
		auto item = davit::make<davit_state_item>(davit_state_item_kind);

		if (value == nullptr)
			return davit_status{ DAVIT_OK };
		std::string etag = std::to_string(value->revision);

		item.key = in->key;
		item.value = davit::bytes(value->bytes);
		item.etag = davit::str(etag);
		return davit_emit_state(call, &item); /* copies */
	});
}

template <typename F> davit_status unless_stale(davit_call *call, F &&write)
{
	return davit::guard(call, [&]() -> davit_status {
		try {
			write();
		} catch (const Backend::Stale &e) {
			return davit_fail(call, DAVIT_ABORTED, "ETAG_MISMATCH", "%s", e.what());
		}
		return DAVIT_OK;
	});
}

davit_status set(void *self, davit_call *call, const davit_state_set *in)
{
	return unless_stale(call, [&] {
		Condition c(in->flags, in->etag);

		backend(self).write(davit::view(in->key), davit::view(in->value), c.kind, c.revision);
	});
}

davit_status del(void *self, davit_call *call, const davit_state_key *in)
{
	return unless_stale(call, [&] {
		/* First-write is about saving: to delete, only an ETag is a condition. */
		Condition c(in->flags & ~uint32_t{ DAVIT_STATE_FIRST_WRITE }, in->etag);

		backend(self).remove(davit::view(in->key), c.kind, c.revision);
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
	delete static_cast<Backend *>(self);
	return DAVIT_OK;
}

davit_status ping(void *, davit_call *, const void *)
{
	return DAVIT_OK; /* ask your server here */
}

constexpr davit_state_ops make_ops()
{
	auto o = davit::make<davit_state_ops>(davit_state_ops_kind);

	o.features = DAVIT_STATE_ETAG;
	o.get = get;
	o.set = set;
	o.del = del;
	return o;
}

constexpr davit_state_ops ops = make_ops();

/* DAVIT_SERIAL: a thread of its own, one call at a time, which may block. Without it, four threads at once. */
constexpr davit_component store = davit::component("@TYPE@", "v1", &ops, { open, close, DAVIT_SERIAL, 0, ping });

} /* namespace */

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &store);
