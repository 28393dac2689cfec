// SPDX-License-Identifier: GPL-2.0-only
/* The calls on the device itself, and on a VM before it has anything. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"
#include "x86.h"

DEVICE_FIXTURE(sys);

#define ENTRIES 256

struct cpuid_buf {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[ENTRIES];
};

struct msr_list_buf {
	struct kvm_msr_list head;
	uint32_t indices[1024];
};

TEST_F(sys, api_version)
{
	EXPECT_EQ(12, kioctl(self->dev, KVM_GET_API_VERSION, 0ul));
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_GET_API_VERSION, 1ul));
}

TEST_F(sys, vcpu_mmap_size)
{
	long size = kioctl(self->dev, KVM_GET_VCPU_MMAP_SIZE, 0ul);

	/* kvm_run and the page for port data, at least. */
	EXPECT_GE(size, 2 * GUEST_PAGE);
	EXPECT_EQ(0, size % GUEST_PAGE);
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_GET_VCPU_MMAP_SIZE, 1ul));
}

TEST_F(sys, unknown_ioctls)
{
	struct guest *g = &self->g;
	const unsigned long unknown[] = {
		_IO(KVMIO, 0xff), _IOW(KVMIO, 0xee, uint64_t),
		_IO('x', 0x00), _IO(0, 0),
	};
	size_t i;

	guest_create(g, self->dev, GUEST_SIZE);
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		/* The device and a vCPU say EINVAL, a VM says ENOTTY. */
		EXPECT_EQ(-EINVAL, kioctl(self->dev, unknown[i], 0ul));
		EXPECT_EQ(-ENOTTY, kioctl(g->vm, unknown[i], 0ul));
		EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, unknown[i], 0ul));
	}

	/* Calls of one kind of descriptor on another. */
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_RUN, 0ul));
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_CREATE_VCPU, 1ul));
	EXPECT_EQ(-ENOTTY, kioctl(g->vm, KVM_RUN, 0ul));
	EXPECT_EQ(-ENOTTY, kioctl(g->vm, KVM_CREATE_VM, 0ul));
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_CREATE_VM, 0ul));
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_CREATE_VCPU, 1ul));
	EXPECT_EQ(-EINVAL, kioctl(g->cpu.fd, KVM_RUN, 1ul));
}

TEST_F(sys, vm_types)
{
	int fd = kioctl(self->dev, KVM_CREATE_VM, 0ul);

	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_CREATE_VM, 63ul));
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_CREATE_VM, 64ul));
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_CREATE_VM, ~0ul));
	EXPECT_EQ(-EINVAL, kioctl(self->dev, KVM_CREATE_VM, 1ul << 31));
}

TEST_F(sys, descriptors_are_cloexec)
{
	struct guest *g = &self->g;

	guest_create(g, self->dev, GUEST_SIZE);
	EXPECT_EQ(FD_CLOEXEC, fcntl(g->vm, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(g->cpu.fd, F_GETFD));
}

/* What a user of KVM on x86 relies on, in the least. */
TEST_F(sys, required_capabilities)
{
	const int required[] = {
		KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_EXT_CPUID, KVM_CAP_NR_VCPUS, KVM_CAP_NR_MEMSLOTS,
		KVM_CAP_MP_STATE, KVM_CAP_SYNC_MMU,
		KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
		KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_MAX_VCPUS,
		KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_VCPU_EVENTS,
		KVM_CAP_DEBUGREGS, KVM_CAP_XSAVE, KVM_CAP_XCRS,
		KVM_CAP_GET_TSC_KHZ, KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_READONLY_MEM, KVM_CAP_EXT_EMUL_CPUID,
		KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_IMMEDIATE_EXIT,
		KVM_CAP_GET_MSR_FEATURES, KVM_CAP_BINARY_STATS_FD,
		KVM_CAP_SREGS2, KVM_CAP_IRQCHIP,
		KVM_CAP_SET_BOOT_CPU_ID, KVM_CAP_ENABLE_CAP_VM,
	};
	size_t i;

	guest_create_bare(&self->g, self->dev);
	for (i = 0; i < ARRAY_SIZE(required); i++) {
		EXPECT_GT(kioctl(self->dev, KVM_CHECK_EXTENSION, required[i]),
			  0) {
			TH_LOG("capability %d, device", required[i]);
		}
		EXPECT_GT(kioctl(self->g.vm, KVM_CHECK_EXTENSION, required[i]),
			  0) {
			TH_LOG("capability %d, VM", required[i]);
		}
	}
	EXPECT_GE(kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS),
		  32764);
	EXPECT_GE(kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS),
		  1024);
	EXPECT_GE(kioctl(self->dev, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID),
		  1024);
}

