"""Import points of programs that were written for the existing product: `tf`, `pyt`, `hf_transformers`, `sklearn`."""
