// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vectors for what a 64-bit process cannot run: 16- and 32-bit modes, segmentation, ports.
 *
 * A vector is text.  "in" sets registers, "out" names those that shall differ afterwards (all
 * others must not), and "log" is the exact list of accesses by linear address:
 *   r2@40010       reads 2 bytes             w2@40010=1234   writes them
 *   x4@40010=1>2   compares and exchanges    i1*8@60, o1*8@60=1122   8 bytes from, to port 0x60
 * Every byte of memory reads as the low byte of its address, and a port delivers 1, 2, 3 ...
 */
#include <linux/kernel.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulate.h"
#include "suites.h"
#include "tap.h"

#define REAL EMUL_MODE_REAL
#define VM86 EMUL_MODE_VM86
#define PROT16 EMUL_MODE_PROT16
#define PROT32 EMUL_MODE_PROT32
#define LONG64 EMUL_MODE_LONG64

struct vector {
	const char *name;
	enum emul_mode mode;
	const char *insn; /* hex */
	const char *in, *log, *out;
	const char *end; /* how it ends; NULL: EMUL_OK */
};

#define GP "#13" /* in real mode; with an error code elsewhere */
#define SS "#12"
#define GP0 "#13/0"
#define SS0 "#12/0"
#define UD "#6"
#define NM "#7"
#define UNHANDLED "unhandled"

