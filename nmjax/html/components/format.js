// @ts-check
/** Numbers and times as text: a true minus, figures of equal width are the style sheet's. */

/**
 * @param {number | null | undefined} value
 * @param {number} digits  after the point
 */
export function fixed(value, digits = 1) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** With a plus sign where positive. @param {number} value */
export function signed(value, digits = 1) {
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** @param {number} hz */
export function frequency(hz) {
  if (hz >= 1000) return `${fixed(hz / 1000, hz >= 9995 ? 1 : 2)} kHz`;
  return `${fixed(hz, hz < 99.95 ? 1 : 0)} Hz`;
}

/** Minutes and seconds. @param {number} seconds */
export function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const whole = Math.floor(Math.max(0, seconds) * scale) / scale;
  const minutes = Math.floor(whole / 60);
  const rest = (whole - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? 3 + digits : 2, "0")}`;
}

/** Seconds of a time that a person typed, such as 80, 1:20 or 1:02:03; NaN where it is none. @param {string} text */
export function parseTime(text) {
  const parts = text.trim().split(":");
  if (parts.length > 3) return Number.NaN;
  return parts.reduce((seconds, part) => 60 * seconds + (/^\d+([.,]\d*)?$/.test(part) ? parseNumber(part) : Number.NaN), 0);
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/** A number that a person typed, with either minus and either decimal sign; NaN where it is none. @param {string} text */
export function parseNumber(text) {
  const cleaned = text.trim().replace("−", "-").replace(",", ".").replace(/\s*[a-zA-Z%×]+$/, "");
  return cleaned === "" ? Number.NaN : Number(cleaned);
}

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