TEST_F(sys, recent_capabilities)
{
	if (!device_is_recent(self->dev) && !device_is_xvm(self->dev))
		SKIP(return, "this kernel's KVM is older");
	EXPECT_EQ(1, kioctl(self->dev, KVM_CHECK_EXTENSION,
			    KVM_CAP_USER_MEMORY2));
	EXPECT_EQ(1, kioctl(self->dev, KVM_CHECK_EXTENSION,
			    KVM_CAP_MEMORY_FAULT_INFO));
}

TEST_F(sys, unknown_capabilities)
{
	const unsigned long unknown[] = { 100000, 0x7fffffff, ~0ul,
					  1ul << 32 | 0xffff0000 };
	size_t i;

	guest_create_bare(&self->g, self->dev);
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_EQ(0, kioctl(self->dev, KVM_CHECK_EXTENSION,
				    unknown[i]));
		EXPECT_EQ(0, kioctl(self->g.vm, KVM_CHECK_EXTENSION,
				    unknown[i]));
	}
}

/* A capability that both have has one meaning, hence one value. */
TEST_F(sys, capabilities_equal_kvm)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int cap;

	if (kvm < 0)
		SKIP(return, "no stock KVM to compare with");
	for (cap = 0; cap < 300; cap++) {
		int want = kioctl(kvm, KVM_CHECK_EXTENSION, cap);
		int got = kioctl(self->dev, KVM_CHECK_EXTENSION, cap);

		switch (cap) {
		case KVM_CAP_NR_MEMSLOTS:
		case KVM_CAP_MAX_VCPUS:
		case KVM_CAP_MAX_VCPU_ID:
			/* Limits: not lower. */
			EXPECT_GE(got, want);
			continue;
		case KVM_CAP_MULTI_ADDRESS_SPACE:
		case KVM_CAP_SYNC_REGS:
		case KVM_CAP_VM_TYPES:
		case KVM_CAP_DIRTY_LOG_RING:
			/* Numbers and sets of which a part may be offered. */
			EXPECT_LE(got, want);
			continue;
		case KVM_CAP_DISABLE_QUIRKS2:
			/* A newer one than 6.1's. */
			EXPECT_EQ(0, got & ~(want | KVM_X86_QUIRK_SLOT_ZAP_ALL));
			continue;
		}
		/* xvm brings newer ones to older kernels. */
		if (!got || (!want && !device_is_recent(kvm) &&
			     cap >= KVM_CAP_USER_MEMORY2))
			continue;
		EXPECT_EQ(want, got) {
			TH_LOG("capability %d", cap);
		}
	}
	close(kvm);
}

/* spare: entries beyond those returned that the call wants to have room for. */
static void check_cpuid_protocol(struct __test_metadata *_metadata, int dev,
				 unsigned long request, uint32_t spare)
{
	struct cpuid_buf buf = { .head.nent = ENTRIES };
	uint32_t nent;

	ASSERT_EQ(0, kioctl(dev, request, &buf));
	nent = buf.head.nent;
	EXPECT_GT(nent, 0);
	EXPECT_LT(nent, ENTRIES);

	buf.head.nent = 0;
	EXPECT_EQ(-E2BIG, kioctl(dev, request, &buf));
	if (nent > 1) {
		buf.head.nent = nent - 1;
		EXPECT_EQ(-E2BIG, kioctl(dev, request, &buf));
		/* The size does not travel back with the error. */
		EXPECT_EQ(nent - 1, buf.head.nent);
	}
	buf.head.nent = nent + spare;
	EXPECT_EQ(0, kioctl(dev, request, &buf));
	EXPECT_EQ(nent, buf.head.nent);
	EXPECT_EQ(-EFAULT, kioctl(dev, request, NULL));
}