static const struct vector vectors[] = {
	/* 16-bit addressing */
	{ "[BX+SI+d8]", REAL, "8a407f", "bx=10 si=20", "r1@400af", "ax=af" },
	{ "[BX+DI-1]", REAL, "8a41ff", "bx=10 di=20", "r1@4002f", "ax=2f" },
	{ "[BP+SI] is in SS", REAL, "8b02", "bp=100 si=2", "r2@30102", "ax=302" },
	{ "[BP+DI] is in SS", REAL, "8b03", "bp=100 di=4", "r2@30104", "ax=504" },
	{ "[SI]", REAL, "8b04", "si=40", "r2@40040", "ax=4140" },
	{ "[DI]", REAL, "8b05", "di=50", "r2@40050", "ax=5150" },
	{ "[d16]", REAL, "8b063412", "bp=5", "r2@41234", "ax=3534" },
	{ "[BP+d8] is in SS", REAL, "8b4604", "bp=100", "r2@30104", "ax=504" },
	{ "[BP+d16]", REAL, "8b860010", "bp=100", "r2@31100", "ax=100" },
	{ "[BX+d16]", REAL, "8b870010", "bx=100", "r2@41100", "ax=100" },
	{ "only 16 bits of a register count", REAL, "8a07", "bx=12340010", "r1@40010", "ax=10" },
	{ "address wraps at 64K", REAL, "8a00", "bx=ffff si=3", "r1@40002", "ax=2" },
	{ "displacement wraps at 64K", REAL, "8a47f0", "bx=8", "r1@4fff8", "ax=f8" },
	{ "16-bit address in 32-bit code", PROT32, "678b02", "bp=f0100 si=f0002", "r4@30102",
	  "ax=5040302" },

	/* segment overrides */
	{ "ES:", REAL, "268b07", "bx=4", "r2@10004", "ax=504" },
	{ "CS:", REAL, "2e8b07", "bx=4", "r2@20004", "ax=504" },
	{ "SS:", REAL, "368b07", "bx=4", "r2@30004", "ax=504" },
	{ "DS:[BP]", REAL, "3e8b4600", "bp=4", "r2@40004", "ax=504" },
	{ "FS:", REAL, "648b07", "bx=4", "r2@50004", "ax=504" },
	{ "GS:", REAL, "658b07", "bx=4", "r2@60004", "ax=504" },
	{ "the last override counts", REAL, "64268b07", "bx=4", "r2@10004", "ax=504" },
	{ "64-bit mode ignores DS: after FS:", LONG64, "643e8b07", "di=4", "r4@50004",
	  "ax=7060504" },
	{ "64-bit mode ignores the base of DS", LONG64, "8b07", "di=4", "r4@4", "ax=7060504" },

	/* operand and address size */
	{ "operand size, 16-bit code", REAL, "668b07", "bx=4", "r4@40004", "ax=7060504" },
	{ "operand size, 32-bit code", PROT32, "668b03", "bx=4 ax=ffffffff", "r2@40004",
	  "ax=ffff0504" },
	{ "address size, 16-bit code", REAL, "678b03", "bx=1234", "r2@41234", "ax=3534" },
	{ "SIB in 16-bit code", PROT16, "678b048b", "bx=10 cx=20", "r2@40090", "ax=9190" },
	{ "[EBP] is in SS", PROT32, "8b4500", "bp=4", "r4@30004", "ax=7060504" },
	{ "[ESP] is in SS", PROT32, "8b0424", "sp=4", "r4@30004", "ax=7060504" },
	{ "[EBP*2+d32] is in DS", PROT32, "8b046d10000000", "bp=4", "r4@40018", "ax=1b1a1918" },
	{ "[d32] is not RIP-relative", PROT32, "8b0510000000", "", "r4@40010", "ax=13121110" },
	{ "48 is no prefix in 32-bit code", PROT32, "488b03", "", "", "", UNHANDLED },
	{ "63 is ARPL in 32-bit code", PROT32, "6303", "", "", "", UNHANDLED },
	{ "82 in 32-bit code", PROT32, "800305", "bx=10", "r1@40010 w1@40010=15", "flags=2" },
	{ "82 in 64-bit mode", LONG64, "820305", "bx=10", "", "", UD },
	{ "RIP-relative, with an immediate", LONG64, "c7051000000001020304", "",
	  "w4@20001a=4030201", "" },
	{ "EIP-relative", LONG64, "678b05f0ffffff", "", "r4@1ffff7", "ax=faf9f8f7" },
	{ "moffs16", REAL, "a13412", "", "r2@41234", "ax=3534" },
	{ "moffs32 in 16-bit code", PROT16, "67a134120000", "", "r2@41234", "ax=3534" },
	{ "moffs16 in 32-bit code", PROT32, "67a33412", "ax=a1b2c3d4", "w4@41234=a1b2c3d4", "" },
	{ "moffs64", LONG64, "a18877665544330000", "", "r4@334455667788", "ax=8b8a8988" },
	{ "AH and BH", REAL, "8a27", "bx=10", "r1@40010", "ax=1000" },
	{ "MOV [BX],ES", REAL, "8c07", "bx=10 es.sel=1234", "w2@40010=1234", "" },
	{ "MOV EAX,ES zero-extends", PROT32, "8cc0", "ax=ffffffff es.sel=1234", "", "ax=1234" },
	{ "MOV Ev,Sreg: no such register", REAL, "8c3f", "", "", "", UD },

	/* limits, rights */
	{ "beyond the limit, real", REAL, "8b07", "bx=ffff", "", "", GP },
	{ "beyond the limit of SS, real", REAL, "8b4600", "bp=ffff", "", "", SS },
	{ "beyond the limit, virtual 8086", VM86, "8b07", "bx=ffff", "", "", GP0 },
	{ "beyond the limit of SS, virtual 8086", VM86, "8b4600", "bp=ffff", "", "", SS0 },
	{ "last word of the segment", REAL, "8b07", "bx=fffe", "r2@4fffe", "ax=fffe" },
	{ "32-bit address beyond 64K, real", REAL, "678b03", "bx=10000", "", "", GP },
	{ "the same with a larger limit", REAL, "678b03", "bx=10000 ds.limit=ffffffff",
	  "r2@50000", "ax=100" },
	{ "small limit", PROT32, "8b03", "bx=ffd ds.limit=fff", "", "", GP0 },
	{ "within a small limit", PROT32, "8b03", "bx=ffc ds.limit=fff", "r4@40ffc",
	  "ax=fffefdfc" },
	{ "no wrap at 4G", PROT32, "8b03", "bx=fffffffe", "", "", GP0 },
	{ "linear address wraps at 4G", PROT32, "8b03", "bx=2000 ds.base=fffff000", "r4@1000",
	  "ax=3020100" },
	{ "write to read-only data", PROT32, "8903", "ds.attrib=c91", "", "", GP0 },
	{ "read from read-only data", PROT32, "8b03", "bx=4 ds.attrib=c91", "r4@40004",
	  "ax=7060504" },
	{ "change read-only data", PROT32, "0103", "ds.attrib=c91", "", "", GP0 },
	{ "write to code", PROT32, "2e8903", "", "", "", GP0 },
	{ "read from readable code", PROT32, "2e8b03", "bx=4", "r4@20004", "ax=7060504" },
	{ "read from execute-only code", PROT32, "2e8b03", "cs.attrib=c99", "", "", GP0 },
	{ "write to code in real mode", REAL, "2e8907", "bx=4 ax=1", "w2@20004=1", "" },
	{ "null segment", PROT32, "268b03", "es.attrib=0", "", "", GP0 },
	{ "null stack segment", PROT32, "8b4500", "ss.attrib=0", "", "", SS0 },
	{ "system segment", PROT32, "8b03", "ds.attrib=89", "", "", GP0 },
	{ "expand-down: below", PROT16, "8b07", "bx=fff ds.limit=fff ds.attrib=97", "", "", GP0 },
	{ "expand-down: first", PROT16, "8b07", "bx=1000 ds.limit=fff ds.attrib=97", "r2@41000",
	  "ax=100" },
	{ "expand-down: beyond 64K", PROT16, "8b07", "bx=ffff ds.limit=fff ds.attrib=97", "", "",
	  GP0 },
	{ "expand-down, 32-bit: beyond 64K", PROT32, "8b03",
	  "bx=10000 ds.limit=fff ds.attrib=497", "r4@50000", "ax=3020100" },
	{ "code fetched beyond its limit", REAL, "8b4700", "ip=fffe", "", "", GP },
	{ "code fetched up to its limit", REAL, "8b07", "bx=4 ip=fffe", "r2@40004",
	  "ax=504 ip=10000" },
	{ "EIP wraps", PROT32, "8b03", "bx=4 ip=fffffffe cs.base=0", "r4@40004",
	  "ax=7060504 ip=0" },
	{ "64-bit mode ignores limits", LONG64, "8b07", "di=4 ds.limit=0 ds.attrib=0", "r4@4",
	  "ax=7060504" },
	{ "64-bit mode keeps the base of FS", LONG64, "648b07", "di=8 fs.base=ffff800000000000",
	  "r4@ffff800000000008", "ax=b0a0908" },
	{ "not canonical", LONG64, "8b07", "di=800000000000", "", "", GP0 },
	{ "end not canonical", LONG64, "8b07", "di=7ffffffffffd", "", "", GP0 },
	{ "not canonical with the base of FS", LONG64, "648b07", "di=7fffffffffff fs.base=10", "",
	  "", GP0 },
	{ "not canonical, in SS", LONG64, "8b4500", "bp=800000000000", "", "", SS0 },
	{ "canonical with 57 bits", LONG64, "8b07", "di=800000000000 cr4=1620",
	  "r4@800000000000", "ax=3020100" },
	{ "not canonical with 57 bits", LONG64, "8b07", "di=100000000000000 cr4=1620", "", "",
	  GP0 },
	{ "32-bit address in 64-bit mode", LONG64, "678b07", "di=ffff0000fffffff8", "r4@fffffff8",
	  "ax=fbfaf9f8" },
	{ "not canonical RIP", LONG64, "8b07", "ip=800000000000", "", "", GP0 },

	/* strings */
	{ "STOSW at the end of 64K", REAL, "ab", "ax=1234 di=fffe", "w2@1fffe=1234", "di=0" },
	{ "STOSW across the end of 64K", REAL, "ab", "di=ffff", "", "", GP },
	{ "REP STOSB wraps DI", REAL, "f3aa", "ax=7 cx=2 di=ffff", "w1@1ffff=7 w1@10000=7",
	  "cx=0 di=1" },
	{ "upper halves stay with 16-bit addresses", PROT32, "f367aa",
	  "ax=7 cx=a0001 di=b0010", "w1@10010=7", "cx=a0000 di=b0011" },
	{ "MOVSB backwards from 0", REAL, "a4", "flags=402", "r1@40000 w1@10000=0",
	  "si=ffff di=ffff" },
	{ "MOVSB with FS:", REAL, "64a4", "si=10 di=20", "r1@50010 w1@10020=10", "si=11 di=21" },
	{ "STOSB ignores FS:", REAL, "64aa", "ax=7", "w1@10000=7", "di=1" },
	{ "32-bit addresses in 16-bit code", PROT16, "67ab", "ax=7 di=ffff es.limit=ffffffff",
	  "w2@1ffff=7", "di=10001" },
	{ "REP with CX 0", REAL, "f3a4", "cx=ffff0000 si=1", "", "" },
	{ "REP with ECX, not CX", REAL, "f367aa", "cx=10000 di=ffff0 es.limit=ff", "", "", GP },
	{ "LODSD", PROT32, "ad", "si=10", "r4@40010", "ax=13121110 si=14" },
	{ "REPE CMPSB stops at a difference", PROT16, "f3a6", "cx=5 si=10 di=11",
	  "r1@40010 r1@10011", "cx=4 si=11 di=12 flags=97" },
	{ "REPNE SCASB finds", PROT16, "f2ae", "ax=12 cx=9 di=10",
	  "r1@10010 r1@10011 r1@10012", "cx=6 di=13 flags=46" },
	{ "REPE SCASB runs out", PROT16, "f3ae", "ax=12 cx=1 di=12", "r1@10012",
	  "cx=0 di=13 flags=46" },
	{ "a fault keeps the iterations done", REAL, "f3ab", "ax=1 cx=3 di=fffd",
	  "w2@1fffd=1", "cx=2 di=ffff", GP },

	/* stack */
	{ "PUSH wraps SP", REAL, "ff37", "bx=10", "r2@40010 w2@3fffe=1110", "sp=fffe" },
	{ "PUSH across the end of SS", REAL, "ff37", "sp=1", "r2@40000", "", SS },
	{ "PUSH wraps SP and keeps the upper half of ESP", PROT32, "6a05",
	  "sp=50002 ss.attrib=93", "w4@3fffe=5", "sp=5fffe" },
	{ "PUSH with a 16-bit stack", PROT32, "6a05", "sp=50008 ss.attrib=93", "w4@30004=5",
	  "sp=50004" },
	{ "PUSH with a 32-bit stack", PROT16, "6aff", "sp=50008 ss.attrib=493 ss.limit=fffff",
	  "w2@80006=ffff", "sp=50006" },
	{ "PUSH dword in 16-bit code", REAL, "666aff", "sp=100", "w4@300fc=ffffffff", "sp=fc" },
	{ "PUSH in 64-bit mode", LONG64, "68ffffff7f", "sp=100", "w8@f8=7fffffff", "sp=f8" },
	{ "PUSH word in 64-bit mode", LONG64, "6668ff7f", "sp=100", "w2@fe=7fff", "sp=fe" },
	{ "POP mem", REAL, "8f07", "bx=10 sp=20", "r2@30020 w2@40010=2120", "sp=22" },
	{ "POP [ESP] uses the new ESP", PROT32, "8f0424", "sp=20", "r4@30020 w4@30024=23222120",
	  "sp=24" },
	{ "POP SP", REAL, "5c", "sp=20", "r2@30020", "sp=2120" },
	{ "POP whose store faults", REAL, "8f07", "bx=ffff sp=20", "r2@30020", "", GP },

	/* locks */
	{ "LOCK ADD", PROT32, "f00103", "bx=10 ax=1", "r4@40010 x4@40010=13121110>13121111",
	  "flags=6" },
	{ "XCHG locks by itself", PROT32, "8703", "bx=10 ax=1", "r4@40010 x4@40010=13121110>1",
	  "ax=13121110" },
	{ "LOCK MOV", PROT32, "f08903", "", "", "", UD },
	{ "LOCK CMP", PROT32, "f03903", "", "", "", UD },
	{ "LOCK ADD to a register", PROT32, "f001c3", "", "", "", UD },
	{ "LOCK ADD from memory", PROT32, "f00303", "", "", "", UD },
	{ "LOCK BT", PROT32, "f00fa303", "", "", "", UD },
	{ "LOCK MOVSB", PROT32, "f0a4", "", "", "", UD },
	{ "CMPXCHG8B on a register", PROT32, "0fc7c8", "", "", "", UD },
	{ "CMPXCHG8B equal", PROT32, "f00fc70f",
	  "di=10 ax=13121110 dx=17161514 bx=1 cx=2",
	  "r8@40010 x8@40010=1716151413121110>200000001", "flags=42" },
	{ "CMPXCHG16B misaligned", LONG64, "480fc70f", "di=18", "", "", GP0 },
	{ "CMPXCHG failing writes what it read", PROT32, "0fb10b", "bx=10 cx=9",
	  "r4@40010 w4@40010=13121110", "ax=13121110 flags=87" },

	/* ports */
	{ "IN AL,60", REAL, "e460", "ax=ff00", "i1*1@60", "ax=ff01" },
	{ "IN AX,DX", REAL, "ed", "dx=1234 ax=ff000000", "i2*1@1234", "ax=ff000001" },
	{ "IN EAX,DX in 64-bit mode", LONG64, "48ed", "dx=1234 ax=ffffffffffffffff", "i4*1@1234",
	  "ax=1" },
	{ "OUT ff,EAX", PROT32, "e7ff", "ax=12345678", "o4*1@ff=12345678", "" },
	{ "OUT DX,AL", REAL, "ee", "dx=3f8 ax=41", "o1*1@3f8=41", "" },
	{ "INSB", REAL, "6c", "dx=60 di=10", "i1*1@60 w1@10010=1", "di=11" },
	{ "REP INSB in bursts that end with the page", REAL, "f36c", "dx=60 cx=c di=fff8",
	  "i1*8@60 w8@1fff8=807060504030201 i1*4@60 w4@10000=4030201", "cx=0 di=4" },
	{ "a burst ends where DI wraps, whatever the limit", PROT32, "f3676c",
	  "dx=60 cx=c di=fff8 es.base=10010",
	  "i1*8@60 w8@20008=807060504030201 i1*4@60 w4@10010=4030201", "cx=0 di=4" },
	{ "REP INSB backwards", REAL, "f36c", "dx=60 cx=2 di=1 flags=402",
	  "i1*1@60 w1@10001=1 i1*1@60 w1@10000=1", "cx=0 di=ffff" },
	{ "REP OUTSW with GS:", REAL, "65f36f", "dx=60 cx=2 si=10", "r4@60010 o2*2@60=13121110",
	  "cx=0 si=14" },
	{ "REP OUTSB into the limit", PROT16, "f36e", "dx=60 cx=3 si=0 ds.limit=1",
	  "r1@40000 o1*1@60=0 r1@40001 o1*1@60=1", "cx=1 si=2", GP0 },
	{ "INSB into read-only data asks no port", PROT32, "6c", "dx=60 es.attrib=c91", "", "",
	  GP0 },
	{ "no right to ports", PROT32, "e460", "cpl=3", "", "", GP0 },
	{ "right by IOPL", PROT32, "e460", "cpl=3 flags=3002", "i1*1@60", "ax=1" },
	{ "right by the TSS", PROT32, "e460", "cpl=3 tr.base=5000 tr.limit=ffff tr.attrib=8b",
	  "r2@5066 r2@b772 i1*1@60", "ax=1" },
	{ "no right by the TSS", PROT32, "e461", "cpl=3 tr.base=5000 tr.limit=ffff tr.attrib=8b",
	  "r2@5066 r2@b772", "", GP0 },
	{ "right to half of the port", PROT32, "e560",
	  "cpl=3 tr.base=5000 tr.limit=ffff tr.attrib=8b", "r2@5066 r2@b772", "", GP0 },
	{ "bitmap beyond the TSS", PROT32, "e460", "cpl=3 tr.base=5000 tr.limit=6772 tr.attrib=8b",
	  "r2@5066", "", GP0 },
	{ "virtual 8086 mode always asks the TSS", VM86, "e460",
	  "cpl=3 flags=23002 tr.base=5000 tr.limit=ffff tr.attrib=8b",
	  "r2@5066 r2@b772 i1*1@60", "ax=1" },
	{ "16-bit TSS", PROT32, "e460", "cpl=3 tr.limit=ffff tr.attrib=83", "", "", GP0 },

	/* SSE */
	{ "MOVAPS misaligned", LONG64, "0f2807", "di=8", "", "", GP0 },
	{ "MOVUPS", LONG64, "0f1007", "di=8", "r16@8", "" },
	{ "MOVUPS with CR0.TS", LONG64, "0f1007", "di=8 cr0=80000039", "", "", NM },
	{ "MOVUPS with CR0.EM", LONG64, "0f1007", "di=8 cr0=80000035", "", "", UD },
	{ "MOVUPS without CR4.OSFXSR", LONG64, "0f1007", "di=8 cr4=20", "", "", UD },
	{ "MOVUPS between registers", LONG64, "0f10c1", "", "", "", UNHANDLED },

	/* what is not known, and the edges of the format */
	{ "FLDS", LONG64, "d900", "", "", "", UNHANDLED },
	{ "VEX", LONG64, "c5fb1007", "", "", "", UNHANDLED },
	{ "MOV to a segment register", REAL, "8ed8", "", "", "", UNHANDLED },
	{ "CRC32 is not MOVBE", LONG64, "f20f38f007", "", "", "", UNHANDLED },
	{ "15 bytes", LONG64, "26262626262626262626262626c607", "", "", "", GP0 },
	{ "15 bytes are enough", LONG64, "2626262626262626262626268b4704", "di=4", "r4@8",
	  "ax=b0a0908" },
	{ "a fetch stops at the end of the page", LONG64, "8b4704", "di=4 ip=ffe", "r4@8",
	  "ax=b0a0908" },
	{ "prefixes without end", LONG64, "666666666666666666666666666666", "", "", "", GP0 },
	{ "a prefix after REX cancels it", LONG64, "48668b07", "di=4", "r2@4", "ax=504" },
	{ "bit string, backwards", PROT32, "0fa30b", "bx=10 cx=ffffffff", "r4@4000c", "" },
	{ "bit string, forwards, 16 bits", REAL, "0fab0f", "bx=10 cx=7fff",
	  "r2@4100e w2@4100e=8f0e", "" },
	{ "flags clear RF", REAL, "8807", "flags=10002", "w1@40000=0", "flags=2" },
};

