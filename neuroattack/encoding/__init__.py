"""Images into spikes: encoders, the counter-based generator, spike trains, readout."""
