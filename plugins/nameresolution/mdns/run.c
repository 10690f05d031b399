/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver's thread: what comes in, and what is due. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "resolver.h"

#define TTL 3200	    /* seconds, as Dapr's responder says */
#define KEPT_MS 60000	    /* an address that nobody has repeated for so long is no longer used */
#define REFRESH_MS 30000    /* an application in use is asked for again */
#define FORGOTTEN_MS 600000 /* one that was not asked for so long is forgotten */
#define PAUSE_FIRST_MS 200  /* between the queries of somebody who waits; each pause is twice as long */

int64_t resolver_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void resolver_wake(struct resolver *r)
{
	(void)!write(r->wake[1], "", 1);
}

/* ---- Answering ---- */

/* The address to tell; NULL: there is none, as where only IPv6 has a multicast interface and nobody said which to take. */
static const void *own_address(const struct resolver *r, int *ret_family)
{
	size_t i;

	*ret_family = r->family != 0 ? r->family : AF_INET;
	if (r->family != 0)
		return r->address;
	for (i = 0; i < r->nports; i++)
		if (r->ports[i].family == AF_INET)
			return &r->ports[i].v4;
	return NULL;
}

/* All there is to say in one message, so that nobody has to ask again. ttl 0: forget it. */
static void say(struct resolver *r, uint32_t ttl)
{
	int family;
	const void *address = own_address(r, &family);
	struct packet p;

	packet_begin(&p, 1, 0, 1, address != NULL ? 3 : 2); /* a count that is wrong spoils all of it */
	packet_ptr(&p, r->service, ttl, r->entry);
	packet_srv(&p, r->entry, ttl, r->port, r->host);
	packet_txt(&p, r->entry, ttl, r->id);
	if (address != NULL)
		packet_address(&p, r->host, ttl, family, address);
	resolver_send(r, &p);
}

static int is_ours(const struct resolver *r, const struct question *q)
{
	return strcasecmp(q->name, r->service) == 0 || strcasecmp(q->name, r->entry) == 0;
}

static void answer(struct resolver *r, const struct message *m)
{
	size_t i;

	for (i = 0; r->id[0] != '\0' && i < m->nquestions; i++)
		if (is_ours(r, &m->questions[i])) {
			say(r, TTL);
			return;
		}
}

/* ---- Hearing ---- */

static struct app *app_of_entry(struct resolver *r, const char *entry)
{
	size_t n = strlen(entry), k;
	struct app *a;

	for (a = r->apps; a != NULL; a = a->next) {
		k = strlen(a->service);
		if (n > k && entry[n - k - 1] == '.' && strcmp(entry + n - k, a->service) == 0)
			return a;
	}
	return NULL;
}

static void forget(struct app *a, const char *instance)
{
	size_t i, n = 0;

	for (i = 0; i < a->naddresses; i++)
		if (strcmp(a->addresses[i].instance, instance) != 0)
			a->addresses[n++] = a->addresses[i];
	a->naddresses = n;
}

static void keep(struct resolver *r, struct app *a, const struct record *srv, const struct record *address)
{
	char ip[INET6_ADDRSTRLEN], text[ADDRESS_TEXT];
	struct address *found = NULL;
	size_t i;

	if (inet_ntop(address->type == TYPE_A ? AF_INET : AF_INET6, address->address, ip, sizeof(ip)) == NULL)
		return;
	snprintf(text, sizeof(text), address->type == TYPE_A ? "%s:%u" : "[%s]:%u", ip, srv->port);
	for (i = 0; i < a->naddresses; i++)
		if (strcmp(a->addresses[i].text, text) == 0)
			found = &a->addresses[i];
	if (found == NULL) {
		if (a->naddresses == ADDRESSES_MOST)
			return;
		found = &a->addresses[a->naddresses++];
	}
	memcpy(found->text, text, sizeof(text));
	memcpy(found->instance, srv->name, sizeof(found->instance));
	found->until_ms = resolver_now_ms() + KEPT_MS;
	found->v6 = address->type == TYPE_AAAA;
	pthread_cond_broadcast(&r->found);
}

