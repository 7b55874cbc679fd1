"""Tables as training data: CSV and Parquet files, and data frames, through pandas or polars.

``pip install fastfc[table]``.  `load_table` fits what each column becomes to the training rows, and
`encode_table` makes the same of another table, whose columns may stand in another order.
"""

from .fitting import EncodedTable, encode_table, find_splits, load_table
from .targets import decode
from .writing import write_table

__all__ = ["EncodedTable", "decode", "encode_table", "find_splits", "load_table", "write_table"]
