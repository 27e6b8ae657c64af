// @ts-check
/** Pointer, wheel, pinch and keyboard of the handles of `<nm-eq>`. */

const Q_PER_WHEEL = 1.0015; // factor per pixel of wheel movement
const WHEEL_PAUSE_MS = 350; // after which a turn of the wheel is one finished change
const DOUBLE_PRESS_MS = 400; // two presses within it are one double click, of mouse or finger
const STILL_PIXELS = 2; // a press that moves less is no drag
const SEMITONE = 2 ** (1 / 12);

const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));

export class EqGestures {
  /** @param {import("./eq-display.js").EqDisplay} display */
  constructor(display) {
    this.display = display;
    /** @type {Map<number, {x: number, y: number}>} */
    this.pointers = new Map();
    this.index = -1;
    this.wheelTimer = 0;
    this.offset = { x: 0, y: 0 }; // of the pointer from the middle of the handle
    this.start = { x: 0, y: 0 }; // where the pointer was pressed
    this.lastPress = { index: -1, time: 0 };
    this.wasPinched = false; // since the first pointer was pressed
    display.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    display.addEventListener("pointerdown", (event) => this.secondPointer(event));
  }

  get isDragging() {
    return this.pointers.size > 0;
  }

  /**
   * @param {SVGGElement} handle
   * @param {number} index
   */
  attach(handle, index) {
    handle.addEventListener("pointerdown", (event) => this.down(event, handle, index));
    handle.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      handle.addEventListener(name, (event) => this.up(/** @type {PointerEvent} */ (event)));
    }
    handle.addEventListener("focus", () => this.display.send("bandselect", { index }));
    handle.addEventListener("keydown", (event) => this.key(event, index));
  }

  limits() {
    return this.display.limits ?? { freq_hz: [20, 20000], gain_db: [-12, 12], q: [0.3, 8] };
  }

  /** Sends a change of a band, within the limits. */
  change(index, change, transient) {
    if (this.display.disabled) return;
    const limits = this.limits();
    const entries = Object.entries(change).map(([name, value]) => [name, clamp(value, limits[name])]);
    this.display.send("bandchange", { index, change: Object.fromEntries(entries), transient });
  }

  reset(index) {
    if (!this.display.disabled) this.display.send("bandreset", { index });
  }

  place(event) {
    const box = this.display.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  down(event, handle, index) {
    if (event.button !== 0 || this.display.disabled) return;
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    const place = this.place(event);
    if (this.pointers.size === 0) {
      const band = this.display.bands[index];
      this.index = index;
      this.moved = this.wasPinched = false;
      this.start = place;
      this.offset = { x: place.x - this.display.x(band.freq_hz), y: place.y - this.display.y(band.gain_db) };
    }
    this.pointers.set(event.pointerId, place);
    this.startPinch();
  }

  /** A second finger anywhere on the display changes Q while the first one holds a handle. */
  secondPointer(event) {
    if (this.pointers.size !== 1 || this.pointers.has(event.pointerId)) return;
    this.display.handles[this.index].setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.startPinch();
  }

  startPinch() {
    if (this.pointers.size !== 2) return;
    this.wasPinched = true;
    this.pinch = { distance: this.distance(), q: this.display.bands[this.index].q };
  }

  distance() {
    const [a, b] = [...this.pointers.values()];
    return Math.max(10, Math.hypot(a.x - b.x, a.y - b.y));
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const place = this.place(event);
    this.pointers.set(event.pointerId, place);
    this.moved ||= Math.hypot(place.x - this.start.x, place.y - this.start.y) >= STILL_PIXELS;
    if (!this.moved) return;
    if (this.pointers.size === 2 && this.pinch) {
      this.change(this.index, { q: (this.pinch.q * this.pinch.distance) / this.distance() }, true);
      return;
    }
    if (this.wasPinched) return; // the finger that is left moves nothing
    const value = this.display.valueAt(place.x - this.offset.x, place.y - this.offset.y);
    const change = event.shiftKey ? { gain_db: value.gain_db } : value;
    this.change(this.index, change, true);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    this.pinch = undefined;
    if (this.pointers.size > 0) return;
    const band = this.display.bands[this.index]; // undo may have removed it a moment ago
    if (!band) return;
    if (!this.moved) return event.type === "pointercancel" ? undefined : this.press(event);
    const { freq_hz, gain_db, q } = band;
    this.change(this.index, { freq_hz, gain_db, q }, false);
    this.display.invalidate();
  }

  /** A second press soon after the first one brings the suggestion back: `dblclick` fires for a mouse only. */
  press(event) {
    const { index, time } = this.lastPress;
    const isDouble = index === this.index && event.timeStamp - time < DOUBLE_PRESS_MS;
    this.lastPress = { index: isDouble ? -1 : this.index, time: event.timeStamp };
    if (isDouble) this.reset(this.index);
  }

  wheel(event) {
    const handle = /** @type {Element} */ (event.target).closest("[data-band]");
    const index = handle ? Number(handle.getAttribute("data-band")) : this.isDragging ? this.index : -1;
    if (index < 0 || this.display.disabled) return;
    event.preventDefault();
    if (index !== this.display.selected) this.display.send("bandselect", { index });
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    this.change(index, { q: this.display.bands[index].q * Q_PER_WHEEL ** -pixels }, true);
    clearTimeout(this.wheelTimer);
    if (this.isDragging) return;
    this.wheelTimer = window.setTimeout(() => {
      const band = this.display.bands[index];
      if (band) this.change(index, { q: band.q }, false);
    }, WHEEL_PAUSE_MS);
  }

  key(event, index) {
    const band = this.display.bands[index]; // undo may have removed it a moment ago
    if (!band || event.ctrlKey || event.metaKey || event.altKey) return;
    const fine = event.shiftKey;
    const semitones = fine ? SEMITONE ** 0.25 : SEMITONE;
    const decibels = fine ? 0.1 : 0.5;
    const change = {
      ArrowUp: { gain_db: band.gain_db + decibels },
      ArrowDown: { gain_db: band.gain_db - decibels },
      ArrowRight: { freq_hz: band.freq_hz * semitones },
      ArrowLeft: { freq_hz: band.freq_hz / semitones },
      PageUp: { q: band.q * (fine ? 1.02 : 1.1) },
      PageDown: { q: band.q / (fine ? 1.02 : 1.1) },
    }[event.key];
    const isReset = ["Delete", "Backspace", "Enter"].includes(event.key);
    if (!change && !isReset) return;
    event.preventDefault();
    event.stopPropagation();
    if (change) this.change(index, change, false);
    else this.reset(index);
  }
}
