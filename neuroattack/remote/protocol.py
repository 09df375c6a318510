"""Messages of the Open Inference Protocol v2 for black boxes.

A request has one input, ``image``, of shape (batch, height, width) and type FP64 or FP32. A
response has one output, ``counts``, of shape (batch, classes) and type INT32. Tensors are lists in
JSON, or raw little-endian bytes after the JSON (binary tensor data extension), whose length is
given in a header.

Sources: Open Inference Protocol, "REST" (github.com/kserve/open-inference-protocol), and "Binary
tensor data extension" of NVIDIA's Triton inference server.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError

__all__ = [
    "HEADER_LENGTH",
    "IMAGE",
    "OUTPUT",
    "Inference",
    "decode_inference",
    "decode_response",
    "describe_model",
    "encode_inference",
    "encode_response",
    "shapes_of_model",
]

HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header with the length of the JSON in bytes if binary tensors follow it."""

IMAGE, OUTPUT = "image", "counts"

_INPUT_TYPES = {"FP64": "<f8", "FP32": "<f4"}
_LARGEST_IMAGE = 10_000_000
_MOST_CLASSES = 1_000_000


@dataclass(frozen=True, eq=False)
class Inference:
    """Decoded inference request.

    `images`, of shape (batch, ...), are not validated; the black box does this. `id` is the
    client's identifier of the request, or empty. `binary` is True if the client requested the
    output as binary data.
    """

    images: NDArray[np.float64]
    id: str
    binary: bool


def encode_inference(images: NDArray[np.float64]) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request with binary tensors, in FP32 if that is exact."""
    single = images.astype("<f4")
    exact = bool((single == images).all())
    raw = (single if exact else images.astype("<f8")).tobytes()
    head = {
        "inputs": [
            {
                "name": IMAGE,
                "shape": list(images.shape),
                "datatype": "FP32" if exact else "FP64",
                "parameters": {"binary_data_size": len(raw)},
            }
        ],
        "outputs": [{"name": OUTPUT, "parameters": {"binary_data": True}}],
    }
    return _joined(head, raw)


def decode_inference(body: bytes, header_length: str | None) -> Inference:
    """Decode the body of a request; `header_length` is the header :data:`HEADER_LENGTH`, if any.

    Raises ValidationError, which names the invalid field.
    """
    head, raw = _split(body, header_length)
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise ValidationError("inputs", _shown(inputs), f"a list of one tensor, {IMAGE!r}")
    tensor = inputs[0]
    if tensor.get("name") != IMAGE:
        raise ValidationError("input name", _shown(tensor.get("name")), repr(IMAGE))
    if tensor.get("datatype") not in _INPUT_TYPES:
        raise ValidationError(
            "input datatype", _shown(tensor.get("datatype")), " or ".join(_INPUT_TYPES)
        )
    shape = _shape(tensor.get("shape"), "input shape")
    images = _values(tensor, shape, raw, _INPUT_TYPES[tensor["datatype"]])
    return Inference(
        images.astype(np.float64), str(head.get("id") or "")[:200], _wants_binary(head)
    )


def encode_response(
    model: str, inference: Inference, counts: NDArray[np.int32]
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a response."""
    output: dict[str, Any] = {"name": OUTPUT, "shape": list(counts.shape), "datatype": "INT32"}
    head: dict[str, Any] = {"model_name": model, "outputs": [output]}
    if inference.id:
        head["id"] = inference.id
    if not inference.binary:
        output["data"] = counts.ravel().tolist()
        return json.dumps(head).encode(), {"Content-Type": "application/json"}
    raw = np.ascontiguousarray(counts, "<i4").tobytes()
    output["parameters"] = {"binary_data_size": len(raw)}
    return _joined(head, raw)


