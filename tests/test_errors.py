"""Exceptions keep their class, message and fields when they are pickled."""

import inspect
import pickle

import pytest

from neuroattack import errors
from neuroattack.errors import NeuroattackError

ARGUMENTS = {
    "BackendUnavailableError": (("brian2 is not installed",), {}),
    "BudgetExceededError": ((7, 3), {}),
    "DoesNotFitError": (
        ("population 'hidden1'", "connections into a neuron", "loihi"),
        {"resource": "fan_in", "population": "hidden1", "used": 5000, "available": 4096},
    ),
    "FileError": (("model.h5", "is damaged, expected a model"), {}),
    "MemoryLimitError": (("recording spikes", 96 * 10**9, 21 * 10**9, "record fewer"), {}),
    "NeuroattackError": (("no mirror serves it",), {}),
    "OutputError": (("runs/x", "cannot be written: no space left"), {}),
    "QueryRefusedError": ((2, 1), {}),
    "RemoteError": (("https://host/v2/models/x", "status 401"), {}),
    "SimulationError": (("the simulator ended",), {}),
    "UnknownNameError": (("backend", "natve", ["native", "brian2"]), {}),
    "UnsupportedFeatureError": (("delays are not exact there",), {}),
    "ValidationError": (("steps", 0, "an integer"), {}),
}


def test_every_error_is_among_those_tried():
    public = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, NeuroattackError)
    }
    assert public == set(ARGUMENTS) == set(errors.__all__)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_an_error_comes_out_of_another_process_as_it_went_in(name, protocol):
    given, named = ARGUMENTS[name]
    error = getattr(errors, name)(*given, **named)
    error.seen_by = "the caller"
    read = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    assert type(read) is type(error)
    assert str(read) == str(error) != ""
    assert (read.args, vars(read)) == (error.args, vars(error))


def test_fields_are_those_of_the_constructor():
    given, named = ARGUMENTS["DoesNotFitError"]
    read = pickle.loads(pickle.dumps(errors.DoesNotFitError(*given, **named)))  # noqa: S301
    assert vars(read) == named
    assert str(read) == (
        "population 'hidden1' needs 5,000 connections into a neuron, loihi has 4,096"
    )
