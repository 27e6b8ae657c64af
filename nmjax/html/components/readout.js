// @ts-check
/** The values under the pointer of a drawing, or under a cursor that the arrow keys move. */

const KEY_STEPS = 100; // of the arrow keys, over the width

/**
 * @typedef {{name: string, text: string, style: string}} Row  a value; `style` is the class of its line
 * @typedef {{x: number, title: string, rows: Row[]}} Values  `x` in pixels, where the line is drawn
 */

export class Readout {
  /**
   * @param {HTMLElement} host  is positioned
   * @param {(x: number) => Values | null} valuesAt  the values at a place in pixels; null outside of the plot
   */
  constructor(host, valuesAt) {
    this.host = host;
    this.valuesAt = valuesAt;
    this.line = child("div", "readout-line", host);
    this.box = child("div", "readout", host);
    this.hide();
    host.addEventListener("pointermove", (event) => this.show(event.clientX - host.getBoundingClientRect().left));
    host.addEventListener("pointerleave", () => this.hide());
  }

  /** Lets the arrow keys of the host move the cursor. */
  listenToKeys() {
    this.host.tabIndex = 0;
    this.box.setAttribute("role", "status");
    this.host.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const width = this.host.clientWidth;
      this.show(Math.min(width, Math.max(0, (this.x ?? width / 2) + (step * width) / KEY_STEPS)));
    });
    this.host.addEventListener("blur", () => this.hide());
  }

  /** @param {number} x  in pixels */
  show(x) {
    const values = this.valuesAt(x);
    if (!values) return this.hide();
    this.x = x;
    this.line.hidden = this.box.hidden = false;
    this.line.style.transform = `translateX(${values.x.toFixed(1)}px)`;
    this.box.replaceChildren();
    child("strong", "", this.box).textContent = values.title;
    for (const { name, text, style } of values.rows) {
      const row = child("span", `readout-row ${style}`, this.box);
      child("i", "", row);
      row.append(`${name} ${text}`);
    }
    const isRight = values.x > this.host.clientWidth / 2;
    const left = isRight ? values.x - this.box.offsetWidth - 12 : values.x + 12;
    this.box.style.transform = `translateX(${Math.max(0, left).toFixed(0)}px)`;
  }

  hide() {
    this.line.hidden = this.box.hidden = true;
  }
}

/**
 * A value between the points of a curve; null where one of its neighbors is unknown, or outside of it.
 * @param {number[]} xs  rising
 * @param {(number | null)[]} ys
 * @param {number} x
 */
export function interpolate(xs, ys, x) {
  if (!xs.length || x < xs[0] || x > xs[xs.length - 1]) return null;
  const i = Math.max(1, xs.findIndex((other) => other >= x));
  const [y0, y1] = [ys[Math.min(i - 1, ys.length - 1)], ys[Math.min(i, ys.length - 1)]];
  if (y0 === null || y1 === null) return null;
  const length = xs[i] - xs[i - 1];
  return length > 0 ? y0 + ((x - xs[i - 1]) / length) * (y1 - y0) : y1;
}

/** @param {string} name @param {string} className @param {Element} parent */
function child(name, className, parent) {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
}
