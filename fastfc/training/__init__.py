"""What the Solver uses around its step."""
