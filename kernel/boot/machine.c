// machine.c: what the device tree says of this machine: RAM, harts, clock, interrupt controller, serial port, disks, boot arguments.
//
//	/memory@... reg                       -> memblock: memory
//	/reserved-memory/* reg, /memreserve/  -> memblock: reserved, and machine.firmware
//	/cpus timebase-frequency, cpu@n       -> timebase, hart[], sstc
//	/soc/...  by `compatible`             -> uart, plic, virtio[]
//	/chosen bootargs, rng-seed            -> bootargs, seed
//
// What does not fit into the arrays of struct machine is left out; a tree without RAM, harts or a clock is refused.
#include "kernel/boot/machine.h"

#include "kernel/boot/fdt.h"
#include "kernel/machine/string.h"

struct reading {
	struct machine *machine;
	struct memblock *mb;
	const char *error;
	bool all_sstc;
};

struct machine machine;

static bool is_node(const struct fdt_node *node, const char *parent, const char *name)
{
	size_t length = strlen(name);
	return node && node->parent && strcmp(node->parent->name, parent) == 0 && strncmp(node->name, name, length) == 0 &&
	       (node->name[length] == '\0' || node->name[length] == '@');
}

static bool is_off(const struct fdt *fdt, const struct fdt_node *node)
{
	struct fdt_value status;
	if (!fdt_property(fdt, node, "status", &status))
		return false;
	return !fdt_lists(fdt, node, "status", "okay") && !fdt_lists(fdt, node, "status", "ok");
}

static void read_memory(struct reading *reading, const struct fdt *fdt, const struct fdt_node *node)
{
	uint64_t start, bytes;
	for (uint32_t n = 0; fdt_reg(fdt, node, n, &start, &bytes); n++)
		if (bytes && !memblock_add(reading->mb, PA(start), bytes))
			reading->error = "the device tree describes too many ranges of RAM";
}

static void reserve(struct reading *reading, uint64_t start, uint64_t bytes)
{
	struct memblock_list *list = &reading->machine->firmware;
	unsigned at = list->count;
	if (bytes == 0)
		return;
	if (list->count == MEMBLOCK_RANGES || !memblock_reserve(reading->mb, PA(start), bytes)) {
		reading->error = "the device tree reserves too many ranges of RAM";
		return;
	}
	for (; at > 0 && list->range[at - 1].start > start; at--)
		list->range[at] = list->range[at - 1];
	list->range[at] = (struct memblock_range){ start, start + bytes };
	list->count++;
}

static void read_reserved(struct reading *reading, const struct fdt *fdt, const struct fdt_node *node)
{
	uint64_t start, bytes;
	for (uint32_t n = 0; fdt_reg(fdt, node, n, &start, &bytes); n++)
		reserve(reading, start, bytes);
}

// Whether the underscore-separated list of extensions has this one: "rv64imafdc_zicsr_sstc".
static bool isa_has(const struct fdt *fdt, const struct fdt_node *node, const char *extension)
{
	struct fdt_value isa;
	uint32_t length = (uint32_t)strlen(extension);
	if (!fdt_property(fdt, node, "riscv,isa", &isa))
		return false;
	for (uint32_t at = 1; at + length <= isa.bytes; at++)
		if (isa.data[at - 1] == '_' && memcmp(isa.data + at, extension, length) == 0 &&
		    (at + length == isa.bytes || isa.data[at + length] == '_' || isa.data[at + length] == '\0'))
			return true;
	return false;
}

static void read_hart(struct reading *reading, const struct fdt *fdt, const struct fdt_node *node)
{
	struct machine *m = reading->machine;
	struct fdt_value mmu;
	uint64_t hartid, none;
	bool pages = fdt_property(fdt, node, "mmu-type", &mmu) && !fdt_lists(fdt, node, "mmu-type", "riscv,none");
	if (m->harts == MACHINE_HARTS || is_off(fdt, node) || !pages || !fdt_reg(fdt, node, 0, &hartid, &none))
		return;
	m->hart[m->harts].hartid = hartid;
	m->harts++;
	reading->all_sstc = reading->all_sstc && isa_has(fdt, node, "sstc");
}

// A hart's own interrupt controller: a child of the cpu node that came last.
static void read_intc(struct machine *m, const struct fdt *fdt, const struct fdt_node *node)
{
	uint64_t hartid, none;
	if (m->harts && fdt_reg(fdt, node->parent, 0, &hartid, &none) && m->hart[m->harts - 1].hartid == hartid)
		m->hart[m->harts - 1].intc = fdt_cell(fdt, node, "phandle", 0);
}

static void read_registers(struct device_registers *device, const struct fdt *fdt, const struct fdt_node *node)
{
	struct device_registers found = { .irq = fdt_cell(fdt, node, "interrupts", 0) };
	for (const struct fdt_node *above = node; above && found.parent == 0; above = above->parent)
		found.parent = fdt_cell(fdt, above, "interrupt-parent", 0);
	if (fdt_reg(fdt, node, 0, &found.start, &found.bytes) && found.start + found.bytes > found.start)
		*device = found;
}

