"""Bench problem: see problem.py."""