static char log_text[1024];
static const char *code; /* hex */
static u64 code_at;

static void log_access(const char *fmt, ...)
{
	size_t len = strlen(log_text);
	va_list ap;

	if (len && len < sizeof(log_text) - 1)
		log_text[len++] = ' ';
	va_start(ap, fmt);
	vsnprintf(log_text + len, sizeof(log_text) - len, fmt, ap);
	va_end(ap);
}

static u64 number(const void *buf, unsigned int len)
{
	u64 val = 0;

	memcpy(&val, buf, len < 8 ? len : 8);
	return val;
}

static int op_read(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	unsigned int i;

	(void)e;
	log_access("r%u@%llx", len, linear);
	for (i = 0; i < len; i++)
		((u8 *)buf)[i] = linear + i;
	return EMUL_OK;
}

static int op_write(struct xvm_emul *e, u64 linear, const void *buf, unsigned int len)
{
	(void)e;
	log_access("w%u@%llx=%llx", len, linear, number(buf, len));
	return EMUL_OK;
}

static int op_cmpxchg(struct xvm_emul *e, u64 linear, const void *old, const void *new,
		      unsigned int len)
{
	(void)e;
	log_access("x%u@%llx=%llx>%llx", len, linear, number(old, len), number(new, len));
	return EMUL_OK;
}

