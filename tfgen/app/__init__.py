"""Runs, evaluation, pictures and the command line."""
