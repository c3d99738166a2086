"""Adapters to the repositories, behind one small interface."""
