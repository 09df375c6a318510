"""Commands that measure faults in memory, and their output."""

import pytest
from support.output import one_object, refused

FEW = ("--images", 6, "--steps", 20)


def test_faults_writes_results_figure_and_page(command, network_file, tmp_path):
    arguments = ("--profiles", "loihi1,odin,float32", "--rates", "1e-3,1e-2", "--maps", 2)
    code, out, _ = command("faults", network_file, *FEW, *arguments, "--out", tmp_path, "--json")
    assert code == 0
    figures = one_object(out)
    assert figures["profiles"]["loihi1"]["fits"]
    assert not figures["profiles"]["odin"]["fits"]
    assert figures["rates"] == [0.001, 0.01]
    assert figures["provenance"]["steps"] == 20
    assert (tmp_path / "faults.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "faults.html").read_text()
    assert "<svg" in page
    assert "Not supported: odin" in page
    code, out, _ = command("faults", network_file, *FEW, *arguments, "--out", tmp_path)
    assert code == 0
    assert "loihi1" in out


def test_bit_flips_compares_choices_of_bits(command, network_file, tmp_path):
    arguments = ("--flips", 2, "--maps", 2, "--batch", 4, "--queries", 60)
    code, out, _ = command("bit-flips", network_file, *FEW, *arguments, "--out", tmp_path, "--json")
    assert code == 0
    figures = one_object(out)
    assert list(figures["methods"]) == ["gradient", "queries", "random", "random-msb"]
    assert (tmp_path / "bit-flips.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = command("bit-flips", network_file, *FEW, *arguments, "--out", tmp_path)
    assert code == 0
    assert "gradient" in out


def test_a_value_given_twice_counts_once(command, network_file):
    given = ("faults", network_file, *FEW, "--profiles", "loihi1,loihi1", "--rates", "1e-3,1e-3")
    chosen = ("--parameters", "thresholds,thresholds", "--maps", 1, "--json")
    code, out, _ = command(*given, *chosen)
    assert code == 0
    chip = one_object(out)["profiles"]["loihi1"]
    assert len(chip["words"]) == len({each["part"] for each in chip["words"]})
    given = ("bit-flips", network_file, *FEW, "--methods", "random,random", "--flips", 1)
    code, out, _ = command(*given, "--maps", 1, "--batch", 4, "--json")
    assert code == 0
    flips = [point["flips"] for point in one_object(out)["methods"]["random"]["points"]]
    assert flips == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("faults", "--rates", "often"), "--rates: got"),
        (("faults", "--rates", "2"), "rate of faults: got 2"),
        (("faults", "--parameters", "spikes"), "unknown parameter"),
        (("faults", "--parameters", "spikes", "--profiles", "float32"), "unknown parameter"),
        (("faults", "--profiles", "loihi9"), "loihi9"),
        (("faults", "--profiles", "loihi1,,"), "--profiles: got"),
        (("faults", "--maps", 0), "maps: got 0"),
        (("bit-flips", "--methods", "guess"), "methods: got guess"),
        (("bit-flips", "--profile", "loihi1,akida"), "expected one profile"),
        (("bit-flips", "--profile", "float32", "--flips", 1), "bit search: got weights"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(command, network_file, arguments, problem):
    name, *options = arguments
    refused(command(name, network_file, *FEW, *options), problem)
