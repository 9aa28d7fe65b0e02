"""What was measured, to read."""

from __future__ import annotations

from typing import Any

from layer_r2.competitors import COMPETITORS, OURS, REFERENCE


def heading(name: str) -> tuple[str, str]:
    """Title and number format of a competitor."""
    if name in OURS:
        title, precision = OURS[name]
        return title, "float64" if precision == "float64" else "float32 and float64"
    return COMPETITORS[name].title, COMPETITORS[name].dtype


def machine_line(measured: dict[str, Any]) -> str:
    """The machine and the code in one sentence."""
    machine, code = measured["machine"], measured["code"]
    changed = ", with changes" if code["dirty"] else ""
    return (
        f"On {machine['processor']}, {machine['threads']} of {machine['cores']} cores, "
        f"{machine['memory_gb']} GB of memory, device `{measured['device']}`, "
        f"at commit {str(code['commit'])[:10]}{changed}; load before the run: {number(machine['load'])}."
    )


def number(value: float | None) -> str:
    """Three significant digits without an exponent; a dash where there is nothing."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_text(measured: dict[str, Any]) -> str:
    """The whole report as Markdown."""
    problem = measured["problem"]
    n, layers, width = problem["samples"], problem["layers"], problem["width"]
    splits = f", {problem['splits']} splits" if problem["splits"] > 1 else ""
    return "\n".join(
        [
            f"# R² of all layer pairs, measured: {measured['size']}",
            "",
            f"`{measured['command']}`",
            "",
            machine_line(measured),
            f"The job: {layers} × {layers} layers of width {width:,}, {problem['n_train']:,} training and "
            f"{problem['n_test']:,} test rows of {n:,}{splits}, penalty {problem['penalty']}; made-up "
            "float16 states that share a low-rank signal, some dimensions 50 to 1,000 times the rest.",
            "",
            "| method | numbers | time of the job, s | how it was timed | times ours "
            "| times ours, mixed | largest difference of R² | pairs compared | peak memory, GB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *(_row(name, answer) for name, answer in measured["methods"].items()),
            "",
            f"Differences are to {heading(REFERENCE)[0]} (float64), on the pairs for which it was timed. "
            "Times of ours hold reading the layers from the HDF5 file (just written, so from the system's "
            "cache) and widening their numbers; the others got their rows in memory, in their own number "
            "format, with neither timed. "
            f"Each method ran in a process of its own (CPU threads: {measured['machine']['threads']}) and "
            f"began no unit of its work that would have passed {measured['budget']:g} s, but for the first. "
            "Peak memory is that of the process, with interpreter and libraries, for what was timed.",
            "",
            *_ours(measured),
            *_rates(measured),
            *_warnings(measured),
            "",
        ]
    )


def _row(name: str, answer: dict[str, Any]) -> str:
    title, dtype = heading(name)
    if "missing" in answer:
        return f"| {title} | {dtype} | – | {answer['missing']} | – | – | – | – | – |"
    about = "≈ " if answer["extrapolated"] else ""
    ratios = [number(answer.get("ratio", {}).get(ours)) for ours in OURS]
    difference = f"{answer['max_difference']:.1e}" if "max_difference" in answer else "–"
    cells = [title, dtype, about + number(answer["seconds"]), answer["how"], *ratios]
    return f"| {' | '.join([*cells, difference, str(answer['pairs_compared']), number(answer['peak_gb'])])} |"


def _ours(measured: dict[str, Any]) -> list[str]:
    lines = []
    for name in OURS:
        answer = measured["methods"].get(name, {})
        if "seconds" not in answer:
            continue
        achieved, values = answer["achieved"], answer["r2"]
        device = answer["device_peak_gb"]
        lines += [
            f"- {heading(name)[0]}: {achieved['flop'] / 1e12:.3g} TFLOP in {number(answer['seconds'])} s are "
            f"{number(achieved['gflops'])} GFLOP/s, {100 * achieved['share']:.0f} % of the "
            f"{achieved['share_of']} matrix-product rate; "
            f"reading {answer['layers_read']} layers took {number(answer['reading_seconds'])} s of it, "
            f"the rest {number(answer['seconds'] - answer['reading_seconds'])} s. "
            f"R² from {values['min']:.2f} to {values['max']:.2f}, mean {values['mean']:.2f}"
            + (f"; {number(device)} GB of GPU memory" if device is not None else "")
            + "."
        ]
    return lines


def _rates(measured: dict[str, Any]) -> list[str]:
    lines = []
    for when, entry in measured["rates"].items():
        for library, rates in entry["rates"].items():
            told = ", ".join(f"{dtype} {number(rate)} GFLOP/s" for dtype, rate in rates.items())
            lines.append(
                f"- square products of {measured['rate_size']:,} in {library}, {when} the run: {told}"
            )
    lines.append(f"- linear algebra: {'; '.join(measured['libraries_of_products'])}")
    return lines


def _warnings(measured: dict[str, Any]) -> list[str]:
    return [
        f"- {heading(name)[0]} ({heading(name)[1]}) warned {count} times: {text}"
        for name, answer in measured["methods"].items()
        for text, count in answer.get("warnings", {}).items()
    ]


def scaling_text(measured: dict[str, Any]) -> str:
    """Time of ours against the size, as Markdown."""
    base = measured["base"]
    lines = [
        "# R² of all layer pairs: time against size",
        "",
        f"`{measured['command']}`",
        "",
        machine_line(measured),
        f"Ours, float64, around {base['samples']:,} samples, {base['layers']} × {base['layers']} layers, "
        f"width {base['width']:,}; one of them is varied at a time. The slope is that of log time over log "
        "size, a least-squares line; beside it the same slope of the operation count. The smaller system is "
        "solved (width or training rows), so no exact power law is expected.",
        "",
    ]
    for axis in measured["axes"]:
        lines += [
            f"## {axis['varied'].capitalize()}: slope {axis['slope']:.2f} "
            f"(operations {axis['flop_slope']:.2f})",
            "",
            f"| {axis['varied']} | time, s | GFLOP | GFLOP/s | peak memory, GB |",
            "| --- | --- | --- | --- | --- |",
        ]
        for point in axis["points"]:
            rate = point["flop"] / point["seconds"] / 1e9
            lines.append(
                f"| {point['value']:,} | {number(point['seconds'])} | {number(point['flop'] / 1e9)} "
                f"| {number(rate)} | {number(point['peak_gb'])} |"
            )
        lines.append("")
    return "\n".join(lines)
