"""Parts that commands share: options, deployment flags, choice of images, help and examples."""
