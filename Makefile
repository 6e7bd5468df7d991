# Quire's build. Everything that is made goes into build/; nothing here lists source files by name.
#
#   make               kernel and disk image               make test      every test; last line "N passed, N failed"
#   make qemu          boot to a shell (^A x leaves)       make bench     instructions and times; other allocators
#   make gdb           the same under gdb, one terminal    make fuzz      libFuzzer targets, FUZZ_SECONDS each
#   make study         tables and plots of all heaps in build/study/
#   make -s print-qemu the command that make qemu runs     make lint      house rules; make doctor: which tools are missing
#   make labs          which labs there are              make lab LAB=03 DIR=folder   a tree to work in; there: make check, make grade,
#                                                        make watch, make hint STEP=3.2; make release LAB=all DEST=folder: trees to hand out
#
# Knobs: SMP=2 MEM=128M APPEND='heap=best_fit quiet' QEMU_EXTRA='-d int' IMAGE=my.img CHECK=0|1|2 SAN=address|undefined|thread V=1

SMP        ?= 2
MEM        ?= 128M
APPEND     ?=
QEMU_EXTRA ?=
CHECK      ?= 0
DISK_BLOCKS ?= 4096
SAN        ?=
JUDGE      ?=
V          ?=
CC_HOST    ?= gcc
FUZZ_SECONDS ?= 30

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

# --- tools: whatever riscv64 toolchain, QEMU and gdb the machine has; tools/doctor knows how to look ------------------------------
ifeq ($(origin CROSS),undefined)
CROSS := $(shell sh tools/doctor --prefix 2>/dev/null)
endif
QEMU ?= qemu-system-riscv64
RISCV_CC := $(CROSS)gcc

# --- variants: each has a directory of its own, so that they can be built side by side -------------------------------------------
VARIANT := $(if $(filter-out 0,$(CHECK)),-check$(CHECK))$(if $(SAN),-san-$(SAN))$(if $(JUDGE),-judge)
KERNEL_DIR := build/kernel$(VARIANT)
KERNEL := $(KERNEL_DIR)/quire.elf
IMAGE ?= build/fs.img

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# No floating-point instructions anywhere: neither the kernel's trap entry nor its context switch saves those registers.
RISCV := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -std=gnu11 -O2 -g -ffreestanding -fno-common -fno-pic \
	-fno-pie -fno-stack-protector -fno-omit-frame-pointer -ffunction-sections -fdata-sections -DPORT_BIT_TABLES=1
KERNEL_FLAGS := $(RISCV) -mno-relax -fno-tree-loop-distribute-patterns -DMM_CHECK=$(CHECK) \
	-DPORT_PIN='"../kernel/machine/pin.h"' -DPORT_FRAMELESS='__attribute__((optimize("omit-frame-pointer")))'
USER_FLAGS := $(RISCV)

# Sanitizers: kernel/sanitize/ is their run time, part of such kernels only and never instrumented itself.
SAN_FLAGS_address := -DMM_SANITIZE -fsanitize=kernel-address --param asan-stack=0 --param asan-globals=1 \
	--param asan-instrumentation-with-call-threshold=0
SAN_FLAGS_undefined := -fsanitize=undefined
SAN_FLAGS_thread := -DSANITIZE_THREAD -DPORT_WATCHED=1 -fsanitize=thread --param=tsan-distinguish-volatile=1 \
	--param=tsan-instrument-func-entry-exit=0 -Wno-tsan # a fence is told to the run time; gcc's own knows none: hence its warning
ifneq ($(SAN),)
ifeq ($(filter address undefined thread,$(SAN)),)
$(error SAN=$(SAN): say address, undefined or thread)
endif
KERNEL_SAN := $(SAN_FLAGS_$(SAN))
endif
# Allocators work inside blocks that are dead to everyone else, so the address sanitizer does not watch them, but all others.
ALLOCATORS := $(wildcard mm/memblock.c mm/page*.c mm/bump*.c mm/freelist*.c mm/lazy*.c mm/slab*.c)
ALLOCATORS += $(wildcard mm/segregated*.c mm/fixed*.c mm/buddy*.c mm/guard*.c)
$(patsubst %,$(KERNEL_DIR)/%.o,$(ALLOCATORS)): KERNEL_SAN := $(filter-out $(filter-out -D%,$(SAN_FLAGS_address)),$(KERNEL_SAN))

# --- output: one short line a file; V=1 shows commands, -s shows nothing ---------------------------------------------------------
ifeq ($(V),)
Q := @
ifeq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
say = @printf '  %-6s %s\n' $(1) '$(2)'
endif
endif

