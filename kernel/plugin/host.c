/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host.h"

#include "plugin/minor.h"

const struct davit_host host_table = {
	.size = MINOR_HOST_SIZE,
	.kind = davit_host_kind,
	.abi = DAVIT_ABI,
	.minor = KERNEL_MINOR,
	.done = call_done,
	.emit = call_emit,
	.emit_owned = call_emit_owned,
	.fail = call_fail,
	.remaining_ms = call_remaining_ms,
	.cancelled = call_cancelled,
	.on_cancel = call_on_cancel,
	.alloc = call_alloc,
	.log = instance_log,
	.count = instance_count,
	.service = instance_service,
	.credit = call_credit,
	.on_credit = call_on_credit,
};
