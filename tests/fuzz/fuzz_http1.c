/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to the HTTP port, which are mostly HTTP/1: requests, pipelined ones, bodies and trailers, what is no request at all. */
#include "fuzz_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (rig.loop == NULL) {
		struct http_server_options o = http_server_defaults();

		o.name = "fuzz";
		o.protocols = HTTP_1 | HTTP_2;
		o.handle = fuzz_handle;
		fuzz_loop();
		fuzz_serve(&o);
	}
	fuzz_talk((struct str){ (const char *)data, size });
	return 0;
}
