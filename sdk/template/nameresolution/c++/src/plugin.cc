/* SPDX-License-Identifier: Apache-2.0 */
/* @TYPE@ v1: the plugin line. <davit/names.h> says what each operation must do. */
#include <davit/plugin.hpp>

#include <memory>

#include "backend.hh"

namespace
{

davit_status resolve(void *self, davit_call *call, const davit_name_query *in)
{
	return davit::guard(call, [&] {
		const std::string *address = static_cast<const Backend *>(self)->find(davit::view(in->app_id));
		auto record = davit::make<davit_name_address>(davit_name_address_kind);

		if (address == nullptr)
			return davit_fail(call, DAVIT_NOT_FOUND, nullptr, "no address is known for '%s'", in->app_id.p);
		record.address = davit::str(*address);
		return davit_emit(call, &record); /* copies */
	});
}

davit_status open(void *, davit_call *call, const davit_open *in)
{
	return davit::guard(call, [&] {
		/* The list is required: the manifest says so. */
		auto made = std::make_unique<Backend>(davit::view(davit_prop(in, "hosts")));
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

constexpr davit_names_ops make_ops()
{
	auto o = davit::make<davit_names_ops>(davit_names_ops_kind);

	o.resolve = resolve; /* no announce: others find this sidecar by the same list */
	return o;
}

constexpr davit_names_ops ops = make_ops();

/* DAVIT_LOOP: nothing here ever blocks. A client that does takes no flags, or DAVIT_SERIAL. */
constexpr davit_component names = davit::component("@TYPE@", "v1", &ops, { open, close, DAVIT_LOOP });

} /* namespace */

DAVIT_PLUGIN(PLUGIN_NAME, PLUGIN_VERSION, "@VENDOR@", &names);
