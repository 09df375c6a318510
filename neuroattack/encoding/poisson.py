"""Poisson spikes from random numbers that depend on seed, stream, image, pixel and step only.

The counter-based generator is Threefry-2x32 with 20 rounds: Salmon, Moraes, Dror and Shaw,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011. It maps a key and a counter to a block of
two 32-bit words and has no state, so every random number is independent of all other calls.

The key of a stream is two words of NumPy's ``SeedSequence(seed, spawn_key=(stream,))``. The key of
an image is the block of its index (low word first) under the key of its stream. Each pixel has a
32-bit number u per step: the upper half is from block ``(pixel, step // 4)`` under the key of the
image, the lower half from block ``(pixel, 2**31 + step // 4)``. The four halves of a block,
starting with the lowest bits of its first word, are used for four steps. The pixel spikes if
u < p * 2**32.

Lower halves matter for one number in 65,536 and are computed only then.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

__all__ = ["poisson_spikes", "threefry_2x32"]

_KEY_PARITY = np.uint32(0x1BD11BDA)
_HALF = np.uint32(16)
_LOWER_HALF = np.uint32(0xFFFF)
_LOWER_BLOCKS = np.uint32(2**31)

# Nonzero pixels are processed in vectors of this size; the last one is padded.
_VECTOR = 16

# An image with the same index as the first one that differs in at most this many pixels is derived
# from it. Relative to generating an MNIST image anew, this costs 1/12, plus 1/17 per pixel.
_FEW_PIXELS = 8


def poisson_spikes(
    probability: NDArray[np.float64],
    indices: NDArray[np.int64],
    steps: int,
    seed: int,
    stream: int,
) -> SpikeTrains:
    """Generate spikes with an independent Bernoulli trial per pixel and step.

    Parameters
    ----------
    probability : float64 array, shape (images, pixels)
        Spike probability per step, in [0, 1]. The actual probability is higher by at most
        ``2**-32``; 0 and 1 are exact.
    indices : int64 array, shape (images,)
        Index of each image's random numbers in the stream. A pixel has the same numbers in all
        images of the same index.
    steps : int
        Number of time steps.
    seed, stream : int
        Random seed and number of the stream, not negative.
    """
    offsets = np.empty((len(probability), steps + 1), np.int64)
    # Large enough for spikes of all nonzero pixels in every step; the system allocates memory only
    # for written pages. One more entry, since branch-free code may write one entry past the end.
    neurons = np.empty(np.count_nonzero(probability) * steps + 1, np.int32)
    key0, key1 = _key(seed, stream)
    _draw_batch(probability, indices, key0, key1, offsets, neurons)
    return SpikeTrains(probability.shape[1], offsets, neurons[: offsets[-1, -1]])


@functools.lru_cache(maxsize=1024)
def _key(seed: int, stream: int) -> tuple[Any, Any]:
    """Return the two words of the key of a stream."""
    key0, key1 = np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(2)
    return key0, key1


# All arithmetic below is explicitly np.uint32: numba would otherwise widen results to 64 bits, and
# only half as many numbers would fit in a vector.


@numba.njit(inline="always")
def _round(x0: Any, x1: Any, rotation: int) -> Any:
    x0 = np.uint32(x0 + x1)
    rotated = np.uint32(x1 << np.uint32(rotation)) | np.uint32(x1 >> np.uint32(32 - rotation))
    return x0, np.uint32(rotated ^ x0)


@numba.njit(inline="always")
def _odd_rounds(x0: Any, x1: Any, key0: Any, key1: Any, number: int) -> Any:
    x0, x1 = _round(x0, x1, 13)
    x0, x1 = _round(x0, x1, 15)
    x0, x1 = _round(x0, x1, 26)
    x0, x1 = _round(x0, x1, 6)
    return np.uint32(x0 + key0), np.uint32(x1 + key1 + np.uint32(number))


@numba.njit(inline="always")
def _even_rounds(x0: Any, x1: Any, key0: Any, key1: Any, number: int) -> Any:
    x0, x1 = _round(x0, x1, 17)
    x0, x1 = _round(x0, x1, 29)
    x0, x1 = _round(x0, x1, 16)
    x0, x1 = _round(x0, x1, 24)
    return np.uint32(x0 + key0), np.uint32(x1 + key1 + np.uint32(number))


@numba.njit()
def threefry_2x32(key0: Any, key1: Any, counter0: Any, counter1: Any) -> Any:
    """Return the two words of a block; all words are np.uint32."""
    key2 = np.uint32(key0 ^ key1 ^ _KEY_PARITY)
    x0 = np.uint32(counter0 + key0)
    x1 = np.uint32(counter1 + key1)
    x0, x1 = _odd_rounds(x0, x1, key1, key2, 1)
    x0, x1 = _even_rounds(x0, x1, key2, key0, 2)
    x0, x1 = _odd_rounds(x0, x1, key0, key1, 3)
    x0, x1 = _even_rounds(x0, x1, key1, key2, 4)
    return _odd_rounds(x0, x1, key2, key0, 5)


@numba.njit()
def _bound(probability: float) -> Any:
    """Return the lowest u without a spike; 2**32 for a probability of 1."""
    return np.int64(np.ceil(probability * 4294967296.0))


@numba.njit()
def _halves(word0: Any, word1: Any) -> Any:
    return (
        np.uint32(word0 & _LOWER_HALF),
        np.uint32(word0 >> _HALF),
        np.uint32(word1 & _LOWER_HALF),
        np.uint32(word1 >> _HALF),
    )


@numba.njit()
def _numbers(key0: Any, key1: Any, pixel: Any, block: Any) -> Any:
    """Return u for the four steps of a block."""
    word0, word1 = threefry_2x32(key0, key1, pixel, block)
    a, b, c, d = _halves(word0, word1)
    word0, word1 = threefry_2x32(key0, key1, pixel, np.uint32(block | _LOWER_BLOCKS))
    e, f, g, h = _halves(word0, word1)
    return (
        np.uint32(np.uint32(a << _HALF) | e),
        np.uint32(np.uint32(b << _HALF) | f),
        np.uint32(np.uint32(c << _HALF) | g),
        np.uint32(np.uint32(d << _HALF) | h),
    )


@numba.njit()
def _draw_by_upper_halves(
    fired: NDArray[np.uint8],
    lit: NDArray[np.uint32],
    highest: NDArray[np.uint32],
    key0: Any,
    key1: Any,
    block: Any,
) -> Any:
    """Fill `fired`, shape (4, nonzero pixels), for the steps of a block; return False on failure.

    It fails if an upper half equals that of the highest u with a spike.
    """
    nearest = np.uint32(1)
    for j in range(lit.size):
        word0, word1 = threefry_2x32(key0, key1, lit[j], block)
        a, b, c, d = _halves(word0, word1)
        bound = np.uint32(highest[j] >> _HALF)
        fired[0, j] = a < bound
        fired[1, j] = b < bound
        fired[2, j] = c < bound
        fired[3, j] = d < bound
        # LLVM vectorizes this minimum, but not a logical `or` of comparisons.
        ab = min(np.uint32(a ^ bound), np.uint32(b ^ bound))
        cd = min(np.uint32(c ^ bound), np.uint32(d ^ bound))
        nearest = min(nearest, ab, cd)
    return nearest != np.uint32(0)


@numba.njit()
def _draw_by_all_bits(
    fired: NDArray[np.uint8],
    lit: NDArray[np.uint32],
    highest: NDArray[np.uint32],
    key0: Any,
    key1: Any,
    block: Any,
) -> None:
    """Fill `fired`, shape (4, nonzero pixels), for the steps of a block."""
    for j in range(lit.size):
        a, b, c, d = _numbers(key0, key1, lit[j], block)
        fired[0, j] = a <= highest[j]
        fired[1, j] = b <= highest[j]
        fired[2, j] = c <= highest[j]
        fired[3, j] = d <= highest[j]


@numba.njit()
def _find_changed(
    probability: NDArray[np.float64], other: NDArray[np.float64], changed: NDArray[np.uint32]
) -> int:
    """Fill `changed` with the pixels that differ; return their number, or -1 if it is too small."""
    count = 0
    for pixel in range(probability.size):
        if probability[pixel] != other[pixel]:
            if count == changed.size:
                return -1
            changed[count] = pixel
            count += 1
    return count


@numba.njit()
def _find_flips(
    probability: float, other: float, key0: Any, key1: Any, pixel: Any, flips: NDArray[np.uint8]
) -> None:
    """Fill `flips` with the steps in which the two probabilities differ in the pixel's spike.

    `flips` has one entry per step, padded to a multiple of four.
    """
    first = min(_bound(probability), _bound(other))
    end = max(_bound(probability), _bound(other))
    for block in range(flips.size // 4):
        numbers = _numbers(key0, key1, pixel, np.uint32(block))
        for i in range(4):
            flips[4 * block + i] = first <= np.int64(numbers[i]) < end


@numba.njit()
def _amend(
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
    image: int,
    changed: NDArray[np.uint32],
    flips: NDArray[np.uint8],
) -> None:
    """Write the events of `image`: those of the first image with the changed pixels' flips."""
    written = offsets[image, 0]
    copied = offsets[0, 0]
    for step in range(offsets.shape[1] - 1):
        start, end = offsets[0, step], offsets[0, step + 1]
        for i in range(changed.size):
            if flips[i, step]:
                for event in range(copied, start):
                    neurons[written + event - copied] = neurons[event]
                written += max(start - copied, 0)
                copied = max(start, copied)
                while copied < end and neurons[copied] < changed[i]:
                    neurons[written] = neurons[copied]
                    written += 1
                    copied += 1
                if copied < end and neurons[copied] == changed[i]:
                    copied += 1
                else:
                    neurons[written] = changed[i]
                    written += 1
        offsets[image, step + 1] = written + (end - copied)
    end = offsets[0, -1]
    for event in range(copied, end):
        neurons[written + event - copied] = neurons[event]


