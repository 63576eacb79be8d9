"""The limits of memory and of the CPU, as Linux writes them in both versions of its files."""

from pathlib import Path

import pytest

from antiphon.engines.llama.control_groups import MemoryGroup, cpu_shares, memory_groups

GIB = 1 << 30
STATISTICS = f"anon 1\nactive_file {GIB}\ninactive_file {2 * GIB}\nfile {9 * GIB}\n"
FIRST = f"cache 5\nactive_file 1\ntotal_active_file {GIB}\ntotal_inactive_file {2 * GIB}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def write(folder: Path, **files: str) -> None:
    """Write files; the first underscore of a name is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(content, encoding="ascii")


def test_container_sees_its_own_group_at_the_root(own: Path, root: Path) -> None:
    own.write_text("0::/\n")
    write(root, memory_max=f"{8 * GIB}\n", memory_current=f"{5 * GIB}\n", memory_stat=STATISTICS)
    assert memory_groups(own, root) == (MemoryGroup(8 * GIB, 5 * GIB, 3 * GIB),)


def test_service_is_bounded_by_its_own_group_and_by_those_around_it(own: Path, root: Path) -> None:
    own.write_text("0::/system.slice/antiphon.service\n")
    write(root / "system.slice", memory_max=f"{8 * GIB}", memory_current=f"{6 * GIB}")
    write(root / "system.slice/antiphon.service", memory_max=f"{4 * GIB}", memory_current="1")
    write(root / "user.slice", memory_max="5")
    assert memory_groups(own, root) == (MemoryGroup(4 * GIB, 1), MemoryGroup(8 * GIB, 6 * GIB))


def test_memory_above_which_a_group_is_slowed_down_is_a_limit(own: Path, root: Path) -> None:
    own.write_text("0::/\n")
    write(root, memory_max="max\n", memory_high=f"{2 * GIB}\n")
    assert memory_groups(own, root) == (MemoryGroup(2 * GIB),)


def test_first_version_is_read(own: Path, root: Path) -> None:
    own.write_text("12:cpuset:/\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n")
    limits = {"memory_limit_in_bytes": f"{8 * GIB}\n", "memory_usage_in_bytes": f"{5 * GIB}\n"}
    write(root / "memory", **limits, memory_stat=FIRST)
    write(root / "memory/docker/abc", memory_limit_in_bytes="9223372036854771712\n")
    assert memory_groups(own, root) == (MemoryGroup(8 * GIB, 5 * GIB, 3 * GIB),)
    write(root / "memory/docker", memory_limit_in_bytes=f"{GIB}")
    assert memory_groups(own, root) == (MemoryGroup(GIB), MemoryGroup(8 * GIB, 5 * GIB, 3 * GIB))


@pytest.mark.parametrize("said", ["", "0::/../../elsewhere\n", "no line\n", "0:x\n", "\ufffd"])
def test_group_that_cannot_be_seen_leaves_the_root(own: Path, root: Path, said: str) -> None:
    own.write_text(said, encoding="utf-8")
    write(root, memory_max="5\n", cpu_max="50000 100000\n")
    assert memory_groups(own, root) == (MemoryGroup(5),)
    assert cpu_shares(own, root) == (0.5,)


def test_machine_without_groups_has_no_limits(own: Path, root: Path) -> None:
    assert memory_groups(own, root) == ()
    assert cpu_shares(own, root) == ()
    write(root, memory_max="max\n", cpu_max="max 100000\n", memory_stat="what")
    assert memory_groups(own, root) == ()
    assert cpu_shares(own, root) == ()


@pytest.mark.parametrize("wrong", ["what", "-5", "5 5", "1.5"])
def test_files_of_another_form_are_no_limits(own: Path, root: Path, wrong: str) -> None:
    own.write_text("0::/\n")
    write(root, cpu_max=f"{wrong} 1 2", memory_max=f"{GIB}", memory_current="what")
    write(root, memory_stat=f"active_file\ninactive_file {wrong} x\n")
    assert memory_groups(own, root) == (MemoryGroup(GIB),)
    assert cpu_shares(own, root) == ()


def test_time_of_the_cpu_is_that_of_each_group(own: Path, root: Path) -> None:
    own.write_text("0::/a/b\n3:cpu,cpuacct:/a\n")
    write(root / "a/b", cpu_max="150000 100000\n")
    write(root / "a", cpu_max="max 100000\n")
    write(root / "cpu/a", cpu_cfs_quota_us="50000\n", cpu_cfs_period_us="100000\n")
    write(root / "cpu", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000\n")
    assert cpu_shares(own, root) == (1.5, 0.5)


def test_limits_of_this_process_can_be_read() -> None:
    assert all(group.limit > 0 for group in memory_groups())
    assert all(share > 0 for share in cpu_shares())
