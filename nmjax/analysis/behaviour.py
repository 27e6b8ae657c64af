"""Questions about tracks: what their curves are like, how firm, what z knows, what the network listens to."""

from __future__ import annotations

import dataclasses

import numpy as np

from nmjax.analysis import answers, curves, probes, sensitivity, stability
from nmjax.analysis.curves import Kinds
from nmjax.analysis.page import Picture, Section, Table, number
from nmjax.analysis.study import FREQ_HZ, Study, last_of, nominal
from nmjax.analysis.tables import save_csv


def curves_section(study: Study) -> Section:
    """What the curves are like."""
    from nmjax.plots import collection as plots

    shapes = curves.shapes_db(study.answers.settings)
    rows, kinds, mean = curves.curve_table(shapes), curves.kinds_of(shapes, study.seed), shapes.mean(axis=0)
    save_csv(rows, study.out / "curves.csv")
    save_csv(
        [
            {"track": track.name, "group": track.group, "kind": 0 if kinds is None else int(kinds.of[i]) + 1,
             **{f"at_{nominal(f)}_db": x for f, x in zip(FREQ_HZ, shapes[i], strict=True)}}
            for i, track in enumerate(study.answers.tracks)
        ],
        study.out / "curves-tracks.csv",
    )  # fmt: skip
    quantiles = np.array([[row[f"p{p}_db"] for row in rows] for p in (5, 25, 50, 75, 95)])
    pictures = [
        Picture(
            study.picture("curves", plots.fan, FREQ_HZ, quantiles, mean),
            "The rendered equaliser of all tracks, each about its mean over frequency.",
        )
    ]
    moves = np.sqrt(np.mean(shapes**2, axis=1))
    sentences = [
        f"A curve moves a track by {np.median(moves):.2f} dB RMS in the median; tracks differ from their mean curve by "
        f"{stability.between_db(shapes):.2f} dB RMS, and the mean curve itself is "
        f"{np.sqrt(np.mean(mean**2)):.2f} dB RMS.",
        "A gain that is the same everywhere, which delivery undoes, is taken out; it differs between tracks by "
        f"{np.std(curves.curves_db(study.answers.settings).mean(axis=1), ddof=1):.2f} dB.",
    ]
    tables = []
    if kinds is not None:
        said, picture, table = _kinds(study, shapes, kinds)
        sentences.append(said)
        pictures.append(picture)
        tables.append(table)
    return Section("The curves", sentences, pictures, tables, ["curves.csv", "curves-tracks.csv"])


def _kinds(study: Study, shapes: np.ndarray, kinds: Kinds) -> tuple[str, Picture, Table]:
    from nmjax.plots import collection as plots

    members = [shapes[kinds.of == i] for i in range(len(kinds.centres))]
    clear = "kinds of their own" if kinds.silhouette > kinds.chance else "no kinds, but cuts through one cloud"
    said = (
        f"K-means: {len(members)} clusters, mean silhouette {kinds.silhouette:.2f} (a cloud without kinds: up to "
        f"{kinds.chance:.2f}); {clear}."
    )
    drawn = [
        (f"Kind {i + 1} ({len(own)} tracks)", centre, *np.percentile(own, [10, 90], axis=0))
        for i, (own, centre) in enumerate(zip(members, kinds.centres, strict=True))
    ]
    path = study.picture("curves-kinds", plots.panels, FREQ_HZ, drawn, shapes.mean(axis=0))
    rows = [
        {"kind": i + 1, "tracks": len(own), "typical_track": last_of(study.answers.names[kinds.typical[i]])}
        for i, own in enumerate(members)
    ]
    caption = "Clusters: centre and 10 to 90 % of their tracks; dashed: all tracks."
    return said, Picture(path, caption), Table("Clusters and the track nearest to each centre.", rows)


def stability_section(study: Study) -> Section:
    """How firm settings are."""
    from nmjax.plots import collection as plots

    title, between = "How firm settings are", stability.between_db(curves.shapes_db(study.answers.settings))
    sentences, tables, files = _from_window_to_window(study, between)
    rows = stability.change_rows(study.answers.tracks, study.network, study.threshold)
    if not rows:
        return Section(title, [*sentences, "Every track is silent."], (), tables, files)
    save_csv(rows, study.out / "stability-changes.csv")
    low, high = (np.array([row[name] for row in rows]) for name in ("median_db", "p90_db"))
    path = study.picture(
        "stability-changes", plots.spans, [row["change"] for row in rows], low, high, between, "between tracks",
        "change of the curve (dB RMS over third octaves)",
    )  # fmt: skip
    caption = (
        f"What changes of the file do to the curve of {stability.SECONDS:g} s: median and 90th percentile of "
        f"{rows[0]['tracks']} tracks."
    )
    tables.append(Table("The same, and the share of gates that change sides.", rows))
    return Section(title, sentences, [Picture(path, caption)], tables, [*files, "stability-changes.csv"])


