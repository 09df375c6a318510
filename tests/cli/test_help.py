"""The help of every command ends in an example that is one; errors suggest the nearest name."""

import functools
import shlex
import subprocess
import sys

import numpy as np
import pytest
import typer
from support.campaign_files import CONFIG, campaign_file
from support.digit_models import template_model
from support.output import one_object
from support.pages import read_as_the_program_would

from neuroattack.cli import app
from neuroattack.cli.arguments.options import PANELS
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert


def commands(command=None, path=()):
    """Yield the words of every command and group."""
    command = command or typer.main.get_command(app)
    for name, one in getattr(command, "commands", {}).items():
        yield (*path, name)
        yield from commands(one, (*path, name))


def test_the_help_lists_every_command_and_every_option_has_help(command):
    code, out, _ = command("--help")
    assert code == 0
    assert "..." not in out.partition("[ARGS]...")[2]
    program = typer.main.get_command(app)
    for words in commands():
        one = functools.reduce(lambda group, name: group.commands[name], words, program)
        assert len(words) > 1 or words[0] in out
        assert one.help
        assert all(parameter.help for parameter in one.params), words


def panels_of(page):
    """Return the panels of a help page, each with its options."""
    found, panel = {}, None
    for line in page.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            panel = found.setdefault(line[:-1], [])
        elif panel is not None and line.startswith("  -"):
            panel.append(line.split()[0].rstrip(","))
    return found


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_many_options_are_grouped_in_panels(words, command):
    _, out, _ = command(*words, "--help")
    assert all(len(line) <= 80 for line in out.splitlines())
    found = panels_of(out)
    program = typer.main.get_command(app)
    one = functools.reduce(lambda group, name: group.commands[name], words, program)
    options = [each for each in one.params if each.param_type_name == "option" and not each.hidden]
    listed = {name for panel in found.values() for name in panel}
    assert all(listed.intersection(each.opts) for each in options), "an option has no panel"
    assert len(found["Options"]) <= 9, "an option has no panel"
    if sum(map(len, found.values())) > 9:
        assert found["Options"] == ["--help"]
        assert set(found) <= {"Arguments", *PANELS, "Options"}


def test_help_imports_neither_numpy_nor_numba():
    code = "import sys, neuroattack.cli; sys.exit(bool({'numpy', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("default::FutureWarning")
def test_a_former_name_of_an_attack_is_one_line_of_warning(network_file, command):
    arguments = ("--steps", 10, "--trials", 2, "--queries", 10, "--json")
    code, out, err = command("attack", network_file, "--attack", "adaptive", *arguments)
    assert code == 0
    assert one_object(out)["attack"] == "count-regression"
    assert err.count("\n") == 1
    assert err.startswith("neuroattack: warning: ")
    assert "count-regression" in err


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_ends_in_an_example_that_is_one(words, command):
    code, out, _ = command(*words, "--help")
    assert code == 0
    _, heading, end = out.partition("Example:\n")
    assert heading
    assert all(len(line) <= 80 for line in end.splitlines())
    said = shlex.split(end.replace("\\\n", " "))
    assert said[0] == "neuroattack"
    assert read_as_the_program_would(said[1 : said.index(">") if ">" in said else None]) is None
    # A group shows one of its commands, or what it does by itself.
    assert said[1] == words[0]
    if words[:1] != ("campaign",) or len(words) == 1:
        assert tuple(said[1 : 1 + len(words)]) == words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_network(tmp_path / "net.h5", convert(template_model()).network)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("atack net.h5", "attack"),
        ("profiles shwo loihi1", "show"),
        ("campaign statsu runs/x", "status"),
        ("attack net.h5 --profil loihi1", "--profile"),
        ("attack net.h5 --backend natve", "native"),
        ("attack net.h5 --profile loihi3", "loihi2"),
        ("profiles show truenort", "truenorth"),
        ("energy net.h5 --profiles spinaker1", "spinnaker1"),
        ("evaluate net.h5 --dataset mnit", "mnist"),
        ("train --recipe fine-tune", "fine-tuned"),
        ("paper tabel1", "table1"),
        ("noise --noise norml", "normal"),
        ("noise --on tst", "test"),
        ("noise --networks sdnb", "sdbn"),
        ("compare net.h5 --backends natve", "native"),
        ("transfer net.h5 --deployment natve", "native"),
        ("transfer net.h5 --deployment native,profle=loihi1", "profile"),
        ("transfer net.h5 --deployment native,encoder=poison", "poisson"),
        ("transfer net.h5 --deployment native,response=label", "labels"),
        (
            "transfer net.h5 --deployment native --deployment dnn --attack count-regresion",
            "count-regression",
        ),
    ],
)
def test_the_nearest_name_is_suggested(folder, command, line, nearest):
    code, out, err = command(*shlex.split(line))
    assert (code, out) == (2, "")
    hint = err.replace("Did you mean", "did you mean").replace("Possible options", "did you mean")
    assert nearest in hint.partition("did you mean")[2].split(")")[0], err


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("budgets", "budgts"),
        ("goals", "goal"),
        ("count", "cuont"),
        ("settings", "setings"),
        ("random-noise", "random-nose"),
        ("rounds", "round"),
        ("greedy-window", "greedy-windw"),
        ("untargeted", "untargetd"),
    ],
)
def test_the_nearest_name_in_a_campaign_s_file_is_suggested(tmp_path, command, right, wrong):
    path = campaign_file(tmp_path, CONFIG.replace(right, wrong, 1))
    code, out, err = command("campaign", path, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert right in err


def test_a_campaign_s_file_that_is_missing_is_no_misspelt_command(folder, command):
    code, _, err = command("campaign", "run.toml")
    assert code == 2
    assert "run.toml: " in err
    assert "unknown" not in err


def test_no_nearest_name_is_made_up(folder, command):
    np.savez(folder / "x.npz", a=np.zeros(1))
    _, _, err = command("attack", "net.h5", "--backend", "zzz")
    assert "did you mean" not in err
