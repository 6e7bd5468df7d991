"""gdb commands for Quire; `help quire` lists them. Loaded by make gdb.

    pages               the page allocator: zones, free blocks of each order, per-CPU caches
    page ADDRESS        the record of one physical page (a kernel address in the linear map will do)
    walk ADDRESS [PID]  the page-table walk of a virtual address, each entry decoded
    areas [PID]         the areas of a process's address space
    ps                  all processes
    slabs               the caches of kernel objects
    user PROGRAM        adds the symbols of a user program, for breakpoints in it
    type TEXT           types at the guest's console (\\n, \\x03 and so on are understood)
"""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import console  # noqa: E402  (found beside this file)

PAGE, LEVELS = 4096, ("4 KiB", "2 MiB", "1 GiB")
NONE = 0xFFFFFFFF


def value(expression):
    return gdb.parse_and_eval(expression)


def number(expression):
    return int(value(expression)) & 0xFFFFFFFFFFFFFFFF


def text(pointer):
    return pointer.string() if int(pointer) else "(none)"


def items(pointer, link):
    """Steps through a list; ends with an error when it is longer than any list of a kernel should be."""
    for _ in range(100000):
        if not int(pointer):
            return
        yield pointer.dereference()
        pointer = pointer.dereference()[link]
    raise gdb.GdbError("the list does not end: is it a circle?")


def physical(address, count):
    """Physical memory, whatever the hart's translation is at the moment."""
    gdb.execute("maint packet Qqemu.PhyMemMode:1", to_string=True)
    try:
        return bytes(gdb.selected_inferior().read_memory(address, count))
    finally:
        gdb.execute("maint packet Qqemu.PhyMemMode:0", to_string=True)


def size(count):
    return f"{count} pages ({count * PAGE / 2**20:.1f} MiB)"


class SupervisorView:
    """QEMU shows memory as the hart's privilege sees it: while a program runs, the kernel's data could not be read."""

    def __enter__(self):
        self.privilege = number("$priv")
        gdb.execute("set $priv = 1")

    def __exit__(self, *_):
        gdb.execute(f"set $priv = {self.privilege}")


class Command(gdb.Command):
    """Base of the commands: the name is the class's, the help text its doc string."""

    def __init__(self):
        super().__init__(self.__class__.__name__, gdb.COMMAND_DATA)

    def invoke(self, argument, _):
        with SupervisorView():
            try:
                self.run(*gdb.string_to_argv(argument))
            except TypeError as error:
                if "positional argument" not in str(error):
                    raise
                raise gdb.GdbError("usage: " + self.__doc__.splitlines()[0])


# --- physical pages --------------------------------------------------------------------------------------------------------------

class Records:
    """mm's record of each page: see struct page_state in mm/page_engine.h."""

    def __init__(self):
        self.state = value("page_state")
        if not int(self.state["records"]):
            raise gdb.GdbError("page_init has not run yet")
        self.type = gdb.lookup_type("struct page").pointer()
        count = int(self.state["span_count"])
        self.spans = [tuple(int(self.state["spans"][i][k]) for k in ("start", "first", "count")) for i in range(count)]

    def address(self, frame):
        for start, first, count in self.spans:
            if first <= frame < first + count:
                return start + (frame - first) * PAGE
        raise gdb.GdbError(f"frame {frame} has no page")

    def frame(self, address):
        for start, first, count in self.spans:
            if 0 <= (address - start) // PAGE < count:
                return first + (address - start) // PAGE
        return None

    def record(self, frame):
        return (gdb.Value(int(self.state["records"]) + frame * self.type.target().sizeof)).cast(self.type).dereference()

    def free_blocks(self, zone):
        """Frames of free blocks, by order: the buddy system's lists, or what the records of any other engine say."""
        if text(self.state["engine"]["name"]).startswith("buddy"):   # and, at its state's start, of the lazy one
            buddy = zone["state"].cast(gdb.lookup_type("struct buddy").pointer()).dereference()
            for order in range(11):
                frames, frame = [], int(buddy["lists"][order])
                while frame != NONE and len(frames) < 5:
                    frames.append(frame)
                    frame = int(self.record(frame)["next"])
                yield order, int(buddy["blocks"][order]), frames
            return
        first, end, width = int(zone["first"]), int(zone["end"]), self.type.target().sizeof
        use_at = number("&((struct page *)0)->use")
        memory = bytes(gdb.selected_inferior().read_memory(int(self.state["records"]) + first * width, (end - first) * width))
        free = [first + i for i in range(end - first) if memory[i * width + use_at] == number("PAGE_FREE")]
        yield 0, len(free), free[:5]


