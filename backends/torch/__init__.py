"""PyTorch backend: batches of images in float64, on a processor or a CUDA device."""
