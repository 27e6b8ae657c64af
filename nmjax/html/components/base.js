// @ts-check
/** What the drawing components share: redrawing once per frame, size, colors of the style sheet, and scales. */

/** HTMLElement, with the properties of the components and those that `drawnProperties` adds. @type {new () => HTMLElement & Record<string, any>} */
const OpenElement = /** @type {any} */ (HTMLElement);

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** An element that redraws itself in the next frame after a change, and whenever its size or the color scheme changes. */
export class Drawing extends OpenElement {
  constructor() {
    super();
    this.width = 0;
    this.height = 0;
    this.frame = 0;
    this.redraw = () => this.invalidate(); // a canvas keeps the colors of the other scheme
    this.observer = new ResizeObserver(() => {
      this.measure();
      this.invalidate();
    });
    this.print = () => { // no frame comes before a page is printed
      this.measure();
      this.drawNow();
    };
  }

  connectedCallback() {
    // A page without a script of its own, such as the report, gives properties as JSON.
    const { properties } = this.dataset;
    if (!this.isBuilt && properties) Object.assign(this, JSON.parse(properties));
    if (!this.isBuilt) this.build();
    this.isBuilt = true;
    this.observer.observe(this);
    DARK.addEventListener("change", this.redraw);
    window.addEventListener("beforeprint", this.print);
  }

  disconnectedCallback() {
    window.removeEventListener("beforeprint", this.print);
    this.observer.disconnect();
    DARK.removeEventListener("change", this.redraw);
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  /** Creates the children, once. */
  build() {}

  /** After `width` and `height` changed. */
  resized() {}

  /** Draws everything. */
  draw() {}

  measure() {
    this.width = this.clientWidth;
    this.height = this.clientHeight;
    this.resized();
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (this.width > 0 && this.isBuilt) this.draw();
  }

  invalidate() {
    if (!this.frame && this.isConnected) this.frame = requestAnimationFrame(() => this.drawNow());
  }

  /**
   * Sends an event that the page listens to.
   * @param {string} name
   * @param {object} [detail]
   */
  send(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }
}

/** A property that redraws its element when it is set. @param {typeof Drawing} type @param {string[]} names */
export function drawnProperties(type, names) {
  for (const name of names) {
    const key = `_${name}`;
    Object.defineProperty(type.prototype, name, {
      get() {
        return this[key];
      },
      set(given) {
        const value = given === "" ? null : given; // preact sets "" for null
        if (this[key] === value) return;
        this[key] = value;
        this.changed?.(name);
        this.invalidate();
      },
    });
  }
}

/**
 * A color of the style sheet, such as "--master".
 * @param {Element} element
 * @param {string} name
 */
export const color = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

/**
 * A canvas at the screen's resolution, and its context scaled to CSS pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function prepareCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {Element} [parent]
 */
export function svg(name, attributes = {}, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  parent?.append(element);
  return element;
}

export const LOWEST_HZ = 20;
export const HIGHEST_HZ = 20000;

/** Position of a frequency on the logarithmic axis, 0 to 1. @param {number} hz */
export const frequencyShare = (hz) => Math.log(hz / LOWEST_HZ) / Math.log(HIGHEST_HZ / LOWEST_HZ);
/** @param {number} share */
export const shareFrequency = (share) => LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** share;

export const FREQUENCY_TICKS = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
/** @param {number} hz */
export const tickText = (hz) => (hz >= 1000 ? `${hz / 1000}k` : String(hz));

/**
 * A polyline as an SVG path, with a gap where a value is NaN.
 * @param {number[]} xs
 * @param {number[]} ys
 */
export const path = (xs, ys) =>
  xs
    .map((x, i) => (Number.isNaN(ys[i]) ? "" : `${i && !Number.isNaN(ys[i - 1]) ? "L" : "M"}${x.toFixed(1)} ${ys[i].toFixed(1)}`))
    .join("");
