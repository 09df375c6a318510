"""Networks compiled with Brian2 in standalone mode: builds, and their simulation."""
