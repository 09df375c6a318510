"""What commands print."""

import json


def one_object(out):
    """Return the JSON object that is all of an output, in one line."""
    assert out.count("\n") == 1
    return json.loads(out)
