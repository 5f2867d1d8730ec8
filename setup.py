"""Puts `assets/`, which stands beside the package in a checkout, into the wheel as `qcompare/assets`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["qcompare*"]), "qcompare.assets"],
    package_dir={"qcompare.assets": "assets"},
)
