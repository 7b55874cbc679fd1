"""What fastfc's operations and training steps cost, beside plain NumPy: `python -m benchmarks`."""
