/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the client of your broker: queues in this process's memory. Change plugin.c to fit your client; it alone
 * knows of Davit. Any thread.
 */
#ifndef BACKEND_H
#define BACKEND_H
#include <stddef.h>
#include <stdint.h>

struct backend;
struct reader;

struct event {
	struct event *next;
	uint64_t token; /* from backend_next until it is settled */
	size_t n;
	char data[];
};

enum backend_result { BACKEND_OK, BACKEND_FULL, BACKEND_NO_MEMORY };

struct backend *backend_open(void); /* NULL: no memory */
void backend_close(struct backend *b);
/* To every reader of the topic; what finds none is gone. */
enum backend_result backend_publish(struct backend *b, const char *topic, size_t ntopic, const void *data, size_t n);

struct reader *reader_open(struct backend *b, const char *topic, size_t n); /* NULL: no memory */
/* Waits for the next event, which stays the backend's until it is settled; NULL: reader_stop was called. */
const struct event *reader_next(struct reader *r);
void reader_stop(struct reader *r);
void reader_close(struct reader *r); /* what is not settled goes with it */
/* again: it comes once more. A token that no reader knows any more does no harm. */
void backend_settle(struct backend *b, uint64_t token, int again);
#endif
