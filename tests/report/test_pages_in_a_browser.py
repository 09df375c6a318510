"""The HTML pages in a real browser: on a phone, in the dark, by keyboard, on paper."""

import base64
import html
import json
import re
import shutil
import subprocess
import sys

import pytest
from support.digit_models import template_model
from support.paper_items import ORIGIN, whole_paper

from neuroattack.ir.storage import save_network
from neuroattack.paper.save import save_paper
from neuroattack.training.conversion import convert

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]

PHONE_PX, DESK_PX = 390, 1280

# Runs beside the page, in the frame's parent: the page itself may run nothing.
MEASURE = """
const page = document.querySelector("iframe").contentDocument;
const view = page.defaultView;
const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((c) => {
    c /= 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (one) => {
  for (; one; one = one.parentElement) {
    const rgb = parts(view.getComputedStyle(one).backgroundColor);
    if (rgb.length === 3 || rgb[3] > 0) return rgb;
  }
  return [255, 255, 255];
};
const faint = [];
for (const one of page.querySelectorAll("h1,h2,h3,p,td,th,li,a,caption,figcaption,small,strong")) {
  if (!one.textContent.trim() || one.closest("svg")) continue;
  const ink = light(parts(view.getComputedStyle(one).color)), paper = light(ground(one));
  const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (contrast < 4.5) faint.push([one.tagName, one.textContent.slice(0, 30), contrast]);
}
const stuck = [...page.querySelectorAll("*")].filter((one) => {
  const flow = view.getComputedStyle(one).overflowX;
  return one.scrollWidth > one.clientWidth + 1 && (flow === "auto" || flow === "scroll")
    && one.tabIndex < 0;
}).map((one) => one.className);
const reached = [...page.querySelectorAll("a,[tabindex='0'],summary")];
reached[0].focus();
const first = view.getComputedStyle(reached[0]);
document.documentElement.dataset.seen = JSON.stringify({
  dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
  wide: page.documentElement.scrollWidth, room: page.documentElement.clientWidth,
  faint, stuck, first: reached[0].className,
  firstShown: reached[0].getBoundingClientRect().left >= 0 && first.outlineStyle !== "none",
  small: [...page.querySelectorAll("p,td,li")].filter(
    (one) => one.textContent.trim() && parseFloat(view.getComputedStyle(one).fontSize) < 12
  ).length,
});
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write one page of each kind, by commands where they are quick."""
    folder = tmp_path_factory.mktemp("pages")
    network = folder / "net.h5"
    save_network(network, convert(template_model()).network)
    for words in (
        ["attack", network, "--index", "3", "--steps", "60", "--out", folder / "attack"],
        ["audit", network, "--quick", "--steps", "60", "--out", folder / "audit"],
    ):
        command = [sys.executable, "-m", "neuroattack", *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    save_paper(folder / "paper", whole_paper(), ORIGIN)
    return {
        "attack": folder / "attack" / "report.html",
        "audit": folder / "audit" / "audit.html",
        "paper": folder / "paper" / "report.html",
    }


def browse(*options):
    """Run the browser; return what it prints and what it complains of."""
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


def seen_by(path, tmp_path, width_px, *options):
    """Show a page in a frame of that width and return what is measured of it."""
    page = path.read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)
    assert "default-src 'none'" in policy[0]
    frame = tmp_path / "frame.html"
    script = base64.b64encode(MEASURE.encode()).decode()
    frame.write_text(
        f'<html><body style="margin:0"><iframe style="border:0;width:{width_px}px;height:844px" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        f'<script>window.onload = () => eval(atob("{script}"))</script></body></html>',
        encoding="utf-8",
    )
    out, _ = browse(*options, "--window-size=1400,900", "--dump-dom", frame.as_uri())
    found = re.search(r'data-seen="([^"]*)"', out)
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", [PHONE_PX, DESK_PX])
@pytest.mark.parametrize("kind", ["attack", "audit", "paper"])
def test_a_page_can_be_read(pages, tmp_path, kind, width_px, dark):
    options = ["--blink-settings=preferredColorScheme=0"] if dark else []
    seen = seen_by(pages[kind], tmp_path, width_px, *options)
    assert seen["dark"] == dark
    assert seen["wide"] <= seen["room"] <= width_px
    assert seen["faint"] == []
    assert seen["small"] == 0
    # What scrolls by itself can be scrolled by keyboard.
    assert seen["stuck"] == []
    # The first stop of the Tab key leads past the head, and is seen when it is reached.
    assert seen["first"] == "skip"
    assert seen["firstShown"]


@pytest.mark.parametrize("kind", ["attack", "audit", "paper"])
def test_a_page_needs_no_network_and_prints(pages, tmp_path, kind):
    _, complaints = browse(
        "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--print-to-pdf={tmp_path / 'page.pdf'}",
        pages[kind].as_uri(),
    )
    assert "CONSOLE" not in complaints
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 1 <= sheets <= {"attack": 8, "audit": 4, "paper": 60}[kind]


def test_what_is_wrong_is_seen(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\"><body style='color:#999;background:#fff'><a href='#x'>on</a>"
        "<p style='width:900px;font-size:9px'>faint</p>"
        "<div class='box' style='overflow-x:auto;width:50px'><b style='margin:99px'>wide</b></div>"
    )
    seen = seen_by(bad, tmp_path, PHONE_PX)
    assert seen["wide"] > seen["room"]
    assert seen["faint"][0][:2] == ["P", "faint"]
    assert (seen["small"], seen["stuck"]) == (1, ["box"])
    assert seen["first"] != "skip"
