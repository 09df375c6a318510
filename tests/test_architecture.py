"""Architecture: allowed imports between modules, including imports inside functions."""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES_AT_ONE_LEVEL = 15

# Lowest first. A module may import modules of its own level and below; another test finds cycles.
LEVELS = (
    (
        *("errors", "files", "hdf5", "isolation", "lazy", "memory", "notebook", "provenance"),
        *("statistics", "validation"),
    ),
    ("ir", "encoding"),
    ("datasets", "training", "hardware"),
    ("targets",),
    ("remote",),
    ("deployment",),
    ("attacks",),
    ("experiments",),
    ("report",),
    ("paper",),
    # The public names, which the package's __init__ exports lazily, as it does `backends`.
    ("", "api", "backends"),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def modules():
    """Return the source files of the package by module name."""
    found = {}
    for path in sorted((ROOT / "neuroattack").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
BESIDE = dict.fromkeys(f"neuroattack.{name}" for name in ("backends", "conformance"))


def imported(module):
    """Return the names of the modules of this package that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                # The version is not an export of the API; provenance reads it.
                if inside != "neuroattack.__version__":
                    names.add(inside if inside in MODULES | BESIDE else node.module)
    return {name for name in names - {module} if name.split(".")[0] == "neuroattack"}


IMPORTS = {module: imported(module) for module in MODULES}


def part(module):
    """Return the top-level subpackage or module of a module."""
    return module.partition(".")[2].partition(".")[0]


def check_no_import(forbidden):
    """Fail with a list of the forbidden imports, if any."""
    found = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in sorted(others)
        if forbidden(module, other)
    ]
    assert not found, "\n".join(found)


def test_every_module_has_a_level_and_imports_are_found():
    assert {part(module) for module in MODULES} - set(LEVEL) == set()
    assert "neuroattack.errors" in IMPORTS["neuroattack.files"]
    assert sum(map(len, IMPORTS.values())) > 500


def test_no_module_imports_itself_by_way_of_others():
    # Raises CycleError, which lists the modules of one cycle.
    graphlib.TopologicalSorter(IMPORTS).prepare()


def test_no_import_goes_up():
    top = len(LEVELS)
    check_no_import(lambda module, other: LEVEL[part(module)] < LEVEL.get(part(other), top))


def test_backends_are_found_by_their_registration_alone():
    public = ("neuroattack", "neuroattack.backends")
    check_no_import(lambda *both: part(both[1]) == "backends" and both != public)


def test_attacks_do_not_import_what_runs_the_network():
    private = {"deployment", "hardware", "backends"}
    # White-box attacks are references that receive the network openly.
    white_box = "neuroattack.attacks.reference."
    check_no_import(
        lambda module, other: (
            part(module) == "attacks"
            and not module.startswith(white_box)
            and part(other) in private
        )
    )


def test_no_package_has_many_files_at_one_level():
    folders = [path for top in ("neuroattack", "backends") for path in (ROOT / top).rglob("*")]
    crowded = {
        folder.relative_to(ROOT).as_posix(): count
        for folder in (ROOT / "neuroattack", ROOT / "backends", *filter(Path.is_dir, folders))
        if (count := len(list(folder.glob("*.py")))) > FILES_AT_ONE_LEVEL
    }
    assert crowded == {}
