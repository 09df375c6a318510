"""Tables, figures and pages of faults in memory."""
