"""The origins that this repository draws itself, by name: to add one is a line here and a function that draws."""

from __future__ import annotations

from causalprint.research.graphics.charts import draw_charts
from causalprint.research.graphics.chromium import browsed
from causalprint.research.graphics.comics import draw_comic
from causalprint.research.graphics.diagrams import draw_diagram, draw_formulae
from causalprint.research.graphics.emblems import draw_emblem
from causalprint.research.graphics.fractals import draw_fractal
from causalprint.research.graphics.maps import draw_map
from causalprint.research.graphics.origin import drawn
from causalprint.research.graphics.pages import web_page
from causalprint.research.graphics.pixel_art import draw_pixel_art
from causalprint.research.graphics.ray_marched import draw_scene
from causalprint.research.graphics.scans import scans
from causalprint.research.graphics.screens import editor, interface
from causalprint.research.graphics.slides import poster, slide
from causalprint.research.graphics.vectors import vector_sheet
from causalprint.research.graphics.wallpapers import draw_wallpaper

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
