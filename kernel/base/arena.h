/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: the memory of one call. Nothing in it is freed by itself; all of it goes with the last reference.
 *
 * Running out of memory is one exit, not a thousand checks: arena_alloc() never answers NULL, it jumps to the place
 * that arena_on_oom() named (the start of the call, which answers "out of memory"). So between arena_on_oom() and the
 * end of the call hold nothing that only straight-line code would give back: hand it to arena_defer(). Code that must
 * not be jumped over (a callback of a C library, a plugin's frame) uses arena_try().
 *
 * An arena belongs to one thread at a time; only ref and unref may be called from any thread.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena;

struct arena *arena_new(void); /* one reference, NULL when there is no memory */
struct arena *arena_ref(struct arena *a);
void arena_unref(struct arena *a); /* the last one runs what was deferred, newest first; NULL is fine */

/* Where arena_alloc() jumps to, with value 1; NULL: it aborts the process, as outside of any call. Returns what was set
 * before, for who sets it for a part of the call only. */
jmp_buf *arena_on_oom(struct arena *a, jmp_buf *where);

void *arena_alloc(struct arena *a, size_t n);			  /* aligned to 16, not cleared, never NULL */
void *arena_zalloc(struct arena *a, size_t n);			  /* the same, zero */
void *arena_try(struct arena *a, size_t n);			  /* NULL instead of a jump */
void *arena_grow(struct arena *a, void *p, size_t old, size_t n); /* p with n bytes; moves unless it was the last */

struct str arena_str(struct arena *a, struct str s); /* a copy with a NUL behind it */
char *arena_cstr(struct arena *a, const char *s);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/* Runs fn(arg) when the arena ends. */
void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);
int arena_try_defer(struct arena *a, void (*fn)(void *arg), void *arg); /* -1: no memory, nothing deferred */

/* This thread keeps first chunks for its next arenas, until it drops them, which it does before it ends. Others keep none: a
 * plugin's thread may give an arena back and end without our knowing. */
void arena_keep_stock(void);
void arena_drop_stock(void);
size_t arena_size(const struct arena *a); /* bytes taken from the system for it */
#endif
