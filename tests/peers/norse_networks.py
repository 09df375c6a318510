"""Trained networks of Norse."""

import nir
import norse.torch as norse
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.leaky_integrator_box import LIBoxCell, LIBoxParameters
from norse.torch.utils.export_nir import to_nir
from peers.peer import Peer

DT_S = 1e-3
INPUTS, HIDDEN, CLASSES = 784, 100, 10
INTEGRATORS = (norse.LICell, LIBoxCell)
CELLS = (norse.LIFCell, norse.LIFBoxCell, norse.LIFRecurrentCell, *INTEGRATORS)
# Larger than any potential, and finite: 0 times it is 0.
NEVER = 1e30


class Norse(Peer):
    """Cells of Norse."""

    exporter = "norse"

    def is_neurons(self, layer):
        return isinstance(layer, CELLS)

    def fire(self, layer, current, state):
        if state is None:
            state = layer.initial_state(current)
            state = type(state)(*(each.detach().to(current.dtype) for each in state))
        outputs, after = layer(current, state)
        if isinstance(layer, INTEGRATORS):
            return outputs, None, after
        # The potential before the reset is that of neurons that never spike.
        still = layer.p._replace(v_th=torch.full_like(layer.p.v_th, NEVER))
        recurrent = isinstance(layer, norse.LIFRecurrentCell)
        weights = (layer.input_weights, layer.recurrent_weights) if recurrent else ()
        before = layer.activation(current, state, *weights, still, layer.dt)[1]
        return outputs, before.v - layer.p.v_th, after

    def doubled(self):
        other = super().doubled()
        for layer in other.layers:
            if self.is_neurons(layer):
                layer.p = _replaced(layer.p, lambda each: each.double())
        return other

    def module(self):
        return norse.SequentialState(*self.layers)

    def write(self, path):
        """Export, and add what Norse's exporter leaves out: flattening, LICell and resets."""
        convolutional = isinstance(self.layers[0], torch.nn.Conv2d)
        sample = torch.zeros(1, 1, 28, 28) if convolutional else torch.zeros(1, INPUTS)
        graph = to_nir(self.module(), sample, dt=DT_S)
        for place, layer in enumerate(self.layers):
            name = str(place)
            if isinstance(layer, torch.nn.Flatten):
                graph.nodes[name] = nir.Flatten(None, start_dim=0, end_dim=-1)
            elif isinstance(layer, norse.LICell):
                p = layer.p
                graph.nodes[name] = nir.CubaLI(
                    tau_syn=(DT_S / p.tau_syn_inv).numpy(),
                    tau_mem=(DT_S / p.tau_mem_inv).numpy(),
                    r=torch.ones_like(p.v_leak).numpy(),
                    v_leak=p.v_leak.numpy(),
                )
            elif self.is_neurons(layer) and not isinstance(layer, INTEGRATORS):
                graph.nodes[name].v_reset = layer.p.v_reset.numpy()
        # Convolutions need the shape of their input, without the batch axis.
        graph.nodes["input"] = nir.Input(sample.shape[1:])
        graph.nodes["output"] = nir.Output((CLASSES,))
        graph.infer_types()
        nir.write(path, graph)


def _replaced(parameters, change):
    return parameters._replace(
        **{
            name: change(value)
            for name, value in parameters._asdict().items()
            if torch.is_tensor(value)
        }
    )


def per_neuron(kind, parameters, shape, **values):
    """Return cells with a parameter per neuron: scalars are not exported."""
    settings = {"reset_method": values.pop("reset_method")} if "reset_method" in values else {}
    if kind not in INTEGRATORS:
        settings["alpha"] = torch.tensor(20.0)
    tensors = {name: torch.full(shape, value) for name, value in values.items()}
    return kind(p=parameters(**tensors, **settings), dt=DT_S)


def lif(*shape, **values):
    known = {"tau_syn_inv": 200.0, "tau_mem_inv": 100.0, "v_th": 0.5, "v_leak": 0.0, "v_reset": 0.0}
    return per_neuron(norse.LIFCell, norse.LIFParameters, shape, **{**known, **values})


def box(*shape, **values):
    # Weights are on a grid and are multiplied by 0.1, so that potentials could be exactly at a
    # threshold of 0.1, which is another number in single precision.
    known = {"tau_mem_inv": 100.0, "v_th": 0.1003, "v_leak": 0.0, "v_reset": 0.0}
    return per_neuron(norse.LIFBoxCell, norse.LIFBoxParameters, shape, **{**known, **values})


def dense(kind=lif, **values):
    linear = torch.nn.Linear
    layers = [linear(INPUTS, HIDDEN), kind(HIDDEN, **values), linear(HIDDEN, CLASSES)]
    return Norse(*layers, kind(CLASSES, **values))


def shifted():
    """Resting and reset potentials that are not 0."""
    return dense(v_leak=0.1, v_reset=-0.05)


def subtracting():
    peer = dense(box, reset_method=reset_subtract)
    peer.settings["reset"] = "subtract"
    return peer


def recurrent():
    """Return a network with a recurrent layer, which Norse does not export."""
    parameters = norse.LIFParameters(v_th=torch.tensor(0.5), alpha=torch.tensor(20.0))
    cell = norse.LIFRecurrentCell(INPUTS, HIDDEN, p=parameters, dt=DT_S)
    with torch.no_grad():
        cell.input_weights *= 0.2
        cell.recurrent_weights *= 0.2
    return Norse(cell, torch.nn.Linear(HIDDEN, CLASSES), lif(CLASSES))


def convolutional():
    layers = [
        *(torch.nn.Conv2d(1, 8, 5, stride=2), box(8, 12, 12)),
        *(torch.nn.Conv2d(8, 16, 5, stride=2), box(16, 4, 4)),
        *(torch.nn.Flatten(), torch.nn.Linear(256, CLASSES), box(CLASSES)),
    ]
    return Norse(*layers, training={"boost": 4.0})


def integrating(current=True):
    """A readout of leaky integrators, with a synaptic current or without."""
    values = {"tau_mem_inv": torch.full((CLASSES,), 100.0), "v_leak": torch.zeros(CLASSES)}
    if current:
        values["tau_syn_inv"] = torch.full((CLASSES,), 200.0)
        readout = norse.LICell(p=norse.LIParameters(**values), dt=DT_S)
    else:
        readout = LIBoxCell(p=LIBoxParameters(**values), dt=DT_S)
    linear = torch.nn.Linear
    layers = [linear(INPUTS, HIDDEN), lif(HIDDEN), linear(HIDDEN, CLASSES), readout]
    return Norse(*layers, readout="final_potential")