static int op_fetch(struct xvm_emul *e, u64 linear, void *buf, unsigned int len)
{
	unsigned int i, at = linear - code_at;

	(void)e;
	if (linear % 4096 + len > 4096)
		log_access("fetch across pages");
	for (i = 0; i < len; i++, at++) {
		char digits[3] = "90";

		if (at < strlen(code) / 2)
			memcpy(digits, code + at * 2, 2);
		((u8 *)buf)[i] = strtoul(digits, NULL, 16);
	}
	return len;
}

static bool op_is_memory(struct xvm_emul *e, u64 linear, bool write)
{
	(void)e;
	(void)linear;
	(void)write;
	return true;
}

static int op_probe_write(struct xvm_emul *e, u64 linear, unsigned int len)
{
	(void)e, (void)linear, (void)len;
	return EMUL_OK;
}

static int op_pio(struct xvm_emul *e, u16 port, bool in, unsigned int size, void *data,
		  unsigned int *count)
{
	unsigned int i;

	(void)e;
	if (in) {
		memset(data, 0, size * *count);
		for (i = 0; i < *count; i++)
			((u8 *)data)[i * size] = i + 1;
		log_access("i%u*%u@%x", size, *count, port);
	} else {
		log_access("o%u*%u@%x=%llx", size, *count, port, number(data, size * *count));
	}
	return EMUL_OK;
}

