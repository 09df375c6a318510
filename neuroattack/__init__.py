"""Black-box security evaluation of spiking networks on emulated neuromorphic hardware."""

__version__ = "0.1.0"
