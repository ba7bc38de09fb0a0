"""Slides, and posters in flat colours, gradients and shadows, by HTML."""

from __future__ import annotations

from causalprint.research.pictures.chance import (
    Chance,
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
from causalprint.research.pictures.pages import document, family, picture

EMOJI = "★☂☎✈♫⚙⚡❄🎨🎯🚀📈📚🌍🌳🍕🎓💡🔒🏠🐧🦊🍀🎸"


def gradient(draw: Chance, colours: list[str]) -> str:
    """A background as CSS writes it."""
    stops = ",".join(colours[: whole(draw, 2, 4)])
    return pick(
        draw,
        (
            colours[0],
            f"linear-gradient({whole(draw, 0, 359)}deg,{stops})",
            f"radial-gradient(circle at {whole(draw, 0, 100)}% {whole(draw, 0, 100)}%,{stops})",
            f"conic-gradient(from {whole(draw, 0, 359)}deg,{stops},{colours[0]})",
            f"repeating-linear-gradient({whole(draw, 0, 180)}deg,{colours[0]} 0 {whole(draw, 6, 40)}px,{colours[1]} 0 {whole(draw, 42, 90)}px)",
        ),
    )


def slide(draw: Chance, window: Window) -> str:
    """A slide of a talk that fills the window."""
    colours = palette(draw)
    dark = often(draw, 0.3)
    ground = (
        gradient(draw, [colours[0], "#101820"])
        if dark
        else pick(draw, ("#fff", "#fff", "#f8f9fa", f"linear-gradient({colours[3]}55,#fff)"))
    )
    points = "".join(
        f"<li>{sentence(draw)[:80]}" + (f"<ul><li>{words(draw, 5)}<li>{words(draw, 4)}</ul>" if often(draw, 0.3) else "")
        for _ in range(whole(draw, 3, 6))
    )
    size = window.width // whole(draw, 40, 55)
    wide, high = window.width * 2 // 5, window.height // 2
    beside = pick(
        draw,
        (
            picture(draw, wide, high, colours),
            _columns(draw, wide, high, colours),
            "<table>"
            + "".join(
                "<tr>" + "".join(f"<td>{pick(draw, (words(draw, 1), str(whole(draw, 1, 999))))}" for _ in range(4))
                for _ in range(7)
            )
            + "</table>",
            f"<pre>{_boxes(draw, colours)}</pre>",
            f"<blockquote>{paragraph(draw, 3)}<br><b>{person(draw)}</b></blockquote>",
        ),
    )
    bar = pick(
        draw,
        (
            f"background:{colours[1]};color:#fff;padding:.3em 1em",
            f"border-bottom:6px solid {colours[1]};margin:0 1em",
            "padding:0 1em;text-align:center",
        ),
    )
    style = (
        f"body{{font:{size}px/1.35 {family(draw)};background:{ground};color:{'#eee' if dark else '#222'};height:100vh;display:flex;flex-direction:column}}"
        f"h1{{margin:0;{bar};font-size:1.9em}}main{{flex:1;display:flex;flex-direction:{pick(draw, ('row', 'row', 'row-reverse'))};align-items:center;gap:2em;padding:.5em 1.5em}}main>*{{flex:1}}"
        f"td{{border:1px solid {colours[2]};padding:.2em .6em;background:{colours[3]}33}}footer{{font-size:.6em;padding:.5em 2em;display:flex;justify-content:space-between;border-top:1px solid #8888}}"
        f"blockquote{{border-left:8px solid {colours[2]};padding-left:1em;font-style:italic}}"
    )
    return document(
        style,
        f"<h1>{title(draw, 6)}</h1><main><ul>{points}</ul><div>{beside}</div></main><footer><span>{person(draw)}</span><span>{title(draw)}</span><span>{whole(draw, 1, 60)}</span></footer>",
    )


def _columns(draw: Chance, width: int, height: int, colours: list[str]) -> str:
    count = whole(draw, 4, 9)
    step = width // count
    bars = "".join(
        f'<rect x="{place * step + 6}" y="{height - rise - 20}" width="{step - 12}" height="{rise}" rx="{pick(draw, (0, 6))}" fill="{colours[place % 5]}"/><text x="{place * step + step // 2}" y="{height - 4}" font-size="14" text-anchor="middle" fill="currentColor">{words(draw, 1)}</text>'
        for place, rise in enumerate(whole(draw, height // 8, height - 40) for _ in range(count))
    )
    return f'<svg width="{width}" height="{height}">{bars}</svg>'


def _boxes(draw: Chance, colours: list[str]) -> str:
    return "".join(
        f'<span style="display:inline-block;background:{pick(draw, colours)};color:#fff;text-shadow:0 0 3px #000;border-radius:{whole(draw, 0, 20)}px;padding:.6em 1em;margin:.3em;font-family:sans-serif;font-size:.7em">{words(draw, 2)}</span>{pick(draw, ("→", "⇒", "<br>", "↔"))}'
        for _ in range(9)
    )


def poster(draw: Chance, window: Window) -> str:
    """A poster or an infographic that fills the window."""
    colours, width, height = palette(draw), window.width, window.height
    parts = []
    for _ in range(whole(draw, 4, 14)):
        reach = whole(draw, 40, height // 2)
        radius = pick(draw, ("50%", "0", "18px", "50% 0", "40% 60% 55% 45%"))
        effect = pick(
            draw,
            (
                "",
                f"box-shadow:0 {whole(draw, 2, 20)}px {whole(draw, 4, 60)}px #0007",
                f"filter:blur({whole(draw, 1, 18)}px)",
                f"border:{whole(draw, 2, 14)}px solid {pick(draw, colours)}",
                "mix-blend-mode:multiply",
            ),
        )
        parts.append(
            f'<div style="position:absolute;left:{whole(draw, -80, width)}px;top:{whole(draw, -80, height)}px;width:{reach}px;height:{reach}px;border-radius:{radius};'
            f'background:{gradient(draw, palette(draw) if often(draw, 0.2) else colours)};opacity:{real(draw, 0.5, 1):.2f};transform:rotate({whole(draw, 0, 180)}deg);{effect}"></div>'
        )
    for _ in range(whole(draw, 3, 8)):
        ink = pick(draw, ("#fff", "#111", *colours))
        shadow = pick(draw, ("none", "0 4px 10px #0008", f"3px 3px 0 {pick(draw, colours)}", "0 0 18px #fff"))
        parts.append(
            f'<div style="position:absolute;left:{whole(draw, 0, width // 2)}px;top:{whole(draw, 0, height - 60)}px;color:{ink};font:{pick(draw, ("400", "700", "900"))} {whole(draw, 22, 110)}px/1 {family(draw)};'
            f'text-shadow:{shadow};letter-spacing:{whole(draw, -2, 8)}px;transform:rotate({pick(draw, (0, 0, 0, -8, 90))}deg)">{pick(draw, (title(draw, 3).upper(), title(draw), str(whole(draw, 2, 99)) + "%"))}</div>'
        )
    parts += [_card(draw, width, height) for _ in range(whole(draw, 0, 5))]
    return document(
        f"body{{background:{gradient(draw, colours)};height:100vh;overflow:hidden;position:relative}}", "".join(parts)
    )


def _card(draw: Chance, width: int, height: int) -> str:
    return (
        f'<div style="position:absolute;left:{whole(draw, 0, width - 260)}px;top:{whole(draw, 0, height - 120)}px;width:{whole(draw, 180, 320)}px;background:{pick(draw, ("#fff", "#ffffffcc", "#000a"))};color:{pick(draw, ("#333", "#666"))};'
        f'border-radius:14px;padding:14px;box-shadow:0 8px 24px #0004;font:14px/1.4 {family(draw)}"><span style="font-size:34px">{pick(draw, EMOJI)}</span> <b>{title(draw, 2)}</b><br>{sentence(draw)}</div>'
    )
