/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your server: a file with lines of NAME=value, read anew each time. Change plugin.c to fit your
 * client; it alone knows of Davit. Several threads at once.
 */
#ifndef BACKEND_H
#define BACKEND_H
#include <stddef.h>

struct backend;

struct backend *backend_open(const char *file); /* NULL: no memory */
void backend_close(struct backend *b);
/*
 * Calls each(arg, name, value) for every secret until it answers other than 0, which is then the result; 0 at the end.
 * -1: the file could not be read (errno).
 */
int backend_each(struct backend *b, int (*each)(void *arg, const char *name, const char *value), void *arg);
const char *backend_file(const struct backend *b);
#endif
