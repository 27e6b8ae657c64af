// @ts-check
/**
 * The JSON of the server.
 *
 * @typedef {{freq_hz: number, gain_db: number, q: number, gate?: number}} Band
 * @typedef {{name: string | null, lufs: number | string | null, true_peak: number | string | null,
 *   max_limiting: number | null}} Deliver
 * @typedef {Record<string, number>} Values
 * @typedef {{start: number, end: number}} Section  of a reference, in seconds
 * @typedef {object} State
 * @property {string} model
 * @property {number} intensity  0 to 2
 * @property {Values} amounts  0 to 2 by stage: eq, compressor, saturator, width, residual
 * @property {Band[]} bands
 * @property {Band[]} side_bands  of the difference of the channels
 * @property {Record<string, Values | null>} processors
 * @property {string[]} bypass  names of the chain
 * @property {string | null} solo
 * @property {string[] | string} repair
 * @property {Deliver} deliver
 * @property {string | null} style  the track moves toward it; null for references, or for no target
 * @property {{id: string, weight: number, section: Section | null}[]} references
 * @property {number} reference_strength  0 to 1
 * @property {Values} reference_weights  0 to 1 by aspect: tone, dynamics, width
 * @property {boolean} same_song
 * @property {number | null} max_boost  dB; null for the default
 * @property {boolean} [has_residual]  whether the network renders a residual
 *
 * @typedef {{name: string, severity: "info" | "warning" | "problem", title: string, sentence: string, value: number,
 *   unit: string, percentile: number | null, remedy: string, repaired: string}} Finding
 * @typedef {{id: string, name: string, sample_rate: number, channels: number, frames: number, duration_s: number,
 *   status: "decoding" | "analyzing" | "ready" | "failed", error: string | null}} TrackBrief
 * @typedef {TrackBrief & {revision: number, findings: Finding[], input: {lufs: number, loudness_range: number,
 *   true_peak_db: number}, summary: string[], state: State, can_undo: boolean, can_redo: boolean, snapshots: string[],
 *   suggestion: State | null,
 *   references: {id: string, name: string, is_music: boolean}[], target_notes: string[], loudness_change_db: number | null}} Track
 *
 * @typedef {{id: string, name: string, is_music: boolean, weight: number, section: Section | null}} Reference
 * @typedef {{name: string, label: string, unit: string, low: number, high: number, neutral: number | null,
 *   scale: "linear" | "log", step: number}} Setting
 * @typedef {{name: string, label: string, settings: Setting[]}} Processor
 * @typedef {{name: string, lufs: number, true_peak: number}} Preset
 * @typedef {object} Session
 * @property {TrackBrief[]} tracks
 * @property {{name: string, label: string, description: string}[]} networks
 * @property {Preset[]} presets
 * @property {string[]} repairs
 * @property {string[]} styles
 * @property {Processor[]} processors
 * @property {{freq_hz: number[], gain_db: number[], q: number[]}} band_limits
 * @property {number} max_side_bands
 * @property {{default: number, same_song: number}} max_boost  dB
 * @property {string[]} formats
 * @property {number} upload_limit_bytes
 * @property {string} version
 *
 * @typedef {{freq_hz: number[], bands: number[][], total: number[], side_bands: number[][], side_total: number[] | null,
 *   side_spectrum_before: number[] | null, side_spectrum_after: number[] | null,
 *   target: (number | null)[] | null, spectrum_before: number[] | null,
 *   spectrum_after: number[] | null, typical: {low: number[], median: number[], high: number[]} | null,
 *   compressor: {input_db: number[], output_db: number[]} | null,
 *   saturator: {input: number[], output: number[]} | null}} Curves
 * @typedef {{pending?: boolean, times_s: number[], momentary: number[], short_term: number[], integrated: number,
 *   loudness_range: number, true_peak_db: number, limiter_gain_db: number[], compressor_gain_db: number[]}} Meters
 *
 * @typedef {{name: string, url: string, bytes: number}} DeliveredFile
 * @typedef {DeliveredFile & {delivery: string, compliance: string, passed: boolean}} DeliveredMaster
 * @typedef {{track: string, masters: DeliveredMaster[], settings: DeliveredFile, report: DeliveredFile | null}} DeliveredTrack
 * @typedef {object} Job
 * @property {string} id
 * @property {"analysis" | "reference" | "delivery"} kind
 * @property {string | null} track
 * @property {"queued" | "running" | "done" | "failed" | "canceled"} state
 * @property {number} progress  0 to 1
 * @property {string} message
 * @property {{tracks: DeliveredTrack[], all_url: string | null, notes: string[]} | null} result
 */
export {};
