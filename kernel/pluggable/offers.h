/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind each block's types. For pluggable/ alone. */
#ifndef PLUGGABLE_OFFERS_H
#define PLUGGABLE_OFFERS_H
#include <davit/pubsub.h>
#include <davit/secrets.h>
#include <davit/state.h>

extern const struct davit_state_ops peer_state_ops;
extern const struct davit_secrets_ops peer_secrets_ops;
extern const struct davit_pubsub_ops peer_pubsub_ops;

davit_status peer_state_open(void *none, struct davit_call *call, const struct davit_open *in);
davit_status peer_state_query(void *self, struct davit_call *call,
			      const struct davit_state_query *in); /* state_query.c */
davit_status peer_secrets_open(void *none, struct davit_call *call, const struct davit_open *in);
davit_status peer_pubsub_open(void *none, struct davit_call *call, const struct davit_open *in);
#endif
