"""Packages under the names of the existing product; this folder is on the path of programs, and of nothing else."""
