"""A /proc made of plain files, byte for byte as the kernel writes them."""

from __future__ import annotations

import pathlib

STATUS = """Name:\t{name}
Umask:\t0022
State:\tS (sleeping)
Uid:\t{uid}\t{uid}\t{uid}\t{uid}
Gid:\t0\t0\t0\t0
VmHWM:\t    9216 kB
VmRSS:\t    1772 kB
Threads:\t{threads}
Cpus_allowed:\t3
voluntary_ctxt_switches:\t{voluntary}
nonvoluntary_ctxt_switches:\t{involuntary}
"""
LIMITS = (
    f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}{'Units':<10}\n"
    f"{'Max cpu time':<26}{'unlimited':<21}{'unlimited':<21}{'seconds':<10}\n"
    f"{'Max open files':<26}{{soft:<21}}{20000:<21}{'files':<10}\n"
    f"{'Max locked memory':<26}{8388608:<21}{8388608:<21}{'bytes':<10}\n"
)
IO = """rchar: 6976
wchar: 11
syscr: 10
syscw: 1
read_bytes: {read}
write_bytes: {written}
cancelled_write_bytes: 7
"""
ROLLUP = """5649a4d5a000-7ffd2f5f0000 ---p 00000000 00:00 0                          [rollup]
Rss:                1772 kB
Pss:                 320 kB
Pss_Dirty:           116 kB
Shared_Clean:       1528 kB
Private_Clean:       100 kB
Private_Dirty:       116 kB
Private_Hugetlb:       8 kB
Swap:                 12 kB
SwapPss:              12 kB
"""


class FakeProc:
    """One directory that stands for /proc; files of a process are written with what a test wants to differ."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        root.joinpath("stat").write_text("cpu  1 2 3 4\nbtime 1700000000\nprocesses 7881\n")

    def stat(self, pid: int, *, comm: str = "sleep", state: str = "S", utime: int = 12, stime: int = 34,
             children: tuple[int, int] = (0, 0), start: int = 136170, threads: int = 1, minflt: int = 99,
             majflt: int = 3, vsize: int = 3133440, nice: int = 0, iowait: int = 0) -> None:  # fmt: skip
        self._file(pid, "stat").write_text(
            f"{pid} ({comm}) {state} 7881 7881 2537 0 -1 4194304 {minflt} 5 {majflt} 6 {utime} {stime} {children[0]} "
            f"{children[1]} 20 {nice} {threads} 0 {start} {vsize} 387 18446744073709551615 94077729206272 "
            f"94077729226153 140734953765104 0 0 0 0 0 0 0 0 0 17 0 0 0 {iowait} 0 0 94077729242160 94077729243776 "
            f"94078719279104 140734953769671 140734953769708 140734953769708 140734953770987 0\n"
        )

    def statm(self, pid: int, *, size: int = 765, resident: int = 442, shared: int = 414) -> None:
        self._file(pid, "statm").write_text(f"{size} {resident} {shared} 5 0 123 0\n")

    def children(self, pid: int, children: list[int], *, thread: int | None = None) -> None:
        directory = self.root / str(pid) / "task" / str(thread or pid)
        directory.mkdir(parents=True, exist_ok=True)
        directory.joinpath("children").write_text("".join(f"{child} " for child in children))

    def process(self, pid: int, *, fds: int = 3, children: list[int] | None = None, **stat) -> None:
        """All files of a process."""
        self.stat(pid, **stat)
        self.statm(pid)
        self._file(pid, "status").write_text(
            STATUS.format(name="sleep", uid=0, threads=stat.get("threads", 1), voluntary=41, involuntary=2)
        )
        self._file(pid, "limits").write_text(LIMITS.format(soft=1024))
        self._file(pid, "io").write_text(IO.format(read=4096, written=8192))
        self._file(pid, "schedstat").write_text("1234567 250000000 17\n")
        self._file(pid, "smaps_rollup").write_text(ROLLUP)
        self._file(pid, "cmdline").write_bytes(b"/usr/bin/sleep\x001000\x00")
        for fd in range(fds):
            self._file(pid, f"fd/{fd}").write_text("")
        self.children(pid, children or [])

    def write(self, pid: int, name: str, content: bytes) -> None:
        self._file(pid, name).write_bytes(content)

    def remove(self, pid: int, name: str) -> None:
        self._file(pid, name).unlink()

    def _file(self, pid: int, name: str) -> pathlib.Path:
        path = self.root / str(pid) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
