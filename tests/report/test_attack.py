"""The report of attacks and its plots, of real attacks on a small network."""

import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import EventCollection

from neuroattack.attacks.bounds import L2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.result import Verification
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.provenance import provenance_of
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.experiments.attack import AttackResult, attack_images
from neuroattack.experiments.evaluation import evaluate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.report import plots
from neuroattack.report.attack import provenance_rows, render_report, verdict

SHAPE = (8, 8)
DT_S = 2e-3
NBSP = "\u00a0"


def network():
    """Return a network of 3 classes: the left, middle and right columns."""
    weights = np.zeros((64, 3))
    weights[np.arange(64), np.minimum(np.arange(64) % 8 // 3, 2)] = 0.2
    return Network(
        dt_s=DT_S,
        input=Input(SHAPE, PoissonEncoder(200.0)),
        populations=(Population("output", 3, tau_m_s=0.05, threshold_v=1.0),),
        projections=(Projection.from_weights(INPUT, "output", weights),),
        readout="output",
    )


def image():
    pixels = np.random.default_rng(3).random(SHAPE) * 0.4
    pixels[:, :3] += 0.15
    return pixels


def attacked(attack, target_class, count=1):
    with open_target(DeploymentSpec(steps=60), network()) as opened:
        return attack_images(
            opened,
            attack,
            [image()] * count,
            [Goal(0, target_class)] * count,
            indices=range(7, 7 + count),
            trials=20,
            costs=opened,
        )


@pytest.fixture(scope="module")
def targeted():
    window = Window(3, 1, 4)
    attack = GreedyWindow(queries=None, window=window, moved_pixels=4, max_distance=12.0)
    return attacked(attack, 1)


@pytest.fixture(scope="module")
def untargeted():
    return attacked(RandomNoise(L2(1.5), queries=40), None, count=2)


@pytest.fixture(scope="module")
def provenance():
    with deploy(network(), steps=60) as deployment:
        return provenance_of(deployment, "stripes", "ab12" * 16, "neuroattack attack x.h5")


@pytest.fixture(scope="module")
def render(provenance):
    def render(*results, title="An attack", provenance=provenance, **more):
        rows = provenance_rows(asdict(provenance))
        return render_report(results, title=title, provenance=rows, dt_s=DT_S, **more)

    return render


class Page(HTMLParser):
    """Collects a page's elements, text and table rows, and fails where tags do not balance."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text, self.rows = [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute of <{tag}> comes twice"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def fact(self, name):
        """Return the values of the row of that name."""
        return next(row[1:] for row in self.rows if row[0].startswith(name))


def test_page_is_well_formed_and_accessible(render, targeted, untargeted):
    text = render(targeted, untargeted, evaluation=evaluation())
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in page.elements:
        for reference in ("href", "xlink:href"):
            if attributes.get(reference, "").startswith("#"):
                assert attributes[reference][1:] in identifiers
        assert attributes.get("aria-labelledby", identifiers[0]) in identifiers
        assert tag != "th" or attributes["scope"] in ("row", "col")
        assert tag != "svg" or (attributes["role"] == "img" and attributes["aria-label"])
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == tags.count("title") == tags.count("main") == 1
    assert tags.count("figure") == tags.count("figcaption") == tags.count("svg") == 3 * 3
    assert dict(page.elements)["html"] == {"lang": "en"}


def test_page_loads_nothing_and_runs_nothing(render, targeted):
    text = render(targeted)
    without_namespaces = re.sub(r'xmlns(:\w+)?="http://www\.w3\.org/[^"]*"', "", text)
    assert not re.search(r"https?:|<script|<iframe|@import|javascript:", without_namespaces)
    for tag, attributes in Page(text).elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("#", "data:")), (tag, value)
    assert all(found.startswith("#") for found in re.findall(r"url\((.)", text))


def test_figures_are_the_results(render, targeted, untargeted):
    page = Page(render(targeted, untargeted))
    for result in (targeted, untargeted):
        low, high = (f"{100 * bound:.0f}" for bound in result.ci95)
        row = page.fact(result.attack.name)
        assert row[3] == str(len(result.images))
        assert row[4] == (
            f"{100 * result.success_rate:.1f}{NBSP}%, 95{NBSP}% interval {low} to {high}{NBSP}%"
        )
        assert row[5] == f"{100 * result.clean_error_rate:.1f}{NBSP}%"
    images = [each for result in (targeted, untargeted) for each in result.images]
    for name, key, digits in (
        ("L2 distance", "l2", 2),
        ("L\u221e distance", "linf", 3),
        ("Local-SD distance", "local_sd", 2),
    ):
        shown = [row[1] for row in page.rows if row[0] == name]
        assert shown == [f"{each.distances[key]:.{digits}f}" for each in images]
    spent = [row[1] for row in page.rows if row[0] == "Search queries"]
    assert spent == [f"{each.search.queries:,}" for each in images]


@pytest.mark.parametrize(
    ("successes", "clean", "status"),
    [
        (0, 0, "failed"),
        (2, 0, "no effect shown"),
        (49, 50, "no effect shown"),
        (15, 0, "fooled sometimes"),
        (40, 1, "fooled mostly"),
    ],
)
def test_the_verdict_is_that_of_fresh_trials(render, targeted, successes, clean, status):
    verified = {"success": Verification(successes, 50), "clean": Verification(clean, 50)}
    each = replace(targeted.images[0], **verified)
    assert verdict(each) == status
    assert status in Page(render(AttackResult(targeted.attack, (each,)))).text


def test_hostile_text_is_text(render, targeted, provenance):
    hostile = "<script>alert(\"1\")</script> & '{{ 7 * 7 }}'"
    text = render(targeted, title=hostile, provenance=replace(provenance, command=hostile))
    assert "<script" not in text
    assert Page(text).text.count(hostile) == 3


def test_same_inputs_give_the_same_bytes_and_no_global_state(render, targeted, untargeted):
    before = dict(matplotlib.rcParams)
    first = render(targeted, untargeted)
    plots.history_figure(untargeted.images[0].search)
    assert render(targeted, untargeted) == first
    assert len(first.encode()) < 600_000
    assert dict(matplotlib.rcParams) == before


def evaluation():
    with deploy(network(), steps=60) as deployment:
        labels = np.zeros(30, np.uint8)
        return evaluate(deployment, np.stack([image()] * 30).astype(np.float32), labels)


def test_network_figures(render, targeted):
    measured = evaluation()
    page = Page(render(targeted, evaluation=measured))
    assert page.fact("Accuracy")[0].startswith(f"{100 * measured.accuracy:.0f}{NBSP}%")
    assert page.fact("Silent images") == [f"{100 * measured.silent_fraction:.0f}{NBSP}%"]
    operations = f"{measured.synaptic_operations_per_image:,.0f}"
    assert page.fact("Synaptic operations per image") == [operations]


def test_provenance_is_complete(render, targeted, provenance):
    page = Page(render(targeted))
    for value in asdict(provenance).values():
        if value not in ("", None):
            assert any(row[1:] == [str(value)] for row in page.rows), value


def test_images_are_shown_pixel_by_pixel(targeted):
    found = targeted.images[0].search
    panels = plots.images_figure(found).axes[:3]
    difference = found.adversarial - found.original
    assert np.abs(difference).max() > 0
    for axes, expected in zip(panels, (found.original, found.adversarial, difference), strict=True):
        (shown,) = axes.get_images()
        np.testing.assert_array_equal(shown.get_array(), expected)
        assert shown.get_interpolation() == "nearest"
    assert panels[0].get_images()[0].get_clim() == (0, 1)
    low, high = panels[2].get_images()[0].get_clim()
    assert -low == high == np.abs(difference).max()


def test_an_image_without_change_can_be_drawn(targeted):
    found = targeted.images[0].search
    (shown,) = plots.images_figure(replace(found, adversarial=found.original)).axes[2].get_images()
    assert shown.get_clim() == (-1, 1)


def test_raster_is_the_spikes(targeted):
    spikes = targeted.images[0].readout_spikes
    dense = spikes.to_dense()
    assert dense.sum() > 0
    panels = plots.raster_figure(spikes, targeted.images[0].search.goal, DT_S).axes
    for row, axes in enumerate(panels):
        trains = [c for c in axes.collections if isinstance(c, EventCollection)]
        for neuron, train in enumerate(trains):
            assert train.get_lineoffset() == neuron
            times_ms = np.flatnonzero(dense[row, :, neuron]) * 2.0
            np.testing.assert_allclose(train.get_positions(), times_ms)
        written = [text.get_text().split()[0] for text in axes.texts[:3]]
        assert written == [str(count) for count in dense[row].sum(axis=0)]
        assert axes.get_xlim() == (0, 120)


def test_the_history_is_the_best_gap_so_far(untargeted):
    found = untargeted.images[0].search
    (axes,) = plots.history_figure(found).axes
    queries, gaps = axes.lines[0].get_data()
    finite = [seen for seen in found.history if np.isfinite(seen.gap)]
    assert list(queries) == [*(seen.queries for seen in finite), found.queries]
    assert gaps[-1] == max(seen.gap for seen in finite)
    assert (np.diff(gaps) >= 0).all()
    # A search that saw nothing can be drawn too.
    assert plots.history_figure(replace(found, history=())).axes


def test_a_report_of_no_attack_has_no_figures(render):
    assert "svg" not in [tag for tag, _ in Page(render()).elements]


def test_inline_svg_escapes_its_words(targeted):
    figure = plots.history_figure(targeted.images[0].search)
    svg = plots.inline_svg(figure, 'D < 3 & "so on"', "d")
    assert 'aria-label="D &lt; 3 &amp; &quot;so on&quot;"' in svg
    assert "<metadata" not in svg
