"""A full disk, a file that may not grow, a disk that cannot be written: one line, and the same command goes on."""

import os

import pytest

from tests.faults.scenarios import Inputs
from tests.faults.warm_balto import READ_ONLY, WarmBalto, has_own_disks

NAMES = ("label", "label-llm", "project", "generate", "train", "report")
DISK_BYTES = 64 << 20
FULL = ("No space left on device", "disk is full", "disk I/O error")  # the last two are SQLite's
CHUNK = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="module")
def balto(folder):
    if not has_own_disks():
        pytest.skip("no user namespaces here: a process cannot have a disk of its own")
    with WarmBalto(folder, DISK_BYTES) as running:
        yield running


@pytest.fixture(scope="module")
def scenarios(balto, folder):
    with Inputs(folder) as inputs:
        yield inputs.scenarios(balto)


def fill(balto: WarmBalto, leave_bytes: int) -> None:
    disk = balto.outside(balto.disk)
    state = os.statvfs(disk)
    left = state.f_bavail * state.f_frsize - leave_bytes
    with open(disk / "ballast", "wb") as ballast:
        while left > 0:
            left -= ballast.write(bytes(min(CHUNK, left)))


@pytest.mark.parametrize("leave_bytes", [0, 16 << 10])
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(name, leave_bytes, balto, scenarios):
    scenario = scenarios[name]
    out = balto.disk / f"{name}-{leave_bytes}" / scenario.product
    balto.outside(out.parent).mkdir()
    fill(balto, leave_bytes)
    ended = balto.run(scenario.argv(out))
    said = [line for line in ended.stderr.splitlines() if line.startswith("balto: ")]
    assert ended.code in (1, 2)
    assert len(said) == 1, ended.stderr
    assert any(reason in said[0] for reason in FULL), said
    assert scenario.problems(balto.outside(out), scenario.undisturbed, False) == []
    balto.outside(balto.disk / "ballast").unlink()
    ended = balto.run(scenario.argv(out))
    assert ended.code == 0, ended.stderr
    assert scenario.problems(balto.outside(out), scenario.undisturbed, True) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_cannot_be_written_is_one_line(name, balto, scenarios):
    out = balto.disk / READ_ONLY / name
    ended = balto.run(scenarios[name].argv(out))
    said = [line for line in ended.stderr.splitlines() if line.startswith("balto: ")]
    assert ended.code in (1, 2)
    assert len(said) == 1, ended.stderr
    assert "ead-only file system" in said[0] or "readonly" in said[0] or "unable to open" in said[0], said


@pytest.mark.parametrize("name", ["label", "project", "generate", "report"])
def test_a_file_that_may_not_grow_is_one_line(name, balto, scenarios, folder):
    scenario = scenarios[name]
    out = folder / f"quota-{name}" / scenario.product
    out.parent.mkdir()
    ended = balto.run(scenario.argv(out), file_bytes=4096)
    assert ended.code in (1, 2)
    assert "File too large" in ended.stderr
    assert balto.run(scenario.argv(out)).code == 0
    assert scenario.problems(out, scenario.undisturbed, True) == []
