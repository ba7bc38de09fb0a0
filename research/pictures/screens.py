"""Screens of programs by HTML: code editors, terminals, and windows with menus, lists and dialogues."""

from __future__ import annotations

import html

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
from causalprint.research.pictures.pages import document, family, picture
from causalprint.research.pictures.slides import gradient

MONO = ("DejaVu Sans Mono", "Liberation Mono", "Fira Code", "Hack", "JetBrains Mono", "Inconsolata", "Noto Sans Mono", "Unifont")
THEMES = (
    ("#1e1e1e", "#d4d4d4", "#569cd6", "#ce9178", "#6a9955", "#b5cea8"),
    ("#282a36", "#f8f8f2", "#ff79c6", "#f1fa8c", "#6272a4", "#bd93f9"),
    ("#fdf6e3", "#657b83", "#859900", "#2aa198", "#93a1a1", "#d33682"),
    ("#ffffff", "#000000", "#0000ff", "#a31515", "#008000", "#098658"),
    ("#272822", "#f8f8f2", "#f92672", "#e6db74", "#75715e", "#ae81ff"),
    ("#2e3440", "#d8dee9", "#81a1c1", "#a3be8c", "#616e88", "#b48ead"),
    ("#f6f8fa", "#24292e", "#d73a49", "#032f62", "#6a737d", "#005cc5"),
)
"""Ground, text, keywords, strings, comments, numbers."""
KEYWORDS = (
    "def",
    "return",
    "for",
    "if",
    "class",
    "import",
    "while",
    "const",
    "let",
    "fn",
    "struct",
    "void",
    "int",
    "match",
    "else",
    "try",
    "async",
)
PROMPTS = ("user@host:~$", "root@server:/#", "C:\\&gt;", "%", "➜ ~", "(venv) dev@box:~/src$")
ANSI = ("#cc0000", "#4e9a06", "#c4a000", "#3465a4", "#75507b", "#06989a", "#eeeeec")


def editor(draw: Chance, window: Window) -> str:
    """A code editor or a terminal."""
    return _terminal(draw, window) if often(draw, 0.4) else _editor(draw, window)


def _code(draw: Chance, colours: tuple[str, ...]) -> str:
    """A line of code that no compiler takes, coloured."""
    _, _, keyword, string, comment, number = colours
    kind = draw.random()
    if kind < 0.1:
        return ""
    if kind < 0.22:
        return f'<i style="color:{comment}">{pick(draw, ("#", "//", "--", "/*"))} {sentence(draw)}</i>'
    name, other = (words(draw, 2).replace(" ", pick(draw, ("_", "", "."))) for _ in range(2))
    value = pick(
        draw,
        (
            f'<span style="color:{string}">"{words(draw, 2)}"</span>',
            f'<span style="color:{number}">{whole(draw, 0, 9999)}</span>',
            f"{other}[{whole(draw, 0, 9)}]",
            f"{other}({name}, {words(draw, 1)})",
        ),
    )
    start = (
        f'<b style="color:{keyword};font-weight:{pick(draw, (400, 700))}">{pick(draw, KEYWORDS)}</b> ' if often(draw, 0.5) else ""
    )
    return f"{start}{name} {pick(draw, ('=', '+=', '==', '-&gt;', ':', '&lt;'))} {value}{pick(draw, (';', '', ' {', ':', ' }'))}"


