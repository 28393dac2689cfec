# SPDX-License-Identifier: GPL-2.0-only

XVM_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xvm
export XVM_CACHE

# The running kernel's headers; without them those of the lab's kernel.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build \
	$(XVM_CACHE)/kernels/6.12/build))
DESTDIR ?=
prefix ?= /usr/local
HOST ?=
KERNEL ?=
export DESTDIR prefix

KVERSION = $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null || \
	sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h)

# Headers given by hand: build xvm.ko for them, and that alone.
ifeq ($(origin KDIR),command line)
all: module
else
all: module user
endif

help:
	@echo 'make               build xvm.ko, libxvm, the xvm command and the tests'
	@echo 'make KDIR=FOLDER   build xvm.ko alone, for the kernel headers in FOLDER'
	@echo 'make demo          set up, build, and run guests on xvm beside KVM'
	@echo 'make check         run all tests on both devices, in the lab: whole on kernel 6.12,'
	@echo '                   the main ones on the others; as root, for the cloud kernels'
	@echo 'make check KERNEL=SERIES'
	@echo '                   whole on that kernel alone'
	@echo 'make check-all     whole on each kernel, and its own KVM selftests'
	@echo 'make check-debug   on debug kernels, which are built first'
	@echo 'make check-unit    run the tests that need no kernel'
	@echo 'make check-style   check how the sources look, and the references'
	@echo 'make check-static  have compilers, sparse, an analyzer and coccinelle look at them'
	@echo 'make fuzz TIME=S   fuzz the device for S seconds (120) in the lab'"'"'s debug kernel'
	@echo 'make check-upstream'
	@echo '                   run the kernel'"'"'s own KVM selftests on both devices;'
	@echo '                   scripts/upstream --help tells how to choose among them'
	@echo 'make deb           build Debian packages, in build/deb/'
	@echo 'make check-packages'
	@echo '                   install, load, use and remove them on fresh systems, in the lab;'
	@echo '                   needs root'
	@echo 'make dist          build the tar file of a release, in build/'
	@echo 'make install       install module, library, command and manual pages'
	@echo '                   (prefix=$(prefix), DESTDIR=$(DESTDIR))'
	@echo 'make uninstall     remove them'
	@echo 'make clean         remove what was built; the cache stays'
	@echo
	@echo 'demo, check and check-upstream use the lab (docs/lab.md); HOST=1 runs them on'
	@echo 'this machine instead, which needs SVM, root and a kernel that takes modules.'

module:
	@test -n "$(KDIR)" || { echo 'No kernel headers here: run scripts/setup, or' \
		'say KDIR=FOLDER.' >&2; exit 2; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

user:
	$(MAKE) -C userlib all
	$(MAKE) -C selftests all

# What the tests of the library and the command need on top.
tests:
	$(MAKE) -C userlib tests

demo:
	scripts/demo $(if $(HOST),--host)

check:
	scripts/check $(if $(HOST),--host,$(if $(KERNEL),--kernel $(KERNEL)))

check-all:
	scripts/check --all

check-debug:
	scripts/check --debug

check-unit:
	$(MAKE) -C selftests/unit check

check-style:
	scripts/check-style

check-static:
	scripts/check-static

check-upstream:
	scripts/upstream $(if $(HOST),--host)

fuzz:
	scripts/fuzz $(or $(TIME),120)

check-packages:
	scripts/package-test bookworm
	scripts/package-test trixie

deb:
	scripts/deb

dist:
	scripts/dist

install: all
	install -D -m 644 xvm.ko \
		$(DESTDIR)/lib/modules/$(KVERSION)/updates/xvm.ko
	$(if $(DESTDIR),,-depmod $(KVERSION))
	$(MAKE) -C userlib install

uninstall:
	rm -f $(DESTDIR)/lib/modules/$(KVERSION)/updates/xvm.ko
	$(if $(DESTDIR),,-depmod $(KVERSION))
	$(MAKE) -C userlib uninstall

clean:
	$(if $(KDIR),$(MAKE) -C $(KDIR) M=$(CURDIR) clean)
	$(MAKE) -C userlib clean
	$(MAKE) -C selftests clean
	rm -rf build

.PHONY: all help module user tests demo check check-all check-debug check-unit \
	check-style check-static check-upstream check-packages fuzz deb dist install \
	uninstall clean
