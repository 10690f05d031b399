/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/secrets.h> says what each operation must do. */
#include <davit/plugin.hpp>

#include <memory>

#include "backend.hh"

namespace
{

davit_status emit(davit_call *call, const std::string &name, const std::string &value)
{
	auto item = davit::make<davit_secret_item>(davit_secret_item_kind);

	item.name = item.key = davit::str(name);
	item.value = davit::str(value);
	return davit_emit(call, &item); /* copies */
}

template <typename F> davit_status with_secrets(void *self, davit_call *call, F &&use)
{
	return davit::guard(call, [&]() -> davit_status {
		try {
			return use(static_cast<const Backend *>(self)->read());
		} catch (const Backend::Unreadable &e) {
			return davit_fail(call, DAVIT_UNAVAILABLE, nullptr, "%s", e.what());
		}
	});
}

davit_status get(void *self, davit_call *call, const davit_secret_key *in)
{
	return with_secrets(self, call, [&](const auto &secrets) {
		auto at = secrets.find(std::string(davit::view(in->name)));

		if (at == secrets.end())
			return davit_fail(call, DAVIT_NOT_FOUND, nullptr, "there is no secret '%s'", in->name.p);
		return emit(call, at->first, at->second);
	});
}

davit_status bulk_get(void *self, davit_call *call, const davit_secret_key *)
{
	return with_secrets(self, call, [&](const auto &secrets) {
		davit_status status = DAVIT_OK;

		for (auto at = secrets.begin(); at != secrets.end() && status == DAVIT_OK; ++at)
			status = emit(call, at->first, at->second);
		return status;
	});
}

davit_status open(void *, davit_call *call, const davit_open *in)
{
	return davit::guard(call, [&] {
		/* The file is required: the manifest says so. */
		auto made = std::make_unique<Backend>(std::string(davit::view(davit_prop(in, "file"))));
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

constexpr davit_secrets_ops make_ops()
{
	auto o = davit::make<davit_secrets_ops>(davit_secrets_ops_kind);

	o.get = get;
	o.bulk_get = bulk_get;
	return o;
}

constexpr davit_secrets_ops ops = make_ops();

/* No flags: up to four threads, which may block. */
constexpr davit_component store = davit::component("@TYPE@", "v1", &ops, { open, close });

} /* namespace */

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &store);