class pages(Command):
    """pages: zones, free blocks of each order with the first few of them, per-CPU caches."""

    def run(self):
        records = Records()
        state = records.state
        print(f"engine {text(state['engine']['name'])}, {int(state['metadata'])} bytes of tables")
        for index in range(2):
            zone = state["zones"][index]
            if not int(zone["total"]):
                continue
            print(f"zone {text(zone['name'])}: {size(int(zone['free']))} free of {size(int(zone['total']))}, "
                  f"{int(zone['reserve'])} in reserve, lock taken {int(zone['acquisitions'])} times")
            for order, count, frames in records.free_blocks(zone):
                if count:
                    shown = " ".join(f"{records.address(f):#x}" for f in frames)
                    print(f"  order {order:2}: {count:6} blocks  {shown}{' ...' if count > len(frames) else ''}")
        cached = [int(state["caches"][cpu]["top"] - state["caches"][cpu]["slot"][0].address) for cpu in range(int(state["cpus"]))]
        print("per-CPU caches: " + " ".join(f"{cpu}:{count}" for cpu, count in enumerate(cached)))


class page(Command):
    """page ADDRESS: the record of the physical page; an address in the kernel's linear map names the page behind it."""

    def run(self, address):
        address = number(address)
        if address >= number("port_linear"):
            address -= number("port_linear")
        records = Records()
        frame = records.frame(address)
        if frame is None:
            print(f"{address:#x}: no record: not RAM, or reserved before the page allocator started")
            return
        record = records.record(frame)
        use = str(record["use"].cast(gdb.lookup_type("enum page_use")))
        line = f"page {address & ~(PAGE - 1):#x}: frame {frame}, {use}"
        if use == "PAGE_USED":
            line += f", order {int(record['order'])}, {int(record['extra']) + 1} references"
            line += f", owner {int(record['owner']):#x}, tag {int(record['tag']):#x}"
        elif use == "PAGE_FREE":
            line += f", order {int(record['order'])}"
            for name in ("next", "previous"):
                neighbour = int(record[name])
                line += f", {name} {'none' if neighbour == NONE else hex(records.address(neighbour))}"
        print(line)


# --- translation and processes ---------------------------------------------------------------------------------------------------

def current_cpu():
    """The record of the selected hart: tp holds it in the kernel, sscratch while a program runs."""
    scratch = number("$sscratch")
    return (gdb.Value(scratch or number("$tp"))).cast(gdb.lookup_type("struct cpu").pointer()).dereference()


def processes():
    return items(value("process_all"), "all")


def process(pid=None):
    if pid is None:
        pointer = current_cpu()["current"]
        if not int(pointer):
            raise gdb.GdbError("this hart is idle: say which process (see ps)")
        return pointer.dereference()
    for candidate in processes():
        if int(candidate["pid"]) == int(pid):
            return candidate
    raise gdb.GdbError(f"no process {pid}")


def decoded(entry):
    flags = "".join(name if entry >> bit & 1 else "-" for bit, name in enumerate("vrwxugad"))
    software = " copy-on-write" if entry >> 8 & 1 else ""
    return f"{(entry >> 10 & (1 << 44) - 1) << 12:#x} {flags}{software}"


class walk(Command):
    """walk ADDRESS [PID]: how the selected hart (or a process's table) translates a virtual address, level by level."""

    def run(self, address, pid=None):
        address = number(address)
        if pid is None:
            satp = number("$satp")
            if satp >> 60 != 8:
                print("translation is off on this hart: virtual is physical")
                return
            table = (satp & (1 << 44) - 1) * PAGE
            print(f"satp {satp:#x}: Sv39, address-space number {satp >> 44 & 0xFFFF}, root at {table:#x}")
        else:
            table = int(process(pid)["space"]["table"]["root"]["raw"])
            print(f"root of process {pid} at {table:#x}")
        if address >> 38 not in (0, (1 << 26) - 1):
            print(f"{address:#x} is not canonical: bits 63 to 39 must repeat bit 38")
            return
        for level in (2, 1, 0):
            index = address >> 12 + 9 * level & 511
            entry = int.from_bytes(physical(table + 8 * index, 8), "little")
            print(f"  level {level}: entry {index:3} of {table:#x} = {entry:#018x}  {decoded(entry)}")
            if not entry & 1:
                print(f"{address:#x} is not mapped")
                return
            table = (entry >> 10 & (1 << 44) - 1) * PAGE
            if entry & 0xA:   # readable or executable: a leaf
                offset = address & (PAGE << 9 * level) - 1
                print(f"{address:#x} is physical {table + offset:#x}, by a leaf of {LEVELS[level]}")
                return
        print("the walk ends in a pointer at level 0: a broken table")


