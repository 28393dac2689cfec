// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a guest's paging mode to the tables that the CPU walks for it: roles, and
 * a vCPU's root.
 *
 * A guest in long mode has tables of as many levels as its own.  All others run
 * with PAE, whose four top entries each vCPU has for itself: the guest's own
 * format may have none, and hardware reads them when it loads CR3.
 */
#include <linux/io.h>
#include <linux/slab.h>

#include "../../x86/x86.h"
#include "shadow.h"

union shadow_role shadow_role(const struct xvm_gpt_role *gpt, unsigned int level, u32 access)
{
	union shadow_role role = { .word = 0 };

	role.level = level;
	role.access = access;
	role.guest_levels = gpt->levels;
	role.pse = gpt->levels == 2 && gpt->pse;
	role.nx = gpt->nx;
	role.pke = gpt->pke;
	role.wp = gpt->wp;
	role.smep = !gpt->wp && gpt->smep;
	role.smap = !gpt->wp && gpt->smap;
	role.maxphyaddr = gpt->cpu.maxphyaddr;
	role.gbpages = gpt->cpu.gbpages;
	return role;
}

u32 shadow_access(u64 gpte)
{
	u32 access = 0;

	if (gpte & XVM_PTE_WRITE)
		access |= SHADOW_WRITE;
	if (gpte & XVM_PTE_USER)
		access |= SHADOW_USER;
	if (!(gpte & XVM_PTE_NX))
		access |= SHADOW_EXEC;
	return access;
}

int xvm_shadow_vcpu_create(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = kzalloc(sizeof(*sv), GFP_KERNEL_ACCOUNT);
	struct page *pae, *buf;

	if (!sv)
		return -ENOMEM;
	/* PAE's CR3 has 32 bits. */
	pae = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_DMA32);
	buf = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!pae || !buf) {
		if (pae)
			__free_page(pae);
		if (buf)
			__free_page(buf);
		kfree(sv);
		return -ENOMEM;
	}
	sv->pae = page_address(pae);
	sv->buf = page_address(buf);
	sv->stale = true;
	sv->retry_rip = SHADOW_NO_RIP;
	vcpu->shadow = sv;
	return 0;
}

static void drop_root(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	unsigned int i;

	if (sv->root)
		shadow_put_root(vcpu->xvm, sv->root);
	sv->root = NULL;
	for (i = 0; i < 4; i++)
		shadow_drop_entry(vcpu->xvm, &sv->pae[i]);
}

void xvm_shadow_vcpu_destroy(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;

	if (!sv)
		return;
	write_lock(&vcpu->xvm->mmu.lock);
	drop_root(vcpu);
	write_unlock(&vcpu->xvm->mmu.lock);
	shadow_stock_free(sv);
	free_page((unsigned long)sv->pae);
	free_page((unsigned long)sv->buf);
	kfree(sv);
	vcpu->shadow = NULL;
}

void xvm_shadow_stale(struct xvm_vcpu *vcpu)
{
	if (vcpu->shadow)
		vcpu->shadow->stale = true;
}

void xvm_shadow_resync(struct xvm_vcpu *vcpu)
{
	if (!vcpu->shadow)
		return;
	vcpu->shadow->stale = true;
	vcpu->shadow->resync = true;
}

bool xvm_shadow_ready(struct xvm_vcpu *vcpu)
{
	const struct xvm_shadow_vcpu *sv = vcpu->shadow;

	return !sv->stale && (!sv->root || !READ_ONCE(sv->root->obsolete));
}

int xvm_shadow_load(struct xvm_vcpu *vcpu)
{
	struct xvm_shadow_vcpu *sv = vcpu->shadow;
	struct xvm *xvm = vcpu->xvm;
	struct shadow_page *root = NULL;
	u64 cr3;

	if (shadow_stock_fill(vcpu))
		return -ENOMEM;
	xvm_gpt_vcpu_role(vcpu, &sv->gpt);

	if (sv->resync)
		shadow_resync(vcpu);
	sv->resync = false;

	write_lock(&xvm->mmu.lock);
	/* Without a root it isn't ready, should there be no memory for another. */
	sv->stale = true;
	drop_root(vcpu);
	shadow_reclaim(xvm, 1);
	/* Whatever brought us here, the guest may expect its tables to be read anew. */
	shadow_sync_all(vcpu);
	cr3 = virt_to_phys(sv->pae);
	if (sv->gpt.levels >= 4) {
		root = shadow_get(vcpu, sv->gpt.root >> PAGE_SHIFT,
				  shadow_role(&sv->gpt, sv->gpt.levels, SHADOW_ALL));
		if (root) {
			root->roots++;
			cr3 = virt_to_phys(root->table);
		}
	}
	sv->root = root;
	shadow_flush(xvm);
	write_unlock(&xvm->mmu.lock);
	if (sv->gpt.levels >= 4 && !root)
		return -ENOMEM;

	sv->stale = false;
	xvm_vendor->set_root(vcpu, cr3);
	vcpu->arch.tlb_gen = 0;
	return 0;
}

int xvm_shadow_create(struct xvm *xvm)
{
	struct xvm_shadow *shadow = kvzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);

	if (!shadow)
		return -ENOMEM;
	INIT_LIST_HEAD(&shadow->pages);
	INIT_LIST_HEAD(&shadow->unsync);
	INIT_LIST_HEAD(&shadow->orphans);
	INIT_LIST_HEAD(&shadow->freeable);
	shadow->xvm = xvm;
	xvm->mmu.shadow = shadow;
	return 0;
}

void xvm_shadow_destroy(struct xvm *xvm)
{
	struct xvm_shadow *shadow = xvm->mmu.shadow;

	/* In one pass for each list, which would be searched for each of its leaves else. */
	write_lock(&xvm->mmu.lock);
	xvm_shadow_zap_range(xvm, 0, XVM_GFN_END, true);
	write_unlock(&xvm->mmu.lock);
	do {
		unsigned int i;

		write_lock(&xvm->mmu.lock);
		for (i = 0; i < SHADOW_BATCH && !list_empty(&shadow->pages); i++)
			shadow_zap(xvm, list_first_entry(&shadow->pages, struct shadow_page,
							 link));
		/* No vCPU is left to walk them; their ASID is flushed before it is used again. */
		xvm_shadow_free_zapped(xvm);
		write_unlock(&xvm->mmu.lock);
		cond_resched();
	} while (!list_empty(&shadow->pages));
	WARN_ON_ONCE(xvm_rmaps_bytes(&shadow->rmaps) || shadow->nr_pages);
	kvfree(shadow);
	xvm->mmu.shadow = NULL;
}
