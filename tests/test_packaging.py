"""What is shipped: the wheel, the manifest in it, and what it needs."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from napari._app_model.constants._menus import is_menu_contributable
from npe2 import PluginManifest
from npe2.manifest.schema import Category

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_sparse_gmm"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROVIDERS = packages_distributions()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


class TestWheel:
    def test_is_for_any_platform(self, wheel: Path) -> None:
        assert wheel.name.endswith("-py3-none-any.whl")

    @pytest.mark.parametrize("file", ["napari.yaml", "py.typed"])
    def test_carries_the_files_that_are_no_modules(self, unpacked: Path, file: str) -> None:
        packed = unpacked / "napari_sparse_gmm" / file
        assert packed.read_bytes() == (PACKAGE / file).read_bytes()

    def test_carries_every_module_and_nothing_beside_the_package(self, unpacked: Path) -> None:
        packed = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*.py")}
        assert packed == {path.relative_to(PACKAGE.parent).as_posix() for path in MODULES}

    def test_tells_napari_and_the_licence(self, unpacked: Path) -> None:
        (metadata,) = unpacked.glob("*.dist-info/METADATA")
        lines = metadata.read_text(encoding="utf-8").splitlines()
        assert "License-Expression: BSD-3-Clause" in lines
        assert "Classifier: Framework :: napari" in lines

    def test_npe2_validates_its_manifest(self, unpacked: Path) -> None:
        # The unpacked wheel stands before what is installed, so that it is what npe2 finds.
        result = subprocess.run(
            [sys.executable, "-m", "npe2", "validate", "napari-sparse-gmm", "--imports"],
            cwd=unpacked,
            env={**os.environ, "PYTHONPATH": str(unpacked), "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert "valid" in result.stdout


def test_manifest_at_the_top_is_the_one_in_the_package() -> None:
    at_the_top = ROOT / "napari.yaml"
    if at_the_top.is_symlink():
        assert at_the_top.resolve() == (PACKAGE / "napari.yaml").resolve()
    else:  # a checkout without links, as on Windows, has the link's target as text
        assert ROOT / at_the_top.read_text().strip() == PACKAGE / "napari.yaml"


def test_the_manifest_shows_the_plugin_where_people_look() -> None:
    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    widgets = {widget.command for widget in manifest.contributions.widgets}
    menus = manifest.contributions.menus
    assert {item.command for item in menus["napari/layers/measure"]} == widgets
    assert "napari-sparse-gmm.density" in {
        item.command for item in menus["napari/layers/visualize"]
    }
    assert all(is_menu_contributable(menu) for menu in menus)
    assert set(manifest.categories) <= set(Category)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"torch", "pykeops", "keopscore", "sklearn", "dask", "napari", "magicgui", "qtpy"}
    code = "import sys, napari_sparse_gmm; print(*{name.split('.')[0] for name in sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert "napari_sparse_gmm" in output.split()
    assert not heavy & set(output.split())


def test_only_declared_dependencies_are_imported() -> None:
    ours = {"napari_sparse_gmm", *sys.stdlib_module_names}
    # Extras are imported where what needs them comes: a collection, a client, a format to write.
    optional = {name for extra in ("dask", "export", "spatialdata") for name in declared(extra)}
    assert set(distributions(imported() - ours)) <= set(declared()) | optional


def imported() -> set[str]:
    """Top-level names of all that is imported, wherever in a module."""
    nodes = [node for path in MODULES for node in ast.walk(ast.parse(path.read_bytes()))]
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in names}


def declared(extra: str | None = None) -> Iterator[str]:
    """Names of the hard dependencies, as in pyproject.toml, or of those of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirement in project["dependencies"] if extra is None else extras[extra]:
        yield re.match(r"[\w-]+", requirement)[0].lower()


def distributions(modules: set[str]) -> Iterator[str]:
    """Names of the distributions that the modules come from."""
    for module in modules:
        name = PROVIDERS.get(module, [module])[0].lower()
        # One source, two distributions: pykeops pins its keopscore to its own version.
        yield "pykeops" if name == "keopscore" else name


def test_no_qt_binding_is_a_hard_dependency() -> None:
    assert not {"pyqt5", "pyqt6", "pyside2", "pyside6"} & set(declared())
