"""Measures this machine's own device: the makers of a calibration."""
