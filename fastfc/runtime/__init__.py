"""How the core runs in this process: its threads, denormals, and what it was built with."""