def _editor(draw: Chance, window: Window) -> str:
    colours = pick(draw, THEMES)
    ground, ink = colours[:2]
    size = whole(draw, 11, 18)
    lines, deep = [], 0
    for number in range(1, window.height // size):
        deep = max(0, min(5, deep + whole(draw, -1, 1)))
        mark = "background:#ffff0022;" if often(draw, 0.03) else ""
        lines.append(f'<div style="{mark}"><u>{number}</u>{"&nbsp;" * 4 * deep}{_code(draw, colours)}</div>')
    files = "".join(
        f"<div>{pick(draw, ('▸', '▾', '&nbsp;', '📄'))} {words(draw, 1)}.{pick(draw, ('py', 'js', 'rs', 'c', 'md'))}</div>"
        for _ in range(40)
    )
    tabs = "".join(
        f'<span style="background:{pick(draw, (ground, "#8883"))}">{words(draw, 1)}.{pick(draw, ("py", "ts", "go"))} ×</span>'
        for _ in range(whole(draw, 2, 6))
    )
    style = (
        f"body{{background:{ground};color:{ink};font:{size}px/1.4 '{pick(draw, MONO)}',monospace;height:100vh;display:flex;flex-direction:column;overflow:hidden}}"
        f"main{{flex:1;display:flex;overflow:hidden}}aside{{width:210px;padding:8px;background:#8882;white-space:nowrap}}u{{display:inline-block;width:3.2em;text-align:right;margin-right:1.2em;text-decoration:none;opacity:.45}}"
        f"nav{{background:#8882;font-family:{family(draw)}}}nav span{{display:inline-block;padding:7px 14px;border-right:1px solid #8884}}footer{{background:{hue(draw, 0.8, 0.6)};color:#fff;padding:2px 10px;font-size:12px}}section{{white-space:nowrap;overflow:hidden;flex:1}}"
    )
    side = f"<aside>{files}</aside>" if often(draw, 0.6) else ""
    return document(
        style,
        f"<nav>{tabs}</nav><main>{side}<section>{''.join(lines)}</section></main><footer>{words(draw, 2)} · UTF-8 · Ln {whole(draw, 1, 400)}</footer>",
    )


def _terminal(draw: Chance, window: Window) -> str:
    ground, ink = pick(
        draw,
        (
            ("#000", "#ccc"),
            ("#300a24", "#eee"),
            ("#002b36", "#93a1a1"),
            ("#fff", "#111"),
            ("#001100", "#33ff33"),
            ("#1e1e2e", "#cdd6f4"),
        ),
    )
    size, lines = whole(draw, 12, 20), []
    for _ in range(window.height // size):
        kind = draw.random()
        if kind < 0.2:
            lines.append(
                f'<b style="color:{pick(draw, ANSI[:6])}">{pick(draw, PROMPTS)}</b> {words(draw, 3)} --{words(draw, 1)}={whole(draw, 1, 99)}'
            )
        elif kind < 0.4:
            lines.append(
                f"-rw-r--r-- {whole(draw, 1, 9)} user user {whole(draw, 10, 99999):6d} {whole(draw, 10, 28)} Jan 1{whole(draw, 0, 9)}:0{whole(draw, 0, 9)} <span style='color:{pick(draw, ANSI)}'>{words(draw, 1)}</span>".replace(
                    "  ", "&nbsp; "
                )
            )
        elif kind < 0.6:
            lines.append(
                f'[<span style="color:{pick(draw, ANSI)}">{pick(draw, ("OK", "INFO", "WARN", "FAIL"))}</span>] {sentence(draw)}'
            )
        elif kind < 0.7:
            lines.append(f"{words(draw, 1)} [{'█' * (done := whole(draw, 1, 30))}{'░' * (30 - done)}] {done * 3}%")
        else:
            lines.append(html.escape(sentence(draw)))
    style = f"body{{background:{ground};color:{ink};font:{size}px/1.25 '{pick(draw, MONO)}',monospace;padding:6px;white-space:nowrap;overflow:hidden}}"
    return document(style, "".join(f"<div>{line}</div>" for line in lines))


def interface(draw: Chance, window: Window) -> str:
    """A desktop with windows of programs, or a screen of a telephone's app."""
    colours = palette(draw)
    shown = "".join(_window(draw, window, colours, place) for place in range(whole(draw, 2, 4)))
    icons = "".join(
        f"<div class=icon>{picture(draw, 48, 48, palette(draw))}<span>{words(draw, 1)}</span></div>"
        for _ in range(whole(draw, 4, 14))
    )
    bar = pick(draw, ("bottom:0", "top:0"))
    style = (
        f"body{{height:100vh;background:{gradient(draw, colours)};font:{whole(draw, 12, 15)}px {family(draw)};overflow:hidden}}.icons{{display:flex;flex-wrap:wrap;flex-direction:column;height:90vh;gap:14px;padding:40px 14px}}"
        f".icon{{width:70px;text-align:center;color:#fff;text-shadow:0 1px 3px #000}}.icon span{{display:block}}.bar{{position:absolute;left:0;right:0;{bar};background:{pick(draw, ('#222d', '#eeee', '#1a4a8a', '#c0c0c0'))};color:#888;padding:6px 14px;display:flex;justify-content:space-between}}"
    )
    return document(
        style,
        f"<div class=icons>{icons}</div>{shown}<div class=bar><b>◉ {title(draw, 2)}</b><span>{whole(draw, 10, 23)}:{whole(draw, 10, 59)}</span></div>",
    )


def _window(draw: Chance, window: Window, colours: list[str], place: int) -> str:
    old = often(draw, 0.3)
    edge = (
        "border:2px outset #fff;background:#c0c0c0;color:#000"
        if old
        else pick(
            draw,
            (
                "border:1px solid #0004;background:#fff;color:#222;border-radius:10px",
                "background:#2b2d31;color:#ddd;border-radius:8px",
                "border:1px solid #777;background:#f0f0f0;color:#111",
            ),
        )
    )
    cap = (
        "background:linear-gradient(90deg,#000080,#1084d0);color:#fff"
        if old
        else f"background:{pick(draw, (colours[place], '#8883', '#3c3f45;color:#eee'))}"
    )
    left, top, wide, high = (
        whole(draw, 60, window.width // 2),
        whole(draw, 30, window.height // 2),
        whole(draw, 320, 700),
        whole(draw, 240, 480),
    )
    menu = "".join(
        f"<span style='margin-right:16px'><u>{(name := words(draw, 1).title())[0]}</u>{name[1:]}</span>"
        for _ in range(whole(draw, 3, 7))
    )
    tools = "".join(
        f"<span style='display:inline-block;border:1px solid #8885;border-radius:{whole(draw, 0, 5)}px;padding:2px;margin:2px'>{picture(draw, 20, 20, palette(draw))}</span>"
        for _ in range(whole(draw, 4, 14))
    )
    body = pick(
        draw,
        (
            "".join(
                f"<div style='padding:3px 8px;background:{pick(draw, ('#0000', '#0000', '#8882'))}'>{pick(draw, ('📁', '🖼', '♪', '☑', '☐'))} {words(draw, 2)} <small style='float:right'>{real(draw, 1, 900):.1f} kB</small></div>"
                for _ in range(18)
            ),
            f"<div style='padding:24px'><h2>⚠ {title(draw)}</h2><p>{paragraph(draw, 3)}</p><button>OK</button> <button>{words(draw, 1).title()}</button></div>",
            "".join(
                f"<p style='margin:8px'><label><input type={pick(draw, ('checkbox', 'radio'))} {pick(draw, ('checked', ''))}>{words(draw, 3)}</label> <input size=10 value='{words(draw, 1)}'> <input type=range></p>"
                for _ in range(10)
            ),
            f"<div style='padding:10px'>{picture(draw, wide - 20, high, colours)}</div>",
            "<table style='border-collapse:collapse'>"
            + "".join(
                "<tr>"
                + "".join(
                    f"<td style='border:1px solid #8886;min-width:70px;padding:2px 4px'>{pick(draw, (str(whole(draw, 1, 9999)), words(draw, 1), ''))}"
                    for _ in range(8)
                )
                for _ in range(20)
            )
            + "</table>",
            "".join(
                f"<div style='margin:8px;padding:8px 12px;border-radius:14px;max-width:70%;background:{pick(draw, ('#8883', colours[1] + '66'))};margin-left:{pick(draw, ('8px', '28%'))}'><b>{person(draw)}</b><br>{sentence(draw)}</div>"
                for _ in range(8)
            ),
        ),
    )
    buttons = pick(
        draw,
        (
            "<span>_ □ ×</span>",
            "<span style='order:-1;color:#f55'>● <i style='color:#fb2'>●</i> <i style='color:#3c4'>●</i></span>",
        ),
    )
    return (
        f"<div style='position:absolute;left:{left}px;top:{top}px;width:{wide}px;height:{high}px;overflow:hidden;box-shadow:0 8px 30px #0006;{edge}'>"
        f"<div style='{cap};padding:5px 10px;display:flex;justify-content:space-between'><b>{title(draw, 3)}</b>{buttons}</div><div style='padding:3px 10px'>{menu}</div><div style='padding:2px 8px;border-bottom:1px solid #8885'>{tools}</div>{body}</div>"
    )
