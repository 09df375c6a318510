"""What commands print."""

import json

import pytest


def one_object(out):
    """Return the JSON object that is all of an output, in one line and without NaN."""
    assert out.count("\n") == 1
    return json.loads(out, parse_constant=lambda value: pytest.fail(f"{value} is no JSON"))


def refused(result, *words):
    """Check that a command ended with code 2 and one sentence that has these words."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert err.count("\n") == 1, err
    for word in words:
        assert str(word) in err