@numba.njit()
def _draw_alone(
    probability: NDArray[np.float64],
    key0: Any,
    key1: Any,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
    fired: NDArray[np.uint8],
) -> None:
    """Write the events of one image, starting at ``offsets[0]``."""
    lit = np.zeros(fired.shape[1], np.uint32)
    highest = np.zeros(fired.shape[1], np.uint32)
    count = 0
    for pixel in range(probability.size):
        if probability[pixel] > 0:
            lit[count] = pixel
            highest[count] = _bound(probability[pixel]) - 1
            count += 1
    vectors = -(-count // _VECTOR) * _VECTOR
    lit, highest = lit[:vectors], highest[:vectors]
    steps = offsets.size - 1
    # Unsigned, because numba checks signed indices for negative values.
    written = np.uint64(offsets[0])
    for first in range(0, steps, 4):
        block = np.uint32(first // 4)
        if not _draw_by_upper_halves(fired, lit, highest, key0, key1, block):
            _draw_by_all_bits(fired, lit, highest, key0, key1, block)
        for step in range(first, min(first + 4, steps)):
            for j in range(count):
                neurons[written] = lit[j]
                written += np.uint64(fired[step - first, j])
            offsets[step + 1] = written


@numba.njit(cache=True, nogil=True)
def _draw_batch(
    probability: NDArray[np.float64],
    indices: NDArray[np.int64],
    stream_key0: Any,
    stream_key1: Any,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
) -> None:
    """Fill `offsets` and `neurons` for a batch."""
    changed = np.empty(_FEW_PIXELS, np.uint32)
    flips = np.empty((_FEW_PIXELS, (offsets.shape[1] - 1 + 3) // 4 * 4), np.uint8)
    fired = np.empty((4, probability.shape[1] + _VECTOR), np.uint8)
    for image in range(indices.size):
        offsets[image, 0] = offsets[image - 1, -1] if image > 0 else 0
        index = indices[image]
        key0, key1 = threefry_2x32(
            stream_key0, stream_key1, np.uint32(index & 0xFFFFFFFF), np.uint32(index >> 32)
        )
        few = -1
        if image > 0 and index == indices[0]:
            few = _find_changed(probability[0], probability[image], changed)
        if few < 0:
            _draw_alone(probability[image], key0, key1, offsets[image], neurons, fired)
        else:
            for i in range(few):
                before = probability[0, changed[i]]
                after = probability[image, changed[i]]
                _find_flips(before, after, key0, key1, changed[i], flips[i])
            _amend(offsets, neurons, image, changed[:few], flips)
