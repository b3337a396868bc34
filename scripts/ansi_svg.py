#!/usr/bin/env python3
"""Converts the text of a terminal's screen, as `tmux capture-pane -e -p` prints it, to an SVG.

    ansi_svg.py CAPTURE COLUMNS LINES TITLE >FILE.svg
    ansi_svg.py --self-test

Each run of text is placed by itself and stretched to its cells; box lines, blocks and braille are
drawn as paths, since fonts leave gaps between them. Python 3.8 alone.
"""

import html
import re
import sys
import unicodedata
import xml.dom.minidom

# --- ANSI to cells ---------------------------------------------------------------------------

FOREGROUND = "#d8dee9"
BACKGROUND = "#12161d"
PALETTE = [
    "#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
    "#6b7689", "#ff7b86", "#b5e890", "#ffd787", "#7cc4ff", "#e09cff", "#7fdbe6", "#ffffff",
]  # fmt: skip


def indexed(n):
    """The colour number n of the 256."""
    if n < 16:
        return PALETTE[n]
    if n < 232:
        n -= 16
        levels = (0, 95, 135, 175, 215, 255)
        return "#%02x%02x%02x" % (levels[n // 36], levels[n // 6 % 6], levels[n % 6])
    return "#" + "%02x" % (8 + 10 * (n - 232)) * 3


class Style:
    """The style that SGR sequences have set."""

    __slots__ = ("fg", "bg", "bold", "dim", "italic", "underline", "reverse")

    def __init__(self):
        self.fg = self.bg = None
        self.bold = self.dim = self.italic = self.underline = self.reverse = False

    def copy(self):
        other = Style()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def apply(self, parameters):
        """One SGR sequence: `1;38;5;12`, also with colons."""
        codes = [int(p) if p else 0 for p in parameters.replace(":", ";").split(";")]
        i = 0
        while i < len(codes):
            code = codes[i]
            if code == 0:
                self.__init__()
            elif code in (1, 2, 3, 4, 7):
                name = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}[code]
                setattr(self, name, True)
            elif code == 22:
                self.bold = self.dim = False
            elif code in (23, 24, 27):
                setattr(self, {23: "italic", 24: "underline", 27: "reverse"}[code], False)
            elif code in (38, 48):
                colour = None
                if codes[i + 1 : i + 2] == [5] and len(codes) > i + 2:
                    colour = indexed(codes[i + 2] & 255)
                    i += 2
                elif codes[i + 1 : i + 2] == [2] and len(codes) > i + 4:
                    colour = "#%02x%02x%02x" % tuple(c & 255 for c in codes[i + 2 : i + 5])
                    i += 4
                setattr(self, "fg" if code == 38 else "bg", colour)
            elif code == 39:
                self.fg = None
            elif code == 49:
                self.bg = None
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.fg = PALETTE[code - 30 if code < 90 else code - 82]
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.bg = PALETTE[code - 40 if code < 100 else code - 92]
            i += 1

    def look(self):
        """(foreground, background or None, bold, dim, italic, underline), reverse applied."""
        fg, bg = self.fg or FOREGROUND, self.bg
        if self.reverse:
            fg, bg = bg or BACKGROUND, fg
        return fg, bg, self.bold, self.dim, self.italic, self.underline


def width(char):
    """The number of cells of a character."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


# An SGR sequence with its parameters; any other CSI, OSC or charset sequence.
ESCAPE = re.compile(
    r"\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()]."
)


def rows_of(capture):
    """For each line, its cells: (text, width, style). A style continues on the next line."""
    style, rows = Style(), []
    for line in capture.rstrip("\n").split("\n"):
        cells, at = [], 0
        for found in list(ESCAPE.finditer(line)) + [None]:
            for char in line[at : found.start() if found else len(line)]:
                cell_width = width(char)
                if cell_width == 0:
                    if cells:
                        cells[-1] = (cells[-1][0] + char, *cells[-1][1:])
                elif char >= " ":
                    cells.append((char, cell_width, style.look()))
            if found:
                at = found.end()
                if found.group(1) is not None:
                    style.apply(found.group(1))
        rows.append(cells)
    return rows


# --- cells to SVG ----------------------------------------------------------------------------

CELL_W, CELL_H, FONT = 8.4, 18, 14
# Browsers join common spaces into one; not all of them know xml:space.
NO_BREAK = "\u00a0"
BASELINE = 13.5
MARGIN, BAR = 14, 30


def drawn_block(char, x, y):
    """Block elements and eighth bars as rectangles: fonts leave gaps between them."""
    code = ord(char)
    if 0x2581 <= code <= 0x2588:  # lower one eighth … full block
        part = (code - 0x2580) / 8
        return x, y + CELL_H * (1 - part), CELL_W, CELL_H * part
    if 0x2589 <= code <= 0x258F:  # left seven eighths … one eighth
        return x, y, CELL_W * (0x2590 - code) / 8, CELL_H
    if code == 0x2580:
        return x, y, CELL_W, CELL_H / 2
    return None


def drawn_braille(char, x, y):
    """A braille pattern's dots: few monospace fonts have them, and graphs are made of them."""
    bits = ord(char) - 0x2800
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    for bit, (column, row) in enumerate(places):
        if bits >> bit & 1:
            yield x + CELL_W * (0.28 + 0.44 * column), y + CELL_H * (0.14 + 0.24 * row)


# Lines of box drawing: arms (left, right, up, down).
BOX = {
    "─": "lr", "│": "ud", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu", "├": "rud", "┤": "lud",
    "┬": "lrd", "┴": "lru", "┼": "lrud", "╴": "l", "╵": "u", "╶": "r", "╷": "d",
    "━": "LR", "┃": "UD", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu",
}  # fmt: skip


def drawn_box(char, x, y):
    """A path through the cell, so that lines of neighbours meet in any font."""
    middle_x, middle_y = x + CELL_W / 2, y + CELL_H / 2
    ends = {
        "l": (x, middle_y), "r": (x + CELL_W, middle_y),
        "u": (middle_x, y), "d": (middle_x, y + CELL_H),
    }  # fmt: skip
    arms = BOX[char]
    if char in "╭╮╰╯":
        (ax, ay), (bx, by) = ends[arms[0]], ends[arms[1]]
        return f"M{n(ax)} {n(ay)}Q{n(middle_x)} {n(middle_y)} {n(bx)} {n(by)}", 1.2
    path = "".join(
        f"M{n(middle_x)} {n(middle_y)}L{n(ends[a][0])} {n(ends[a][1])}" for a in arms.lower()
    )
    return path, 2.2 if arms.isupper() else 1.2


def n(number):
    """The shortest form of a number."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def runs_of(cells, key):
    """(first column, cells) for each longest run of cells with one key."""
    column, start, run, last = 0, 0, [], None
    for cell in cells:
        if run and key(cell) != last:
            yield start, run
            start, run = column, []
        last = key(cell)
        run.append(cell)
        column += cell[1]
    if run:
        yield start, run


def kind(char):
    if char in BOX:
        return "box"
    code = ord(char[0])
    if 0x2800 <= code <= 0x28FF:
        return "braille"
    if 0x2580 <= code <= 0x258F:
        return "block"
    # Anything else outside Latin stands alone: its glyph may come from a font of another width.
    return "text" if code < 0x2000 and width(char[0]) == 1 else "wide"


def paint(look):
    fg, _, _, dim, _, _ = look
    return f' fill="{fg}"' + (' opacity=".6"' if dim else "")


def text_runs(cells, x0, y):
    """The <text> elements of one row. Blanks at a run's ends are not drawn."""
    def key(cell):
        k = kind(cell[0])
        return k, cell[2], id(cell) if k == "wide" else 0

    for column, run in runs_of(cells, key):
        look, k = run[0][2], kind(run[0][0])
        x = x0 + column * CELL_W
        if k == "text":
            text = "".join(c[0] for c in run)
            if look[5]:  # underlined blanks show
                stripped, lead = text, 0
            else:
                stripped = text.strip(" ")
                lead = len(text) - len(text.lstrip(" "))
            if not stripped:
                continue
            cells_wide = sum(c[1] for c in run[lead : lead + len(stripped)])
            yield text_element(stripped, look, x + lead * CELL_W, y, cells_wide)
        elif k == "wide":
            yield text_element(run[0][0], look, x, y, run[0][1])
        else:
            yield shapes(k, run, look, x, y)


def text_element(text, look, x, y, cells_wide):
    attributes = paint(look)
    if look[2]:
        attributes += ' font-weight="bold"'
    if look[4]:
        attributes += ' font-style="italic"'
    if look[5]:
        attributes += ' text-decoration="underline"'
    text = html.escape(text.replace(" ", NO_BREAK), quote=False)
    return (
        f'<text x="{n(x)}" y="{n(y + BASELINE)}" textLength="{n(cells_wide * CELL_W)}"'
        f' lengthAdjust="spacingAndGlyphs"{attributes}>{text}</text>'
    )


def shapes(k, run, look, x, y):
    """One <path> for a run of box lines, blocks or braille."""
    path, stroke = [], None
    for i, cell in enumerate(run):
        cell_x = x + i * CELL_W
        if k == "box":
            d, stroke = drawn_box(cell[0], cell_x, y)
            path.append(d)
        elif k == "block":
            bx, by, bw, bh = drawn_block(cell[0], cell_x, y)
            path.append(f"M{n(bx)} {n(by)}h{n(bw)}v{n(bh)}h-{n(bw)}z")
        else:
            for dx, dy in drawn_braille(cell[0], cell_x, y):
                path.append(f"M{n(dx - 1.3)} {n(dy - 1.3)}h2.6v2.6h-2.6z")
    if stroke is None:
        return f'<path d="{"".join(path)}"{paint(look)}/>' if path else ""
    opacity = ' opacity=".6"' if look[3] else ""
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{look[0]}"'
        f' stroke-width="{stroke}"{opacity}/>'
    )


