"""Hardware profiles: included ones, user-defined files, and every reason to refuse a file."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.output import refused

from neuroattack.errors import FileError, UnknownNameError
from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.hardware.profiles.energy_model import BASES
from neuroattack.hardware.profiles.files import list_profiles, load_profile, read_profile
from neuroattack.hardware.profiles.number_format import BiasFormat, CurrentFormat, StateFormat

ROOT = Path(__file__).parents[2]
EXAMPLE = re.search(r"```toml\n(.*?)```", (ROOT / "docs/hardware.md").read_text(), re.DOTALL)[1]
CHIPS = (
    *("akida", "brainscales2", "dynapse2", "loihi1", "loihi2", "odin"),
    *("speck", "spinnaker1", "spinnaker2", "tianjic", "truenorth", "xylo"),
)


def shipped(name):
    return (resources.files("neuroattack.hardware_profiles") / f"{name}.toml").read_bytes()


def written(tmp_path, text):
    path = tmp_path / "mychip.toml"
    path.write_text(text)
    return path


# Included profiles


def test_twelve_chips_ship():
    assert tuple(list_profiles()) == CHIPS


@pytest.mark.parametrize("name", CHIPS)
def test_every_shipped_number_says_where_it_was_read(name):
    profile = load_profile(name)
    assert profile.id == name
    entries = list(profile.entries())
    assert entries
    for entry in entries:
        for part in ("reference", "location", "conditions"):
            assert entry[part].strip()
        assert entry["basis"] in BASES
        # Included profiles contain no numbers from memory.
        assert entry["access"] in {"primary", "transcript", "code"}
    profile.number_format()
    profile.core_limits()
    coefficients = profile.energy_model().event_pj | profile.energy_model().power_mw
    assert all(coefficient.value > 0 for coefficient in coefficients.values())
    assert set(coefficients).isdisjoint(profile.energy_model().unknown)


def test_loihi1_holds_the_numbers_that_were_read():
    profile = load_profile("loihi1")
    number_format = profile.number_format()
    assert number_format.weight_bits == 8
    assert number_format.mixed_weight_step == 2
    assert number_format.sign_modes == {"mixed", "excitatory", "inhibitory"}
    # -7 to 7 in the source; a weight at -7 would have bits below the last bit of the state.
    assert number_format.weight_exponents == (-6, 7)
    # du + 1 units of decay per step, so at least one.
    current = CurrentFormat(12, least=1)
    assert number_format.state == StateFormat(-8388607, 8388607, 6, leak_bits=12, current=current)
    assert number_format.threshold_bits == 17
    assert number_format.bias == BiasFormat(13, 3)
    assert number_format.refractory_steps == (0, 62)
    assert number_format.delay_steps == (1, 62)
    assert not number_format.lacks

    # Weights only: the memory of indices is not published.
    assert profile.core_limits() == CoreLimits(
        name="Intel Loihi 1",
        bits_per_synapse=8,
        cores_per_chip=128,
        neurons_per_core=1024,
        synapse_bits_per_core=128 * 1024 * 8,
        in_axons_per_core=4096,
        out_axons_per_core=4096,
        mesh=Mesh(8, 4, 4),
        not_applicable=frozenset({"fan_in_per_neuron"}),
    )

    model = profile.energy_model()
    assert (model.scope, model.update_policy) == ("per_term", "every_step")
    assert [p.value for p in model.event_pj.values()] == [23.6, 81.0, 52.0, 1.7, 3.0, 4.0]
    assert {(p.basis, p.conditions) for p in model.event_pj.values()} == {("simulated", "0.75 V")}
    assert model.event_pj["synaptic_operation"].bound == "min"
    assert model.power_mw["static_chip"].value == 104.4
    assert model.unknown == ("synapse_fetch", "barrier", "host_io")
    assert model.timing.kind == "events"
    assert [p.value for p in model.timing.event_ns.values()] == [3.5, 8.4, 5.3, 113, 465]
    assert profile.weakest_basis() == "derived"
    learning = [entry for entry in profile.entries() if entry["key"] == "stdp_update"]
    assert [entry["value"] for entry in learning] == [120.0]


@pytest.mark.parametrize(
    ("name", "coefficient", "bound"),
    [("truenorth", 26, None), ("odin", 12.7, None), ("tianjic", 1.54, "min")],
)
def test_all_in_coefficients_stand_alone(name, coefficient, bound):
    model = load_profile(name).energy_model()
    assert (model.scope, dict(model.power_mw)) == ("all_in", {})
    ((term, found),) = model.event_pj.items()
    assert (term, found.value, found.bound) == ("synaptic_operation", coefficient, bound)


@pytest.mark.parametrize(
    "name", ["akida", "brainscales2", "dynapse2", "loihi2", "speck", "spinnaker2", "xylo"]
)
def test_chips_without_an_energy_have_none(name):
    model = load_profile(name).energy_model()
    assert not model.event_pj
    assert not model.power_mw
    assert "synaptic_operation" in model.unknown


def test_what_other_chips_are_like():
    spinnaker = load_profile("spinnaker1").energy_model()
    assert spinnaker.event_pj["spike_packet"].value == 1000
    assert [each.value for each in spinnaker.power_mw.values()] == [350, 34]
    assert set(spinnaker.covered.values()) == {"active_core"}
    for name, kind, value in (
        *(("spinnaker1", "real_time", 1), ("truenorth", "tick", 0.001)),
        ("brainscales2", "accelerated", 1000),
    ):
        timing = load_profile(name).energy_model().timing
        assert (timing.kind, timing.step.value) == (kind, value)
    assert load_profile("odin").energy_model().timing is None

    formats = {name: load_profile(name).number_format() for name in CHIPS}
    assert formats["odin"].state == StateFormat(0, 255)
    assert (formats["odin"].sign_modes, formats["odin"].weight_bits) == ({"per_source"}, 3)
    assert {name: set(each.lacks) for name, each in formats.items() if each.lacks} == {
        "odin": {"leak", "synaptic_current", "bias", "refractory_period", "delay"},
        "truenorth": {"free_weights"},
        "speck": {"leak", "synaptic_current"},
        "xylo": {"reset_to_rest"},
    }
    assert {name: set(each.resets) for name, each in formats.items() if each.resets} == {
        "speck": {"value", "subtract"},
        "xylo": {"subtract"},
    }
    assert formats["loihi2"].state == formats["loihi1"].state
    # Lava counts the step after the spike as 0.
    assert formats["loihi2"].delay_steps == (1, 64)
    assert formats["loihi2"].refractory_steps is None
    # 6 bits and a sign: 63 steps in either direction.
    assert 2 ** (formats["brainscales2"].weight_bits - 1) - 1 == 63
    assert load_profile("speck").core_limits().neurons_per_chip == (3 * 64 + 2 * 32 + 4 * 16) * 1024
    assert load_profile("dynapse2").core_limits().destination_cores_per_neuron == 4
    xylo = load_profile("xylo").core_limits()
    assert (xylo.input_neurons, xylo.hidden_neurons, xylo.readout_neurons) == (16, 1000, 8)


def test_every_limit_can_be_given():
    from neuroattack.hardware.profiles.tables import Limits

    shown_only = {"process_nm", "area_mm2", "clock_hz"}
    others = {"name", "mesh", "not_applicable"}
    assert set(Limits.model_fields) - shown_only == {f.name for f in fields(CoreLimits)} - others


# User-defined files


def test_the_example_of_the_documentation_is_a_profile(tmp_path):
    profile = read_profile(written(tmp_path, EXAMPLE))
    assert profile.id == "mychip"
    assert profile.number_format().state == StateFormat(-32767, 32767, leak_bits=12)
    limits = profile.core_limits()
    assert (limits.cores_per_chip, limits.fan_in_per_neuron) == (16, 1024)
    model = profile.energy_model()
    assert {term: coefficient.value for term, coefficient in model.event_pj.items()} == {
        "synaptic_operation": 5.1,
        "update_active": 20.5,
        "update_inactive": 11.0,
    }
    assert model.event_pj["update_inactive"].bound == "max"
    assert model.event_pj["update_active"].source == "Doe et al., 2026, doi:10.1000/mychip"
    assert model.unknown == ("host_io", "static_chip")
    (fan_in,) = [entry for entry in profile.entries() if entry["key"] == "fan_in_per_neuron"]
    # The default fills in what the entry omits.
    assert (fan_in["basis"], fan_in["location"]) == ("design", "rtl/core.v:12")
    assert fan_in["reference"] == "github.com/doe/mychip@0123abc"


def test_a_chip_without_a_name_goes_by_its_id(tmp_path):
    profile = read_profile(written(tmp_path, EXAMPLE.replace("name =", "# name =")))
    assert profile.name == profile.number_format().name == "mychip"


def test_a_path_is_told_from_a_name(tmp_path, monkeypatch):
    path = written(tmp_path, EXAMPLE)
    monkeypatch.chdir(tmp_path)
    path.with_suffix("").write_text(EXAMPLE)
    for name in (path, str(path), "mychip.toml", "./mychip", f"{tmp_path}/mychip", "mychip"):
        assert load_profile(name).id == "mychip"
    with pytest.raises(UnknownNameError, match="unknown hardware profile 'otherchip'"):
        load_profile("otherchip")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder"):
        load_profile("folder")
    with pytest.raises(UnknownNameError, match="did you mean 'loihi1'"):
        load_profile("loihi_1")


def test_a_mark_that_editors_put_first_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())
    assert read_profile(path).id == "mychip"


@pytest.mark.parametrize("name", ["$x_{", "[/b]", "a\\u001b[31mb", "a\\u202eb", "<script>"])
def test_display_names_have_letters_and_plain_characters(tmp_path, name):
    text = re.sub(r'name = "My chip"', lambda _: f'name = "{name}"', EXAMPLE)
    with pytest.raises(FileError, match=r"name: got .*expected .*letters"):
        read_profile(written(tmp_path, text))


def test_the_checksum_is_of_the_bytes(tmp_path):
    path = written(tmp_path, EXAMPLE)
    before = read_profile(path).checksum
    path.write_text(EXAMPLE + "# a remark\n")
    assert read_profile(path).checksum != before
    assert len(before) == 64


# Each rule, and the error for breaking it. Changes are made to the example in the documentation.

SYNOP = "synaptic_operation = { v = 5.1 }"
CORES = "cores_per_chip = { v = 16 }"
SOURCE = 'src = "paper", at = "Table 3"'
ORIGIN = 'src = "paper", at = "p. 1", basis = "design", cond = "not stated"'
ENERGY_DEFAULT = (
    'default = { src = "paper", at = "Table 3", basis = "measured", cond = "0.8 V, 25 C" }'
)
MESH = (
    f"[mesh]\nwidth = {{ v = 2, {ORIGIN} }}\nheight = {{ v = 4, {ORIGIN} }}\n"
    f"cores_per_node = {{ v = 2, {ORIGIN} }}"
)


def synop(value):
    return SYNOP, SYNOP.replace("5.1", value)


def entry(text):
    return SYNOP, f"synaptic_operation = {{ v = 5.1, {text} }}"


def cores(value):
    return CORES, f"cores_per_chip = {{ v = {value} }}"


def of_format(text):
    return "weight_bits = { v = 8 }", text


def of_state(text):
    return "v_bits = { v = 16 }", f"v_bits = {{ {text} }}"


def before(text):
    return "[energy_pJ]", f"{text}\n[energy_pJ]"


def without(part):
    return ENERGY_DEFAULT, re.sub(rf', {part} = "[^"]*"|{part} = "[^"]*", ', "", ENERGY_DEFAULT)


BROKEN = {
    # Sources.
    "no source": (without("src"), "synaptic_operation: has no src"),
    "no location": (without("at"), "synaptic_operation: has no at"),
    "no basis": (without("basis"), "has no basis"),
    "no conditions": (without("cond"), "has no cond"),
    "empty source": ((SOURCE, 'src = " ", at = "Table 3"'), "src: got ' '"),
    "unknown source": (
        (SOURCE, 'src = "papper", at = "Table 3"'),
        "synaptic_operation.src: got 'papper'",
    ),
    "own source without own location": (entry('src = "rtl"'), "synaptic_operation: has no at"),
    "unknown basis": (('basis = "measured"', 'basis = "guessed"'), "basis: got 'guessed'"),
    "unknown access": (('access = "code"', 'access = "hearsay"'), "rtl.access: got 'hearsay'"),
    "no reference": (('ref = "github.com/doe/mychip@0123abc", ', ""), "rtl: has no ref"),
    "source not a table": (
        ('rtl = { ref = "github.com/doe/mychip@0123abc", access = "code" }', "rtl = 3"),
        "rtl: got 3",
    ),
    "bare number": ((CORES, "cores_per_chip = 16"), "cores_per_chip: got 16"),
    "default with a value": (
        (ENERGY_DEFAULT, ENERGY_DEFAULT.replace("{ ", "{ v = 1, ")),
        "default: unknown key 'v'",
    ),
    "default not a table": ((ENERGY_DEFAULT, 'default = "paper"'), "default: got 'paper'"),
    # Units and keys.
    "unknown unit": (("[energy_pJ]", "[energy_nJ]"), "unknown key 'energy_nJ'"),
    "unknown unit, nearest": (("[energy_pJ]", "[energy_nJ]"), "did you mean energy_pJ?"),
    "power in watts": (
        before(f"[power_W]\nstatic_chip = {{ v = 1, {ORIGIN} }}"),
        "unknown key 'power_W'",
    ),
    "unknown term": ((SYNOP, SYNOP + "\nsynapse = { v = 1 }"), "energy_pJ: unknown key 'synapse'"),
    "unknown limit": ((CORES, "core_per_chip = { v = 16 }"), "limits: unknown key 'core_per_chip'"),
    "unknown part of an entry": (entry('unit = "nJ"'), "synaptic_operation: unknown key 'unit'"),
    "unknown top key": (("schema = 1", 'schema = 1\nvendor = "me"'), "unknown key 'vendor'"),
    "reported in no known unit": (
        before(f'[reported]\nx = {{ v = 1, unit = "hp", {ORIGIN} }}'),
        "reported.x.unit: got 'hp'",
    ),
    "reported without a unit": (
        before(f"[reported]\nx = {{ v = 1, {ORIGIN} }}"),
        "reported.x: has no unit",
    ),
    "reported zero": (
        before(f'[reported]\nx = {{ v = 0, unit = "W", {ORIGIN} }}'),
        "reported.x.v: got 0",
    ),
    # Values.
    "zero": (synop("0"), "synaptic_operation: got 0"),
    "minus zero": (synop("-0.0"), "got 0"),
    "negative": (synop("-5.1"), "got -5.1"),
    "NaN": (synop("nan"), "got nan"),
    "infinite": (synop("inf"), "got inf"),
    "absurd": (synop("2e9"), "got 2000000000.0"),
    "beyond floating point": (synop("1" + "0" * 400), "synaptic_operation"),
    "of a thousand digits": (synop("0x" + "f" * 1000), "synaptic_operation"),
    "cores of a thousand digits": (cores(f"{'9' * 1000}"), "cores_per_chip: got 9999999"),
    "no such date": (synop("2020-02-30"), "is not TOML ("),
    "text for a number": (synop('"5.1"'), "v: got '5.1'"),
    "true for a number": (synop("true"), "v: got True"),
    "date for a number": (synop("2020-01-01"), "v: got datetime.date(2020, 1, 1)"),
    "too many cores": (cores("2147483649"), "cores_per_chip: got 2147483649"),
    "zero cores": (cores("0"), "cores_per_chip: got 0"),
    "half a core": (cores("16.5"), "cores_per_chip.v: got 16.5"),
    "wide state": (of_state("v = 32"), "v_bits: got 32"),
    "wide state without a sign": (
        of_state("v = 24, signed = false"),
        "v_bits: got 24 unsigned bits",
    ),
    "state that wraps": (of_state('v = 16, overflow = "wrap"'), "v_bits.overflow: got 'wrap'"),
    "range backwards": (
        of_format("weight_exp = { range = [3, -3] }"),
        "weight_exp.range: got [3, -3]",
    ),
    "range of one": (of_format("weight_exp = { range = [3] }"), "weight_exp.range.1: got [3]"),
    "range without 0": (
        of_format("weight_exp = { range = [1, 3] }"),
        "weight_exp.range: got [1, 3]",
    ),
    "absurd range": (of_format("weight_exp = { range = [-99, 3] }"), "weight_exp: got -99"),
    "delay of no step": (
        of_format("delay_steps = { range = [0, 9] }"),
        "delay_steps: got at least 0 steps",
    ),
    "no sign mode": (of_format("sign_modes = { v = [] }"), "sign_modes.v: got []"),
    "unknown sign mode": (of_format('sign_modes = { v = ["both"] }'), "sign_modes.v.0: got 'both'"),
    # Contradictions.
    "coefficient with an all-in one": (
        ('"per_term"', '"all_in"'),
        "update_active: got a coefficient",
    ),
    "all-in without a coefficient": (
        (SYNOP + "\n", "", '"per_term"', '"all_in"'),
        "energy_scope: got 'all_in'",
    ),
    "coefficient of a covered term": (
        entry('covers = ["update_active"]'),
        "update_active: got a coefficient",
    ),
    "unknown term covered": (entry('covers = ["hops"]'), "synaptic_operation.covers: got 'hops'"),
    "covered and unknown": (entry('covers = ["static_chip"]'), "covers: got static_chip"),
    "covered twice": (entry('covers = ["hop_ew", "hop_ew"]'), "covers: got hop_ew"),
    "coefficient and unknown": (
        ('"energy.host_io"', '"energy.update_active"'),
        "unknown: got 'energy.update_active'",
    ),
    "given and not applicable": (
        ('"energy.barrier"', '"limits.cores_per_chip"'),
        "not_applicable: got 'limits.cores_per_chip'",
    ),
    "unknown and not applicable": (
        ('"energy.barrier"', '"energy.host_io"'),
        "not_applicable: got 'energy.host_io'",
    ),
    "unknown of no table": (('"energy.host_io"', '"host_io"'), "unknown: got 'host_io'"),
    "lacking and given": (
        before(f"[lacks]\nleak = {{ {ORIGIN} }}"),
        "format.decay_bits: got a format for a feature listed in lacks.leak",
    ),
    "lacking without a source": (
        before('[lacks]\nbias = { at = "p. 1" }'),
        "lacks.bias: has no src",
    ),
    "mesh of other cores": (before(MESH.replace("v = 4", "v = 5")), "mesh: got 20 cores"),
    "half a mesh": (before(MESH.partition("\nheight")[0]), "mesh: has no height"),
    "two accounts of time": (
        before(
            f"[pace]\ntick_s = {{ v = 0.001, {ORIGIN} }}\n[time_ns]\n"
            f"update_active = {{ v = 5, {ORIGIN} }}"
        ),
        "time_ns: got it in addition to pace.tick_s",
    ),
    "barrier backwards": (
        before(
            f"[time_ns]\nbarrier_fastest = {{ v = 9, {ORIGIN} }}\n"
            f"barrier_slowest = {{ v = 5, {ORIGIN} }}"
        ),
        "time_ns.barrier_fastest: got 9",
    ),
    # Beginning of the file.
    "another schema": (("schema = 1", "schema = 2"), "schema: got 2"),
    "schema true": (("schema = 1", "schema = true"), "schema: got True"),
    "no schema": (("schema = 1\n", ""), "has no schema"),
    "not an identifier": (('id = "mychip"', 'id = "my chip/../x"'), "id: got 'my chip/../x'"),
    "endless name": (('name = "My chip"', f'name = "{"x" * 1000}"'), "name: got 'xxxxxxxxxxxx..."),
    "unknown policy": (('"every_step"', '"sometimes"'), "update_policy: got 'sometimes'"),
    "unknown scope": (('"per_term"', '"total"'), "energy_scope: got 'total'"),
    "no scope": (('energy_scope = "per_term"', ""), "has no energy_scope"),
    "list for a table": (("[limits]", "[[limits]]"), "limits: got [{"),
    # File as a whole.
    "not TOML": (("schema = 1", "schema: 1"), "is not TOML (", "(at line 2, column"),
    "a key twice": ((SYNOP, f"{SYNOP}\n{SYNOP}"), "is not TOML ("),
    "JSON": ((EXAMPLE, '{"schema": 1}'), "is not TOML ("),
    "endless line": (("schema = 1", f"schema = 1 # {'x' * 2000}"), "has a line of 2013 bytes"),
    "deeply nested": (("schema = 1", "schema = " + "[\n" * 5000), "is nested too deeply"),
    "deep below a key": (("schema = 1", f"schema = {'[' * 60}{']' * 60}"), "schema: got [[[["),
    "empty": ((EXAMPLE, ""), "is empty"),
    "only a remark": ((EXAMPLE, "# nothing"), "has no schema"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence(rule, tmp_path):
    changes, *sentences = BROKEN[rule]
    text = EXAMPLE
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    path = written(tmp_path, text)
    with pytest.raises(FileError) as refusal:
        read_profile(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    for sentence in (*sentences, "expected"):
        assert sentence in message
    assert "\n" not in message
    assert "pydantic" not in message.lower()
    assert len(message) < len(str(path)) + 700


def test_what_is_no_readable_file_is_refused(tmp_path):
    missing = tmp_path / "missing.toml"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(EXAMPLE.replace("My chip", "Ma puçe").encode("latin-1"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(bytes(range(256)))
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    huge = tmp_path / "huge.toml"
    with huge.open("wb") as file:
        file.truncate(2**30)
    large = tmp_path / "large.toml"
    large.write_text(EXAMPLE + "#" * 2**20)
    for path, words in (
        (missing, "no such file"),
        (tmp_path, "is not a regular file"),
        (f"{tmp_path}/", "is not a regular file"),
        (latin, "is not UTF-8 (byte"),
        (binary, "is not UTF-8 (byte"),
        (fifo, "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (huge, "is 1024 MiB"),
        (large, "of at most 1 MiB"),
        (f"{tmp_path}/{'x' * 5000}.toml", "cannot be read"),
        ("a\0b.toml", "no such file"),
    ):
        with pytest.raises(FileError) as refusal:
            load_profile(path)
        assert words in str(refusal.value)
        assert "\n" not in str(refusal.value)


# Any file is either a valid profile or refused.

VALUES = (
    *(b"0", b"-1", b"1.5", b"nan", b"inf", b"1e400", b"true", b"{}", b"[]", b'""', b'"x"'),
    *(b"1979-05-27", b"[[1]]", b"{ v = 1 }", b"9" * 30, b'"\\n"', b"{a.b=1}", b"[1, 2]"),
)


@st.composite
def damaged_profiles(draw):
    content = bytearray(shipped(draw(st.sampled_from(CHIPS))))
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("byte", "line", "value", "key")))
        if kind == "byte":
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        elif kind == "line":
            lines = bytes(content).split(b"\n")
            lines.pop(draw(st.integers(0, len(lines) - 1)))
            content = bytearray(b"\n".join(lines))
        else:
            pattern = rb'(?<== )("[^"\n]*"|[-\d.e]+|\[[^]\n]*\]|\{[^}\n]*\})'
            if kind == "key":
                pattern = rb"\b[a-z_]+(?= =)"
            places = list(re.finditer(pattern, bytes(content)))
            if places:
                found = draw(st.sampled_from(places))
                others = VALUES if kind == "value" else (b"v", b"src", b"default", b'"a\\n"', b"zz")
                content[found.start() : found.end()] = draw(st.sampled_from(others))
    return bytes(content)


@given(damaged_profiles())
def test_a_damaged_file_is_a_profile_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    path.write_bytes(content)
    try:
        profile = read_profile(path)
    except FileError as error:
        if "\n" in str(error):
            raise
        return
    profile.number_format()
    profile.core_limits()
    profile.energy_model()
    for entry in profile.entries():
        json.dumps(entry, allow_nan=False)


# The command


def test_profiles_lists_what_ships(command):
    for arguments in (("profiles",), ("profiles", "list")):
        code, out, err = command(*arguments)
        assert (code, err) == (0, "")
        for name in CHIPS:
            assert re.search(rf"\b{name}\b", out)
        code, out, _ = command(*arguments, "--json")
        assert (code, out.count("\n")) == (0, 1)
        rows = {row["id"]: row for row in json.loads(out)["profiles"]}
        assert tuple(rows) == CHIPS
        assert rows["loihi1"]["cores"] == 128
        assert rows["loihi1"]["energy_scope"] == "per_term"
        assert rows["loihi1"]["weakest_basis"] == "derived"
        assert rows["brainscales2"]["arithmetic"] == "analog"
        assert rows["akida"]["weakest_basis"] is None


def test_profiles_show_prints_every_number_with_its_source(command):
    code, out, _ = command("profiles", "show", "loihi1")
    assert code == 0
    for entry in load_profile("loihi1").entries():
        assert f"{entry['table']}.{entry['key']}" in out
    for words in ("23.6 pJ at least", "0.75 V", "simulated", "Table 2, p. 96", "104.4 mW"):
        assert words in out
    for key in ("energy.synapse_fetch", "energy.host_io", "limits.fan_in_per_neuron"):
        assert key in out


@pytest.mark.parametrize("name", CHIPS)
def test_profiles_show_as_json_is_the_whole_file(name, command, tmp_path):
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    code, out, _ = command("profiles", "show", name, "--json")
    assert (code, out.count("\n")) == (0, 1)
    found = json.loads(out)
    expected = tomllib.loads(shipped(name).decode())
    head = ("id", "name", "neuron_models", "update_policy", "energy_scope", "unknown")
    for part in head:
        assert found[part] == expected[part]
    assert found["not_applicable"] == expected.get("not_applicable", [])
    shown = {(entry["table"], entry["key"]): entry for entry in found["entries"]}
    written_down = {
        (table, key): {**entries.get("default", {}), **entry}
        for table, entries in expected.items()
        if table != "source" and isinstance(entries, dict)
        for key, entry in entries.items()
        if key != "default"
    }
    assert set(shown) == set(written_down)
    for key, entry in written_down.items():
        assert shown[key]["value"] == entry.get("v", entry.get("range"))
        assert shown[key]["reference"] == expected["source"][entry["src"]]["ref"]
        assert shown[key]["access"] == expected["source"][entry["src"]]["access"]
        for part, name_shown in (("at", "location"), ("basis", "basis"), ("cond", "conditions")):
            assert shown[key][name_shown] == entry[part]
        assert shown[key]["note"] == entry.get("note", "")
        assert shown[key]["bound"] == entry.get("bound")
        said = {"v", "range", "src", "at", "basis", "cond", "note", "bound", "unit"}
        assert shown[key]["details"] == {k: v for k, v in entry.items() if k not in said}


def test_profiles_check_says_what_it_found(command, tmp_path):
    path = written(tmp_path, EXAMPLE)
    code, out, err = command("profiles", "check", path)
    assert (code, err) == (0, "")
    for words in (path, "'mychip'", "10 numbers", "2 sources"):
        assert str(words) in out
    code, out, _ = command("profiles", "check", path, "--json")
    assert json.loads(out)["valid"] is True


def test_profiles_check_refuses_in_one_sentence(command, tmp_path):
    broken = written(tmp_path, EXAMPLE.replace("5.1", "-5.1"))
    for name in ("check", "show"):
        result = command("profiles", name, broken, "--json")
        refused(result, "energy_pJ.synaptic_operation: got -5.1")
    refused(command("profiles", "show", "loihi3"), "'loihi3'")


def test_help_does_not_wait_for_the_schema():
    probe = "import sys; import neuroattack.cli; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
