"""Bridges to other ways of doing several things at once; each is imported by itself."""
