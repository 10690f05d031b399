/* SPDX-License-Identifier: Apache-2.0 */
/* How often, and how long after a failure, a message is given again: the fields backOff… of Dapr's components. */
#ifndef RETRY_H
#define RETRY_H
#include <davit/plugin.h>

struct retry {
	int exponential;
	int64_t constant_ns; /* backOffDuration */
	int64_t first_ns, most_ns,
		elapsed_ns; /* exponential: the first pause, the longest, all together (0: for ever) */
	double factor, scatter;
	int64_t most; /* times; below 0: without end */
};

/* 0; -1: *ret_why names the field. */
int retry_read(const struct davit_open *in, struct retry *ret_retry, const char **ret_why);
/* The pause before the n-th further try (n from 1), after since_ns of trying; below 0: it has been enough. */
int64_t retry_pause(const struct retry *r, unsigned n, int64_t since_ns);
#endif
