/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your registry: a text such as "shop=10.0.0.7:50002,pay=10.0.0.8:50002". Change plugin.c to fit
 * your client; it alone knows of Davit. Any thread.
 */
#ifndef BACKEND_H
#define BACKEND_H
#include <stddef.h>

struct backend;

struct backend *backend_open(const char *hosts); /* NULL: no memory */
void backend_close(struct backend *b);
/* The address of an application, without a NUL at its end, as long as b; NULL: none is known. */
const char *backend_find(const struct backend *b, const char *app, size_t n, size_t *ret_n);
#endif
