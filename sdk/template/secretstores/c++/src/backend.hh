/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your server: a file with lines of NAME=value, read anew each time. Change plugin.cc to fit your
 * client; it alone knows of Davit. Several threads at once.
 */
#pragma once
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

class Backend
{
public:
	struct Unreadable : std::runtime_error {
		using std::runtime_error::runtime_error;
	};

	explicit Backend(std::string file) : file_(std::move(file))
	{
	}

	std::map<std::string, std::string> read() const
	{
		std::map<std::string, std::string> secrets;
		std::ifstream from(file_);
		std::string line;

		if (!from)
			throw Unreadable(file_ + " cannot be read");
		while (std::getline(from, line)) {
			auto equals = line.find('=');

			if (equals != std::string::npos && line[0] != '#')
				secrets[line.substr(0, equals)] = line.substr(equals + 1);
		}
		return secrets;
	}

private:
	std::string file_;
};