def row_elements(cells, y):
    """The elements of one row: backgrounds, then text."""
    for column, run in runs_of(cells, lambda cell: cell[2][1]):
        if run[0][2][1]:
            cells_wide = sum(c[1] for c in run)
            yield (
                f'<rect x="{n(MARGIN + column * CELL_W)}" y="{n(y)}"'
                f' width="{n(cells_wide * CELL_W)}" height="{CELL_H}" fill="{run[0][2][1]}"/>'
            )
    yield from (element for element in text_runs(cells, MARGIN, y) if element)


def caption(text, columns):
    """The title in the window's bar."""
    x = columns * CELL_W / 2 + MARGIN
    return (
        f'<text x="{n(x)}" y="17.5" fill="#8b95a7" font-size="12" text-anchor="middle"'
        f' font-family="sans-serif">{html.escape(text)}</text>'
    )


def in_window(elements, columns, lines, title, style=""):
    """The SVG of a window with these elements in it, `style` being CSS for them."""
    w, h = columns * CELL_W + 2 * MARGIN, lines * CELL_H + BAR + MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {n(w)} {n(h)}"'
        f' width="{n(w)}" height="{n(h)}" role="img">',
        f"<title>{html.escape(title)}</title>",
        *([f"<style>{style}</style>"] if style else []),
        f'<rect width="{n(w)}" height="{n(h)}" rx="9" fill="{BACKGROUND}"/>',
        f'<path d="M0 {BAR - 4}V9a9 9 0 0 1 9-9H{n(w - 9)}a9 9 0 0 1 9 9V{BAR - 4}z"'
        ' fill="#1d232d"/>',
    ]
    for i, colour in enumerate(("#e06c75", "#e5c07b", "#98c379")):
        out.append(f'<circle cx="{18 + 18 * i}" cy="13" r="5.5" fill="{colour}"/>')
    out.append(
        "<g font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\""
        f' font-size="{FONT}">'
    )
    return "\n".join([*out, *elements, "</g></svg>\n"])


