"""The origins that this repository draws itself, by name: to add one is a line here and a function that draws."""

from __future__ import annotations

from causalprint.research.pictures.charts import draw_charts
from causalprint.research.pictures.chromium import browsed
from causalprint.research.pictures.comics import draw_comic
from causalprint.research.pictures.diagrams import draw_diagram, draw_formulae
from causalprint.research.pictures.emblems import draw_emblem
from causalprint.research.pictures.fractals import draw_fractal
from causalprint.research.pictures.maps import draw_map
from causalprint.research.pictures.origin import drawn
from causalprint.research.pictures.pages import web_page
from causalprint.research.pictures.pixel_art import draw_pixel_art
from causalprint.research.pictures.ray_marched import draw_scene
from causalprint.research.pictures.scans import scans
from causalprint.research.pictures.screens import editor, interface
from causalprint.research.pictures.slides import poster, slide
from causalprint.research.pictures.vectors import vector_sheet
from causalprint.research.pictures.wallpapers import draw_wallpaper

DRAWN = (
    drawn("matplotlib-charts", draw_charts),
    drawn("matplotlib-diagrams", draw_diagram),
    drawn("matplotlib-formulae", draw_formulae),
    drawn("pillow-emblems", draw_emblem),
    drawn("pillow-comics", draw_comic),
    drawn("pillow-maps", draw_map),
    drawn("pillow-wallpapers", draw_wallpaper),
    drawn("numpy-pixel-art", draw_pixel_art),
    drawn("numpy-fractals", draw_fractal),
    drawn("numpy-ray-marched", draw_scene),
    scans("simulated-scans"),
)
"""Need nothing but numpy, Pillow and matplotlib."""

BROWSED = (
    browsed("chromium-web-pages", web_page),
    browsed("chromium-slides", slide, windows=((1280, 720), (960, 720), (1600, 900))),
    browsed("chromium-posters", poster, windows=((900, 1200), (1080, 1080), (1200, 630))),
    browsed("chromium-editors", editor),
    browsed("chromium-interfaces", interface),
    browsed("chromium-vectors", vector_sheet),
)
"""Need Chromium."""
