"""Reports that open in a browser, and the plots in them."""
