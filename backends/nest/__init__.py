"""NEST backend: NEST's neurons and synapses in a separate worker process."""
