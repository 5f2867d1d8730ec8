"""What is kept: an SQLite index, one folder a job, results published by rename."""

from qcompare.store.folders import JobFolder
from qcompare.store.index import Store, overall

__all__ = ["JobFolder", "Store", "overall"]
