"""Fit of a network with the spectral encoder from long-term levels: minutes instead of hours of training on audio.

An equalizer shifts a song's long-term spectrum by its response, and does not change how levels move and how noisy the
bands are. So the fit has three steps:

1. Estimator (closed form): from the features that an equalizer does not change, predict the spectrum of such music; the
   Wiener estimate of the degradation from the rest, negated, is the correction. It becomes the first 54 values of z.
2. Equalizer decoder: gradient descent on the distance between the bands' response and the correction, with the
   regularizers, which keep few gates open.
3. Processor decoders, in a phase with processors (closed form).

From pairs of unmastered and mastered songs, step 1 is a regression of what the engineer did on the unmastered spectrum,
and step 3 is left to training on audio.

docs/results/results.md shows what each step is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nmjax.config import Config
from nmjax.data import Song
from nmjax.models import PHASES
from nmjax.models.spectral_features import NUM_BANDS
from nmjax.runtime.errors import BadInputError
from nmjax.training.spectral_fit.decoder_fit import fit_decoder
from nmjax.training.spectral_fit.estimator import LinearEstimator, fit_estimator, random_degradation_curves
from nmjax.training.spectral_fit.excerpts import GroupedFeatures, extract_features
from nmjax.training.spectral_fit.pair_estimator import extract_pair_features, fit_pair_estimator
from nmjax.training.spectral_fit.processor_fit import fit_processors


def fit_spectral_variables(
    config: Config,
    variables: dict,
    songs: Sequence[Song],
    report: Callable[[str], None],
    grouped_features: GroupedFeatures | None = None,
) -> dict:
    """The variables of a network with the spectral encoder, fitted to songs.

    Most of z, the residual and the saturator are not fitted; they keep their values.

    Args:
        config: All settings.
        variables: Initial variables.
        songs: Mastered music, or pairs of unmastered and mastered songs.
        report: Called with messages about the progress and the result.
        grouped_features: From `extract_features` for the same songs, no pairs; None to extract them.

    Raises:
        BadInputError: Another encoder, or fewer than two usable albums.
    """
    check_spectral_encoder(config)
    degradations = random_degradation_curves(config.seed)
    is_paired = any(song.input is not None for song in songs)
    if is_paired:
        pairs = extract_pair_features(songs, report)
        features, estimator = pairs.features, fit_pair_estimator(pairs)
        report(
            f"{len(features)} pairs. Mastering changed their spectra by {estimator.spectrum_std_db:.1f} dB RMS; on "
            f"held-out albums, the prediction is {estimator.residual_rms_db:.1f} dB from that."
        )
    else:
        features, groups = grouped_features or extract_features(songs, config, report)
        estimator = fit_estimator(features, groups, degradations)
        report(
            f"{len(features)} excerpts of {groups.max() + 1} albums. Their spectra differ by "
            f"{estimator.spectrum_std_db:.1f} dB RMS, from the predicted spectra by {estimator.residual_rms_db:.1f} dB."
        )
    params = dict(variables["params"])
    # With two branches, the spectral one is fitted.
    encoder = params["encoder"].get("spectral", params["encoder"])
    params["encoder"] = {"out": _with_estimator(encoder["out"], estimator)}
    params["decoder"], distance_db = fit_decoder(config, variables, estimator, features, degradations)
    report(f"The bands render the corrections to within {distance_db:.2f} dB RMS.")
    if PHASES[config.phase].has_processors and not is_paired:
        params |= fit_processors(params, config, songs, report)
    if "spectral" in variables["params"]["encoder"]:
        params["encoder"] = {**variables["params"]["encoder"], "spectral": params["encoder"]}
    return {**variables, "params": params}


def _with_estimator(dense: dict, estimator: LinearEstimator) -> dict:
    """The parameters of the spectral encoder's dense layer with the estimator in the first values of z."""
    return {
        "kernel": dense["kernel"].at[:, :NUM_BANDS].set(estimator.kernel),
        "bias": dense["bias"].at[:NUM_BANDS].set(estimator.bias),
    }


def check_spectral_encoder(config: Config) -> None:
    """Raises BadInputError for another encoder."""
    if config.model.encoder not in ("spectral", "two_branch"):
        raise BadInputError("--fit-spectral needs model.encoder=spectral. Add --config spectral.")
