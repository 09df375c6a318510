"""Writers of event recordings, from the published descriptions of their formats."""

import struct

import h5py
import numpy as np


def nmnist_bytes(events):
    """Return 40 bits per event (t_us, x, y, p): x, y, polarity and time, big endian."""
    return b"".join((x << 32 | y << 24 | p << 23 | t).to_bytes(5, "big") for t, x, y, p in events)


def write_nmnist(path, events):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(nmnist_bytes(events))


def aedat2_bytes(words, chip=None):
    """Return a file of (address, t_us) with the header of jAER."""
    lines = ["#!AER-DAT2.0", "# This is a raw AE data file - do not edit"]
    if chip:
        lines.append(f"# AEChip: {chip}")
    lines.append("#End Of ASCII Header")
    header = "".join(f"{line}\r\n" for line in lines).encode()
    return header + b"".join(struct.pack(">Ii", address, t) for address, t in words)


def dvs128_address(x, y, p):
    """Return an address with y counted from the lower edge: polarity 0, x 1-7, y 8-14."""
    return p + 2 * x + 256 * y


def davis_address(x, y, p):
    """Return an address with y counted from the lower edge: polarity 11, x 12-21, y 22-30."""
    return p * 2**11 + x * 2**12 + y * 2**22


def aedat3_bytes(packets, source="DVS128"):
    """Return a file with packets (type, overflows, event size, list of event bytes)."""
    header = f"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: {source}\r\n"
    header += "#Start-Time: 2017-01-01 10:00:00 (TZ+0100)\r\n#!END-HEADER\r\n"
    content = header.encode()
    for kind, overflows, size, events in packets:
        count = len(events)
        content += struct.pack("<2h6i", kind, 1, size, 4, overflows, count, count, count)
        content += b"".join(events)
    return content


def polarity_event(t, x, y, p, valid=1):
    """Return 8 bytes: valid bit 0, polarity bit 1, y bits 2-16, x bits 17-31, and the time."""
    return struct.pack("<Ii", valid + 2 * p + 4 * y + 2**17 * x, t)


def write_shd(path, trains, labels):
    """Write spike trains, each a pair (times in seconds, units), as SHD has them."""
    with h5py.File(path, "w") as file:
        for name, kind, part in (("times", np.float16, 0), ("units", np.uint16, 1)):
            data = file.create_dataset(
                f"spikes/{name}", (len(trains),), h5py.vlen_dtype(np.dtype(kind))
            )
            for index, train in enumerate(trains):
                data[index] = np.asarray(train[part], kind)
        file["labels"] = np.asarray(labels, np.uint16)
        file["extra/speaker"] = np.zeros(len(trains), np.uint8)
