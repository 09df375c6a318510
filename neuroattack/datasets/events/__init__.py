"""Event data sets: recordings of event cameras and other spiking sensors."""
