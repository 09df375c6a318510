"""Quantization of networks to a chip's number formats."""
