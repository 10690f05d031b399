/* SPDX-License-Identifier: Apache-2.0 */
/* davit.resolve/1 and davit.watch/1. */
#include <davit/resolve.h>
#include <davit/watch.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>

#include "host.h"

static davit_status resolve(struct davit_instance *instance, struct davit_call *call, const struct davit_resolve_in *in,
			    struct davit_address *addresses, uint64_t room, uint64_t *ret_n)
{
	struct host *h = (struct host *)instance;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL, *at;
	char host[256];
	int rc;

	(void)call;
	if (in->host.n >= 2 && in->host.p[0] == '[')
		snprintf(host, sizeof(host), "%.*s", (int)in->host.n - 2, in->host.p + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)in->host.n, in->host.p);
	if (host[0] == '\0')
		return DAVIT_INVALID_ARGUMENT;
	turns_give(&h->turns);
	rc = getaddrinfo(host, NULL, &hints, &list);
	turns_take(&h->turns);
	if (rc != 0) {
		if (in->why != NULL)
			snprintf(in->why, in->nwhy, "lookup %s: %s", host, gai_strerror(rc));
		return rc == EAI_NONAME ? DAVIT_NOT_FOUND : DAVIT_UNAVAILABLE;
	}
	*ret_n = 0;
	for (at = list; at != NULL && *ret_n < room; at = at->ai_next)
		if (getnameinfo(at->ai_addr, at->ai_addrlen, addresses[*ret_n].text, DAVIT_ADDRESS_TEXT, NULL, 0,
				NI_NUMERICHOST) == 0)
			++*ret_n;
	freeaddrinfo(list);
	return DAVIT_OK;
}

const struct davit_resolve_service bench_resolve = DAVIT_INIT(davit_resolve_service, .resolve = resolve);

struct davit_watch {
	struct davit_instance *instance;
	int fd;
};

static davit_status watch_open(struct davit_instance *instance, int32_t fd, struct davit_watch **ret_watch)
{
	struct davit_watch *w;

	if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return DAVIT_INVALID_ARGUMENT;
	w = malloc(sizeof(*w));
	if (w == NULL)
		abort();
	*w = (struct davit_watch){ instance, fd };
	*ret_watch = w;
	return DAVIT_OK;
}

static davit_status watch_wait(struct davit_watch *watch, struct davit_call *call, int32_t what, int64_t timeout_ms,
			       int32_t *ret_ready)
{
	struct wait w = wait_for(watch->instance, call, timeout_ms);
	short events = (short)((what & DAVIT_WATCH_READ ? POLLIN : 0) | (what & DAVIT_WATCH_WRITE ? POLLOUT : 0)),
	      got = 0;
	davit_status status = DAVIT_OK;

	while (status == DAVIT_OK && got == 0)
		status = wait_ready(&w, watch->fd, events, -1, &got);
	if (got & (POLLERR | POLLHUP))
		got = events;
	*ret_ready = (got & POLLIN ? DAVIT_WATCH_READ : 0) | (got & POLLOUT ? DAVIT_WATCH_WRITE : 0);
	return status;
}

static void watch_close(struct davit_watch *watch)
{
	free(watch);
}

const struct davit_watch_service bench_watch = DAVIT_INIT(davit_watch_service, .open = watch_open, .wait = watch_wait,
							  .close = watch_close);
