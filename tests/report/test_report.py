"""The report and its plots, of real attacks on a small network."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import EventCollection
from matplotlib.patches import Rectangle

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import Goal, Verification
from neuroattack.deployment.deployment import deploy
from neuroattack.deployment.provenance import provenance_of
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.experiments.attack import attack_image
from neuroattack.experiments.evaluation import evaluate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.report import plots
from neuroattack.report.html import render_report

SHAPE = (8, 8)
DT_S = 2e-3
MAX_DISTANCE = 12.0
WINDOW = Window(3, 1, 4)
NBSP = "\u00a0"


def network(weights):
    return Network(
        dt_s=DT_S,
        input=Input(SHAPE, PoissonEncoder(200.0)),
        populations=(Population("output", weights.shape[1], tau_m_s=0.05, threshold_v=1.0),),
        projections=(Projection.from_weights(INPUT, "output", weights),),
        readout="output",
    )


def deployment(kind="columns"):
    """Return a network of 3 classes: by the left, middle and right columns, tied, or silent."""
    weights = np.zeros((64, 3))
    if kind == "columns":
        weights[np.arange(64), np.minimum(np.arange(64) % 8 // 3, 2)] = 0.2
    elif kind == "tied":
        weights[:, :2] = 0.1
    return deploy(network(weights), steps=60)


def image():
    pixels = np.random.default_rng(3).random(SHAPE) * 0.4
    pixels[:, :3] += 0.15
    return pixels


def attacked(kind="columns", target_class=1, index=7):
    attack = GreedyWindow(queries=None, window=WINDOW, moved_pixels=4, max_distance=MAX_DISTANCE)
    goal = Goal(0, target_class)
    return attack_image(deployment(kind), attack, image(), goal, index=index, draws=20)


@pytest.fixture(scope="module")
def targeted():
    return attacked()


@pytest.fixture(scope="module")
def untargeted():
    return attacked(target_class=None, index=8)


@pytest.fixture(scope="module")
def provenance():
    return provenance_of(deployment(), "stripes", "ab12" * 16, "neuroattack attack x.h5")


@pytest.fixture(scope="module")
def render(provenance):
    def render(*outcomes, title="An attack", provenance=provenance, **more):
        return render_report(
            outcomes,
            title=title,
            provenance=provenance,
            dt_s=DT_S,
            max_distance=MAX_DISTANCE,
            **more,
        )

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
    text = render(targeted, untargeted, evaluation=evaluation(), rate_accuracy=0.5)
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
    assert tags.count("figure") == tags.count("figcaption") == tags.count("svg") == 2 * 4
    assert tags.count("table") == tags.count("caption")
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


def test_figures_are_the_outcomes(render, targeted, untargeted):
    page = Page(render(targeted, untargeted))
    for column, outcome in enumerate((targeted, untargeted)):
        search = outcome.search
        assert page.fact("Distance D")[column] == f"{search.best.distance:.2f}"
        assert page.fact("Best iteration")[column] == (
            f"{search.best_iteration} of {len(search.trace) - 1}"
        )
        assert page.fact("Queries, search")[column] == f"{search.queries:,}"
        assert page.fact("Queries, verification")[column] == "40"
        for name, found in (
            ("Adversarial image", outcome.success),
            ("Unmodified image", outcome.clean_success),
        ):
            low, high = (f"{100 * bound:.0f}" for bound in found.ci95)
            assert page.fact(name)[column] == (
                f"{found.successes} of 20 ({100 * found.rate:.0f}{NBSP}%, "
                f"95{NBSP}% interval {low} to {high}{NBSP}%)"
            )


def test_every_iteration_is_in_the_table(render, targeted, untargeted):
    for outcome in (targeted, untargeted):
        rows = Page(render(outcome)).rows
        head = next(i for i, row in enumerate(rows) if row[0] == "Iteration")
        for step, row in zip(outcome.search.trace, rows[head + 1 :], strict=False):
            rival = max(step.shares[1:]) if outcome is untargeted else step.shares[1]
            assert row[0].split()[-1] == str(step.iteration)
            assert row[2].startswith(f"{100 * step.shares[0]:.1f}")
            assert row[3].startswith(f"{100 * rival:.1f}")
            assert row[5:] == [f"{step.distance:.2f}", str(len(step.moved)), f"{step.queries:,}"]


@pytest.mark.parametrize(
    ("successes", "clean", "status"),
    [
        (0, 0, "Failed"),
        (2, 0, "No effect shown"),
        (49, 50, "No effect shown"),
        (15, 0, "Fooled at times"),
        (40, 1, "Fooled mostly"),
    ],
)
def test_the_verdict_is_that_of_fresh_draws(render, targeted, successes, clean, status):
    verified = {"success": Verification(successes, 50), "clean_success": Verification(clean, 50)}
    text = Page(render(replace(targeted, **verified))).text
    assert f"{status} Image 7" in text
    assert f"{successes} of 50" in text or not successes
    assert f"{clean} of 50" in text


@pytest.mark.parametrize(("kind", "why"), [("tied", "tie"), ("silent", "silent")])
def test_undecided_is_shown(render, kind, why):
    outcome = attacked(kind)
    assert outcome.search.trace[0].predicted == -1
    page = Page(render(outcome))
    assert f"undecided ({why})" in page.text
    assert page.fact("Iterations that reached the goal")[0].startswith("0 of")


def test_hostile_text_is_text(render, targeted, provenance):
    hostile = "<script>alert(\"1\")</script> & '{{ 7 * 7 }}'"
    text = render(targeted, title=hostile, provenance=replace(provenance, command=hostile))
    page = Page(text)
    assert "<script" not in text
    assert page.text.count(hostile) == 3
    assert dict(page.elements)["code"] == {}


def test_same_inputs_give_the_same_bytes(render, targeted, untargeted):
    first = render(targeted, untargeted)
    plots.shares_figure(untargeted.search)
    assert render(targeted, untargeted) == first
    assert len(first.encode()) < 600_000


def test_plotting_leaves_no_global_state(render, targeted):
    before = dict(matplotlib.rcParams)
    render(targeted)
    assert dict(matplotlib.rcParams) == before


def evaluation():
    labels = np.zeros(30, np.uint8)
    return evaluate(deployment(), np.stack([image()] * 30).astype(np.float32), labels)


def test_network_figures(render, targeted):
    measured = evaluation()
    page = Page(render(targeted, evaluation=measured, rate_accuracy=0.9625))
    low, high = (f"{100 * bound:.0f}" for bound in measured.accuracy_ci95)
    assert page.fact("Accuracy, spiking") == [
        f"{100 * measured.accuracy:.0f}{NBSP}% (95{NBSP}% interval {low} to {high}{NBSP}%)"
    ]
    assert page.fact("Accuracy, as rates") == [f"96.2{NBSP}%"]
    assert page.fact("Silent images") == [f"{100 * measured.silent_fraction:.0f}{NBSP}%"]
    for name, spikes in measured.spikes_per_image.items():
        assert f"{name}{NBSP}{spikes:,.1f}" in page.fact("Spikes")[0]
    operations = f"{measured.synaptic_operations_per_image:,.0f}"
    assert page.fact("Synaptic operations") == [operations]


def test_provenance_is_complete(render, targeted, provenance):
    page = Page(render(targeted))
    for value in (
        provenance.command,
        str(provenance.seed),
        provenance.dataset,
        provenance.dataset_checksum,
        provenance.network_checksum,
        f"{provenance.backend} {provenance.backend_version}, floating point",
        f"60 steps of 2{NBSP}ms, 120{NBSP}ms an image",
        provenance.versions,
        provenance.machine,
    ):
        assert any(row[1:] == [value] for row in page.rows)


def test_images_are_shown_pixel_by_pixel_with_the_window_in_its_place(targeted):
    search = targeted.search
    panels = plots.images_figure(search).axes[:3]
    difference = search.adversarial - search.original
    assert np.abs(difference).max() > 0
    for axes, expected in zip(
        panels, (search.original, search.adversarial, difference), strict=True
    ):
        (shown,) = axes.get_images()
        np.testing.assert_array_equal(shown.get_array(), expected)
        assert shown.get_interpolation() == "nearest"
        (outline,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
        assert outline.get_bbox().bounds == (0.5, 2.5, 4, 4)
    assert panels[0].get_images()[0].get_clim() == (0, 1)
    low, high = panels[2].get_images()[0].get_clim()
    assert -low == high == np.abs(difference).max()


def test_an_image_without_change_can_be_drawn(targeted):
    search = replace(targeted.search, adversarial=targeted.search.original)
    (shown,) = plots.images_figure(search).axes[2].get_images()
    assert shown.get_clim() == (-1, 1)


def test_raster_is_the_spikes(targeted):
    spikes = targeted.readout_spikes
    dense = spikes.to_dense()
    assert dense.sum() > 0
    panels = plots.raster_figure(spikes, targeted.search.goal, DT_S).axes
    for row, axes in enumerate(panels):
        trains = [c for c in axes.collections if isinstance(c, EventCollection)]
        for neuron, train in enumerate(trains):
            assert train.get_lineoffset() == neuron
            times_ms = np.flatnonzero(dense[row, :, neuron]) * 2.0
            np.testing.assert_allclose(train.get_positions(), times_ms)
        written = [text.get_text().split()[0] for text in axes.texts[:3]]
        assert written == [str(count) for count in dense[row].sum(axis=0)]
        assert axes.get_xlim() == (0, 120)


def test_shares_are_lines_in_percent(targeted, untargeted):
    for outcome in (targeted, untargeted):
        shares = 100 * np.array([step.shares for step in outcome.search.trace])
        (axes,) = plots.shares_figure(outcome.search).axes
        rival, dashed = shares[:, 1], "1 target"
        if outcome is untargeted:
            rival, dashed = shares[:, 1:].max(axis=1), "best wrong"
        drawn = {line.get_marker(): line.get_ydata() for line in axes.lines}
        np.testing.assert_allclose(drawn["o"], shares[:, 0])
        np.testing.assert_allclose(drawn["s"], rival)
        assert {"0 true", dashed} <= {text.get_text() for text in axes.texts}
        assert axes.get_ylim() == (0, 100)
        # The marker of the best iteration.
        assert axes.lines[-1].get_xdata()[0] == outcome.search.best_iteration


def test_distance_is_drawn_with_its_limit(targeted):
    search = targeted.search
    (axes,) = plots.distance_figure(search, MAX_DISTANCE).axes
    distances = [step.distance for step in search.trace]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), distances)
    assert set(axes.lines[1].get_ydata()) == {MAX_DISTANCE}
    assert axes.get_ylim()[1] > MAX_DISTANCE
    (axes,) = plots.distance_figure(search).axes
    assert not any("limit" in text.get_text() for text in axes.texts)


def test_an_infinite_distance_and_a_search_of_one_iteration_can_be_shown(render, targeted):
    first, second, *_ = targeted.search.trace
    trace = (first, replace(second, distance=float("inf")))
    search = replace(targeted.search, trace=trace, best_iteration=1)
    assert Page(render(replace(targeted, search=search))).fact("Distance D") == ["infinite"]
    search = replace(targeted.search, trace=(first,), best_iteration=0)
    assert Page(render(replace(targeted, search=search))).fact("Best iteration") == ["0 of 0"]


def test_a_report_of_no_attack_has_no_figures(render):
    assert "svg" not in [tag for tag, _ in Page(render()).elements]


def test_inline_svg_escapes_its_words(targeted):
    svg = plots.inline_svg(plots.distance_figure(targeted.search), 'D < 3 & "so on"', "d")
    assert 'aria-label="D &lt; 3 &amp; &quot;so on&quot;"' in svg
    assert "<metadata" not in svg
