"""Measurements, as ratios against a baseline in the same run; never run as tests."""
