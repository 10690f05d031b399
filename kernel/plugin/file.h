/* SPDX-License-Identifier: Apache-2.0 */
/* Files that this process will believe or run: who owns them, what they hold. */
#ifndef PLUGIN_FILE_H
#define PLUGIN_FILE_H
#include "base/arena.h"
#include "base/str.h"

#define FILE_SHA256 65 /* hexadecimal digits and a NUL */

/* 0; -1: *ret_message names the file and says why. */
int file_read(struct arena *a, const char *path, size_t limit, struct str *ret_bytes, struct str *ret_message);
/*
 * 0: the file and every folder above it belong to root or to this process's user and nobody else may write there (a folder
 * with the sticky bit, such as /tmp, keeps others from our entries and is fine). -1: *ret_message says which and what to do.
 */
int file_trusted(struct arena *a, const char *path, struct str *ret_message);
int file_sha256(int fd, char ret_hex[FILE_SHA256]); /* of the whole file; -1: it could not be read */
#endif