static void op_read_xmm(struct xvm_emul *e, unsigned int reg, u64 val[2])
{
	(void)e;
	(void)reg;
	memset(val, 0, 16);
}

static void op_write_xmm(struct xvm_emul *e, unsigned int reg, const u64 val[2])
{
	(void)e;
	(void)reg;
	(void)val;
}

static const struct xvm_emul_ops ops = {
	.read = op_read,
	.write = op_write,
	.locked_write = op_cmpxchg,
	.fetch = op_fetch,
	.is_memory = op_is_memory,
	.probe_write = op_probe_write,
	.pio = op_pio,
	.read_xmm = op_read_xmm,
	.write_xmm = op_write_xmm,
};

static void fail(const char *name)
{
	fprintf(stderr, "vector with an unknown name: %s\n", name);
	exit(1);
}

static void set_segment(struct xvm_emul *e, const char *name, u64 val)
{
	static const char names[] = "escsssdsfsgs";
	struct xvm_emul_seg *s = NULL;
	unsigned int i;

	for (i = 0; i < EMUL_NR_SEGS; i++)
		if (!memcmp(name, names + i * 2, 2))
			s = &e->seg[i];
	if (!memcmp(name, "tr", 2))
		s = &e->tr;
	if (!s)
		fail(name);
	switch (name[3]) {
	case 'b':
		s->base = val;
		break;
	case 'l':
		s->limit = val;
		break;
	case 'a':
		s->attrib = val;
		break;
	default:
		s->sel = val;
		break;
	}
}

