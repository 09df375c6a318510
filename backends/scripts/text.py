"""Text of exported scripts: templates, encoders, and the parts that read images and data."""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = ["ENCODERS", "filled"]

_POISSON = '''\
def threefry(key, counter0, counter1):
    """Return two words of random bits: Threefry-2x32 with 20 rounds (Salmon et al., SC 2011).

    Arguments and results are arrays of unsigned 32-bit words.
    """
    keys = (key[:1], key[1:], key[:1] ^ key[1:] ^ np.uint32(0x1BD11BDA))
    x0, x1 = counter0 + keys[0], counter1 + keys[1]
    for number in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[number % 2]:
            x0 = x0 + x1
            x1 = (x1 << np.uint32(rotation) | x1 >> np.uint32(32 - rotation)) ^ x0
        x0 = x0 + keys[(number + 1) % 3]
        x1 = x1 + keys[(number + 2) % 3] + np.uint32(number + 1)
    return x0, x1


def encode(image, steps, seed):
    """Return Poisson input spikes as a raster of shape (steps, pixels)."""
    probability = image.ravel() * (MAX_RATE_HZ * DT_S)
    stream_key = np.random.SeedSequence(seed, spawn_key=(0,)).generate_state(2)
    image_key = np.concatenate(threefry(stream_key, np.uint32([0]), np.uint32([0])))
    pixel = np.arange(probability.size, dtype=np.uint32)
    # A block has 16 random bits for each of four steps. Two blocks give 32 bits, upper half first.
    block = np.arange((steps + 3) // 4, dtype=np.uint32)[:, None]
    random = 0
    for first in (0, 2**31):
        x0, x1 = threefry(image_key, pixel, block + np.uint32(first))
        halves = np.stack([x0 & 0xFFFF, x0 >> 16, x1 & 0xFFFF, x1 >> 16], axis=1)
        random = random * 2.0**16 + halves.reshape(-1, pixel.size)[:steps]
    return random < probability * 2.0**32
'''

_REGULAR = '''\
def encode(image, steps, seed):
    """Return evenly spaced input spikes as a raster of shape (steps, pixels)."""
    # A pixel spikes whenever its expected spike count reaches n + 1/2; the seed is not used.
    probability = image.ravel() * (MAX_RATE_HZ * DT_S)
    due = np.floor(np.arange(steps + 1)[:, None] * probability + 0.5)
    return due[1:] > due[:-1]
'''

ENCODERS: Mapping[str, str] = {"poisson": _POISSON, "regular": _REGULAR}
"""Definitions of ``encode(image, steps, seed)``, which returns input spikes, by kind of encoder."""

# Statements that read the image in `arguments`, or make a ramp; `parser` reports errors.
_READ_IMAGE = """\
    pixels = math.prod(IMAGE_SHAPE)
    if arguments.image is None:
        image = np.linspace(0, 1, pixels)
    else:
        try:
            image = np.load(arguments.image, allow_pickle=False).astype(np.float64)
        except (OSError, ValueError) as error:
            parser.error(f"{arguments.image}: expected a NumPy file (.npy): {error}")
    if image.size != pixels or not ((image >= 0) & (image <= 1)).all():
        parser.error(f"expected an image of shape {IMAGE_SHAPE} with intensities from 0 to 1")
"""

# Functions that read values and weights from POPULATIONS, PROJECTIONS and DATA.
_READ_DATA = '''\
def numbers(value):
    """Return one value for all neurons, or an array with one value per neuron."""
    return np.frombuffer(unpack(DATA[value]), "<f8") if isinstance(value, str) else value


def read_weights(p):
    """Return source and target neurons of synapses, and their weights in volts per spike.

    Weights are integers times a power of two, so that sums are exact.
    """
    exponent, text = DATA[p["weights"]]
    # Stored by byte planes, the lowest bytes of all numbers first, for better compression.
    planes = np.frombuffer(unpack(text), np.uint8).reshape(4, -1)
    integers = np.ascontiguousarray(planes.T).view("<i4").ravel()
?sparse|    if p["sparse"]:
?sparse|        pre, post, mantissas = integers.reshape(3, -1)
?sparse|    else:
?sparse|        pre, post = np.nonzero(integers.reshape(-1, POPULATIONS[p["target"]]["size"]))
?sparse|        mantissas = integers[integers != 0]
?-sparse|    pre, post = np.nonzero(integers.reshape(-1, POPULATIONS[p["target"]]["size"]))
?-sparse|    mantissas = integers[integers != 0]
    return pre, post, np.ldexp(mantissas.astype(np.float64), exponent)


def unpack(text):
    """Return the bytes encoded in a block of text."""
    return zlib.decompress(base64.b64decode(text))
'''


def filled(template: str, encoder: str, flags: Collection[str], fields: Mapping[str, str]) -> str:
    """Return the script of a template.

    In a template, ``@NAME@`` stands for a field. ``@ENCODER@``, ``@READ_IMAGE@`` and
    ``@READ_DATA@`` stand for parts that all scripts have. Lines that begin with ``?FLAG|`` are for
    networks with that flag, and those with ``?-FLAG|`` for the others.

    Parameters
    ----------
    template : str
        Text with marked lines and fields.
    encoder : str
        Definition of the encoder.
    flags : collection of str
        Flags of the network; ``"sparse"`` if projections may be stored as lists of synapses.
    fields : mapping of str to str
        Texts by name of the field, inserted in this order.
    """
    parts = {"ENCODER": encoder, "READ_IMAGE": _READ_IMAGE, "READ_DATA": _READ_DATA}
    for name, part in parts.items():
        template = template.replace(f"@{name}@", part.rstrip())
    lines = []
    for line in template.splitlines():
        if not line.startswith("?"):
            lines.append(line)
            continue
        *conditions, text = line[1:].split("|")
        if all((each.lstrip("-") in flags) != each.startswith("-") for each in conditions):
            lines.append(text)
    script = "\n".join(lines) + "\n"
    for name, text in fields.items():
        script = script.replace(f"@{name}@", text)
    return script
