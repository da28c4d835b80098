"""Draw pages that report a run: HTML and SVG from plain values."""
