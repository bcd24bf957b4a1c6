"""The dependencies that are installed, against what the project says of them. Offline: see docs/security.md for what
this can and cannot know.
"""

import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TOOLS = {"balto", "pip", "setuptools", "wheel"}
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PERMISSIVE = re.compile(
    r"MIT|Apache|BSD|ISC|Python Software Foundation|PSF|MPL|Mozilla|0BSD|Zlib|CC0|CNRI|HPND|Unlicense|Public Domain",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b[AL]?GPL|GNU |EUPL|SSPL|BUSL|Commons Clause|Non-?Commercial", re.IGNORECASE)
# The first version without a published hole that would matter here, as known when this was written (2025).
FIXED_IN = {
    "aiohttp": ("3.12.14", "CVE-2025-53643, request smuggling"),
    "certifi": ("2024.7.4", "CVE-2024-39689, withdrawn root"),
    "cryptography": ("44.0.1", "CVE-2024-12797, OpenSSL in the wheels"),
    "filelock": ("3.20.1", "CVE-2025-68146, symlink race"),
    "fonttools": ("4.60.2", "CVE-2025-66034, writes outside of its folder"),
    "h11": ("0.16.0", "CVE-2025-43859, request smuggling"),
    "idna": ("3.7", "CVE-2024-3651, quadratic time"),
    "jinja2": ("3.1.6", "CVE-2025-27516, sandbox breakout"),
    "pillow": ("11.3.0", "CVE-2025-48379, heap overflow"),
    "protobuf": ("6.31.1", "CVE-2025-4565, recursion"),
    "pyarrow": ("14.0.1", "CVE-2023-47248, code from IPC and Parquet files"),
    "pymongo": ("4.6.3", "CVE-2024-5629, out-of-bounds read"),
    "requests": ("2.32.4", "CVE-2024-47081, leaks .netrc"),
    "scikit-learn": ("1.5.0", "CVE-2024-5206, keeps data in an attribute"),
    "setuptools": ("78.1.1", "CVE-2025-47273, path traversal"),
    "sqlparse": ("0.5.0", "CVE-2024-4340, recursion"),
    "torch": ("2.6.0", "CVE-2025-32434, code through weights_only=True"),
    "tqdm": ("4.66.3", "CVE-2024-34062, eval of options"),
    "transformers": ("4.53.0", "CVE-2025-6921 and others, quadratic patterns; unpickling before 4.48"),
    "urllib3": ("2.6.0", "CVE-2025-66418, unbounded decompression"),
    "werkzeug": ("3.1.4", "CVE-2025-66221, device names on Windows"),
}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PINNED = {plain(name): version for name, version in PINS.items()}


def distributions() -> Iterator[Distribution]:
    """What is installed here. Not what lies on `sys.path`: setuptools, once imported, puts the packages there that it
    carries for itself."""
    return iter(metadata.distributions(path=sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})))


def installed() -> dict[str, Distribution]:
    found = {plain(one.metadata["Name"]): one for one in distributions()}
    return {name: one for name, one in found.items() if name not in TOOLS}


def test_packages_that_setuptools_carries_are_not_installed_here():
    seen = "import setuptools, tests.test_dependencies as t; print(*t.installed())"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert set(done.stdout.split()) == set(installed())


def test_every_pin_is_exact_and_named_once():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    assert len(PINNED) == len(lines)


def test_what_is_installed_is_what_was_tested():
    found = {name: one.version.partition("+")[0] for name, one in installed().items()}
    foreign = {name for name in found if name not in PINNED}
    assert not foreign, f"not in constraints.txt: {sorted(foreign)}; `make constraints` after a deliberate upgrade"
    other = {name: (version, PINNED[name]) for name, version in found.items() if version != PINNED[name]}
    assert not other, f"(installed, pinned): {other}"


def test_what_is_installed_goes_together():
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def _version(name: str) -> str | None:
    if name in PINNED:
        return PINNED[name]
    return next((one.version for one in distributions() if plain(one.metadata["Name"]) == name), None)


@pytest.mark.parametrize("name", FIXED_IN)
def test_no_version_with_a_known_hole(name):
    fixed, hole = FIXED_IN[name]
    version = _version(name)
    assert version is None or Version(version) >= Version(fixed), (
        f"{name} {version}: {hole}; {fixed} is the first without"
    )


def declared() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [one for group in groups for one in map(Requirement, group) if one.name != "balto"]


def test_no_declared_range_begins_with_a_known_hole():
    for requirement in declared():
        name = plain(requirement.name)
        lowest = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
        assert lowest, f"{requirement} has no lower bound"
        if name in FIXED_IN:
            fixed, hole = FIXED_IN[name]
            assert Version(lowest[0].replace(".*", ".0")) >= Version(fixed), f"{requirement}: {hole}"


def test_every_declared_dependency_is_pinned():
    assert {plain(one.name) for one in declared()} - set(PINNED) <= TOOLS


def licence(one: Distribution) -> str:
    said = one.metadata.get("License-Expression")
    classifiers = [text for text in one.metadata.get_all("Classifier") or [] if text.startswith("License")]
    return said or "; ".join(classifiers) or (one.metadata.get("License") or "").splitlines()[0]


def test_every_licence_lets_the_project_be_used():
    for name, one in installed().items():
        text = licence(one)
        assert PERMISSIVE.search(text), f"{name}: {text or 'no licence'}"
        assert not COPYLEFT.search(text) or PERMISSIVE.search(text.partition(" OR ")[0]), f"{name}: {text}"
