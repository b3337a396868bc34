#!/usr/bin/env python3
"""Makes assets/animation.svg: `ebpftop replay` of its demo, driven by keys, as an animated SVG.

    animation.py --program target/release/ebpftop --out assets/animation.svg

The program runs in tmux, on a server of its own. Needs Python 3.8 and tmux, and no privileges.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time

from ansi_svg import to_animation
from screenshot import Tmux, wait

COLUMNS, LINES = 110, 30
# Seconds from one frame to the next.
PACE = 0.5
# Keys as tmux names them, a caption, and the number of frames to show.
SCENES = [
    ([], "what opens files, what is on the wire", 4),
    (["Enter"], "Enter: into a program", 4),
    (["Escape"], "Esc: back", 2),
    (["t"], "t: by process", 3),
    (["t", "t", "t", "t"], "t t t t: failures, by reason", 4),
    (["2", "e"], "2, e: the talkers alone", 4),
    (["e", "1", "t", "t"], "e, 1, t t: back to the programs", 2),
    (["/", "w", "e", "b"], "/web: a filter, applied while typing", 4),
    (["Escape"], "Esc: clear it", 1),
]


def frames(program):
    """(caption, screen) for each frame."""
    with tempfile.TemporaryDirectory(prefix="animation-") as directory:
        os.environ["XDG_CONFIG_HOME"] = directory
        tmux = Tmux(directory, COLUMNS, LINES, [os.path.abspath(program), "replay"])
        try:
            wait(tmux, 12)
            due = time.monotonic()
            for keys, words, count in SCENES:
                for key in keys:
                    tmux.run("send-keys", key)
                    # Esc is a key of its own only when nothing follows at once.
                    wait(tmux, 0.15)
                due = max(due, time.monotonic()) + 0.1
                for _ in range(count):
                    wait(tmux, due - time.monotonic())
                    yield f"ebpftop replay · {words}", tmux.capture()
                    due += PACE
        finally:
            tmux.end()


def main():
    parser = argparse.ArgumentParser(description="An animated SVG of the demo.")
    parser.add_argument("--program", required=True)
    parser.add_argument("--out", default="animation.svg")
    options = parser.parse_args()
    if not shutil.which("tmux"):
        sys.exit("animation: tmux is missing: install it (apt: tmux)")
    taken = list(frames(options.program))
    svg = to_animation(taken, PACE, COLUMNS, LINES, "ebpftop replay")
    with open(options.out, "w", encoding="utf-8") as out:
        out.write(svg)
    print(f"animation: {options.out}, {len(taken)} frames, {len(svg.encode()) // 1024} KiB")


if __name__ == "__main__":
    main()