def _from_window_to_window(study: Study, between: float) -> tuple[list[str], list[Table], list[str]]:
    """Sentences, tables, files."""
    if not study.windowed:
        return ["With --windows the settings of every window are kept, and compared here."], [], []
    a = study.answers
    wholes = {t.key: {k: v[i : i + 1] for k, v in a.settings.items()} for i, t in enumerate(a.tracks)}
    rows = stability.window_rows(answers.windows(a.tracks, study.out), wholes, study.threshold)
    if not rows:
        return ["No track has three windows that sound."], [], []
    save_csv(rows, study.out / "stability-windows.csv")
    within = float(np.sqrt(np.mean([row["within_db"] ** 2 for row in rows])))
    share = between**2 / max(between**2 + within**2, 1e-20)
    said = (
        f"From window to window a track's curve moves by {within:.2f} dB RMS, tracks differ from each other by "
        f"{between:.2f}: {100 * share:.0f} % of the variance of a window's curve is the track's own."
    )
    if a.gated:
        said += f" {100 * np.mean([r['same_gates'] for r in rows]):.0f} % of windows' gates stand as the whole track's."
    ends = [pick(rows, key=lambda row: row["within_db"]) for pick in (min, max)]
    table = Table("The steadiest and the least steady track.", [{**r, "track": last_of(r["track"])} for r in ends])
    return [said], [table], ["stability-windows.csv"]


def latent_section(study: Study) -> Section:
    """What z knows."""
    from nmjax.plots import collection as plots

    a = study.answers
    if len(a.tracks) < probes.LEAST:
        return Section("What z knows", [f"Probes need {probes.LEAST} tracks or more; there are {len(a.tracks)}."])
    found = probes.probes(a.z, a.measures, a.groups, study.seed)
    save_csv([dataclasses.asdict(p) for p in found], study.out / "latent.csv")
    targets, parts = list(dict.fromkeys(p.target for p in found)), list(dict.fromkeys(p.part for p in found))
    score, control = (
        np.array([getattr(p, name) for p in found]).reshape(len(targets), -1) for name in ("score", "control_high")
    )
    names = ["all of z", *(f"quarter {part}" for part in parts[1:])]
    path = study.picture("latent", plots.scores, targets, names, score, control)
    caption = (
        "Linear probes on tracks they have not seen: R², for the group the share named right. Grey: up to where 95 % "
        "of probes for shuffled answers come."
    )
    known = [t for t, s, c in zip(targets, score[:, 0], control[:, 0], strict=True) if s > c]
    rows = [
        {"target": target, **dict(zip(names, s, strict=True)), "shuffled": c[0]}
        for target, s, c in zip(targets, score, control, strict=True)
    ]
    sentences = [f"Told from z better than from shuffled answers: {', '.join(known) or 'nothing'}."]
    table = Table("Scores; shuffled: the 95th percentile for all of z.", rows)
    return Section("What z knows", sentences, [Picture(path, caption)], [table], ["latent.csv"])


def sensitivity_section(study: Study) -> Section:
    """What the network listens to."""
    found = sensitivity.sensitivity(study.answers.tracks, study.network)
    if not found:
        return Section("What the network listens to", ["Every track is silent."])
    kinds = [name for name in found if name != "gate" or study.answers.gated]
    ticks = [nominal(f) for f in FREQ_HZ]
    rows = [
        {"what": kind, "output": f"{ticks[i]} Hz" if kind == "curve_db" else i + 1, "input_hz": f,
         "mean_per_db": found[kind][:, i, j].mean(), "sd_per_db": found[kind][:, i, j].std()}
        for kind in kinds for i in range(found[kind].shape[1]) for j, f in enumerate(FREQ_HZ)
    ]  # fmt: skip
    save_csv(rows, study.out / "sensitivity.csv")
    curve = found["curve_db"].mean(axis=0)
    curve = curve - curve.mean(axis=0)  # a gain that is the same everywhere is undone by delivery
    loudest = np.sort(np.argsort(-np.sum(curve**2, axis=0))[:3])
    own = number(np.mean(np.diag(curve)))
    sentences = [
        f"{len(found['curve_db'])} tracks, a typical stretch of 6 s each. Where a third octave of the input is 1 dB "
        f"louder, the curve there moves by {own} dB in the mean (−1 would take it all back).",
        f"The curve moves most with the input at {', '.join(f'{ticks[i]} Hz' for i in loudest)}.",
    ]
    means = {kind: found[kind].mean(axis=0) for kind in kinds} | {"curve_db": curve}
    pictures = _derivatives(study, means, ticks)
    return Section("What the network listens to", sentences, pictures, (), ["sensitivity.csv"])


def _derivatives(study: Study, means: dict[str, np.ndarray], ticks: list[str]) -> list[Picture]:
    from nmjax.plots import collection as plots

    captions = {
        "rendered_gain_db": "dB of a band's rendered gain for each dB that one third octave of the input is louder.",
        "gate": "The same of the gates.",
        "curve_db": "The same of the whole curve about its mean: what levels its input has a diagonal below 0.",
    }
    pictures = []
    for kind in (k for k in captions if k in means):
        names = ticks if kind == "curve_db" else [name.replace("\n", ": ") for name in study.band_names]
        path = study.picture(
            f"sensitivity-{kind.replace('_', '-')}", plots.heat, means[kind], names, ticks, "per dB", True,
            axes_names=("third octave of the input (Hz)", ""), every=3,
        )  # fmt: skip
        pictures.append(Picture(path, captions[kind]))
    return pictures
