/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries of any bytes: the note is read before anything of them runs. */
#include "fuzz_input.h"
#include "plugin/note.h"

static void run(struct arena *a, struct str input)
{
	static int fd = -1;
	struct davit_note n;
	const char *why = NULL;

	(void)a;
	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz_require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, input.p, input.n, 0) == (ssize_t)input.n);
	if (note_read(fd, &n, &why) < 0) {
		fuzz_require(why != NULL && *why);
		return;
	}
	FUZZ_PLANTED(n.version[0] != '0');
	fuzz_require(memchr(n.name, '\0', sizeof(n.name)) != NULL &&
		     memchr(n.version, '\0', sizeof(n.version)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(data, size, run);
}
