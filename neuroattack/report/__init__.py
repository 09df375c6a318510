"""HTML reports, figures and terminal tables."""
