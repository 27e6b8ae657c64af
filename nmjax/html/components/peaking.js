// @ts-check
/**
 * Response of a peaking filter (R. Bristow-Johnson's formula), so that a moved handle is drawn in the next frame.
 * The server's curves, which the engine computes, take its place as soon as they arrive.
 *
 * @param {{freq_hz: number, gain_db: number, q: number}} band
 * @param {number[]} frequencies  in Hz
 * @param {number} sampleRate  in Hz
 * @returns {number[]} in dB
 */
export function peakingDb({ freq_hz, gain_db, q }, frequencies, sampleRate) {
  const w0 = (2 * Math.PI * Math.min(freq_hz, 0.499 * sampleRate)) / sampleRate;
  const a = 10 ** (gain_db / 40);
  const alpha = Math.sin(w0) / (2 * q);
  const cos0 = Math.cos(w0);
  const numerator = [1 + alpha * a, -2 * cos0, 1 - alpha * a];
  const denominator = [1 + alpha / a, -2 * cos0, 1 - alpha / a];
  return frequencies.map((hz) => {
    const w = (2 * Math.PI * Math.min(hz, 0.499 * sampleRate)) / sampleRate;
    return 10 * Math.log10(power(numerator, w) / power(denominator, w));
  });
}

/** |b0 + b1 e^(−jw) + b2 e^(−2jw)|² */
function power(coefficients, w) {
  const [b0, b1, b2] = coefficients;
  const real = b0 + b1 * Math.cos(w) + b2 * Math.cos(2 * w);
  const imaginary = b1 * Math.sin(w) + b2 * Math.sin(2 * w);
  return real * real + imaginary * imaginary;
}
