"""Recipes are told apart by colour or marker, also by colour-blind eyes."""

from itertools import combinations

import numpy as np
import pytest

from qcompare.present.palette import PALETTE, STAGES, colour, marker
from qcompare.study.recipe import MARKERS, RECIPES

SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
"""What an eye makes of linear sRGB (Machado, Oliveira, Fernandes 2009, severity 1)."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(hexadecimal: str, sight: str) -> np.ndarray:
    """CIELAB of a colour as an eye sees it."""
    rgb = np.array([int(hexadecimal[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SIGHT[sight] @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Difference of two colours in CIELAB (Sharma, Wu, Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grey = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    a1, a2 = a1 * (1 + grey), a2 * (1 + grey)
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    cosines = [(0.17, 1, -30.0), (-0.24, 2, 0.0), (-0.32, 3, 6.0), (0.20, 4, -63.0)]
    t = 1 - sum(weight * np.cos(np.radians(times * hue + shift)) for weight, times, shift in cosines)
    off = (lightness - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * off / np.sqrt(20 + off))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


def difference(one: str, other: str, sight: str) -> float:
    return ciede2000(lab(one, sight), lab(other, sight))


def test_the_formula_gives_the_published_values() -> None:
    """Of Sharma, Wu, Dalal 2005, table 1."""
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, other, expected in pairs:
        assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("sight", SIGHT)
def test_the_ten_colours_stay_apart(sight: str) -> None:
    assert len(set(PALETTE)) == 10
    assert min(difference(one, other, sight) for one, other in combinations(PALETTE, 2)) >= 10


@pytest.mark.parametrize("sight", SIGHT)
def test_two_recipes_differ_in_colour_or_in_marker(sight: str) -> None:
    for one, other in combinations(RECIPES, 2):
        apart = difference(colour(one), colour(other), sight) >= 10 or marker(one) != marker(other)
        assert apart, (one, other)
    assert {colour(name) for name in RECIPES} <= set(PALETTE)
    assert {marker(name) for name in RECIPES} <= set(MARKERS)


@pytest.mark.parametrize("sight", SIGHT)
def test_stages_have_colours_of_their_own(sight: str) -> None:
    assert min(difference(one, other, sight) for one, other in combinations(STAGES, 2)) >= 8
    assert not {*STAGES} & {*PALETTE}