/* The text names the application in its own spelling: another one's entry may only look alike. */
static int says(const struct message *m, const char *entry, const char *id)
{
	size_t i;

	for (i = 0; i < m->nrecords; i++)
		if (m->records[i].type == TYPE_TXT && strcmp(m->records[i].name, entry) == 0)
			return strcmp(m->records[i].text, id) == 0;
	return 0;
}

static void hear(struct resolver *r, const struct message *m)
{
	const struct record *srv, *address;
	struct app *a;
	size_t i, k;

	for (i = 0; i < m->nrecords; i++) {
		srv = &m->records[i];
		a = srv->type == TYPE_SRV ? app_of_entry(r, srv->name) : NULL;
		if (a == NULL)
			continue;
		if (srv->ttl == 0) {
			forget(a, srv->name);
			continue;
		}
		for (k = 0; k < m->nrecords && says(m, srv->name, a->id); k++) {
			address = &m->records[k];
			if ((address->type == TYPE_A || address->type == TYPE_AAAA) &&
			    strcmp(address->name, srv->text) == 0)
				keep(r, a, srv, address);
		}
	}
}

static void receive(struct resolver *r, int fd)
{
	static _Thread_local struct message m;
	uint8_t bytes[PACKET_MOST];
	ssize_t n;
	int i;

	for (i = 0; i < 64 && (n = recv(fd, bytes, sizeof(bytes), 0)) > 0; i++) {
		if (packet_read(bytes, (size_t)n, &m) < 0)
			continue;
		pthread_mutex_lock(&r->lock);
		if (m.response)
			hear(r, &m);
		else
			answer(r, &m);
		pthread_mutex_unlock(&r->lock);
	}
}

/* ---- What is due ---- */

static void ask(struct resolver *r, struct app *a, int64_t now)
{
	struct packet p;

	packet_begin(&p, 0, 1, 0, 0);
	packet_question(&p, a->service, TYPE_PTR);
	resolver_send(r, &p);
	if (a->waiting > 0) {
		a->ask_at_ms = now + a->pause_ms;
		a->pause_ms *= 2;
	} else {
		a->ask_at_ms = now + REFRESH_MS;
	}
}

static void forget_old(struct resolver *r, int64_t now)
{
	struct app **at = &r->apps, *a;

	while ((a = *at) != NULL) {
		if (a->waiting > 0 || now - a->used_ms < FORGOTTEN_MS) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
		r->napps--;
	}
}

/* Answers when it has to be called again. */
static int64_t do_due(struct resolver *r)
{
	int64_t now = resolver_now_ms(), next = now + REFRESH_MS;
	struct app *a;

	forget_old(r, now);
	if (r->announcements > 0 && r->announce_at_ms <= now) {
		say(r, TTL);
		r->announcements--;
		r->announce_at_ms = now + 1000;
	}
	if (r->announcements > 0 && r->announce_at_ms < next)
		next = r->announce_at_ms;
	for (a = r->apps; a != NULL; a = a->next) {
		if (a->ask_at_ms <= now)
			ask(r, a, now);
		if (a->ask_at_ms < next)
			next = a->ask_at_ms;
	}
	return next - now;
}

static void drain(int fd)
{
	char bytes[64];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

void *resolver_run(void *resolver)
{
	struct resolver *r = resolver;
	struct pollfd fds[3] = { { .fd = r->wake[0], .events = POLLIN },
				 { .fd = r->v4, .events = POLLIN },
				 { .fd = r->v6, .events = POLLIN } };
	int64_t wait;
	int stop;

	for (;;) {
		pthread_mutex_lock(&r->lock);
		stop = r->stopping;
		wait = stop ? 0 : do_due(r);
		if (stop && r->id[0] != '\0')
			say(r, 0);
		pthread_mutex_unlock(&r->lock);
		if (stop)
			return NULL;
		if (poll(fds, 3, wait < 0 ? 0 : (int)wait) < 0 && errno != EINTR)
			return NULL;
		if (fds[0].revents)
			drain(r->wake[0]);
		if (fds[1].revents)
			receive(r, r->v4);
		if (fds[2].revents)
			receive(r, r->v6);
	}
}
