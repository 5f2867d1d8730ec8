"""`python -m qcompare`."""

from qcompare.cli.main import main

if __name__ == "__main__":
    main()
