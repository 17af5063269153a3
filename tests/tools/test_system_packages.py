"""What to type, or what is typed, where the operating system lacks something."""

import subprocess

import pytest
import system_packages
from system_packages import PackagesMissing, ensure, missing


class Machine:
    """A make-believe machine: which packages it has, and what apt-get did on it."""

    def __init__(self, *, user: int, apt: bool, offers: set[str]) -> None:
        self.user, self.apt, self.offers = user, apt, offers
        self.installed: set[str] = set()
        self.commands: list[list[str]] = []

    def packages(self, *names: str) -> dict:
        return {name: lambda name=name: name in self.installed for name in names}

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess:
        self.commands.append(command)
        if command[1] == "install":
            wanted = {word for word in command[2:] if not word.startswith("-")}
            if wanted <= self.offers:
                self.installed |= wanted
        return subprocess.CompletedProcess(command, 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def make(*, user: int = 0, apt: bool = True, offers: set[str] = frozenset()) -> Machine:
        made = Machine(user=user, apt=apt, offers=offers)
        monkeypatch.setattr(system_packages.os, "geteuid", lambda: made.user, raising=False)
        monkeypatch.setattr(system_packages, "_has_program", lambda name: made.apt)
        monkeypatch.setattr(system_packages.subprocess, "run", made.run)
        return made

    return make


def test_missing_names_packages_in_order() -> None:
    wanted = {"there": lambda: True, "b": lambda: False, "a": lambda: False}
    assert missing(wanted) == ["b", "a"]


def test_nothing_is_run_where_nothing_is_missing(machine) -> None:
    bare = machine()
    bare.installed = {"libgl1", "g++"}
    ensure(bare.packages("libgl1"), useful=bare.packages("g++"))
    assert bare.commands == []


def test_root_installs_needed_and_useful_in_one_go(machine) -> None:
    bare = machine(offers={"libgl1", "xvfb", "g++"})
    ensure(bare.packages("libgl1", "xvfb"), useful=bare.packages("g++"))
    assert bare.commands == [
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "--no-install-recommends", "libgl1", "xvfb", "g++"],
    ]


def test_user_is_told_one_line_to_type(machine) -> None:
    bare = machine(user=1000)
    with pytest.raises(PackagesMissing) as told:
        ensure(bare.packages("libgl1", "xvfb"), useful={})
    assert str(told.value).splitlines() == [
        "This machine lacks libgl1, xvfb. Type this line, then try again:",
        "sudo apt-get install -y --no-install-recommends libgl1 xvfb",
    ]
    assert bare.commands == []


def test_root_whose_index_is_out_of_reach_is_told_the_line_too(machine) -> None:
    bare = machine(offers=set())
    with pytest.raises(PackagesMissing, match=r"\napt-get install -y .* libgl1$"):
        ensure(bare.packages("libgl1"), useful={})


def test_another_distribution_is_told_debian_names(machine) -> None:
    bare = machine(apt=False)
    with pytest.raises(PackagesMissing, match=r"libgl1 \(these are Debian's names\)"):
        ensure(bare.packages("libgl1"), useful={})


def test_a_missing_compiler_is_no_error(machine, capsys: pytest.CaptureFixture) -> None:
    bare = machine(user=1000)
    ensure({}, useful=bare.packages("g++"))
    assert "Without g++ KeOps cannot compile; the torch engine" in capsys.readouterr().out