static void set_name(struct xvm_emul *e, const char *name, u64 val)
{
	static const char regs[] = "axcxdxbxspbpsidi";
	unsigned int i;

	if (name[2] == '.') {
		set_segment(e, name, val);
		return;
	}
	for (i = 0; i < 8; i++)
		if (!strncmp(name, regs + i * 2, 2) && name[2] == '=') {
			e->regs[i] = val;
			return;
		}
	if (!strncmp(name, "ip=", 3))
		e->rip = val;
	else if (!strncmp(name, "flags=", 6))
		e->rflags = val;
	else if (!strncmp(name, "cpl=", 4))
		e->cpl = val;
	else if (!strncmp(name, "cr0=", 4))
		e->cr0 = val;
	else if (!strncmp(name, "cr4=", 4))
		e->cr4 = val;
	else
		fail(name);
}

static void apply(struct xvm_emul *e, const char *text)
{
	while (*text) {
		const char *eq = strchr(text, '=');
		char *end;

		set_name(e, text, strtoull(eq + 1, &end, 16));
		for (text = end; *text == ' '; text++)
			;
	}
}

static void set_up(struct xvm_emul *e, const struct vector *v)
{
	static u8 burst[4096];
	unsigned int i;

	memset(e, 0, sizeof(*e));
	e->ops = &ops;
	e->mode = v->mode;
	e->rflags = 2 | (v->mode == VM86 ? 0x20000 : 0);
	e->cr0 = v->mode == REAL ? 0x30 : 0x80000031;
	e->cr4 = 0x620;
	e->rip = v->mode == LONG64 ? 0x200000 : 0;
	e->burst = burst;
	e->burst_size = sizeof(burst);
	for (i = 0; i < EMUL_NR_SEGS; i++) {
		e->seg[i].base = (i + 1) << 16;
		e->seg[i].limit = v->mode == PROT32 ? 0xffffffff : 0xffff;
		e->seg[i].attrib = i == EMUL_SEG_CS ? 0x9b : 0x93;
		if (v->mode == PROT32)
			e->seg[i].attrib |= 0xc00;
	}
	apply(e, v->in);
	code = v->insn;
	code_at = e->rip + (v->mode == LONG64 ? 0 : e->seg[EMUL_SEG_CS].base);
	log_text[0] = 0;
}

