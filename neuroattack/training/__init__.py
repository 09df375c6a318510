"""Training of the spiking deep belief network and of the networks it is compared with."""
