"""`python -m qcompare`."""

from qcompare.cli import main

if __name__ == "__main__":
    main()
