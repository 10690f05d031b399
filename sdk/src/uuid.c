/* SPDX-License-Identifier: Apache-2.0 */
#include <davit/uuid.h>
#include <errno.h>
#include <sys/random.h>

#define STOCK 1024 /* bytes fetched at once: a system call for each 64 identifiers */

/* Per thread, so that there is neither a lock nor a byte handed out twice. */
static __thread uint8_t stock[STOCK];
static __thread size_t stocked;

int davit_random(void *ret_bytes, size_t n)
{
	uint8_t *p = ret_bytes;
	ssize_t got;

	while (n > 0) {
		got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

int davit_uuid4(struct davit_uuid *ret_uuid)
{
	if (stocked < sizeof(*ret_uuid)) {
		if (davit_random(stock, sizeof(stock)) < 0)
			return -1;
		stocked = sizeof(stock);
	}
	stocked -= sizeof(*ret_uuid);
	memcpy(ret_uuid->bytes, stock + stocked, sizeof(*ret_uuid));
	memset(stock + stocked, 0, sizeof(*ret_uuid));
	ret_uuid->bytes[6] = (uint8_t)((ret_uuid->bytes[6] & 0x0f) | 0x40);
	ret_uuid->bytes[8] = (uint8_t)((ret_uuid->bytes[8] & 0x3f) | 0x80);
	return 0;
}

static int dash_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void davit_uuid_text(const struct davit_uuid *uuid, char ret_text[DAVIT_UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < sizeof(uuid->bytes); i++) {
		if (dash_before(i))
			*ret_text++ = '-';
		*ret_text++ = digits[uuid->bytes[i] >> 4];
		*ret_text++ = digits[uuid->bytes[i] & 15];
	}
	*ret_text = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int davit_uuid_parse(struct davit_str text, struct davit_uuid *ret_uuid)
{
	struct davit_uuid uuid;
	const char *p = text.p;
	int high, low;
	size_t i;

	if (text.n != DAVIT_UUID_TEXT - 1)
		return -1;
	for (i = 0; i < sizeof(uuid.bytes); i++) {
		if (dash_before(i) && *p++ != '-')
			return -1;
		high = digit(*p++);
		low = digit(*p++);
		if (high < 0 || low < 0)
			return -1;
		uuid.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret_uuid = uuid;
	return 0;
}
