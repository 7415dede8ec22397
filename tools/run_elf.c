/* SPDX-License-Identifier: MIT */
#include "run_elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#if defined __x86_64__
#define OUR_MACHINE EM_X86_64
#elif defined __aarch64__
#define OUR_MACHINE EM_AARCH64
#else
#error "asys knows x86-64 and aarch64"
#endif

/* As many bytes as the kernel looks at for the first line of a script. */
#define FIRST 256
/* No linker makes more. */
#define SEGMENTS_MAX 512

static const char *architecture_name(unsigned machine, unsigned class)
{
	static const struct {
		unsigned machine, class;
		const char *name;
	} names[] = {
		{ EM_386, ELFCLASS32, "32-bit x86" },
		{ EM_X86_64, ELFCLASS64, "x86-64" },
		{ EM_X86_64, ELFCLASS32, "x32" },
		{ EM_ARM, ELFCLASS32, "32-bit ARM" },
		{ EM_AARCH64, ELFCLASS64, "aarch64" },
		{ EM_AARCH64, ELFCLASS32, "ILP32 aarch64" },
		{ EM_RISCV, ELFCLASS64, "64-bit RISC-V" },
		{ EM_PPC64, ELFCLASS64, "64-bit PowerPC" },
		{ EM_S390, ELFCLASS64, "s390x" },
		{ EM_MIPS, ELFCLASS32, "32-bit MIPS" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].machine == machine && names[i].class == class)
			return names[i].name;
	return "another architecture";
}

/* Path of the interpreter, without blanks around it and without its argument. */
static void read_script(const char *line, size_t len, struct image *image)
{
	const char *end = memchr(line, '\n', len);
	size_t start = strlen("#!"), stop;

	len = end ? (size_t)(end - line) : len;
	while (start < len && (line[start] == ' ' || line[start] == '\t'))
		start++;
	stop = start;
	while (stop < len && line[stop] != ' ' && line[stop] != '\t' && line[stop] != '\0')
		stop++;
	image->kind = KIND_SCRIPT;
	/* A name that fills all there is may go on behind it; the kernel refuses that too. */
	image->broken = stop == start || (!end && stop == FIRST);
	memcpy(image->loader, line + start, stop - start);
	image->loader[stop - start] = '\0';
}

/* All of `len` bytes, or an error; a file that ends before that is broken (-ENOEXEC). */
static int read_at(int fd, void *to, size_t len, uint64_t offset)
{
	ssize_t n = pread(fd, to, len, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOEXEC;
}

static int read_loader(int fd, const Elf64_Ehdr *header, struct image *image)
{
	Elf64_Phdr segment;
	int err;

	if (header->e_phentsize != sizeof segment || header->e_phnum > SEGMENTS_MAX)
		return -ENOEXEC;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		err = read_at(fd, &segment, sizeof segment, header->e_phoff + i * sizeof segment);
		if (err)
			return err;
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz < 2 || segment.p_filesz > sizeof image->loader)
			return -ENOEXEC;
		err = read_at(fd, image->loader, segment.p_filesz, segment.p_offset);
		if (err)
			return err;
		if (image->loader[segment.p_filesz - 1] != '\0')
			return -ENOEXEC;
		image->has_loader = true;
		return 0;
	}
	return 0;
}

static int read_elf(int fd, const char *first, size_t len, struct image *image)
{
	const unsigned our_data =
		__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	Elf64_Ehdr header;
	unsigned machine;
	int err;

	memset(&header, 0, sizeof header);
	memcpy(&header, first, len < sizeof header ? len : sizeof header);
	/* The machine is at the same place in the headers of 32 and of 64 bits. */
	machine = header.e_machine;
	if (header.e_ident[EI_DATA] != our_data)
		machine = __builtin_bswap16(header.e_machine);
	if (machine != OUR_MACHINE || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != our_data) {
		image->kind = KIND_FOREIGN;
		image->architecture = architecture_name(machine, header.e_ident[EI_CLASS]);
		return 0;
	}
	image->kind = KIND_ELF;
	err = len < sizeof header ? -ENOEXEC : read_loader(fd, &header, image);
	if (err != -ENOEXEC)
		return err;
	image->broken = true;
	return 0;
}

int image_read(const char *path, struct image *ret_image)
{
	struct image image = { .kind = KIND_OTHER };
	char first[FIRST];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, first, sizeof first);
	if (n < 0)
		err = -errno;
	else if (n == 0)
		image.kind = KIND_EMPTY;
	else if (n >= 2 && memcmp(first, "#!", 2) == 0)
		read_script(first, (size_t)n, &image);
	else if (n >= EI_NIDENT && memcmp(first, ELFMAG, SELFMAG) == 0)
		err = read_elf(fd, first, (size_t)n, &image);
	close(fd);
	if (err == 0)
		*ret_image = image;
	return err;
}
