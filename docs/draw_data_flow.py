"""Draws `docs/images/data_flow.svg`: the way of data through a model, in training and in sampling.

python docs/draw_data_flow.py
"""

from html import escape
from pathlib import Path

PATH = Path(__file__).parent / "images" / "data_flow.svg"
WIDTH, BOX, HEIGHT, GAP, TOP = 640, 300, 66, 30, 46
PLAIN, WEIGHTS = "#f4f6fb", "#dfe8fb"

# Title, what happens there, and whether weights are used there.
TRAINING = [
    ("x, y, sample_weight", "arrays, tf.data, generators", False),
    ("DataSpec", "checks, casts, numbers the rows", False),
    ("noise of (seed, epoch, row)", "dequantisation, posterior", False),
    ("parts, from data to latent", "inverse of bijectors; encoder", True),
    ("log-weight of each row", "base or prior, log-determinants", True),
    ("objective", "its negative mean, and penalties", False),
    ("players", "a critic first, the model last", True),
]
SAMPLING = [
    ("sample(n, condition, …)", "temperature, seed", False),
    ("noise of (seed, row)", "the same rows, the same draws", False),
    ("base or prior", "z of the noise", True),
    ("parts, from latent to data", "forward of bijectors; decoder", True),
    ("observation", "x of the noise, given z", True),
    ("the data's own scale", "type and range, such as uint8", False),
    ("samples", "[n, *event_shape]", False),
]


def box(left, row, title, text, weights):
    """One step: its name and what happens there."""
    top, middle = TOP + row * (HEIGHT + GAP), left + BOX / 2
    yield (
        f'<rect x="{left}" y="{top}" width="{BOX}" height="{HEIGHT}" rx="8" '
        f'fill="{WEIGHTS if weights else PLAIN}" stroke="#5a6b8c"/>'
    )
    yield f'<text x="{middle}" y="{top + 28}" class="title">{escape(title)}</text>'
    yield f'<text x="{middle}" y="{top + 51}">{escape(text)}</text>'


def column(left, title, steps):
    """Steps below each other, with arrows between them."""
    middle = left + BOX / 2
    yield f'<text x="{middle}" y="30" class="head">{escape(title)}</text>'
    for row, step in enumerate(steps):
        yield from box(left, row, *step)
        if row:
            end = TOP + row * (HEIGHT + GAP)
            yield f'<path d="M{middle} {end - GAP} V{end - 8}" class="arrow"/>'


def draw():
    """The picture as the text of an SVG file."""
    height = TOP + len(TRAINING) * (HEIGHT + GAP)
    shared = TOP + 3 * (HEIGHT + GAP) + HEIGHT / 2
    left, right = 5, WIDTH - BOX - 5
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="17">',
        "<style>text{text-anchor:middle;fill:#1d2a44}.title{font-weight:bold;font-size:18px}"
        ".head{font-size:20px;font-weight:bold}"
        ".arrow{stroke:#5a6b8c;stroke-width:2;fill:none;marker-end:url(#a)}</style>",
        '<defs><marker id="a" markerWidth="8" markerHeight="8" refX="3" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#5a6b8c"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        *column(left, "Training: fit(x, y)", TRAINING),
        *column(right, "Sampling", SAMPLING),
        f'<path d="M{left + BOX} {shared} H{right}" stroke="#5a6b8c" stroke-width="2" '
        'stroke-dasharray="5 4"/>',
        f'<text x="{WIDTH / 2}" y="{height - 8}" font-size="15">Blue: weights. The dashed line '
        "joins the parts whose weights are the same.</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(draw(), encoding="utf-8")
