/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing one message, and many: their metadata becomes headers, and a key or partition where it says so. */
#ifndef PUBLISH_H
#define PUBLISH_H
#include <davit/pubsub.h>

#include "producer.h"

davit_status publish_one(struct producer *p, struct davit_call *call, const struct davit_publish *in);
davit_status publish_many(struct producer *p, struct davit_call *call, const struct davit_publish_bulk *in);
#endif
