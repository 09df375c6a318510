"""What several commands share: options, flags of a deployment, choice of images, examples."""
