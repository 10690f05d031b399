/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your registry: a text such as "shop=10.0.0.7:50002,pay=10.0.0.8:50002". Change plugin.cc to fit
 * your client; it alone knows of Davit. Any thread.
 */
#pragma once
#include <map>
#include <string>
#include <string_view>

class Backend
{
public:
	explicit Backend(std::string_view hosts)
	{
		while (!hosts.empty()) {
			auto one = hosts.substr(0, hosts.find(','));
			auto equals = one.find('=');

			if (equals != std::string_view::npos)
				hosts_.emplace(one.substr(0, equals), one.substr(equals + 1));
			hosts.remove_prefix(one.size() < hosts.size() ? one.size() + 1 : one.size());
		}
	}

	/* nullptr: none is known. */
	const std::string *find(std::string_view app) const
	{
		auto at = hosts_.find(std::string(app));

		return at == hosts_.end() ? nullptr : &at->second;
	}

private:
	std::map<std::string, std::string> hosts_;
};
