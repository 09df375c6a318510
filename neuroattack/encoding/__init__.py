"""Encoding of images as spikes: encoders, random number generator, spike trains, readout."""