def to_svg(capture, columns, lines, title):
    elements = [caption(title, columns)]
    for i, cells in enumerate(rows_of(capture)[:lines]):
        elements.extend(row_elements(cells, BAR + i * CELL_H))
    return in_window(elements, columns, lines, title)


def to_animation(frames, seconds, columns, lines, title):
    """An SVG that shows (caption, capture) after (caption, capture), each for `seconds`, for ever.

    Each row is there once for each of its contents, and seen in the frames that it belongs to.
    Where nothing may move, the first frame stands still.
    """
    shown = {}
    for at, (words, capture) in enumerate(frames):
        shown.setdefault(caption(words, columns), []).append(at)
        for i, cells in enumerate(rows_of(capture)[:lines]):
            drawn = "\n".join(row_elements(cells, BAR + i * CELL_H))
            if drawn:
                shown.setdefault(drawn, []).append(at)
    names, style, elements = {}, [], []
    for drawn, when in shown.items():
        if len(when) == len(frames):
            elements.append(drawn)
            continue
        key = tuple(when)
        if key not in names:
            names[key] = name = f"f{len(names)}"
            steps = "".join(
                f"{n(100 * at / len(frames))}%{{visibility:{'visible' if at in key else 'hidden'}}}"
                for at in range(len(frames))
                if at == 0 or (at in key) != (at - 1 in key)
            )
            style.append(f"@keyframes {name}{{{steps}}}.{name}{{animation-name:{name}")
            style.append("}" if 0 in key else ";visibility:hidden}")
        elements.append(f'<g class="{names[key]}">{drawn}</g>')
    length = n(len(frames) * seconds)
    style.append(f"[class]{{animation-duration:{length}s;animation-timing-function:step-end;")
    style.append("animation-iteration-count:infinite}@media(prefers-reduced-motion:reduce)")
    style.append("{[class]{animation:none}}")
    return in_window(elements, columns, lines, title, "".join(style))


