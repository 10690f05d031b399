/* SPDX-License-Identifier: Apache-2.0 */
/* Frames to the HTTP port: an input that begins with 'r' is sent as it is behind the preface, another one is made into frames. */
#include "fuzz_frames.h"
#include "fuzz_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = { (const char *)data, size };
	struct buf b = buf_init();

	if (rig.loop == NULL) {
		struct http_server_options o = http_server_defaults();

		o.name = "fuzz";
		o.protocols = HTTP_2;
		o.handle = fuzz_handle;
		fuzz_loop();
		fuzz_serve(&o);
	}
	fuzz_begin(&b);
	if (fuzz_choice(&input) == 'r')
		buf_adds(&b, input);
	else
		fuzz_frames(&b, input);
	fuzz_talk(buf_str(&b));
	buf_free(&b);
	return 0;
}
