#!/usr/bin/env python3
"""Draws a flame graph from `perf script` on stdin as an SVG on stdout.

    perf script -i perf.data | swift demangle --simplified | perf/flame.py --title kfm > flame.svg

Width is the share of samples, height the depth of the stack; the root is at the bottom. A click
on a frame zooms in, one on the background zooms out; the field at the top searches.
"""

import argparse
import html
import re
import sys

WIDTH = 1200
ROW = 17
# Below this share of the picture a frame is a fraction of a pixel and only makes the file large.
SHARE_MIN = 0.0005
CHARACTER_WIDTH = 6.6

# "  ffffffff8110a1b2 do_syscall_64+0x5c ([kernel.kallsyms])"
FRAME = re.compile(r"^\s+[0-9a-f]+\s+(?P<name>.*?)(?:\+0x[0-9a-f]+)?\s+\((?P<where>[^()]*)\)$")
COLOURS = {"kernel": (46, 30), "swift": (14, 24), "other": (205, 20)}


def read_stacks(lines):
    """Yields each sample's frames, outermost first, as (name, kind)."""
    frames = []
    inside = False
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if inside and frames:
                yield frames[::-1]
            frames, inside = [], False
        elif not line[0].isspace():
            frames, inside = [], True
        elif match := FRAME.match(line):
            frames.append(describe(match["name"], match["where"]))
    if inside and frames:
        yield frames[::-1]


def describe(name, where):
    if name == "[unknown]":
        name = where.rsplit("/", 1)[-1]
    if "kernel" in where or where.startswith("["):
        return name, "kernel"
    if where.endswith("/kfm") or "swift" in where:
        return name, "swift"
    return name, "other"


class Frame:
    """A function in the place where it was called, with the samples seen in and below it."""

    def __init__(self, name, kind):
        self.name, self.kind, self.samples, self.callees = name, kind, 0, {}

    def add(self, stack):
        node = self
        node.samples += 1
        for name, kind in stack:
            if name not in node.callees:
                node.callees[name] = Frame(name, kind)
            node = node.callees[name]
            node.samples += 1

    def depth(self, total):
        shown = [c for c in self.callees.values() if c.samples >= SHARE_MIN * total]
        return 1 + max((c.depth(total) for c in shown), default=0)


def colour(frame):
    """A shade that depends on the name alone, so that two graphs can be compared."""
    hue, spread = COLOURS[frame.kind]
    shade = sum(frame.name.encode()) % 97 / 97
    return f"hsl({hue + spread * (shade - 0.5):.0f},{60 + 20 * shade:.0f}%,{62 + 14 * shade:.0f}%)"


def draw(frame, x, level, scale, total, height, out):
    width = frame.samples * scale
    y = height - (level + 1) * ROW
    share = 100 * frame.samples / total
    title = html.escape(f"{frame.name} ({frame.samples} samples, {share:.2f} %)")
    fits = int((width - 6) / CHARACTER_WIDTH)
    label = frame.name if len(frame.name) <= fits else frame.name[: max(fits - 1, 0)] + "…"
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(label)}</text>' if fits >= 3 else ""
    out.append(
        f'<g data-n="{html.escape(frame.name, quote=True)}"><title>{title}</title>'
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(frame)}"/>'
        f"{text}</g>"
    )
    for name in sorted(frame.callees):
        callee = frame.callees[name]
        if callee.samples >= SHARE_MIN * total:
            draw(callee, x, level + 1, scale, total, height, out)
        x += callee.samples * scale


SCRIPT = """
const all = [...document.querySelectorAll('g[data-n]')].map(g => {
  const r = g.querySelector('rect'), t = g.querySelector('text');
  return {g, r, t, n: g.dataset.n, x: +r.getAttribute('x'), w: +r.getAttribute('width')};
});
function zoom(from, width) {
  const k = %(width)d / width;
  for (const f of all) {
    const x = (f.x - from) * k, w = f.w * k, seen = x + w > 0.5 && x < %(width)d - 0.5;
    f.g.style.display = seen ? '' : 'none';
    if (!seen) continue;
    const left = Math.max(x, 0), right = Math.min(x + w, %(width)d);
    f.r.setAttribute('x', left); f.r.setAttribute('width', right - left);
    let t = f.t;
    const fits = Math.floor((right - left - 6) / %(character)f);
    if (!t && fits >= 3) {
      t = f.t = document.createElementNS('http://www.w3.org/2000/svg', 'text');
      t.setAttribute('y', +f.r.getAttribute('y') + 12); f.g.append(t);
    }
    if (t) {
      t.setAttribute('x', left + 3);
      t.textContent = fits < 3 ? '' : f.n.length <= fits ? f.n : f.n.slice(0, fits - 1) + '…';
    }
  }
}
for (const f of all) f.g.addEventListener('click', e => { zoom(f.x, f.w); e.stopPropagation(); });
document.documentElement.addEventListener('click', () => zoom(0, %(width)d));
document.getElementById('find').addEventListener('click', e => {
  e.stopPropagation();
  const word = prompt('Part of a name') || '';
  for (const f of all) f.r.style.fill = word && f.n.includes(word) ? 'magenta' : '';
});
"""


def svg(root, title):
    total = root.samples
    head = 34
    height = head + root.depth(total) * ROW
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fdfdf8"/>',
        f'<text x="8" y="20" font-size="14">{html.escape(title)}, {total} samples</text>',
        f'<text id="find" x="{WIDTH - 60}" y="20" style="cursor:pointer">search</text>',
    ]
    draw(root, 0.0, 0, WIDTH / total, total, height, out)
    script = SCRIPT % {"width": WIDTH, "character": CHARACTER_WIDTH}
    out.append(f"<script><![CDATA[{script}]]></script></svg>")
    return "\n".join(out) + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--title", default="flame graph")
    args = options.parse_args()
    sys.setrecursionlimit(10_000)
    root = Frame("all", "other")
    for stack in read_stacks(sys.stdin):
        root.add(stack)
    if root.samples == 0:
        sys.exit("flame.py: no samples on stdin; was the recorded process idle?")
    sys.stdout.write(svg(root, args.title))


if __name__ == "__main__":
    main()
