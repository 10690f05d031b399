/* SPDX-License-Identifier: Apache-2.0 */
/* --wait: asks another sidecar whether it can be called. A process of its own, so plain blocking sockets serve. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/clock.h"
#include "main/options.h"

#define PATH "/v1.0/healthz/outbound"
#define WAIT_MS 60000
#define PERIOD_MS 100
#define REQUEST_MS 500

/* Waits for one of events; 0: `until` has passed. */
static int ready(int fd, short events, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = until - clock_ms();

	return left > 0 && poll(&p, 1, (int)left) == 1;
}

static int dial(const char *port, int64_t until)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int fd = -1;

	if (getaddrinfo("localhost", port, &want, &list) != 0) {
		errno = EINVAL;
		return -1;
	}
	for (struct addrinfo *i = list; i; i = i->ai_next) {
		int fault = 0;
		socklen_t n = sizeof(fault);

		fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		if (connect(fd, i->ai_addr, i->ai_addrlen) == 0)
			break;
		if (errno == EINPROGRESS)
			fault = !ready(fd, POLLOUT, until)			       ? ETIMEDOUT
				: getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &n) < 0 ? errno
										       : fault;
		else
			fault = errno;
		if (!fault)
			break;
		close(fd);
		fd = -1;
		errno = fault;
	}
	freeaddrinfo(list);
	return fd;
}

/* The status of one request; 0: none, why in ret_why. */
static int ask(const char *port, char *ret_why, size_t nwhy)
{
	int64_t until = clock_ms() + REQUEST_MS;
	char text[256], answer[64];
	size_t got = 0;
	int status = 0, fd = dial(port, until);

	if (fd < 0) {
		snprintf(ret_why, nwhy, "%s", strerror(errno));
		return 0;
	}
	int n = snprintf(text, sizeof(text), "GET " PATH " HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n",
			 port);

	/* It fits into an empty socket buffer: a short write is an error here. */
	if (n < (int)sizeof(text) && send(fd, text, (size_t)n, MSG_NOSIGNAL) == n) {
		while (got < 12 && ready(fd, POLLIN, until)) {
			ssize_t r = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);

			if (r <= 0)
				break;
			got += (size_t)r;
		}
	}
	close(fd);
	answer[got] = 0;
	if (sscanf(answer, "HTTP/1.%*c %3d", &status) != 1)
		snprintf(ret_why, nwhy, "no answer");
	else if (status != 204)
		snprintf(ret_why, nwhy, "HTTP status code %d", status);
	return status;
}

int options_wait(const struct options *o, FILE *to)
{
	int64_t end = clock_ms() + WAIT_MS, say = 0;
	char why[128] = "";

	fprintf(to, "Waiting for Dapr to be outbound ready (timeout: %d seconds): url=http://localhost:%s" PATH "\n\n",
		WAIT_MS / 1000, o->dapr_http_port.p);
	while (clock_ms() < end) {
		struct timespec pause = { .tv_nsec = PERIOD_MS * 1000000L };

		if (ask(o->dapr_http_port.p, why, sizeof(why)) == 204) {
			fprintf(to, "Dapr is outbound ready!\n");
			return 1;
		}
		if (clock_ms() >= say) {
			say = clock_ms() + 1000;
			fprintf(to, "Dapr outbound NOT ready yet: %s\n", why);
		}
		nanosleep(&pause, NULL);
	}
	fprintf(to, "timeout waiting for Dapr to become outbound ready. Last error: %s\n", why);
	return 0;
}
