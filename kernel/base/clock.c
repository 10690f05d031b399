/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/banned.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

size_t clock_rfc3339(int64_t wall_ns, int digits, char ret_text[CLOCK_TEXT])
{
	time_t seconds = wall_ns / 1000000000;
	long fraction = wall_ns % 1000000000;
	char nine[16];
	struct tm t;
	int wanted = digits;
	size_t n;

	if (fraction < 0) {
		fraction += 1000000000;
		seconds--;
	}
	gmtime_r(&seconds, &t);
	n = strftime(ret_text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%S", &t);
	snprintf(nine, sizeof(nine), ".%09ld", fraction);
	if (digits < 0)
		for (wanted = 9; wanted > 0 && nine[wanted] == '0';)
			wanted--;
	if (wanted > 9)
		wanted = 9;
	if (wanted > 0) {
		memcpy(ret_text + n, nine, (size_t)wanted + 1);
		n += (size_t)wanted + 1;
	}
	ret_text[n++] = 'Z';
	ret_text[n] = '\0';
	return n;
}

size_t clock_rfc3339_s(int64_t wall_s, char ret_text[CLOCK_TEXT])
{
	time_t seconds = wall_s;
	struct tm t = { .tm_mday = 1 };

	gmtime_r(&seconds, &t);
	return strftime(ret_text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &t);
}
