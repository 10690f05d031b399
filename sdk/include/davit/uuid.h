/* SPDX-License-Identifier: Apache-2.0 */
/* davit/uuid.h - random identifiers (RFC 9562, version 4), such as ETags. Helpers of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_UUID_H
#define DAVIT_UUID_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_UUID_TEXT 37 /* bytes of the text with its NUL */

struct davit_uuid {
	uint8_t bytes[16];
};

/* n bytes from the system's generator. 0; -1: it has none (errno). */
int davit_random(void *ret_bytes, size_t n);
/* Any thread. 0; -1 as davit_random. */
int davit_uuid4(struct davit_uuid *ret_uuid);
/* In lower case, "8-4-4-4-12". */
void davit_uuid_text(const struct davit_uuid *uuid, char ret_text[DAVIT_UUID_TEXT]);
/* 0; -1: not exactly what davit_uuid_text writes. */
int davit_uuid_parse(struct davit_str text, struct davit_uuid *ret_uuid);

#ifdef __cplusplus
}
#endif
#endif
