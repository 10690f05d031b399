/* SPDX-License-Identifier: Apache-2.0 */
/* From a name to socket addresses, within a piece of service work. Names go to libuv's resolver threads, addresses do not. */
#ifndef PLUGIN_RESOLVE_H
#define PLUGIN_RESOLVE_H
#include "plugin/service.h"

struct resolved {
	struct sockaddr_storage *addresses; /* best first; freed by resolve_release() */
	size_t n;
};

/* host: a name, or an address with or without brackets. On failure *ret is untouched and why says the reason. */
davit_status resolve_host(struct service_work *w, struct davit_str host, int port, struct resolved *ret, char *why,
			  uint64_t nwhy);
void resolve_release(struct resolved *r);
#endif
