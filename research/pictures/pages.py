"""HTML pages: articles, tables, dashboards and forms, in many fonts and colours."""

from __future__ import annotations

from causalprint.research.pictures.chance import (
    Chance,
    hue,
    often,
    palette,
    paragraph,
    person,
    pick,
    real,
    sentence,
    title,
    whole,
    words,
)
from causalprint.research.pictures.chromium import Window

FAMILIES = (
    "Liberation Sans", "Liberation Serif", "DejaVu Sans", "Noto Sans", "Noto Serif", "Lato", "Open Sans", "Roboto", "Cantarell",
    "EB Garamond", "Comic Neue", "Quicksand", "Vollkorn", "Dosis", "Linux Libertine O", "Liberation Mono", "serif", "sans-serif", "monospace",
)  # fmt: skip


def family(draw: Chance) -> str:
    """A font family as CSS names it; where a machine lacks it, its usual one."""
    return f"'{pick(draw, FAMILIES)}', {pick(draw, ('sans-serif', 'serif'))}"


def document(style: str, body: str) -> str:
    """A page of HTML."""
    return f"<!doctype html><html><head><meta charset=utf-8><style>*{{box-sizing:border-box}}body{{margin:0}}{style}</style></head><body>{body}</body></html>"


def picture(draw: Chance, width: int, height: int, colours: list[str]) -> str:
    """An illustration as SVG, as pages have beside their text."""
    parts = [f'<rect width="{width}" height="{height}" fill="{pick(draw, colours)}"/>']
    for _ in range(whole(draw, 3, 9)):
        x, y, reach, fill = whole(draw, 0, width), whole(draw, 0, height), whole(draw, 8, height // 2), pick(draw, colours)
        parts.append(
            pick(
                draw,
                (
                    f'<circle cx="{x}" cy="{y}" r="{reach}" fill="{fill}" opacity=".8"/>',
                    f'<rect x="{x}" y="{y}" width="{reach}" height="{reach}" fill="{fill}"/>',
                    f'<path d="M{x} {y}l{reach} {reach}h-{2 * reach}z" fill="{fill}"/>',
                    f'<path d="M0 {y}q{width // 4} -{reach} {width // 2} 0t{width // 2} 0V{height}H0z" fill="{fill}"/>',
                ),
            )
        )
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'


def web_page(draw: Chance, window: Window) -> str:
    """A page of one of the kinds."""
    return pick(draw, (_article, _article, _table, _dashboard, _form, _shop))(draw, window)


def _head(draw: Chance, accent: str) -> str:
    links = "".join(f"<a>{words(draw, 1).title()}</a>" for _ in range(whole(draw, 3, 7)))
    return f'<header style="background:{accent}"><b>{title(draw, 2).title()}</b><nav>{links}</nav></header>'


def _base(draw: Chance, accent: str) -> str:
    dark = often(draw, 0.2)
    ground, ink = (
        ("#16181d", "#d7dae0")
        if dark
        else (pick(draw, ("#fff", "#fff", "#fafafa", "#f6f2e9")), pick(draw, ("#222", "#111", "#333")))
    )
    return (
        f"body{{font:{whole(draw, 12, 19)}px/{real(draw, 1.2, 1.7):.2f} {family(draw)};background:{ground};color:{ink}}}"
        f"header{{display:flex;justify-content:space-between;padding:12px 24px;color:#fff}}nav a{{margin-left:18px}}"
        f"h1,h2,h3{{font-family:{family(draw)};color:{pick(draw, (ink, accent))};margin:.5em 0}}a{{color:{accent}}}header a{{color:#fff}}"
    )


def _article(draw: Chance, window: Window) -> str:
    accent, colours = hue(draw, 0.8, 0.55), palette(draw)
    blocks = []
    for _ in range(8):
        blocks.append(f"<h2>{title(draw)}</h2>" if often(draw, 0.35) else "")
        linked = paragraph(draw).replace(" ", f" <a href='#'>{words(draw, 2)}</a> ", 1) if often(draw, 0.6) else paragraph(draw)
        blocks.append(f"<p>{linked}</p>")
        if often(draw, 0.3):
            blocks.append(
                f"<figure>{picture(draw, whole(draw, 240, 480), whole(draw, 140, 280), colours)}<figcaption><i>{sentence(draw)}</i></figcaption></figure>"
            )
        if often(draw, 0.2):
            blocks.append("<ul>" + "".join(f"<li>{sentence(draw)}" for _ in range(4)) + "</ul>")
        if often(draw, 0.15):
            blocks.append(f"<blockquote>{sentence(draw)}</blockquote>")
    aside = "".join(f"<h3>{title(draw, 2)}</h3><p>{sentence(draw)}</p>" for _ in range(4))
    style = _base(draw, accent) + (
        f"main{{display:flex;gap:28px;padding:10px 28px}}article{{flex:3;columns:{pick(draw, (1, 1, 2))};text-align:{pick(draw, ('left', 'justify'))}}}"
        f"aside{{flex:1;font-size:85%;border-left:2px solid {accent};padding-left:16px}}blockquote{{border-left:5px solid {accent};margin-left:0;padding-left:14px;font-style:italic}}"
    )
    side = f"<aside>{aside}</aside>" if often(draw, 0.6) and window.width > 900 else ""
    return document(
        style,
        f"{_head(draw, accent)}<main><article><h1>{title(draw, 7)}</h1><small>{person(draw)}</small>{''.join(blocks)}</article>{side}</main>",
    )


def _table(draw: Chance, window: Window) -> str:
    accent, columns = hue(draw, 0.6, 0.6), whole(draw, 4, 10)
    rows = ["<tr>" + "".join(f"<th>{words(draw, 1).title()}" for _ in range(columns))]
    for _ in range(window.height // 24):
        cells = [f"<td>{person(draw)}"]
        for _ in range(columns - 1):
            cell = pick(draw, (f"{real(draw, -900, 9000):,.2f}", f"{whole(draw, 0, 100)} %", words(draw, 1), "✓", "–"))
            cells += ["<td class=n>", cell]
        rows.append("<tr>" + "".join(cells))
    zebra = f"tr:nth-child(even){{background:{accent}22}}" if often(draw, 0.6) else ""
    border = pick(draw, ("1px solid #999", "0", "1px solid #ddd"))
    style = (
        _base(draw, accent)
        + f"table{{border-collapse:collapse;margin:14px 20px;width:94%}}td,th{{border:{border};padding:3px 8px;border-bottom:1px solid #bbb}}th{{background:{accent};color:#fff;text-align:left}}.n{{text-align:right}}{zebra}"
    )
    return document(style, f"{_head(draw, accent)}<h2 style='padding-left:20px'>{title(draw)}</h2><table>{''.join(rows)}</table>")


def _spark(draw: Chance, width: int, height: int, colour: str) -> str:
    points = [(round(width * place / 24), whole(draw, 4, height - 4)) for place in range(25)]
    line = " ".join(f"{x},{y}" for x, y in points)
    if often(draw, 0.4):
        bars = "".join(f'<rect x="{x}" y="{y}" width="{width // 34}" height="{height - y}" fill="{colour}"/>' for x, y in points)
        return f'<svg width="{width}" height="{height}">{bars}</svg>'
    area = f'<polygon points="0,{height} {line} {width},{height}" fill="{colour}" opacity=".25"/>' if often(draw, 0.5) else ""
    return f'<svg width="{width}" height="{height}">{area}<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/></svg>'


def _dashboard(draw: Chance, window: Window) -> str:
    accent, colours = hue(draw, 0.7, 0.6), palette(draw)
    columns = max(2, window.width // whole(draw, 220, 340))
    cards = []
    for _ in range(columns * 5):
        inner = pick(
            draw,
            (
                f"<b class=big>{real(draw, 1, 999):,.1f}{pick(draw, ('k', '%', ' €', ' ms'))}</b><small>{sentence(draw)[:40]}</small>",
                _spark(draw, 200, 90, pick(draw, colours)),
                "".join(
                    f'<div class=bar><i style="width:{whole(draw, 8, 100)}%;background:{pick(draw, colours)}"></i></div><small>{words(draw, 2)}</small>'
                    for _ in range(3)
                ),
                f'<svg width=110 height=110 viewBox="0 0 42 42"><circle cx=21 cy=21 r=15.9 fill=none stroke="#8884" stroke-width=5 /><circle cx=21 cy=21 r=15.9 fill=none stroke="{pick(draw, colours)}" stroke-width=5 stroke-dasharray="{whole(draw, 10, 90)} 100" /><text x=21 y=23 text-anchor=middle font-size=7 fill=currentColor>{whole(draw, 1, 99)}%</text></svg>',
                "<ul>" + "".join(f"<li>{person(draw)}" for _ in range(4)) + "</ul>",
            ),
        )
        cards.append(f"<section><h3>{title(draw, 2)}</h3>{inner}</section>")
    shadow = pick(draw, ("0 1px 4px #0003", "0 6px 20px #0002", "none"))
    style = _base(draw, accent) + (
        f"main{{display:grid;grid-template-columns:repeat({columns},1fr);gap:{whole(draw, 6, 20)}px;padding:16px;background:{pick(draw, ('#0000', '#8881', accent + '22'))}}}"
        f"section{{border-radius:{whole(draw, 0, 14)}px;box-shadow:{shadow};padding:12px;border:1px solid #8883;overflow:hidden}}.big{{font-size:2.2em;display:block;color:{accent}}}"
        ".bar{background:#8883;border-radius:6px;height:10px}.bar i{display:block;height:10px;border-radius:6px}h3{font-size:.95em}"
    )
    return document(style, f"{_head(draw, accent)}<main>{''.join(cards)}</main>")


def _form(draw: Chance, window: Window) -> str:
    accent = hue(draw, 0.8, 0.6)
    rows = []
    for _ in range(window.height // 42):
        field = pick(
            draw,
            (
                f'<input value="{words(draw, 2)}">',
                f"<select><option>{words(draw, 2)}</select>",
                f"<textarea rows=3>{sentence(draw)}</textarea>",
                f"<input type=range value={whole(draw, 0, 100)}>",
                f"<label><input type=checkbox {pick(draw, ('checked', ''))}> {words(draw, 3)}</label>",
                f"<label><input type=radio {pick(draw, ('checked', ''))}> {words(draw, 1)}</label> <label><input type=radio> {words(draw, 1)}</label>",
                f"<button>{words(draw, 1).title()}</button> <button class=go>{words(draw, 2).title()}</button>",
                f"<progress value={real(draw, 0, 1):.2f}></progress>",
                f'<input type=date value="20{whole(draw, 10, 30)}-0{whole(draw, 1, 9)}-1{whole(draw, 0, 9)}">',
            ),
        )
        rows.append(f"<p><label class=name>{title(draw, 3)}</label>{field}</p>")
    style = (
        _base(draw, accent)
        + f"form{{columns:{pick(draw, (1, 2))};padding:14px 30px}}.name{{display:inline-block;width:10em}}input,select,textarea,button{{font:inherit;accent-color:{accent}}}.go{{background:{accent};color:#fff;border:0;border-radius:{whole(draw, 0, 16)}px;padding:6px 18px}}p{{margin:8px 0}}"
    )
    return document(style, f"{_head(draw, accent)}<form><h1>{title(draw)}</h1>{''.join(rows)}</form>")


def _shop(draw: Chance, window: Window) -> str:
    accent, colours = hue(draw, 0.8, 0.7), palette(draw)
    columns = max(2, window.width // whole(draw, 200, 300))
    items = "".join(
        f"<section>{picture(draw, 200, whole(draw, 110, 200), colours)}<h3>{title(draw, 3).title()}</h3><b>{real(draw, 1, 300):.2f} €</b> "
        f"<span class=stars>{'★' * whole(draw, 1, 5)}</span><p>{sentence(draw)[:60]}</p><button>{words(draw, 2)}</button></section>"
        for _ in range(columns * 4)
    )
    style = (
        _base(draw, accent)
        + f"main{{display:grid;grid-template-columns:repeat({columns},1fr);gap:16px;padding:20px}}section{{border:1px solid #8884;padding:10px;overflow:hidden}}button{{background:{accent};border:0;color:#fff;padding:8px;border-radius:4px}}.stars{{color:#e90}}"
    )
    return document(style, f"{_head(draw, accent)}<main>{items}</main>")
