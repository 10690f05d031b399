/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One resolver: a thread that listens on the multicast sockets, answers for what was announced, and keeps what it hears of
 * the applications that were asked for. Callers wait for it on a condition.
 */
#ifndef RESOLVER_H
#define RESOLVER_H
#include <davit/names.h>
#include <netinet/in.h>
#include <pthread.h>

#include "packet.h"

#define APPS_MOST 1024	  /* applications that are kept */
#define ADDRESSES_MOST 32 /* of one application */
#define INTERFACES_MOST 32
#define ADDRESS_TEXT 64

struct address {
	char text[ADDRESS_TEXT]; /* with the port */
	char instance[NAME_MOST];
	int64_t until_ms;
	int v6;
};

struct app {
	struct app *next;
	char id[NAME_MOST], service[NAME_MOST]; /* "orders", "orders.local" in lower case */
	struct address addresses[ADDRESSES_MOST];
	size_t naddresses, turn;
	int waiting;		     /* callers that have no address yet */
	int64_t ask_at_ms, pause_ms; /* the next query */
	int64_t used_ms;
};

struct port { /* one interface of one family */
	int family;
	unsigned index;
	struct in_addr v4;
};

struct resolver {
	struct davit_instance *instance;
	int v4, v6, wake[2]; /* -1: none */
	struct port ports[INTERFACES_MOST];
	size_t nports;

	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows; no other is taken under it */
	pthread_cond_t found;
	struct app *apps;
	size_t napps;
	int stopping;
	/* What we answer for; id is empty until it is announced. */
	char id[NAME_MOST], service[NAME_MOST], entry[NAME_MOST], host[NAME_MOST];
	uint16_t port;
	int family; /* of address; 0: the interface's own */
	uint8_t address[16];
	int announcements; /* still to be sent */
	int64_t announce_at_ms;
};

int resolver_sockets(struct resolver *r, char *why,
		     size_t nwhy); /* 0; -1: no interface can, and why says what is wrong */
void resolver_send(struct resolver *r, const struct packet *p);
void *resolver_run(void *resolver);
int64_t resolver_now_ms(void);
void resolver_wake(struct resolver *r);
#endif
