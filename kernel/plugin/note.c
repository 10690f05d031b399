/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/note.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define NOTES_LIMIT 65536 /* bytes of one note segment that are looked at */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

static int read_at(int fd, void *to, size_t n, uint64_t at)
{
	return at <= INT64_MAX && pread(fd, to, n, (off_t)at) == (ssize_t)n ? 0 : -1;
}

static size_t pad4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Davit's note among the n bytes of a segment. */
static int find(const char *p, size_t n, struct davit_note *ret_note)
{
	uint32_t head[3];
	size_t name, desc;

	while (n >= sizeof(head)) {
		memcpy(head, p, sizeof(head));
		name = pad4(head[0]);
		desc = pad4(head[1]);
		if (name > n || desc > n || sizeof(head) + name + desc > n)
			return -1;
		if (head[2] == 1 && head[0] == 8 && memcmp(p + 12, "Davit\0\0\0", 8) == 0 &&
		    sizeof(head) + name + desc >= sizeof(*ret_note)) {
			memcpy(ret_note, p, sizeof(*ret_note));
			ret_note->name[sizeof(ret_note->name) - 1] = '\0';
			ret_note->version[sizeof(ret_note->version) - 1] = '\0';
			return 0;
		}
		p += sizeof(head) + name + desc;
		n -= sizeof(head) + name + desc;
	}
	return -1;
}

static int search_segments(int fd, const Elf64_Ehdr *e, struct davit_note *ret_note)
{
	char bytes[4096];
	Elf64_Phdr ph;
	size_t n;
	int i;

	for (i = 0; i < e->e_phnum && i < 128; i++) {
		if (read_at(fd, &ph, sizeof(ph), e->e_phoff + (uint64_t)i * sizeof(ph)) < 0)
			return -1;
		if (ph.p_type != PT_NOTE || ph.p_filesz > NOTES_LIMIT)
			continue;
		n = ph.p_filesz < sizeof(bytes) ? (size_t)ph.p_filesz : sizeof(bytes);
		if (read_at(fd, bytes, n, ph.p_offset) == 0 && find(bytes, n, ret_note) == 0)
			return 0;
	}
	return -1;
}

int note_read(int fd, struct davit_note *ret_note, const char **ret_why)
{
	struct davit_note note;
	Elf64_Ehdr e;

	if (read_at(fd, &e, sizeof(e), 0) < 0 || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0) {
		*ret_why = "is not an ELF file: build it as a shared object";
		return -1;
	}
	if (e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_machine != MACHINE || e.e_phentsize != sizeof(Elf64_Phdr)) {
		*ret_why = "was built for another machine: build it for this one";
		return -1;
	}
	if (search_segments(fd, &e, &note) < 0) {
		*ret_why = "has no Davit note: write DAVIT_PLUGIN(...) once in its sources";
		return -1;
	}
	*ret_note = note;
	return 0;
}
