/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/plugin.hpp - the line for plugins in C++17: the same structs and functions as davit/plugin.h, and what C++ wants
 * besides. An exception never crosses the line: each operation is one guard(). Nothing here has state or links to anything.
 */
#ifndef DAVIT_PLUGIN_HPP
#define DAVIT_PLUGIN_HPP
#include <davit/names.h>
#include <davit/plugin.h>
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

#include <exception>
#include <new>
#include <string>
#include <string_view>

namespace davit
{

/* Runs an operation and turns what it throws into a failure of the call. No host service may be waited for in a catch. */
template <typename F> davit_status guard(davit_call *call, F &&operation) noexcept
{
	try {
		return operation();
	} catch (const std::bad_alloc &) {
		return davit_fail(call, DAVIT_EXHAUSTED, nullptr, "no memory left");
	} catch (const std::exception &e) {
		return davit_fail(call, DAVIT_INTERNAL, nullptr, "%s", e.what());
	} catch (...) {
		return davit_fail(call, DAVIT_INTERNAL, nullptr, "an unknown exception");
	}
}

inline std::string_view view(struct davit_str s) noexcept
{
	return s.p ? std::string_view(s.p, s.n) : std::string_view();
}

inline std::string_view view(davit_bytes b) noexcept
{
	return b.p ? std::string_view(static_cast<const char *>(b.p), b.n) : std::string_view();
}

/* Borrowed: good as long as the string is. */
inline struct davit_str str(const std::string &s) noexcept
{
	return { s.c_str(), s.size() };
}

inline davit_bytes bytes(std::string_view s) noexcept
{
	return { s.data(), s.size() };
}

/* A record or table with its size and kind, all else zero: auto item = davit::make<davit_state_item>(davit_state_item_kind); */
template <typename T> constexpr T make(uint32_t kind) noexcept
{
	T t{};

	t.size = sizeof(T);
	t.kind = kind;
	return t;
}

/* What a component is made of besides its type and table; see davit_component. */
struct parts {
	davit_status (*open)(void *none, davit_call *call, const davit_open *in);
	davit_status (*close)(void *self, davit_call *call, const void *none);
	uint32_t flags = 0, workers = 0;
	davit_status (*ping)(void *self, davit_call *call, const void *none) = nullptr;
};

namespace detail
{
constexpr davit_component component(uint32_t block, const char *type, const char *version, const void *ops, const parts &p)
{
	davit_component c = make<davit_component>(davit_component_kind);

	c.block = block;
	c.flags = p.flags;
	c.workers = p.workers;
	c.type = type;
	c.version = version;
	c.ops = ops;
	c.open = p.open;
	c.close = p.close;
	c.ping = p.ping;
	return c;
}
} /* namespace detail */

/* static constexpr davit_component store = davit::component("state.acme", "v1", &ops, { open, close }); */
constexpr davit_component component(const char *type, const char *version, const davit_state_ops *ops, const parts &p)
{
	return detail::component(DAVIT_BLOCK_STATE, type, version, ops, p);
}
constexpr davit_component component(const char *type, const char *version, const davit_pubsub_ops *ops, const parts &p)
{
	return detail::component(DAVIT_BLOCK_PUBSUB, type, version, ops, p);
}
constexpr davit_component component(const char *type, const char *version, const davit_secrets_ops *ops, const parts &p)
{
	return detail::component(DAVIT_BLOCK_SECRETS, type, version, ops, p);
}
constexpr davit_component component(const char *type, const char *version, const davit_names_ops *ops, const parts &p)
{
	return detail::component(DAVIT_BLOCK_NAMES, type, version, ops, p);
}

} /* namespace davit */
#endif
