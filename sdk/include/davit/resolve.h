/* SPDX-License-Identifier: Apache-2.0 */
/*
 * davit/resolve.h - the service "davit.resolve/1": from a name to addresses, for libraries that connect themselves. On a
 * worker it blocks, on a loop it parks the fiber.
 */
#ifndef DAVIT_RESOLVE_H
#define DAVIT_RESOLVE_H
#include <davit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAVIT_RESOLVE "davit.resolve/1"

enum { davit_resolve_service_kind = 10100, davit_resolve_in_kind };

#define DAVIT_ADDRESS_TEXT 48

struct davit_address {
	char text[DAVIT_ADDRESS_TEXT]; /* "127.0.0.1", "2001:db8::1", "fe80::1%eth0" */
};

struct davit_resolve_in {
	uint32_t size, kind;
	struct davit_str host; /* a name; an address, with or without brackets, is its own answer */
	int64_t timeout_ms;    /* 0: no limit of its own */
	char *why;	       /* where the reason of a failure is written, ended by a NUL; may be NULL */
	uint64_t nwhy;	       /* bytes there */
};

struct davit_resolve_service {
	uint32_t size, kind;
	/*
	 * At most `room` addresses, the best one first; *ret_n how many. DAVIT_NOT_FOUND: there is no such name;
	 * DAVIT_UNAVAILABLE: no resolver answered; DAVIT_DEADLINE_EXCEEDED; DAVIT_CANCELLED; DAVIT_EXHAUSTED; DAVIT_INVALID_ARGUMENT.
	 * call: NULL for work that belongs to none.
	 */
	davit_status (*resolve)(struct davit_instance *instance, struct davit_call *call,
				const struct davit_resolve_in *in, struct davit_address *addresses, uint64_t room,
				uint64_t *ret_n);
};

/* NULL: this kernel does not offer it. */
static inline const struct davit_resolve_service *davit_resolve_service(struct davit_instance *instance)
{
	return (const struct davit_resolve_service *)instance->host->service(instance, DAVIT_RESOLVE);
}

#ifdef __cplusplus
}
#endif
#endif
