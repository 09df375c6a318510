"""The Lava backend: Loihi-style processes, in a worker process of their own."""
