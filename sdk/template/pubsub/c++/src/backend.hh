/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your broker: queues in this process's memory. Change plugin.cc to fit your client; it alone
 * knows of Davit. Any thread.
 */
#pragma once
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

class Backend
{
public:
	struct Full : std::runtime_error {
		using std::runtime_error::runtime_error;
	};

	class Reader
	{
	public:
		Reader(Backend &backend, std::string_view topic) : backend_(backend), topic_(topic)
		{
			std::lock_guard<std::mutex> held(backend_.lock_);

			backend_.readers_.push_back(this);
		}

		~Reader()
		{
			std::lock_guard<std::mutex> held(backend_.lock_);

			backend_.readers_.remove(this);
		}

		Reader(const Reader &) = delete;
		Reader &operator=(const Reader &) = delete;

		/* Waits for the next; 0: stop() was called. *ret_data is good until the token is settled. */
		uint64_t next(const std::string **ret_data)
		{
			std::unique_lock<std::mutex> held(backend_.lock_);

			backend_.changed_.wait(held, [&] { return stopped_ || !waiting_.empty(); });
			if (stopped_)
				return 0;
			uint64_t token = backend_.tokens_ + 1;
			auto at = taken_.emplace(token, std::move(waiting_.front())).first;

			backend_.tokens_ = token;
			waiting_.pop_front();
			*ret_data = &at->second;
			return token;
		}

		void stop()
		{
			std::lock_guard<std::mutex> held(backend_.lock_);

			stopped_ = true;
			backend_.changed_.notify_all();
		}

	private:
		friend class Backend;
		Backend &backend_;
		std::string topic_;
		std::list<std::string> waiting_;
		std::map<uint64_t, std::string> taken_;
		bool stopped_ = false;
	};

	/* To every reader of the topic; what finds none is gone. */
	void publish(std::string_view topic, std::string_view data)
	{
		std::lock_guard<std::mutex> held(lock_);

		for (const Reader *r : readers_)
			if (r->topic_ == topic && r->waiting_.size() >= most)
				throw Full("a subscriber of '" + r->topic_ + "' is too far behind");
		for (Reader *r : readers_)
			if (r->topic_ == topic)
				r->waiting_.emplace_back(data);
		changed_.notify_all();
	}

	/* again: it comes once more. A token that no reader knows any more does no harm. */
	void settle(uint64_t token, bool again)
	{
		std::lock_guard<std::mutex> held(lock_);

		for (Reader *r : readers_) {
			auto at = r->taken_.find(token);

			if (at == r->taken_.end())
				continue;
			if (again)
				r->waiting_.push_back(std::move(at->second));
			r->taken_.erase(at);
			break;
		}
		changed_.notify_all();
	}

private:
	static constexpr size_t most = 1000; /* that a reader has not taken */
	std::mutex lock_;
	std::condition_variable changed_;
	std::list<Reader *> readers_;
	uint64_t tokens_ = 0;
};
