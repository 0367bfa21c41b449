"""The figures as an SVG: for each workload one group of bars, ours first. Text and rectangles, nothing else."""

from __future__ import annotations

from html import escape

from benchmarks.harness.peers import OURS
from benchmarks.speed.report import Results, ServerResult, WorkloadResult

# One of `_COLUMNS` columns holds a stack of groups; all measures are in pixels.
_COLUMNS = 2
_WIDTH = 470
_GAP = 30
_MARGIN = 20
_NAME = 115  # names of the servers
_NUMBER = 75  # figures behind the bars
_BAR = 13
_ROW = 18
_TITLE = 26
_BETWEEN = 18
_TOP = 64
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
_STYLE = (
    "<style>text{fill:#24292f}.t{font-weight:600;font-size:13px}.s{font-size:11px}.n{font-size:12px;text-anchor:end}"
    ".v{font-size:11px}.ours{fill:#2f6fb3}.other{fill:#b4bcc6}.page{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#d8dee4}.ours{fill:#5b9bdf}.other{fill:#56606b}.page{fill:#0d1117}}"
    "</style>"
)


def draw(results: Results) -> str:
    """Return the SVG. Where a workload compares times, short bars are the good ones, and the title says so."""
    columns: list[list[WorkloadResult]] = [[] for _ in range(_COLUMNS)]
    heights = [0] * _COLUMNS
    for workload in results.workloads:
        if any(server.runs for server in workload.servers):
            shortest = heights.index(min(heights))
            columns[shortest].append(workload)
            heights[shortest] += _height(workload)
    width = 2 * _MARGIN + _COLUMNS * _WIDTH + (_COLUMNS - 1) * _GAP
    height = _TOP + max(heights) + _MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"role='img' aria-label='Requests per second of WSGI servers' {_FONT}>",
        _STYLE,
        f"<rect class='page' width='{width}' height='{height}'/>",
        f"<text class='t' x='{_MARGIN}' y='26' style='font-size:17px'>One process, four threads, one core</text>",
        f"<text class='s' x='{_MARGIN}' y='46'>{escape(_subtitle(results))}</text>",
    ]
    for number, column in enumerate(columns):
        x = _MARGIN + number * (_WIDTH + _GAP)
        y = _TOP
        for workload in column:
            parts += _group(workload, x, y)
            y += _height(workload)
    return "\n".join([*parts, "</svg>", ""])


def _subtitle(results: Results) -> str:
    machine = results.machine
    return (
        f"median of {results.rounds} rounds of {results.seconds} s, in turn; {machine['python']}, {machine['system']}; "
        "ratio: ours by theirs"
    )


def _height(workload: WorkloadResult) -> int:
    return _TITLE + _ROW * sum(bool(server.runs) for server in workload.servers) + _BETWEEN


def _group(workload: WorkloadResult, x: int, y: int) -> list[str]:
    servers = [server for server in workload.servers if server.runs]
    longest = max(server.median(workload.figure) for server in servers) or 1.0
    unit = "requests a second" if workload.figure == "rate" else f"{workload.figure} in us, less is better"
    parts = [
        f"<text x='{x}' y='{y + 14}'><tspan class='t'>{escape(workload.text)}</tspan>"
        f"<tspan class='s' dx='8'>{unit}</tspan></text>"
    ]
    for row, server in enumerate(servers):
        parts += _bar(workload, server, x, y + _TITLE + row * _ROW, longest)
    return parts


def _bar(workload: WorkloadResult, server: ServerResult, x: int, y: int, longest: float) -> list[str]:
    value = server.median(workload.figure)
    room = _WIDTH - _NAME - _NUMBER - 8
    length = max(1.0, room * value / longest)
    kind = "ours" if server.name == OURS else "other"
    return [
        f"<text class='n' x='{x + _NAME}' y='{y + 10}'>{escape(server.name)}</text>",
        f"<rect class='{kind}' x='{x + _NAME + 8}' y='{y}' width='{length:.1f}' height='{_BAR}' rx='2'/>",
        f"<text class='v' x='{x + _NAME + 8 + length + 5:.1f}' y='{y + 10}'>{escape(_label(workload, server))}</text>",
    ]


def _label(workload: WorkloadResult, server: ServerResult) -> str:
    ratios = sorted(workload.ratios(server))
    text = f"{server.median(workload.figure):,.0f}"
    if server.name != OURS and ratios:
        text += f"  ({ratios[len(ratios) // 2]:.2f})"
    return text + (" errors!" if server.errors else "")