static void describe_end(const struct xvm_emul *e, int rc, char *text, size_t size)
{
	if (rc == EMUL_FAULT && e->fault.has_error)
		snprintf(text, size, "#%u/%x", e->fault.vector, e->fault.error);
	else if (rc == EMUL_FAULT)
		snprintf(text, size, "#%u", e->fault.vector);
	else
		snprintf(text, size, "%s", rc == EMUL_UNHANDLED ? "unhandled" : rc ? "?" : "ok");
}

static void run_vector(const struct vector *v)
{
	struct xvm_emul e, want;
	unsigned int steps = 0, i;
	bool good = true;
	char end[32];
	int rc;

	set_up(&e, v);
	want = e;
	rc = xvm_emul_decode(&e);
	if (!rc)
		do
			rc = xvm_emul_exec(&e);
		while (!rc && e.again && ++steps < 100);

	if (!rc)
		want.rip += strlen(v->insn) / 2;
	apply(&want, v->out);
	describe_end(&e, rc, end, sizeof(end));
	if (strcmp(end, v->end ? v->end : "ok")) {
		tap_note("%s: ends with %s", v->name, end);
		good = false;
	}
	if (strcmp(log_text, v->log)) {
		tap_note("%s: log %s", v->name, log_text);
		good = false;
	}
	for (i = 0; i < 16; i++)
		if (e.regs[i] != want.regs[i]) {
			tap_note("%s: register %u is %llx", v->name, i, e.regs[i]);
			good = false;
		}
	if (e.rip != want.rip || e.rflags != want.rflags) {
		tap_note("%s: rip %llx flags %llx", v->name, e.rip, e.rflags);
		good = false;
	}
	tap_result(good, "%s", v->name);
}

void vector_suite(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		run_vector(&vectors[i]);
}