static void read_plic(struct machine *m, const struct fdt *fdt, const struct fdt_node *node)
{
	struct fdt_value wires;
	struct machine_plic *plic = &m->plic[m->plics];
	if (m->plics == MACHINE_PLICS)
		return;
	read_registers(&plic->registers, fdt, node);
	if (plic->registers.bytes == 0 || !fdt_property(fdt, node, "interrupts-extended", &wires))
		return;
	plic->sources = fdt_cell(fdt, node, "riscv,ndev", 0);
	plic->phandle = fdt_cell(fdt, node, "phandle", 0);
	while (plic->contexts < MACHINE_CONTEXTS && fdt_value_cell(wires, plic->contexts * 2, &plic->context[plic->contexts].intc) &&
	       fdt_value_cell(wires, plic->contexts * 2 + 1, &plic->context[plic->contexts].cause))
		plic->contexts++;
	m->plics++;
}

// Now that all PLICs are known: the index of the device's goes into its interrupt number. Number 0 is none.
static void resolve_interrupt(const struct machine *m, struct device_registers *device)
{
	for (unsigned i = 0; i < m->plics; i++)
		if (m->plic[i].phandle == device->parent && device->irq <= m->plic[i].sources) {
			device->irq |= i << MACHINE_PLIC_SHIFT;
			return;
		}
	device->irq = 0;
}

static void read_virtio(struct machine *m, const struct fdt *fdt, const struct fdt_node *node)
{
	struct device_registers slot = { 0 };
	unsigned at = m->virtios;
	read_registers(&slot, fdt, node);
	if (slot.bytes == 0 || m->virtios == MACHINE_VIRTIO)
		return;
	for (; at > 0 && m->virtio[at - 1].start > slot.start; at--)
		m->virtio[at] = m->virtio[at - 1];
	m->virtio[at] = slot;
	m->virtios++;
}

static void read_chosen(struct machine *m, const struct fdt *fdt, const struct fdt_node *node)
{
	struct fdt_value value;
	if (fdt_property(fdt, node, "bootargs", &value)) {
		size_t length = strnlen((const char *)value.data, value.bytes);
		if (length >= sizeof m->bootargs)
			length = sizeof m->bootargs - 1;
		memcpy(m->bootargs, value.data, length);
		m->bootargs[length] = '\0';
	}
	if (fdt_property(fdt, node, "rng-seed", &value)) {
		m->seed_bytes = value.bytes < sizeof m->seed ? value.bytes : sizeof m->seed;
		memcpy(m->seed, value.data, m->seed_bytes);
	}
}

static void read_node(void *context, const struct fdt *fdt, const struct fdt_node *node)
{
	struct reading *reading = context;
	struct machine *m = reading->machine;
	if (fdt_lists(fdt, node, "device_type", "memory") && !is_off(fdt, node))
		read_memory(reading, fdt, node);
	else if (node->parent && is_node(node->parent, "", "reserved-memory"))
		read_reserved(reading, fdt, node);
	else if (is_node(node, "", "cpus"))
		m->timebase = fdt_cell(fdt, node, "timebase-frequency", 0);
	else if (is_node(node, "cpus", "cpu"))
		read_hart(reading, fdt, node);
	else if (is_node(node->parent, "cpus", "cpu") && fdt_lists(fdt, node, "compatible", "riscv,cpu-intc"))
		read_intc(m, fdt, node);
	else if (is_node(node, "", "chosen"))
		read_chosen(m, fdt, node);
	else if (is_off(fdt, node))
		return;
	else if (fdt_lists(fdt, node, "compatible", "ns16550a") && m->uart.bytes == 0) {
		read_registers(&m->uart, fdt, node);
		m->uart_shift = fdt_cell(fdt, node, "reg-shift", 0);
	} else if (fdt_lists(fdt, node, "compatible", "sifive,plic-1.0.0") || fdt_lists(fdt, node, "compatible", "riscv,plic0"))
		read_plic(m, fdt, node);
	else if (fdt_lists(fdt, node, "compatible", "virtio,mmio"))
		read_virtio(m, fdt, node);
}

const char *machine_read(struct machine *into, struct memblock *mb, const void *tree, uint64_t limit)
{
	struct fdt fdt;
	struct reading reading = { .machine = into, .mb = mb, .all_sstc = true };
	uint64_t start, bytes;
	const char *error = fdt_open(&fdt, tree, limit);
	if (error)
		return error;
	for (uint32_t n = 0; fdt_reservation(&fdt, n, &start, &bytes); n++)
		reserve(&reading, start, bytes);
	error = fdt_walk(&fdt, read_node, &reading);
	if (error)
		return error;
	if (!memblock_reserve(mb, PA(pa_of(tree).raw), fdt.bytes))
		reading.error = "the device tree itself cannot be reserved";
	into->sstc = reading.all_sstc;
	resolve_interrupt(into, &into->uart);
	for (unsigned i = 0; i < into->virtios; i++)
		resolve_interrupt(into, &into->virtio[i]);
	if (reading.error)
		return reading.error;
	if (mb->memory.count == 0)
		return "the device tree names no RAM";
	if (into->harts == 0)
		return "the device tree names no hart with page tables";
	return into->timebase ? NULL : "the device tree does not say how fast time runs";
}