TEST_F(sys, supported_cpuid)
{
	struct cpuid_buf buf = { .head.nent = ENTRIES };
	uint32_t i;

	check_cpuid_protocol(_metadata, self->dev, KVM_GET_SUPPORTED_CPUID, 0);

	xioctl(self->dev, KVM_GET_SUPPORTED_CPUID, &buf);
	EXPECT_EQ(0, buf.entries[0].function);
	for (i = 0; i < buf.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &buf.entries[i];

		if (e->function == 1) {
			/* FPU, TSC, MSR, PAE, FXSR, SSE, SSE2. */
			EXPECT_EQ(0x07000070, e->edx & 0x07000070);
		}
		EXPECT_EQ(0, e->padding[0] | e->padding[1] | e->padding[2]);
	}
	/* Long mode and NX. */
	EXPECT_EQ(1u << 29 | 1u << 20,
		  device_cpuid(self->dev, 0x80000001, 0, CPUID_EDX) &
			  (1u << 29 | 1u << 20));
}

TEST_F(sys, emulated_cpuid)
{
	check_cpuid_protocol(_metadata, self->dev, KVM_GET_EMULATED_CPUID, 1);
}

static bool has_msr(const struct msr_list_buf *list, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < list->head.nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	return false;
}

static void check_msr_protocol(struct __test_metadata *_metadata, int dev,
			       unsigned long request,
			       struct msr_list_buf *list)
{
	uint32_t nmsrs;

	list->head.nmsrs = 0;
	EXPECT_EQ(-E2BIG, kioctl(dev, request, list));
	/* Unlike CPUID, this one tells the size with the error. */
	nmsrs = list->head.nmsrs;
	ASSERT_GT(nmsrs, 0);
	ASSERT_LE(nmsrs, ARRAY_SIZE(list->indices));
	list->indices[0] = 0xdeadbeef;
	list->head.nmsrs = nmsrs - 1;
	EXPECT_EQ(-E2BIG, kioctl(dev, request, list));
	EXPECT_EQ(nmsrs, list->head.nmsrs);
	EXPECT_EQ(0xdeadbeef, list->indices[0]);
	EXPECT_EQ(0, kioctl(dev, request, list));
	EXPECT_EQ(nmsrs, list->head.nmsrs);
	EXPECT_EQ(-EFAULT, kioctl(dev, request, NULL));
}

TEST_F(sys, msr_index_list)
{
	const uint32_t required[] = {
		MSR_TSC, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
		MSR_PAT, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
		MSR_KERNEL_GS_BASE,
	};
	struct msr_list_buf list;
	size_t i;

	check_msr_protocol(_metadata, self->dev, KVM_GET_MSR_INDEX_LIST, &list);
	for (i = 0; i < ARRAY_SIZE(required); i++) {
		EXPECT_TRUE(has_msr(&list, required[i])) {
			TH_LOG("MSR %#x", required[i]);
		}
	}

	/* What the list names can be read. */
	guest_create(&self->g, self->dev, GUEST_SIZE);
	for (i = 0; i < list.head.nmsrs; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} msr = {
			.head.nmsrs = 1,
			.entry.index = list.indices[i],
		};

		EXPECT_EQ(1, kioctl(self->g.cpu.fd, KVM_GET_MSRS, &msr)) {
			TH_LOG("MSR %#x", list.indices[i]);
		}
	}
}

TEST_F(sys, msr_feature_list)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1 };
	struct msr_list_buf list;
	uint32_t i;

	check_msr_protocol(_metadata, self->dev,
			   KVM_GET_MSR_FEATURE_INDEX_LIST, &list);
	for (i = 0; i < list.head.nmsrs; i++) {
		msr.entry.index = list.indices[i];
		EXPECT_EQ(1, kioctl(self->dev, KVM_GET_MSRS, &msr)) {
			TH_LOG("MSR %#x", list.indices[i]);
		}
	}
	/* No such MSR: no value, but no error. */
	msr.entry.index = 0x12345678;
	EXPECT_EQ(0, kioctl(self->dev, KVM_GET_MSRS, &msr));
}

TEST_F(sys, no_mmap_no_read)
{
	char byte;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, GUEST_PAGE, PROT_READ, MAP_SHARED,
				   self->dev, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-1, read(self->dev, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->dev, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST_HARNESS_MAIN
