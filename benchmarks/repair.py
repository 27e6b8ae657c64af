"""How exactly `--repair auto` undoes defects, and how much untouched music it changes.

    python benchmarks/repair.py MUSIC [--tracks 40] [--seconds 30] [--only "DC offset" ...]

Takes a section from the middle of each track that is long enough, adds each defect of known strength as `diagnosis.py`
does (the next track gets the next strength), lets the repair be planned from the diagnosis (`--repair auto`; those of a
resonance and of saturation are named, because `auto` never does them), and compares the result with the
section before the defect. A track that already has the finding is left out of that row. "Unchanged" counts the
untouched sections that come back bit-identical with `--repair auto`; those that do not are listed on stderr.
"""

import argparse
import collections
import sys
from pathlib import Path

import numpy as np
import scipy.signal as dsp
import soundfile
from diagnosis import CHUNK, FILE_BITS, find_tracks, read_section
from diagnosis_defects import DEFECTS, RATE

from nmjax.mastering.diagnosis.diagnosis import diagnose
from nmjax.mastering.diagnosis.inspection import scan_track
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import plan_repairs, repair_stream

AUDIBLE_HZ = (30.0, 16_000.0)
BASS_HZ = 120.0
HUM_HZ = 1.5  # on both sides of a harmonic
FAR_HZ = 4.0  # from all harmonics: elsewhere
NOISE_16_BITS = 2.0**-30 / 12.0 / (RATE / 2.0)  # power per Hz: less is inaudible
RESONANCE_DB, NO_RESONANCE_DB = 1.0, 0.1  # a resonance that changes a frequency by this much; that does not change it
HARMONICS = (1, 2, 3, 4, 5, 7)  # of the hum that is added
HUM_LEVELS_DB = (-50.0, -40.0, -30.0, -20.0)
NAMED = {"resonance", "saturation"}  # findings that are repaired only where `--repair` names them
SELECTED = {  # defect: strengths
    "clipping": (0.01, 0.1, 1.0, 5.0),
    "saturation": (3.0, 6.0, 9.0, 12.0),
    "saturation of a half": (3.0, 6.0, 9.0, 12.0),
    "DC offset": (1.0, 3.0),
    "hum 50 Hz": HUM_LEVELS_DB,
    "hum 60 Hz": HUM_LEVELS_DB,
    "resonance": (12.0, 15.0, 18.0, 24.0),
    "polarity of a channel": (1.0,),
    "delay of a channel": (0.1, 0.5, 2.0, 10.0),
    "polarity of the bass": (120.0, 200.0),
}


def is_long_enough(path, seconds):
    try:
        return soundfile.info(path).duration >= seconds
    except soundfile.LibsndfileError:  # a video
        return False


def to_file(audio):
    """A signal as a file of 24 bits holds it."""
    return (np.round(audio * 2.0 ** (FILE_BITS - 1)) / 2.0 ** (FILE_BITS - 1)).astype(np.float32)


def to_chunks(audio):
    return [audio[start : start + CHUNK] for start in range(0, len(audio), CHUNK)]


def repair(audio, names=("auto",)):
    """Findings by name, the plan, and the repaired signal; names: those of `--repair`."""
    statistics, loudness = scan_track(to_chunks(audio), RATE, audio.shape[1])
    findings = diagnose(statistics, loudness, FILE_BITS)
    track = DiagnosedTrack(lambda: to_chunks(audio), RATE, loudness.lufs)
    plan = plan_repairs(statistics, findings, track, names)
    repaired = np.concatenate(list(repair_stream(to_chunks(audio), plan, RATE, audio.shape[1])))
    return {finding.name for finding in findings}, plan, repaired


def spectrum(audio):
    freq_hz, power = dsp.welch(audio, RATE, nperseg=1 << 16, axis=0)
    return freq_hz, power.mean(axis=1) + NOISE_16_BITS


def strongest_hz(wave):
    return np.argmax(np.abs(np.fft.rfft(wave * np.hanning(len(wave))))) * RATE / len(wave)


def hum_errors(clean, defective, repaired):
    """Levels in dB against the clean signal: at each harmonic, before and after, and the largest change elsewhere."""
    freq_hz, before = spectrum(clean)
    _, after = spectrum(repaired)
    fundamental_hz = strongest_hz(defective[:, 0] - clean[:, 0])
    distance_hz = np.min(np.abs(freq_hz[:, None] - fundamental_hz * np.arange(1, 41)), axis=1)
    elsewhere = (distance_hz >= FAR_HZ) & (freq_hz >= AUDIBLE_HZ[0]) & (freq_hz <= AUDIBLE_HZ[1])
    change_db = np.abs(10.0 * np.log10(after / before))[elsewhere].max()
    bands = [np.abs(freq_hz - fundamental_hz * number) <= HUM_HZ for number in HARMONICS]
    residual_db, original_db = (
        [10.0 * np.log10(x[band].sum() / before[band].sum()) for band in bands] for x in (after, spectrum(defective)[1])
    )
    return original_db, residual_db, change_db


def resonance_errors(clean, defective, repaired):
    """Levels in dB against the clean signal: where the resonance is, before and after; the largest change elsewhere."""
    freq_hz, before = spectrum(clean)
    residual_db, original_db = (10.0 * np.log10(spectrum(x)[1] / before) for x in (repaired, defective))
    audible = (freq_hz >= AUDIBLE_HZ[0]) & (freq_hz <= AUDIBLE_HZ[1])
    near, far = np.abs(original_db) >= RESONANCE_DB, audible & (np.abs(original_db) < NO_RESONANCE_DB)
    return original_db[near], residual_db[near], np.abs(residual_db[far]).max()


