"""Vector icons and small scenes written as SVG: line icons, flat icons, glossy buttons, landscapes, isometric boxes."""

from __future__ import annotations

import math

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, whole
from causalprint.research.pictures.chromium import Window
from causalprint.research.pictures.pages import document


def vector_sheet(draw: Chance, window: Window) -> str:
    """A sheet of icons of one style, or one large scene."""
    colours = palette(draw)
    ground = pick(draw, ("#fff", "#fff", "#f4f4f4", "#20232a", colours[4]))
    if often(draw, 0.3):
        return document(f"body{{background:{ground}}}", _landscape(draw, window.width, window.height, colours))
    side = whole(draw, 72, 260)
    style = pick(draw, (_line, _flat, _glossy, _isometric))
    count = (window.width // side + 1) * (window.height // side + 1)
    icons = "".join(
        f'<svg width="{side}" height="{side}" viewBox="0 0 100 100">{style(draw, colours, place)}</svg>' for place in range(count)
    )
    return document(
        f"body{{background:{ground};display:grid;grid-template-columns:repeat(auto-fill,{side}px);gap:{whole(draw, 4, 24)}px;padding:12px}}",
        icons,
    )


def _outline(draw: Chance) -> list[str]:
    """The parts of an icon: paths in a box of 100 x 100."""
    parts = []
    for _ in range(whole(draw, 2, 4)):
        x, y, w, h = whole(draw, 12, 45), whole(draw, 12, 45), whole(draw, 20, 45), whole(draw, 20, 45)
        reach = min(w, h) / 2
        corners = whole(draw, 3, 8)
        around = " ".join(
            f"{50 + 36 * math.sin(math.tau * k / corners):.1f},{50 - 36 * math.cos(math.tau * k / corners):.1f}"
            for k in range(corners)
        )
        parts.append(
            pick(
                draw,
                (
                    f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{whole(draw, 0, 12)}"/>',
                    f'<circle cx="{x + reach}" cy="{y + reach}" r="{reach:.1f}"/>',
                    f'<polygon points="{around}"/>',
                    f'<path d="M{x} {y + h}Q{x + w / 2} {y - h / 2} {x + w} {y + h}Z"/>',
                    f'<path d="M{x} {y}h{w}l-{w // 2} {h}z"/>',
                    f'<path d="M15 {60 + whole(draw, 0, 20)}c10 -30 20 -30 35 -5s25 20 35 -10"/>',
                    f'<path d="M50 82C10 50 {whole(draw, 10, 30)} 15 50 35C{whole(draw, 70, 90)} 15 90 50 50 82Z"/>',
                    '<path d="M20 20L80 80M80 20L20 80M50 12V88" />',
                ),
            )
        )
    return parts


def _line(draw: Chance, colours: list[str], place: int) -> str:
    ink = pick(draw, ("#333", "#333", colours[place % 5]))
    return f'<g fill="none" stroke="{ink}" stroke-width="{pick(draw, (2, 4, 4, 7))}" stroke-linecap="round" stroke-linejoin="round">{"".join(_outline(draw))}</g>'


def _flat(draw: Chance, colours: list[str], _: int) -> str:
    base = pick(
        draw,
        (
            "",
            f'<circle cx="50" cy="50" r="48" fill="{pick(draw, colours)}"/>',
            f'<rect width="96" height="96" x="2" y="2" rx="20" fill="{pick(draw, colours)}"/>',
        ),
    )
    shadow = '<path d="M50 50L98 98L98 50L74 26Z" fill="#0003"/>' if often(draw, 0.3) else ""
    return base + shadow + "".join(f'<g fill="{pick(draw, (*colours, "#fff"))}">{part}</g>' for part in _outline(draw))


def _glossy(draw: Chance, colours: list[str], place: int) -> str:
    top, low, name = pick(draw, colours), pick(draw, colours), f"g{place}"
    shades = f'<defs><linearGradient id="{name}" x2="0" y2="1"><stop stop-color="{top}"/><stop offset="1" stop-color="{low}"/></linearGradient><radialGradient id="{name}r"><stop stop-color="#fff"/><stop offset="1" stop-color="{low}"/></radialGradient><filter id="{name}f"><feGaussianBlur stdDeviation="3"/></filter></defs>'
    body = f'<ellipse cx="50" cy="92" rx="36" ry="5" fill="#0006" filter="url(#{name}f)"/><rect x="8" y="6" width="84" height="84" rx="{whole(draw, 8, 42)}" fill="url(#{name})" stroke="#0004" stroke-width="2"/>'
    parts = "".join(f'<g fill="{pick(draw, (f"url(#{name}r)", "#fff"))}" stroke="#0003">{part}</g>' for part in _outline(draw))
    return f'{shades}{body}{parts}<path d="M12 40Q50 {whole(draw, 20, 60)} 88 40V24Q88 10 70 10H30Q12 10 12 24Z" fill="#fff" opacity="{real(draw, 0.15, 0.45):.2f}"/>'


def _isometric(draw: Chance, colours: list[str], _: int) -> str:
    boxes = []
    for row in range(whole(draw, 1, 3)):
        for column in range(whole(draw, 1, 3)):
            x, y, rise, wide = 50 + (column - row) * 17, 58 + (column + row) * 9 - 12, whole(draw, 8, 40), 17
            colour = pick(draw, colours)
            for path, shade in (
                (f"M{x} {y - rise}l{wide} -9l-{wide} -9l-{wide} 9z", "#fff5"),
                (f"M{x} {y - rise}v{rise}l-{wide} -9v-{rise}z", "#0000"),
                (f"M{x} {y - rise}v{rise}l{wide} -9v-{rise}z", "#0005"),
            ):
                boxes.append(f'<path d="{path}" fill="{colour}"/><path d="{path}" fill="{shade}"/>')
    return "".join(boxes)


def _landscape(draw: Chance, width: int, height: int, colours: list[str]) -> str:
    parts = [
        f'<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="{colours[0]}"/><stop offset="1" stop-color="{colours[1]}"/></linearGradient></defs><rect width="{width}" height="{height}" fill="url(#sky)"/>'
    ]
    x, y, reach = whole(draw, 0, width), whole(draw, 30, height // 2), whole(draw, 30, 140)
    parts += [
        f'<circle cx="{x}" cy="{y}" r="{reach + ring * 26}" fill="{colours[4]}" opacity="{0.9 - ring * 0.3:.1f}"/>'
        for ring in range(3)
    ]
    for _ in range(whole(draw, 2, 7)):
        x, y, size = whole(draw, 0, width), whole(draw, 0, height // 2), whole(draw, 20, 60)
        parts.append(
            f'<g fill="#fff" opacity="{real(draw, 0.5, 1):.2f}">'
            + "".join(
                f'<circle cx="{x + k * size * 0.8:.0f}" cy="{y - size * (k % 2) * 0.4:.0f}" r="{size * real(draw, 0.5, 0.8):.0f}"/>'
                for k in range(4)
            )
            + "</g>"
        )
    for layer in range(whole(draw, 3, 6)):
        base, at, path = height * (0.4 + 0.12 * layer), 0, ""
        sharp = often(draw, 0.4)
        while at < width + 200:
            step, rise = whole(draw, 60, 240), whole(draw, -90, 60)
            path += f"L{at} {base + rise:.0f}" if sharp else f"S{at - step // 2} {base + rise:.0f} {at} {base:.0f}"
            at += step
        parts.append(
            f'<path d="M-50 {base}{path}V{height}H-50Z" fill="{colours[layer % 5]}"/><path d="M-50 {base}{path}V{height}H-50Z" fill="#000" opacity="{0.07 * layer:.2f}"/>'
        )
    for _ in range(whole(draw, 0, 30)):
        x, y, size = whole(draw, 0, width), whole(draw, height * 2 // 3, height), whole(draw, 20, 70)
        trunk = f'<rect x="{x - 3}" y="{y - size // 3}" width="6" height="{size // 2}" fill="#5a3a22"/>'
        crown = pick(
            draw,
            (
                f'<path d="M{x} {y - size * 2}l{size // 2} {size * 2 - size // 3}h-{size}z" fill="{colours[2]}"/>',
                f'<circle cx="{x}" cy="{y - size}" r="{size // 2}" fill="{colours[3]}"/>',
            ),
        )
        parts.append(trunk + crown)
    return f'<svg width="{width}" height="{height}">{"".join(parts)}</svg>'