def decode_response(
    body: bytes, header_length: str | None, shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Return the counts in a response; raise ValidationError if it is invalid."""
    head, raw = _split(body, header_length)
    outputs = head.get("outputs")
    if not isinstance(outputs, list) or len(outputs) != 1 or not isinstance(outputs[0], dict):
        raise ValidationError(
            "response outputs", _shown(outputs), f"a list of one tensor, {OUTPUT!r}"
        )
    tensor = outputs[0]
    if (tensor.get("name"), tensor.get("datatype")) != (OUTPUT, "INT32"):
        given = f"{_shown(tensor.get('name'))} of {_shown(tensor.get('datatype'))}"
        raise ValidationError("response output", given, f"{OUTPUT!r} of INT32")
    found = _shape(tensor.get("shape"), "response shape")
    if found != shape:
        raise ValidationError("response shape", found, f"{shape}")
    counts = _values(tensor, shape, raw, "<i4").astype(np.int32)
    if counts.min(initial=0) < 0:
        raise ValidationError("response", "negative counts", "spike counts")
    return counts


def describe_model(name: str, image_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Return a model's metadata, which contain only its name, shapes and classes."""
    return {
        "name": name,
        "versions": [],
        "platform": "",
        "inputs": [{"name": IMAGE, "datatype": "FP64", "shape": [-1, *image_shape]}],
        "outputs": [{"name": OUTPUT, "datatype": "INT32", "shape": [-1, classes]}],
    }


def shapes_of_model(metadata: Any) -> tuple[tuple[int, ...], int]:
    """Return image shape and number of classes from a model's metadata; raises ValidationError."""
    sides = []
    for kind, name in (("inputs", IMAGE), ("outputs", OUTPUT)):
        tensors = metadata.get(kind) if isinstance(metadata, dict) else None
        named = [
            tensor
            for tensor in (tensors if isinstance(tensors, list) else [])
            if isinstance(tensor, dict) and tensor.get("name") == name
        ]
        if len(named) != 1:
            raise ValidationError(f"model {kind}", _shown(tensors), f"one tensor {name!r}")
        shape = named[0].get("shape")
        if not isinstance(shape, list) or len(shape) < 2:
            raise ValidationError(f"model {kind}", f"shape {_shown(shape)}", "a batch of tensors")
        sides.append(_shape(shape[1:], f"shape of model {kind}"))
    image_shape, classes = sides
    if math.prod(image_shape) > _LARGEST_IMAGE or len(classes) != 1 or classes[0] > _MOST_CLASSES:
        raise ValidationError(
            "model shapes", f"{image_shape} and {classes}", f"up to {_LARGEST_IMAGE} pixels"
        )
    return image_shape, classes[0]


def _joined(head: Mapping[str, Any], raw: bytes) -> tuple[bytes, dict[str, str]]:
    text = json.dumps(head).encode()
    return text + raw, {
        "Content-Type": "application/octet-stream",
        HEADER_LENGTH: str(len(text)),
    }


def _split(body: bytes, header_length: str | None) -> tuple[dict[str, Any], bytes]:
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()):
            raise ValidationError(HEADER_LENGTH, repr(header_length[:80]), "a number of bytes")
        length = int(header_length)
        if length > len(body):
            raise ValidationError(HEADER_LENGTH, length, f"at most {len(body)}, the body's length")
    try:
        head = json.loads(body[:length])
    except (ValueError, RecursionError):
        raise ValidationError("body", "invalid JSON", "a JSON object") from None
    if not isinstance(head, dict):
        raise ValidationError("body", _shown(head), "a JSON object")
    return head, body[length:]


def _shape(value: Any, thing: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(
        isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in value
    ):
        raise ValidationError(thing, _shown(value), "a list of positive integers")
    return tuple(value)


def _values(
    tensor: Mapping[str, Any], shape: tuple[int, ...], raw: bytes, dtype: str
) -> NDArray[Any]:
    size = math.prod(shape)
    parameters = tensor.get("parameters")
    length = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if length is not None:
        expected = size * np.dtype(dtype).itemsize
        if length != expected or len(raw) != expected:
            raise ValidationError(
                "binary_data_size",
                f"{_shown(length)}, and {len(raw)} bytes",
                f"{expected} bytes for shape {shape}",
            )
        return np.frombuffer(raw, dtype).reshape(shape)
    try:
        values = np.asarray(tensor.get("data"), dtype)
    except (TypeError, ValueError, OverflowError):
        raise ValidationError("tensor data", "non-numeric data", f"{size} numbers") from None
    if values.size != size:
        raise ValidationError("tensor data", f"{values.size} numbers", f"{size} for shape {shape}")
    return values.reshape(shape)


def _wants_binary(head: Mapping[str, Any]) -> bool:
    """Return whether the output is requested as binary data, by itself or for all outputs."""
    for output in head.get("outputs") or []:
        parameters = output.get("parameters") if isinstance(output, dict) else None
        if isinstance(parameters, dict) and "binary_data" in parameters:
            return bool(parameters["binary_data"])
    parameters = head.get("parameters")
    return isinstance(parameters, dict) and bool(parameters.get("binary_data_output"))


def _shown(value: Any) -> str:
    return repr(value)[:80]
