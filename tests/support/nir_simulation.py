"""NIR's equations simulated with NumPy, node by node, from the graph that the package nir reads.

Independent of ``neuroattack.ir``: it shares neither the reader, nor the order of evaluation, nor
the arithmetic. Numbers are in the units of the file, in float64.
"""

import numpy as np

NEURONS = ("IF", "LIF", "CubaLIF", "I", "LI", "CubaLI", "Threshold")


def flat(graph, prefix=""):
    """Return the nodes by name and the sources of each, with subgraphs dissolved."""
    nodes, sources, ends = {}, {}, {}
    for name, node in graph.nodes.items():
        whole = prefix + name
        if type(node).__name__ == "NIRGraph":
            inner_nodes, inner_sources = flat(node, f"{whole}.")
            nodes |= inner_nodes
            sources |= inner_sources
            ends[name] = tuple(
                f"{whole}.{inner}"
                for kind in ("Input", "Output")
                for inner, each in node.nodes.items()
                if type(each).__name__ == kind
            )
        else:
            nodes[whole] = node
            sources.setdefault(whole, [])
            ends[name] = whole, whole
    for start, end in graph.edges:
        sources[ends[end][0]].append(ends[start][1])
    return nodes, sources


class Simulation:
    """One image, step by step.

    A neuron that is being evaluated when its own output is needed gives its output of the last
    step. With arrival ``next-step``, all neurons and the input do.
    """

    def __init__(
        self,
        graph,
        dt,
        integration="euler",
        arrival="same-step",
        reset="value",
        inclusive=False,
        late_input=False,
    ):
        self.nodes, self.sources = flat(graph)
        self.dt, self.integration, self.reset = dt, integration, reset
        self.next_step, self.inclusive, self.late_input = (
            arrival == "next-step",
            inclusive,
            late_input,
        )
        self.v, self.i, self.spikes, self.last, self.history = {}, {}, {}, {}, {}

    def run(self, inputs):
        """Return the output of every neuron and linear node in every step."""
        (entry,) = (
            n for n in self.nodes if type(self.nodes[n]).__name__ == "Input" and "." not in n
        )
        recorded = {name: [] for name in self.nodes}
        for x in inputs:
            self.now, self.busy = {}, set()
            if self.next_step:
                self.now |= {n: o for n, o in self.last.items() if self._is_neuron(n)}
                self.now[entry] = self.last.get(entry, np.zeros(x.shape))
                done = {n: self._neurons(n) for n in self.nodes if self._is_neuron(n)}
                self.now |= done
            else:
                self.now[entry] = x
            # From the output backwards, so that the last neurons of a loop are the feedback.
            for name in self.nodes:
                if type(self.nodes[name]).__name__ == "Output":
                    self.value(name)
            for name in self.nodes:
                recorded[name].append(np.array(self.value(name)))
            self.last = dict(self.now)
            self.last[entry] = x
        return {name: np.array(values) for name, values in recorded.items()}

    def _is_neuron(self, name):
        return type(self.nodes[name]).__name__ in NEURONS

    def value(self, name):
        if name not in self.now:
            if name in self.busy:
                return self._before(name)
            if self._is_neuron(name):
                if self.next_step:
                    return self._before(name)
                self.busy.add(name)
                self.now[name] = self._neurons(name)
                self.busy.remove(name)
            else:
                value = linear(self.nodes[name], self._input(name))
                if self.busy:
                    # It may contain a stale output of a neuron that is being evaluated.
                    return value
                self.now[name] = value
        return self.now[name]

    def _before(self, name):
        node = self.nodes[name]
        return self.last.get(
            name, np.zeros(getattr(node, "r", getattr(node, "threshold", 0)).shape)
        )

    def _input(self, name):
        return sum((np.asarray(self.value(source), float) for source in self.sources[name]), 0.0)

    def _neurons(self, name):
        node, x = self.nodes[name], self._input(name)
        kind = type(node).__name__
        if kind == "Threshold":
            return (x > node.threshold).astype(float)
        v = self.v.get(name, getattr(node, "v_leak", 0.0 * node.r))
        dt, tau, leak = self.dt, getattr(node, "tau", None), getattr(node, "v_leak", 0.0)
        impulse = self.integration == "impulse"
        if kind.startswith("Cuba"):
            i, tau = self.i.get(name, 0.0 * node.r), node.tau_mem
            if self.integration == "euler":
                new = i + dt / node.tau_syn * (-i + node.w_in * x)
            else:
                kept = np.exp(-dt / node.tau_syn)
                new = i * kept + (1 / node.tau_syn if impulse else 1 - kept) * node.w_in * x
            self.i[name] = new
            x, impulse = i if self.late_input else new, False
        if tau is None:
            v = v + (1.0 if impulse else dt) * node.r * x
        elif self.integration == "euler":
            v = v + dt / tau * ((leak - v) + node.r * x)
        else:
            kept = np.exp(-dt / tau)
            v = leak + (v - leak) * kept + (1 / tau if impulse else 1 - kept) * node.r * x
        if kind in ("I", "LI", "CubaLI"):
            self.v[name] = v
            return v
        if self.reset == "subtract_next":
            v = v - self.spikes.get(name, 0.0) * node.v_threshold
        fired = v >= node.v_threshold if self.inclusive else v > node.v_threshold
        self.spikes[name] = fired.astype(float)
        if self.reset == "value":
            v = np.where(fired, node.v_reset, v)
        elif self.reset == "subtract":
            v = v - fired * node.v_threshold
        self.v[name] = v
        return fired.astype(float)


