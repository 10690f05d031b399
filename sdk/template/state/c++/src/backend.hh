/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your server: keys and values in this process's memory. Keep the calls as your client has them
 * and change plugin.cc to fit; it alone knows of Davit. One thread at a time.
 */
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

class Backend
{
public:
	struct Value {
		std::string bytes;
		uint64_t revision = 0;
	};
	/* The condition of a write does not hold. */
	struct Stale : std::runtime_error {
		using std::runtime_error::runtime_error;
	};
	enum class If { always, none, revision };

	/* nullptr: there is none; good until the next call. */
	const Value *read(std::string_view key) const
	{
		auto at = values_.find(std::string(key));

		return at == values_.end() ? nullptr : &at->second;
	}

	void write(std::string_view key, std::string_view bytes, If condition, uint64_t revision)
	{
		check(key, condition, revision);
		values_[std::string(key)] = Value{ std::string(bytes), revisions_ + 1 };
		revisions_++;
	}

	void remove(std::string_view key, If condition, uint64_t revision)
	{
		check(key, condition, revision);
		values_.erase(std::string(key));
	}

private:
	void check(std::string_view key, If condition, uint64_t revision) const
	{
		const Value *is = read(key);

		if ((condition == If::none && is != nullptr) ||
		    (condition == If::revision && (is == nullptr || is->revision != revision)))
			throw Stale("'" + std::string(key) + "' has changed");
	}

	std::unordered_map<std::string, Value> values_;
	uint64_t revisions_ = 0;
};
