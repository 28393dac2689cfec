// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo guest in long mode: prints over its serial port, takes an exception,
 * fills and checks memory, talks to the test device of `xvm run`, and ends with
 * the number of failed checks as its status.
 */
#include <stdint.h>

#define PORT_SERIAL 0x3f8
#define PORT_EXIT 0xf4

#define TEST_DEVICE 0xd0000000ul
#define TEST_DEVICE_ID 0x314d5658u /* "XVM1" */

#define PATTERN_START 0x200000ul
#define PATTERN_PAGES 4096u /* 16 MiB */
#define PAGE_SIZE 4096u
#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))

#define INVALID_OPCODE_VECTOR 6
#define CODE64_SELECTOR 0x18
#define INTERRUPT_GATE 0x8e00

struct idt_entry {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

void demo_main(void);
void invalid_opcode(void);

extern volatile uint32_t invalid_opcodes;
volatile uint32_t invalid_opcodes;

static struct idt_entry idt[INVALID_OPCODE_VECTOR + 1];
static uint32_t failures;

static void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
	uint64_t length = 0;

	while (text[length])
		length++;
	asm volatile("rep outsb"
		     : "+S"(text), "+c"(length)
		     : "d"(PORT_SERIAL)
		     : "memory");
}

static void print_hex(uint32_t value)
{
	int shift;

	print("0x");
	for (shift = 28; shift >= 0; shift -= 4)
		outb(PORT_SERIAL, "0123456789abcdef"[value >> shift & 0xf]);
}

static void check(const char *what, int good)
{
	print("demo: ");
	print(what);
	print(good ? ": ok\n" : ": FAILED\n");
	failures += !good;
}

static void print_cpu(void)
{
	uint32_t text[4] = { 0 };
	uint32_t leaf = 0;

	asm volatile("cpuid"
		     : "+a"(leaf), "=b"(text[0]), "=d"(text[1]), "+c"(text[2]));
	print("demo: long mode, CPU ");
	print((const char *)text);
	print("\n");
}

static void check_exception(void)
{
	uint64_t handler = (uint64_t)invalid_opcode;
	struct idt_pointer pointer = { sizeof(idt) - 1, (uint64_t)idt };

	idt[INVALID_OPCODE_VECTOR] = (struct idt_entry){
		.offset_low = handler & 0xffff,
		.selector = CODE64_SELECTOR,
		.attributes = INTERRUPT_GATE,
		.offset_middle = handler >> 16 & 0xffff,
		.offset_high = handler >> 32,
	};
	asm volatile("lidt %0" : : "m"(pointer));
	asm volatile("ud2" : : : "memory");
	check("exception through the IDT", invalid_opcodes == 1);
}

/* Odd multiples of a large odd number: no two words of memory are equal. */
static uint64_t pattern(uint64_t page, uint64_t word)
{
	return (page * WORDS_PER_PAGE + word) * 0x9e3779b97f4a7c15ull + 1;
}

static void check_memory(void)
{
	volatile uint64_t *memory = (volatile uint64_t *)PATTERN_START;
	uint64_t page, word, wrong = 0;

	for (page = 0; page < PATTERN_PAGES; page++)
		for (word = 0; word < WORDS_PER_PAGE; word += 64)
			memory[page * WORDS_PER_PAGE + word] =
				pattern(page, word);
	for (page = 0; page < PATTERN_PAGES; page++)
		for (word = 0; word < WORDS_PER_PAGE; word += 64)
			wrong += memory[page * WORDS_PER_PAGE + word] !=
				 pattern(page, word);
	check("16 MiB of memory keep their pattern", !wrong);
}

static void check_mmio(void)
{
	volatile uint32_t *device = (volatile uint32_t *)TEST_DEVICE;
	uint32_t id = device[0];

	print("demo: MMIO device id ");
	print_hex(id);
	print("\n");
	check("MMIO device id", id == TEST_DEVICE_ID);
	device[1] = 0xcafe1234;
	check("MMIO write and read", device[1] == 0xcafe1234);
}

void demo_main(void)
{
	print_cpu();
	check_exception();
	check_memory();
	check_mmio();
	print(failures ? "demo: FAILED\n" : "demo: all checks passed\n");
	outb(PORT_EXIT, failures);
}
