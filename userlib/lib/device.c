// SPDX-License-Identifier: LGPL-2.1-or-later
/* The device and its VMs: descriptors, capabilities, the invariant checker. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libxvm.h"

int xvm_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int xvm_close(int fd)
{
	return close(fd) ? -errno : 0;
}

int xvm_open(const char *device)
{
	int fd, version;

	fd = open(device ? device : XVM_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	version = xvm_ioctl(fd, KVM_GET_API_VERSION, NULL);
	if (version != KVM_API_VERSION) {
		close(fd);
		return version < 0 ? version : -EPROTO;
	}
	return fd;
}

/* ioctl() carries a capability number where other calls have a pointer. */
int xvm_check(int fd, unsigned long cap)
{
	return xvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)cap);
}

int xvm_create_vm(int device, unsigned long type)
{
	return xvm_ioctl(device, KVM_CREATE_VM, (void *)type);
}

int xvm_verify(int vm, struct xvm_verify *result)
{
	return xvm_ioctl(vm, XVM_VERIFY, result);
}
