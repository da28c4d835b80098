"""Write report pages of runs: HTML and SVG from plain values."""
