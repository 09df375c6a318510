"""Tables and figures of the reproduction."""
