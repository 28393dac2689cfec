// SPDX-License-Identifier: GPL-2.0-only
/* Building a guest and loading an image into it. */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "guest.h"

const char *guest_exit_name(uint32_t reason)
{
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "UNKNOWN",
		[KVM_EXIT_EXCEPTION] = "EXCEPTION",
		[KVM_EXIT_IO] = "IO",
		[KVM_EXIT_DEBUG] = "DEBUG",
		[KVM_EXIT_HLT] = "HLT",
		[KVM_EXIT_MMIO] = "MMIO",
		[KVM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[KVM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[KVM_EXIT_INTR] = "INTR",
		[KVM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[KVM_EXIT_SYSTEM_EVENT] = "SYSTEM_EVENT",
		[KVM_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	};

	if (reason < ARRAY_SIZE(names) && names[reason])
		return names[reason];
	return "other";
}

static int guest_fail(const char *what, int error)
{
	warnx("%s: %s", what, strerror(-error));
	return error;
}

static int guest_create(struct guest *guest)
{
	int ret;

	guest->vm = xvm_create_vm(guest->device, 0);
	if (guest->vm < 0)
		return guest_fail("create a VM", guest->vm);
	guest->memory = mmap(NULL, guest->size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (guest->memory == MAP_FAILED)
		return guest_fail("allocate guest memory", -errno);
	ret = xvm_set_memory(guest->vm, GUEST_MEMORY_SLOT, 0, guest->size,
			     guest->memory, 0);
	if (ret)
		return guest_fail("set guest memory", ret);
	guest->vcpu = xvm_create_vcpu(guest->device, guest->vm, 0, &guest->run);
	if (guest->vcpu < 0)
		return guest_fail("create a vCPU", guest->vcpu);
	ret = xvm_x86_set_cpuid(guest->device, guest->vcpu);
	if (ret)
		return guest_fail("set the vCPU's CPUID", ret);
	return 0;
}

int guest_open(struct guest *guest, const char *device, uint64_t size)
{
	int ret;

	*guest = (struct guest){
		.vm = -1,
		.vcpu = -1,
		.memory = MAP_FAILED,
		.size = size,
	};
	guest->device = open_device(device);
	if (guest->device < 0)
		return guest->device;
	ret = guest_create(guest);
	if (ret)
		guest_close(guest);
	return ret;
}

void guest_close(struct guest *guest)
{
	if (guest->vcpu >= 0)
		xvm_close_vcpu(guest->device, guest->vcpu, guest->run);
	if (guest->vm >= 0)
		xvm_close(guest->vm);
	if (guest->memory != MAP_FAILED)
		munmap(guest->memory, guest->size);
	xvm_close(guest->device);
}

static bool guest_range_ok(const struct guest *guest, uint64_t gpa, uint64_t size)
{
	return gpa >= GUEST_FLAT && gpa <= guest->size &&
	       size <= guest->size - gpa;
}

static int guest_load_flat(struct guest *guest, const char *path,
			   const void *image, uint64_t size)
{
	if (!guest_range_ok(guest, GUEST_FLAT, size)) {
		warnx("%s: too large for the guest's memory", path);
		return -E2BIG;
	}
	memcpy((char *)guest->memory + GUEST_FLAT, image, size);
	return xvm_x86_real_mode(guest->vcpu, GUEST_FLAT >> 4, 0);
}

static int guest_load_elf(struct guest *guest, const char *path,
			  const void *image, uint64_t size)
{
	const Elf64_Ehdr *header = image;
	const Elf64_Phdr *segment;
	int i;

	if (size < sizeof(*header) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_machine != EM_X86_64 || header->e_type != ET_EXEC ||
	    header->e_phentsize != sizeof(*segment) || header->e_phoff > size ||
	    header->e_phnum > (size - header->e_phoff) / sizeof(*segment) ||
	    header->e_phoff % _Alignof(Elf64_Phdr)) {
		warnx("%s: not a static x86-64 ELF executable", path);
		return -ENOEXEC;
	}
	segment = (const void *)((const char *)image + header->e_phoff);
	for (i = 0; i < header->e_phnum; i++, segment++) {
		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_offset > size ||
		    segment->p_filesz > size - segment->p_offset ||
		    segment->p_filesz > segment->p_memsz ||
		    !guest_range_ok(guest, segment->p_paddr, segment->p_memsz)) {
			warnx("%s: segment %d lies outside the file or the guest's memory",
			      path, i);
			return -ENOEXEC;
		}
		memcpy((char *)guest->memory + segment->p_paddr,
		       (const char *)image + segment->p_offset,
		       segment->p_filesz);
	}
	return xvm_x86_long_mode(guest->vcpu,
				 (char *)guest->memory + GUEST_TABLES,
				 GUEST_TABLES, header->e_entry, GUEST_STACK);
}

int guest_load(struct guest *guest, const char *path)
{
	const void *image;
	struct stat status;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status)) {
		ret = guest_fail(path, -errno);
		goto out;
	}
	if (!S_ISREG(status.st_mode) || !status.st_size) {
		warnx("%s: not a file with an image in it", path);
		ret = -EINVAL;
		goto out;
	}
	image = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED) {
		ret = guest_fail(path, -errno);
		goto out;
	}
	if (status.st_size >= SELFMAG && !memcmp(image, ELFMAG, SELFMAG))
		ret = guest_load_elf(guest, path, image, status.st_size);
	else
		ret = guest_load_flat(guest, path, image, status.st_size);
	munmap((void *)image, status.st_size);
out:
	if (fd >= 0)
		close(fd);
	return ret;
}
