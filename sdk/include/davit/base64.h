/* SPDX-License-Identifier: Apache-2.0 */
/* davit/base64.h - the standard alphabet with padding (RFC 4648, section 4). A helper of libdavit-sdk.a, not of the line. */
#ifndef DAVIT_BASE64_H
#define DAVIT_BASE64_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of text that n bytes become, without a NUL. */
static inline size_t davit_base64_size(size_t n)
{
	return (n + 2) / 3 * 4;
}

/* Writes davit_base64_size(n) bytes and no NUL. */
void davit_base64_encode(const void *bytes, size_t n, char *ret_text);
/*
 * ret_bytes has room for n / 4 * 3 bytes; line ends in the text are skipped. The number of bytes; -1: not base64 (then
 * ret_bytes holds anything).
 */
ptrdiff_t davit_base64_decode(const char *text, size_t n, void *ret_bytes);

#ifdef __cplusplus
}
#endif
#endif