class areas(Command):
    """areas [PID]: the areas of a process's address space (of the selected hart's process)."""

    def run(self, pid=None):
        owner = process(pid)
        space = owner["space"]
        print(f"{owner['name'].string()}[{int(owner['pid'])}]: {size(int(space['resident']))} resident, "
              f"{int(space['table']['pages'])} table pages, heap {int(space['heap_start']):#x} to {int(space['heap_end']):#x}")
        for area in items(space["areas"], "next"):
            kind = str(area["kind"].cast(gdb.lookup_type("enum area_kind"))).removeprefix("AREA_").lower()
            rights = "".join(c if int(area["rights"]) & bit else "-" for c, bit in (("r", 1), ("w", 2), ("x", 4)))
            behind = "zeroes"
            if int(area["source"]):
                behind = f"file offset {int(area['offset']):#x}, {int(area['source_bytes'])} bytes"
            print(f"  {int(area['start']):#14x} to {int(area['end']):#14x}  {rights} {kind:8} "
                  f"{'shared' if area['shared'] else 'private'}  {behind}")


class ps(Command):
    """ps: all processes: pid, parent, state, hart, resident pages, name."""

    def run(self):
        print("  PID PARENT  STATE     HART  PAGES  NAME")
        for each in processes():
            parent = int(each["parent"]["pid"]) if int(each["parent"]) else 0
            state = str(each["state"]).removeprefix("PROCESS_").lower()
            resident = int(each["space"]["resident"])
            print(f"{int(each['pid']):5} {parent:6}  {state:9} {int(each['hart']):4}  {resident:5}  {each['name'].string()}")


class slabs(Command):
    """slabs: the caches of kernel objects: objects in use, in harts' magazines or the depot, room for, and pages taken."""

    def run(self):
        print("NAME                     BYTES   IN USE   CACHED     ROOM    PAGES")
        for cache in items(value("slab_caches"), "next"):
            cached = int(cache["stored"])
            for cpu in range(16):
                stock = value("slab_stocks")[cpu][cache["number"]]
                if int(stock["magazine"]):
                    slots = stock["magazine"]["slot"]
                    top = stock["kept"] if stock["top"] == value("slab_nothing")[slots.type.range()[1] + 1].address else stock["top"]
                    cached += int(top - slots[slots.type.range()[1] + 1 - int(cache["slots"])].address)
            free, room = 0, 0
            for which in range(3):
                for slab in items(cache["list"][which], "next"):
                    free, room = free + int(slab["free"]), room + int(slab["count"])
            counts = (room - free - cached, cached, room, int(cache["pages"]))
            print(f"{text(cache['name']):20} {int(cache['bytes']):9}" + "".join(f" {count:8}" for count in counts))


# --- programs and the console ----------------------------------------------------------------------------------------------------

class user(Command):
    """user PROGRAM: adds the symbols of a user program, for breakpoints and lines in it: user sh, then break main."""

    def run(self, program):
        path = os.path.join(os.path.dirname(os.path.dirname(gdb.objfiles()[0].filename)), "user", "bin", program)
        if not os.path.exists(path):
            raise gdb.GdbError(f"there is no {path}")
        gdb.execute(f"add-symbol-file {path}")


class type(Command):   # noqa: A001  (the command's name)
    """type TEXT: types at the guest's console; escapes such as \\n and \\x03 are understood, and a newline is added without them."""

    def invoke(self, argument, _):
        data = argument.encode().decode("unicode_escape")
        console.send(data if "\\" in argument else data + "\n")


class quire(gdb.Command):
    __doc__ = __doc__

    def __init__(self):
        super().__init__("quire", gdb.COMMAND_USER)

    def invoke(self, *_):
        print(__doc__)


for command in list(Command.__subclasses__()) + [quire]:
    command()
gdb.execute("set print symbol on")
gdb.execute("set style enabled off" if not sys.stdout.isatty() else "set style enabled on")
console.start()
