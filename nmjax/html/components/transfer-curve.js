// @ts-check
/**
 * `<nm-curve>`: the static curve of a compressor or saturator, output over input, with the diagonal of no change.
 * Properties: `inputs`, `outputs`, `unit` ("dB" or "").
 */
import { Drawing, drawnProperties, path, svg } from "./base.js";

const PAD = 6;

export class TransferCurve extends Drawing {
  /** @type {SVGElement} */
  svg;
  /** @type {SVGElement} */
  diagonal;
  /** @type {SVGElement} */
  curve;
  /** @type {SVGElement} */
  text;

  build() {
    this.svg = svg("svg", { role: "img" });
    this.append(this.svg);
    this.diagonal = svg("line", { class: "curve-diagonal" }, this.svg);
    this.curve = svg("path", { class: "curve-line" }, this.svg);
    this.text = svg("text", { class: "curve-text", "text-anchor": "end" }, this.svg);
  }

  draw() {
    const { inputs, outputs, unit } = this;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("aria-label", "Output level over input level");
    if (!inputs?.length) return this.curve.setAttribute("d", "");
    const [low, high] = unit === "dB" ? [-60, 0] : [-1, 1];
    const x = (value) => PAD + ((value - low) / (high - low)) * (this.width - 2 * PAD);
    const y = (value) => {
      const share = Math.min(1.04, Math.max(-0.04, (value - low) / (high - low)));
      return this.height - PAD - share * (this.height - 2 * PAD);
    };
    const ends = { x1: x(low), y1: y(low), x2: x(high), y2: y(high) };
    for (const [name, value] of Object.entries(ends)) this.diagonal.setAttribute(name, String(value));
    const inside = inputs.map((_, i) => i).filter((i) => inputs[i] >= low && inputs[i] <= high);
    this.curve.setAttribute(
      "d",
      path(
        inside.map((i) => x(inputs[i])),
        inside.map((i) => y(outputs[i])),
      ),
    );
    this.text.setAttribute("x", String(this.width - PAD - 2));
    this.text.setAttribute("y", String(this.height - PAD - 2));
    this.text.textContent = `${String(low).replace("-", "−")} … ${high}${unit ? ` ${unit}` : ""}`;
  }
}

drawnProperties(TransferCurve, ["inputs", "outputs", "unit"]);
customElements.define("nm-curve", TransferCurve);
