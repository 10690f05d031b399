/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecars that share a file find each other in its table of peers, and wake each other by a datagram to a socket in a
 * folder beside it, named by the peer's number: nobody polls. A peer whose socket refuses is dead, whatever its time says;
 * what it held is free at once. One that has a time and does not keep it is taken for dead as well.
 */
#ifndef PEER_H
#define PEER_H
#include "bus.h"

void peer_init(struct peer *p);
void peer_open_folder(struct bus *b); /* failing is logged: then a slow poll has to do */
void peer_release(struct bus *b);     /* the sockets; the row is peer_leave's */

/* In a transaction: that we are in the table, with the topics of our consumers. SQLITE_OK or a result code. */
int peer_join(struct bus *b);
int peer_leave(struct bus *b); /* what we hold becomes free */
int peer_beat(struct bus *b);  /* in a transaction */
void peer_heal(struct bus *b); /* makes the folder and our socket anew where somebody removed them */
/* In a transaction: frees what the dead held, and wakes who may want it. */
int peer_reap(struct bus *b);
int peer_any_dead(struct bus *b); /* outside one: whether it is worth it */
/* In a transaction: sockets that belong to nobody go. */
int peer_tidy(struct bus *b);

void peer_wake_touched(struct bus *b); /* after the transaction: who subscribes to the topics that were touched */
void peer_hear(struct bus *b);	       /* takes the wakes that have come */
#endif
