"""Decode the events of an AEDAT 4 file in a separate process, which a damaged file may crash.

Run as ``python -m neuroattack.datasets.events.formats.decode_aedat4 FILE OUTPUT``, this writes the
arrays t (microseconds), x, y, p and sensor (height, width) to the npz file OUTPUT.
:mod:`neuroattack.datasets.events.formats.aedat4` runs it and reads the result.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.isolation import RefusedError, limit_memory, serve

__all__: list[str] = []

_MOST_EVENTS = 2**26
_MOST_BYTES = 2**32


def _decode(path: Path, output: Path) -> None:
    import aedat

    limit_memory(_MOST_BYTES)
    decoder = aedat.Decoder(str(path))
    streams = {
        number: stream
        for number, stream in decoder.id_to_stream().items()
        if stream["type"] == "events"
    }
    if len(streams) != 1:
        raise RefusedError(f"has {len(streams)} streams of events, expected one")
    ((chosen, stream),) = streams.items()
    packets, count = [], 0
    for packet in decoder:
        if packet["stream_id"] == chosen and "events" in packet:
            packets.append(packet["events"])
            count += len(packets[-1])
            if count > _MOST_EVENTS:
                raise RefusedError(f"has over {_MOST_EVENTS:,} events, expected at most that many")
    names = {"t": "u8", "x": "u2", "y": "u2", "p": "u1"}
    fields = {
        name: np.concatenate(
            [np.empty(0, kind)] + [p["on" if name == "p" else name].astype(kind) for p in packets]
        )
        for name, kind in names.items()
    }
    sensor = np.array([stream["height"], stream["width"]], np.int64)
    np.savez(output, **dict[str, Any](fields, sensor=sensor))


if __name__ == "__main__":
    sys.exit(serve(_decode, "is not valid AEDAT 4"))