def linear(node, x):
    """Return the output of a node without neurons."""
    kind = type(node).__name__
    if kind == "Scale":
        x = node.scale * x
    elif kind in ("Linear", "Affine"):
        x = node.weight.astype(float) @ np.ravel(x) + getattr(node, "bias", 0.0)
    elif kind in ("SumPool2d", "AvgPool2d"):
        x = pooled(x, node, kind == "AvgPool2d")
    elif kind == "Conv2d":
        x = convolved(
            x, node.weight, node.bias, node.stride, node.padding, node.dilation, node.groups
        )
    elif kind == "Conv1d":
        stride, dilation = ((1, int(np.ravel(each)[0])) for each in (node.stride, node.dilation))
        padding = (0, int(np.ravel(node.padding)[0]))
        weight = node.weight[:, :, None]
        x = convolved(x[:, None], weight, node.bias, stride, padding, dilation, node.groups)[:, 0]
    elif kind == "Flatten":
        x = np.ravel(x)
    return x


def convolved(x, weight, bias, stride, padding, dilation, groups):
    """Return a cross-correlation, kernel element by kernel element."""
    (outputs, within, rows, columns), weight = weight.shape, weight.astype(float)
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    height = (x.shape[1] - dilation[0] * (rows - 1) - 1) // stride[0] + 1
    width = (x.shape[2] - dilation[1] * (columns - 1) - 1) // stride[1] + 1
    result = np.zeros((outputs, height, width)) + np.asarray(bias, float)[:, None, None]
    for out in range(outputs):
        first = out // (outputs // groups) * within
        for c in range(within):
            for i in range(rows):
                for j in range(columns):
                    r, q = i * dilation[0], j * dilation[1]
                    window = x[
                        first + c,
                        r : r + (height - 1) * stride[0] + 1 : stride[0],
                        q : q + (width - 1) * stride[1] + 1 : stride[1],
                    ]
                    result[out] += weight[out, c, i, j] * window
    return result


def pooled(x, node, average):
    """Return sums or means over windows."""
    rows, columns = node.kernel_size
    kernel = np.full((len(x), 1, rows, columns), 1 / (rows * columns) if average else 1.0)
    return convolved(x, kernel, np.zeros(len(x)), node.stride, node.padding, (1, 1), len(x))
