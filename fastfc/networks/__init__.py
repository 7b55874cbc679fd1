"""What the fast and the reference network share, over a module of layers that they are given.

The networks that people use stand in :mod:`fastfc.fc_net` and :mod:`fastfc.reference.fc_net`.
"""
