"""Questions about bands: which are used, and whether groups use them differently."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import curves, groups, usage
from nmjax.analysis.page import Picture, Section, Table
from nmjax.analysis.study import FREQ_HZ, Study
from nmjax.analysis.tables import save_csv

_SHOWN_PAIRS = 8
_WORDS = {"gate": "Gate", "rendered_gain_db": "Rendered gain (dB)"}


def usage_section(study: Study) -> Section:
    """Which bands are used."""
    a, s = study.answers, study.answers.settings
    rows = usage.bands_table(s["freq_hz"], s["gate"], a.rendered_db, study.threshold)
    places = usage.frequency_table(s["freq_hz"], s["gate"], a.rendered_db, study.threshold)
    pairs = usage.pairs_table(s["freq_hz"], a.rendered_db, s["q"])
    active = usage.active_bands(s["gate"], study.threshold)
    files = {"usage.csv": rows, "usage-frequency.csv": places, "usage-pairs.csv": pairs}
    for name, table in files.items():
        save_csv(table, study.out / name)
    sentences = [
        f"Of {len(rows)} bands {np.mean(active):.1f} are open in the mean (gate above {study.threshold:g}), from "
        f"{active.min()} to {active.max()}.",
        _adaptive(rows),
        _which("never open in any track", rows, "never open"),
        _which(f"open at times and never move {usage.ACTS_DB:g} dB", rows, "never acts"),
        _which("at work in every track", rows, "always acts"),
    ]
    left_out = ("freq_hz_p10", "freq_hz_p90", "rendered_db_mean", "largest_db")
    tables = [Table("Bands.", [{k: v for k, v in row.items() if k not in left_out} for row in rows])]
    together = sorted((p for p in pairs if p["same"] + p["against"] > 0), key=lambda p: -(p["same"] + p["against"]))
    if together:
        tables.append(Table("Pairs that do one job, or undo each other's (shares of tracks).", together[:_SHOWN_PAIRS]))
    pictures = _usage_pictures(study, rows, places, pairs, active)
    return Section("Which bands are used", list(filter(None, sentences)), pictures, tables, list(files))


def _adaptive(rows: list[dict]) -> str:
    """Whether gates depend on the track at all."""
    moving = [row for row in rows if 0.0 < row["open"] < 1.0]
    if not moving:
        return "Every gate stands on the same side in all tracks: bands were chosen once, and not track by track."
    return f"Open in some tracks and closed in others: {len(moving)} of {len(rows)} gates."


def _which(said: str, rows: list[dict], verdict: str) -> str:
    found = [str(row["band"]) for row in rows if row["verdict"] == verdict]
    if not found:
        return ""
    return f"Band{'s' * (len(found) > 1)} {', '.join(found)}: {said}."


def _usage_pictures(
    study: Study, rows: list[dict], places: list[dict], pairs: list[dict], active: np.ndarray
) -> list[Picture]:
    from nmjax.plots import collection as plots

    bands = [str(row["band"]) for row in rows]
    columns = [np.array([row[name] for row in rows]) for name in ("gate_mean", "gate_sd", "open", "acts")]
    words = {"bands": "bands that stand there", "open": "open", "moved_db": "dB moved"}
    lines = {text: np.array([row[name] for row in places]) for name, text in words.items()}
    same = np.full((len(bands), len(bands)), np.nan)
    for pair in pairs:
        place = [pair["band_a"] - 1, pair["band_b"] - 1]
        same[place, place[::-1]] = pair["same"]
    return [
        Picture(
            study.picture("usage", plots.gates, *columns, study.band_names),
            "Each band's mean gate (whiskers: standard deviation over tracks), and in what share of the tracks it is "
            f"open, and open with at least {usage.ACTS_DB:g} dB.",
        ),
        Picture(
            study.picture("usage-active", plots.counts, active, len(bands),
                          f"bands with a gate above {study.threshold:g}"),
            "How many bands are open in a track.",
        ),
        Picture(
            study.picture("usage-frequency", plots.over_frequency, FREQ_HZ, lines, "a track, in each third octave"),
            "Where bands stand, where they are open, and how many dB they move there, in the mean of the tracks.",
        ),
        Picture(
            study.picture("usage-pairs", plots.heat, same, bands, bands, "share of tracks", False,
                          axes_names=("band", "band")),
            f"How often two bands do the same job: their curves' cosine is {usage.ALIKE:g} or more.",
        ),
    ]  # fmt: skip


def groups_section(study: Study) -> Section:
    """How groups differ."""
    a = study.answers
    names, small = groups.comparable(a.groups)
    said = [f"Too small to be compared (under {groups.LEAST} tracks): {len(small)} of the groups."] if small else []
    if nowhere := int(np.sum(a.groups == "")):
        said.append(f"In no group, and without part in this: {nowhere} of the tracks.")
    if len(names) < 2:
        return Section("By group", ["There are not two groups to compare; name them with --groups.", *said])
    rows: list[dict] = []
    tests: list[dict] = []
    pictures: list[Picture] = []
    sentences = [f"{len(names)} groups are compared, {np.sum(np.isin(a.groups, names))} tracks."]
    for kind, values in {"rendered_gain_db": a.rendered_db, "gate": a.settings["gate"]}.items():
        if kind == "gate" and not a.gated:
            continue
        found, test = _compared(study, kind, values, names)
        rows, tests = rows + found, tests + test
        pictures.append(_heat(study, kind, found, names))
        real = sum(t["p_corrected"] < groups.SIGNIFICANT for t in test)
        sentences.append(
            f"{_WORDS[kind]}: groups differ in {real} of {len(test)} bands (permutation test, corrected for all bands)."
        )
    pictures.append(_curves_by_group(study, names))
    save_csv(rows, study.out / "groups.csv")
    save_csv(tests, study.out / "groups-tests.csv")
    sentences += ["Tracks of one album are alike, so a difference may be the album's and not the genre's.", *said]
    caption = "By band: do groups differ at all? explained: share of the variance that lies between groups (ω²)."
    shown = [{**test, "what": _WORDS[test["what"]]} for test in tests]
    files = ["groups.csv", "groups-tests.csv", "groups-curves.csv"]
    return Section("By group", sentences, pictures, [Table(caption, shown)], files)


def _compared(study: Study, kind: str, values: np.ndarray, names: list[str]) -> tuple[list[dict], list[dict]]:
    """Rows by group and band, and rows by band."""
    own, bands = study.answers.groups, range(values.shape[1])
    whole, rest = groups.any_difference(values, own, study.seed), groups.against_rest(values, own, study.seed)
    shares, rows = groups.explained(values, own), []
    for name in names:
        m, t = groups.mean_of(values[own == name], study.seed), rest[name]
        rows += [
            {"what": kind, "group": name, "tracks": int(np.sum(own == name)), "band": b + 1, "mean": m.value[b],
             "low": m.low[b], "high": m.high[b], "p": t.plain[b], "p_corrected": t.corrected[b]}
            for b in bands
        ]  # fmt: skip
    tests = [
        {"what": kind, "band": b + 1, "p": whole.plain[b], "p_corrected": whole.corrected[b], "explained": shares[b]}
        for b in bands
    ]
    return rows, tests


def _heat(study: Study, kind: str, rows: list[dict], names: list[str]) -> Picture:
    from nmjax.plots import collection as plots

    mean, p = (np.array([row[name] for row in rows]).reshape(len(names), -1) for name in ("mean", "p_corrected"))
    path = study.picture(
        f"groups-{kind.replace('_', '-')}", plots.heat, mean, names, study.band_names, _WORDS[kind], kind != "gate",
        p < groups.SIGNIFICANT,
    )  # fmt: skip
    return Picture(
        path,
        f"{_WORDS[kind]}: the mean of each group. Starred: differs from all other tracks "
        f"(p < {groups.SIGNIFICANT:g}, corrected for bands and groups).",
    )


def _curves_by_group(study: Study, names: list[str]) -> Picture:
    from nmjax.plots import collection as plots

    own, shapes = study.answers.groups, curves.shapes_db(study.answers.settings)
    means = {name: groups.mean_of(shapes[own == name], study.seed) for name in names}
    rows = [
        {"group": name, "freq_hz": f, "mean_db": m.value[i], "low_db": m.low[i], "high_db": m.high[i]}
        for name, m in means.items()
        for i, f in enumerate(FREQ_HZ)
    ]
    save_csv(rows, study.out / "groups-curves.csv")
    drawn = [(f"({np.sum(own == name)}) {name}", m.value, m.low, m.high) for name, m in means.items()]
    return Picture(
        study.picture("groups-curves", plots.panels, FREQ_HZ, drawn, shapes.mean(axis=0)),
        "Mean rendered curve of each group, about its mean over frequency, with its 95 % interval (bootstrap over "
        "tracks; how many there are in brackets); dashed: all tracks.",
    )