def side_over_mid_db(audio):
    freq_hz, mid = dsp.welch(audio.sum(axis=1), RATE, nperseg=1 << 15)
    _, side = dsp.welch(audio[:, 0] - audio[:, 1], RATE, nperseg=1 << 15)
    bass = (freq_hz >= 20.0) & (freq_hz <= BASS_HZ)
    return 10.0 * np.log10((side[bass].sum() + 1e-20) / (mid[bass].sum() + 1e-20))


def error_db(clean, repaired):
    """The difference relative to the signal, up to a common polarity, without the end that a delay loses."""
    end = len(clean) - RATE // 20
    error = min(np.sqrt(np.mean((repaired - sign * clean)[:end] ** 2)) for sign in (1.0, -1.0))
    return 20.0 * np.log10(error / np.sqrt(np.mean(clean[:end] ** 2)) + 1e-9)


def measure(defect, clean, defective, repaired):
    """A row's numbers for one track."""
    if defect.finding == "hum":
        return hum_errors(clean, defective, repaired)
    if defect.finding == "resonance":
        return resonance_errors(clean, defective, repaired)
    if defect.finding == "bass_polarity":
        return side_over_mid_db(defective) - side_over_mid_db(clean), side_over_mid_db(repaired) - side_over_mid_db(
            clean
        )
    if defect.finding == "dc_offset":
        return np.abs(defective.mean(axis=0)).max(), np.abs(repaired.mean(axis=0)).max()
    if defect.finding == "clipping":  # the signal was turned down after it was clipped
        loud = np.abs(clean) > 0.1 * np.abs(clean).max()
        clean = np.median(defective[loud] / clean[loud]) * clean
    if defect.finding == "saturation":  # and turned up or down; small signals, too, where the curve is not symmetric
        return tuple(error_db(np.sum(clean * x) / np.sum(clean**2) * clean, x) for x in (defective, repaired))
    return error_db(clean, defective), error_db(clean, repaired)


def run(paths, seconds, only):
    results, reached, changed = collections.defaultdict(list), collections.defaultdict(list), []
    for number, path in enumerate(paths):
        clean = to_file(read_section(path, seconds))
        untouched, plan, repaired = repair(clean)
        if not np.array_equal(repaired, clean):
            changed.append(path)
            print(f"{path}: {' '.join(x.sentence for x in plan.active().values())}", file=sys.stderr)
        for index, defect in enumerate(DEFECTS):
            if defect.name not in (only or SELECTED) or defect.finding in untouched:
                continue
            strength = SELECTED[defect.name][number % len(SELECTED[defect.name])]
            defective = to_file(defect.add(clean.astype(float), strength, np.random.default_rng([number, index])))
            findings, plan, repaired = repair(defective, ("auto", *NAMED.intersection([defect.finding])))
            is_repaired = any(defect.finding in repair.repaired_findings for repair in plan.active().values())
            reached[defect.finding, strength].append((defect.finding in findings, is_repaired))
            print(path.stem, defect.name, strength, defect.finding in findings, plan.to_dict(), file=sys.stderr)
            if is_repaired:
                results[defect.finding, strength].append(measure(defect, clean, defective, repaired))
                print("   ", *(np.round(x, 2) for x in results[defect.finding, strength][-1]), file=sys.stderr)
    return results, reached, changed


def share(values):
    return f"{100.0 * np.mean(values):.0f} %"


def row_text(finding, rows):
    """Before, after and goal of a row."""
    if finding in ("hum", "resonance"):
        before, after = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
        change_db = [row[2] for row in rows]
        return (
            f"{np.median(before):+.1f} dB over the clean spectrum (worst {before.max():+.0f})",
            f"median {np.median(after):+.2f} dB, worst {after[np.argmax(np.abs(after))]:+.1f} dB, within 3 dB:"
            f" {share(np.abs(after) <= 3.0)}; elsewhere at most {max(change_db):.3f} dB",
        )
    before, after = np.array(rows).T
    if finding == "bass_polarity":
        return (
            f"side/mid off by {np.median(np.abs(before)):.1f} dB",
            f"median {np.median(np.abs(after)):.2f} dB, worst {np.abs(after).max():.1f} dB, within 2 dB:"
            f" {share(np.abs(after) <= 2.0)}",
        )
    if finding == "dc_offset":
        return f"{np.median(before):.4f} of full scale", f"median {np.median(after):.6f}, worst {after.max():.6f}"
    if finding in ("clipping", "saturation"):
        gain_db = before - after
        return f"SDR {np.median(-before):.1f} dB", f"median {np.median(gain_db):+.1f} dB, least {gain_db.min():+.1f} dB"
    return f"error {np.median(before):+.0f} dB", f"median {np.median(after):+.0f} dB, worst {after.max():+.0f} dB"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("music", type=Path, help="a folder, or a CSV with a column `target`")
    parser.add_argument("--tracks", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="+", choices=SELECTED, help="defects to add")
    options = parser.parse_args()
    paths = [path for path in find_tracks(options.music) if is_long_enough(path, options.seconds)]
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(options.tracks, len(paths))).astype(int)]
    results, reached, changed = run(paths, options.seconds, options.only)
    print("| defect | strength | found | repaired | before | after |\n|---|---|---|---|---|---|")
    for (finding, strength), flags in sorted(reached.items()):
        found, repaired = zip(*flags, strict=True)
        texts = row_text(finding, rows) if (rows := results.get((finding, strength))) else ("", "")
        cells = (finding, f"{strength:g}", f"{share(found)} of {len(flags)}", share(repaired), *texts)
        print("| " + " | ".join(cells) + " |")
    unchanged = 100.0 * (1.0 - len(changed) / len(paths))
    print(f"\nUntouched music that stays bit-identical: {unchanged:.1f} % of {len(paths)} sections.")


if __name__ == "__main__":
    main()