# --- tests -----------------------------------------------------------------------------------


def self_test():
    rows = rows_of(
        "a\x1b[1;31mbc\x1b[0m \x1b[38;5;196mX\x1b[48;2;1;2;3mY\x1b[7mZ\x1b[m\n\x1b[4m界e\u0301"
    )
    text = ["".join(c[0] for c in row) for row in rows]
    assert text == ["abc XYZ", "界e\u0301"], text
    looks = [c[2] for c in rows[0]]
    assert looks[0] == (FOREGROUND, None, False, False, False, False)
    assert looks[1] == (PALETTE[1], None, True, False, False, False)
    assert looks[4][0] == "#ff0000" and looks[5][1] == "#010203"
    assert looks[6][:2] == ("#010203", "#ff0000"), "reverse"
    assert [c[1] for c in rows[1]] == [2, 1] and rows[1][0][2][5], "wide, combining, underline"
    assert indexed(232) == "#080808" and indexed(21) == "#0000ff"
    assert rows_of("\x1b[?25l\x1b(Bok\x1b]0;title\x07") == rows_of("ok"), "others are dropped"
    svg = to_svg("<&>\x1b[32m─┐⣿█\x1b[2m x", 10, 2, "a <title>")
    assert "&lt;&amp;&gt;" in svg and "a &lt;title&gt;" in svg and svg.count("<path") == 4
    xml.dom.minidom.parseString(svg)
    for char in BOX:
        drawn_box(char, 0, 0)
    moving = to_animation([("one", "same\na"), ("two", "same\nb")], 0.5, 10, 2, "two frames")
    xml.dom.minidom.parseString(moving)
    assert moving.count("<g class=") == 4 and moving.count(">same<") == 1, moving
    assert "@keyframes f1{0%{visibility:hidden}50%{visibility:visible}}" in moving, moving
    print("ansi_svg: the converter's tests passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    elif len(sys.argv) == 5:
        with open(sys.argv[1], encoding="utf-8", errors="replace") as capture:
            print(to_svg(capture.read(), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]), end="")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
