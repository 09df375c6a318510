"""Pictures of images of any shape."""

import numpy as np
import pytest

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import SearchResult, Verification
from neuroattack.experiments.attack import AttackedImage
from neuroattack.report.plots import gallery_figure, images_figure, picture

IMAGES = {shape: np.random.default_rng(0).random(shape) for shape in [(4, 5), (3, 4, 5), (2, 4, 5)]}


def test_gray_images_and_vectors_are_rows_and_columns():
    np.testing.assert_array_equal(picture(IMAGES[4, 5]), IMAGES[4, 5])
    np.testing.assert_array_equal(picture(IMAGES[4, 5][None]), IMAGES[4, 5])
    np.testing.assert_array_equal(picture(np.arange(7.0)), np.arange(7.0)[None])


def test_three_channels_are_red_green_and_blue():
    image = IMAGES[3, 4, 5]
    found = picture(image)
    assert found.shape == (4, 5, 3)
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], image[channel])
    change = image - 0.5
    for (row, column), value in np.ndenumerate(picture(change, signed=True)):
        assert value == max(change[:, row, column], key=abs)


def test_other_channels_are_side_by_side():
    image = IMAGES[2, 4, 5]
    found = picture(image)
    assert found.shape == (4, 11)
    np.testing.assert_array_equal(found[:, :5], image[0])
    assert np.isnan(found[:, 5]).all()
    np.testing.assert_array_equal(found[:, 6:], image[1])


@pytest.mark.parametrize("shape", [(6, 5), (1, 9), (9,), (3, 6, 5), (2, 6, 5), (5, 4, 4)])
def test_figures_of_every_shape(shape):
    rng = np.random.default_rng(1)
    search = SearchResult(rng.random(shape), rng.random(shape), Goal(0), 10, "budget")
    verified = Verification(3, 10, 1)
    for figure in (
        images_figure(search),
        gallery_figure([AttackedImage(0, search, verified, verified)] * 2),
    ):
        figure.canvas.draw()
