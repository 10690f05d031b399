/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

void random_bytes(void *p, size_t n)
{
	char *at = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

void random_id(void *p, size_t n)
{
	static _Thread_local struct {
		unsigned char bytes[512];
		size_t left;
	} stock;

	if (stock.left < n) {
		random_bytes(stock.bytes, sizeof(stock.bytes));
		stock.left = sizeof(stock.bytes);
	}
	memcpy(p, stock.bytes + sizeof(stock.bytes) - stock.left, n);
	stock.left -= n;
}

void random_uuid(char ret_text[UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char b[16];
	char *p = ret_text;
	int i;

	random_id(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[b[i] >> 4];
		*p++ = digits[b[i] & 15];
	}
	*p = '\0';
}
