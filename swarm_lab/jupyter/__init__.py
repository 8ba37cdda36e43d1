"""The notebook face: magics and live views; the only package that imports Jupyter."""