comma := ,
quote = '$(subst ','\'',$(1))'

# --- what there is ---------------------------------------------------------------------------------------------------------------
MM_C      := $(wildcard mm/*.c)
KERNEL_C  := $(filter-out kernel/sanitize/%,$(wildcard kernel/*.c kernel/*/*.c))
ifneq ($(JUDGE),) # the judge's driver boots and makes the calls
KERNEL_C  := $(filter-out %/boot/main.c,$(KERNEL_C)) $(wildcard grading/driver/*.c)
endif
KERNEL_S  := $(wildcard kernel/*.S kernel/*/*.S)
SAN_C     := $(if $(SAN),$(wildcard kernel/sanitize/$(SAN)*.c))
KERNEL_LD := $(wildcard kernel/boot/kernel.ld)
LIB_C     := $(wildcard user/lib/*.c)
LIB_S     := $(wildcard user/lib/*.S)
PROGRAMS  := $(sort $(basename $(notdir $(wildcard user/*.c))) \
	$(filter-out lib,$(patsubst user/%/,%,$(sort $(dir $(wildcard user/*/*.c))))))

TEST_PROGRAMS := $(wildcard tests/programs/*.c)

KERNEL_O := $(patsubst %,$(KERNEL_DIR)/%.o,$(KERNEL_S) $(KERNEL_C) $(MM_C) $(SAN_C))
LIB_O    := $(patsubst %,build/user/obj/%.o,$(LIB_S) $(LIB_C) $(MM_C))
# In a student's tree: objects in the place of sources that hold other labs' answers; whoever has done those puts the sources there.
absent = $(foreach o,$(wildcard $(1)*/*.o),$(if $(wildcard $(patsubst $(1)%.o,%,$(o))),,$(o)))
KERNEL_O += $(call absent,prebuilt/kernel$(patsubst %-judge,%,$(VARIANT))/)
LIB_O    += $(call absent,prebuilt/user/)
USER_LD  := $(firstword $(wildcard user/*.ld user/lib/*.ld))

.PHONY: all kernel image tools qemu run-qemu print-qemu gdb run-gdb test bench study fuzz lint doctor setup clean host-tests FORCE \
	check grade watch hint labs lab release test-graders

all: kernel image
kernel: $(KERNEL)
image: $(IMAGE)

LAB_GOALS := check grade watch hint labs lab release
ifeq ($(CROSS),)
ifneq ($(filter-out qemu gdb test bench study doctor setup test-graders clean lint host-tests fuzz $(LAB_GOALS),$(or $(MAKECMDGOALS),all)),)
$(shell sh tools/doctor >&2)
$(error No riscv64 compiler was found: see above. "make qemu" and "make test" install it where they can)
endif
endif

# --- kernel ----------------------------------------------------------------------------------------------------------------------
# mm is compiled with no include path: it cannot see the kernel even by mistake.
$(KERNEL_DIR)/mm/%.c.o: mm/%.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) $(KERNEL_SAN) $(WARN) -Wconversion -MMD -MP -c -o $@ $<

$(KERNEL_DIR)/kernel/sanitize/%.c.o: kernel/sanitize/%.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) $(filter -D%,$(KERNEL_SAN)) $(WARN) -I. -MMD -MP -c -o $@ $<

$(KERNEL_DIR)/%.c.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) $(KERNEL_SAN) $(WARN) -I. -MMD -MP -c -o $@ $<

$(KERNEL_DIR)/%.S.o: %.S Makefile
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) -I. -MMD -MP -c -o $@ $<

LINK_KERNEL = $(RISCV_CC) $(KERNEL_FLAGS) -nostdlib -static -no-pie -Wl,--no-relax -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -T $(KERNEL_LD) \
	$(if $(JUDGE),-Wl$(comma)--wrap=port_flush)

# Linked twice: the second time with the table of the first one's functions, which backtraces read. The table comes behind them,
# so they must not have moved.
$(KERNEL): $(KERNEL_O) $(KERNEL_LD) kernel/machine/symbols.awk Makefile
	$(call say,LD,$@)
	$(Q)awk -f kernel/machine/symbols.awk /dev/null > $(KERNEL_DIR)/symbols0.S
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) -c -o $(KERNEL_DIR)/symbols0.o $(KERNEL_DIR)/symbols0.S
	$(Q)$(LINK_KERNEL) -o $(KERNEL_DIR)/first.elf $(KERNEL_O) $(KERNEL_DIR)/symbols0.o
	$(Q)$(CROSS)nm -n $(KERNEL_DIR)/first.elf | awk -f kernel/machine/symbols.awk > $(KERNEL_DIR)/symbols1.S
	$(Q)$(RISCV_CC) $(KERNEL_FLAGS) -c -o $(KERNEL_DIR)/symbols1.o $(KERNEL_DIR)/symbols1.S
	$(Q)$(LINK_KERNEL) -o $@ $(KERNEL_O) $(KERNEL_DIR)/symbols1.o
	$(Q)$(CROSS)nm $(KERNEL_DIR)/first.elf | grep ' [tT] ' > $(KERNEL_DIR)/first.functions
	$(Q)$(CROSS)nm $@ | grep ' [tT] ' | cmp - $(KERNEL_DIR)/first.functions

# --- user programs: user/NAME.c, or all of user/NAME/*.c -------------------------------------------------------------------------
build/user/obj/mm/%.c.o: mm/%.c Makefile
	$(call say,CC,$< for user)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(USER_FLAGS) $(WARN) -Wconversion -MMD -MP -c -o $@ $<

build/user/obj/user/lib/%.c.o: user/lib/%.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(USER_FLAGS) $(WARN) -I. -MMD -MP -c -o $@ $<

# Programs that people bring are compiled with warnings that do not stop the build; lint holds ours to the full set.
build/user/obj/%.c.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(USER_FLAGS) -Wall -Wno-main -I. -MMD -MP -c -o $@ $<

build/user/obj/%.S.o: %.S Makefile
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(RISCV_CC) $(USER_FLAGS) -I. -MMD -MP -c -o $@ $<

build/user/libquire.a: $(LIB_O)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(CROSS)ar rcs $@ $^

# program(FILE, sources). -march=rv64imac once more: under the longer name gcc does not find its library for soft floating point.
define program
$(1): $(patsubst %,build/user/obj/%.o,$(2)) build/user/libquire.a $(USER_LD)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(RISCV_CC) $$(USER_FLAGS) -march=rv64imac -nostdlib -static -no-pie -Wl,--gc-sections -Wl,--build-id=none \
		-Wl,-z,max-page-size=4096 -T $(USER_LD) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group build/user/libquire.a -lgcc -Wl,--end-group
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,build/user/bin/$(p),$(wildcard user/$(p).c user/$(p)/*.c))))
$(foreach c,$(TEST_PROGRAMS),$(eval $(call program,build/tests/bin/$(basename $(notdir $(c))),$(c))))

# --- disk image ------------------------------------------------------------------------------------------------------------------
# The list of programs is an input as well: a program that was deleted leaves the disk.
build/programs.list: FORCE
	@mkdir -p build
	@echo '$(PROGRAMS)' | cmp -s - $@ || echo '$(PROGRAMS)' > $@

build/host/mkfs: tools/mkfs.c Makefile
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) -std=gnu11 -O2 -g $(WARN) -I. -MMD -MP -MF $@.d -o $@ $<

build/disk/%: build/user/bin/%
	@mkdir -p $(@D)
	$(Q)$(CROSS)objcopy --strip-all $< $@

build/tests/disk/%: build/tests/bin/%
	@mkdir -p $(@D)
	$(Q)$(CROSS)objcopy --strip-all $< $@

build/disk/README: README.md
	@mkdir -p $(@D)
	$(Q)cp $< $@

DISK_FILES := $(patsubst %,build/disk/%,$(PROGRAMS) $(if $(wildcard README.md),README))

build/fs.img: build/host/mkfs $(DISK_FILES) build/programs.list
	$(call say,MKFS,$@)
	$(Q)build/host/mkfs $@ $(DISK_BLOCKS) $(DISK_FILES) 1>&2

# The guest tests' disk has a few more programs: what misbehaves on purpose is not for everyone's disk.
TEST_FILES := $(addprefix build/tests/disk/,$(filter-out $(PROGRAMS),$(basename $(notdir $(TEST_PROGRAMS)))))
build/tests.img: build/host/mkfs $(DISK_FILES) $(TEST_FILES) build/programs.list
	$(call say,MKFS,$@)
	$(Q)build/host/mkfs $@ $(DISK_BLOCKS) $(DISK_FILES) $(TEST_FILES) 1>&2

# --- running ---------------------------------------------------------------------------------------------------------------------
ABS = $(call quote,$(abspath $(1)))
QEMU_COMMAND = $(QEMU) -machine virt -bios default -m $(MEM) -smp $(SMP) -nographic -kernel $(call ABS,$(KERNEL)) \
-global virtio-mmio.force-legacy=false -drive file=$(call ABS,$(IMAGE)),if=none,format=raw,id=disk0 \
-device virtio-blk-device,drive=disk0$(if $(value APPEND), -append $(call quote,$(value APPEND))) $(value QEMU_EXTRA)

qemu:
	@sh tools/setup run
	@+$(MAKE) run-qemu

run-qemu: all
	@$(QEMU_COMMAND)

print-qemu: all
	@printf '%s\n' $(call quote,$(QEMU_COMMAND))

gdb:
	@sh tools/setup gdb
	@+$(MAKE) run-gdb

run-gdb: all
	@KERNEL=$(KERNEL) QEMU_COMMAND=$(call quote,$(QEMU_COMMAND)) python3 tools/gdb/start $(GDB_ARGUMENTS)

# --- host tests of mm ------------------------------------------------------------------------------------------------------------
HOST_C    := $(filter-out mm/host/fuzz_% mm/host/bench% mm/host/preload% mm/host/malloc% mm/host/study%,$(wildcard mm/host/*.c)) $(MM_C)
HOST_BASE  := -std=gnu11 -O1 -g -pthread -fno-omit-frame-pointer
HOST_FLAGS := $(HOST_BASE) -fsanitize=address,undefined -fno-sanitize-recover=all -DMM_CHECK=1
# Threads, at level 0, where the short ways are. For volatile accesses and fences see mm/host/tsan.c.
TSAN_FLAGS := $(HOST_BASE) -fsanitize=thread --param=tsan-distinguish-volatile=1 -Wno-tsan -DMM_CHECK=0 -DPORT_WATCHED=1

# host_tests(NAME, compiler, flags)
define host_tests
build/host/$(1)/mm/host/%.c.o: mm/host/%.c Makefile
	$$(call say,HOSTCC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(Q)$(2) $(3) $$(WARN) -MMD -MP -c -o $$@ $$<

build/host/$(1)/mm/%.c.o: mm/%.c Makefile
	$$(call say,HOSTCC,$$< ($(1)))
	@mkdir -p $$(@D)
	$$(Q)$(2) $(3) $$(WARN) -Wconversion -MMD -MP -c -o $$@ $$<

build/host/mm-tests-$(1): $(patsubst %,build/host/$(1)/%.o,$(HOST_C))
	$$(call say,HOSTLD,$$@)
	$$(Q)$(2) $(3) -Wl,--wrap=page_alloc -o $$@ $$^
endef
$(eval $(call host_tests,gcc,gcc,$(HOST_FLAGS)))
$(eval $(call host_tests,clang,clang,$(HOST_FLAGS)))
$(eval $(call host_tests,tsan,gcc,$(TSAN_FLAGS)))
host-tests: build/host/mm-tests-gcc build/host/mm-tests-clang

# --- the slab heap as a program's malloc: LD_PRELOAD=build/host/libquire.so ----------------------------------------------------------
PRELOAD_C := $(wildcard mm/host/preload*.c mm/host/barrier.c) $(filter-out mm/vmalloc%,$(MM_C))
PRELOAD_FLAGS := -std=gnu11 -O2 -g -fPIC -pthread -fvisibility=hidden -fno-builtin-malloc -ffunction-sections -DMM_CHECK=0 \
	-DPORT_PIN='"host/preload_pin.h"' -DPORT_MAX_CPUS=32 -DPORT_SHARED_CPU=0 \
	-DPORT_STOCK_OBJECTS=127u -DPORT_STOCK_BYTES=32768u -DPORT_DEPOT_OBJECTS=2048u -DPORT_DEPOT_BYTES=1048576u \
	-DPORT_SLAB_ORDER=2u -flto=2
build/host/preload/mm/slab%: PRELOAD_FLAGS += -Dpage_alloc=preload_page_alloc -Dpage_free=preload_page_free

build/host/preload/%.o: % Makefile
	$(call say,HOSTCC,$< (library))
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) $(PRELOAD_FLAGS) $(WARN) -MMD -MP -c -o $@ $<

build/host/libquire.so: $(patsubst %,build/host/preload/%.o,$(PRELOAD_C))
	$(call say,HOSTLD,$@)
	$(Q)$(CC_HOST) $(PRELOAD_FLAGS) -shared -Wl,--gc-sections -Wl,-z,defs -o $@ $^

# Programs that use malloc, for the library and for those it is compared with. The compiler must not know what malloc does.
build/host/bench_malloc build/host/malloc_check: build/host/%: mm/host/%.c Makefile
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) -std=gnu11 -O2 -g -pthread -fno-builtin $(WARN) -o $@ $<

build/host/bench_page: $(wildcard mm/host/bench_page.c mm/memblock.c mm/page*.c mm/*.h) Makefile
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) -std=gnu11 -O2 -g -pthread $(WARN) -o $@ $(filter %.c,$^)

build/host/bench_segregated: $(wildcard mm/host/bench_segregated.c mm/segregated*.c mm/*.h mm/host/random.h) Makefile
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) -std=gnu11 -O2 -g $(WARN) -DMM_CHECK=0 -o $@ $(filter %.c,$^)

# --- the study: every heap measured as the kernel builds it, and the tables and plots of that -------------------------------------
STUDY_C := $(filter-out mm/host/main% mm/host/test_%,$(HOST_C)) $(wildcard mm/host/study*.c)
STUDY_WRAPS := lock_acquire lock_release port_pin port_unpin

build/host/study: $(STUDY_C) $(wildcard mm/*.h mm/host/*.h) Makefile
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC_HOST) -std=gnu11 -O2 -g -pthread $(WARN) -DMM_CHECK=0 $(patsubst %,-Wl$(comma)--wrap=%,$(STUDY_WRAPS)) -o $@ $(STUDY_C)

study:
	@sh tools/setup study
	@+$(MAKE) -s build/host/study
	@$$(sh tools/doctor --plotter) tests/study.py

# --- fuzzing ---------------------------------------------------------------------------------------------------------------------
FUZZERS := $(patsubst mm/host/%.c,build/fuzz/%,$(wildcard mm/host/fuzz_*.c))
FUZZ_FLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DMM_CHECK=1

FUZZ_C := $(wildcard mm/host/port.c mm/host/barrier.c) $(MM_C)
build/fuzz/%: mm/host/%.c $(FUZZ_C) $(wildcard mm/*.h mm/host/*.h) Makefile
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -Wl,--wrap=page_alloc -o $@ $< $(FUZZ_C)

fuzzers: $(FUZZERS)
fuzz: $(FUZZERS)
	@python3 tests/fuzz.py --seconds $(FUZZ_SECONDS) $(FUZZERS)

# --- labs: labs/tool; in a student's tree lab.mk says which one, and spares holes the warnings that they would cause -----------------
-include $(wildcard lab.mk)
LAB_TOOL = @python3 labs/tool
# A glance, not all of tools/setup: make check is to be quick.
LAB_READY = @{ command -v python3 && command -v $(CC_HOST); } >/dev/null || sh tools/setup check
LAB_BUILD = --cc $(CC_HOST) --flags $(call quote,$(HOST_FLAGS) $(WARN)) --lab $(call quote,$(LAB))

check:
	$(LAB_READY)
	$(LAB_TOOL) check $(LAB_BUILD) $(if $(SEED),--seed $(SEED)) $(if $(JSON),--json $(call quote,$(JSON)))

grade:
	@sh tools/setup grade
	@+python3 grading/grade . --lab $(call quote,$(LAB)) --trust --seed $(or $(SEED),1) --out build/grade
	@echo 'build/grade/report.html is a page of it.'

watch:
	$(LAB_READY)
	$(LAB_TOOL) watch $(LAB_BUILD)

hint:
	$(LAB_READY)
	$(LAB_TOOL) hint --step $(call quote,$(STEP)) --number $(or $(N),1)

labs:
	$(LAB_READY)
	$(LAB_TOOL) list

lab:
	@sh tools/setup lab
	$(LAB_TOOL) lab $(LAB_BUILD) --to $(call quote,$(DIR))

release:
	@sh tools/setup lab
	$(LAB_TOOL) release $(LAB_BUILD) --to $(call quote,$(DEST))

# --- the rest --------------------------------------------------------------------------------------------------------------------
test:
	@sh tools/setup test
	@+python3 tests/run

test-graders: # every faulty and every hostile patch in grading/, not only a part of them
	@sh tools/setup test
	@+QUIRE_GRADERS=whole python3 tests/run labs: judge:

bench:
	@sh tools/setup run
	@sh tools/setup study
	@+$(MAKE) -s all build/host/libquire.so build/host/bench_malloc build/host/bench_page build/host/bench_segregated
	@python3 tests/bench.py
	@python3 tests/bench_pages.py
	@python3 tests/bench_segregated.py
	@$$(sh tools/doctor --plotter) tests/bench_malloc.py

lint:
	@python3 tools/lint

doctor:
	@sh tools/doctor

setup:
	@sh tools/setup test

clean:
	rm -rf build

FORCE:

-include $(KERNEL_O:.o=.d) $(LIB_O:.o=.d)
-include $(wildcard build/host/*.d build/user/obj/user/*.d build/user/obj/user/*/*.d build/user/obj/tests/programs/*.d \
	build/host/*/mm/*.d build/host/*/mm/host/*.d)
