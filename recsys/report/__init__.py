"""Pages that explain a run: HTML and SVG from plain values."""
