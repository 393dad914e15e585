// Curves over the epochs: a pale line per seed, a bold mean per method, values under the pointer.

const curveChoice = { seeds: Object.keys(DATA.methods).length <= 4, hidden: new Set(), key: null };

class Panel {
  constructor(title, series, options) {
    Object.assign(this, { title, series, options, at: null });
    this.drawing = element("div");
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.seeds = element("p", { class: "small legend" });
    this.heading = element("h3", { text: title });
    this.node = element("div", { class: "panel" }, this.heading, this.seeds, this.drawing, this.readout);
    redrawn(this.drawing, () => this.draw());
  }

  get curves() {
    // What is asked for of images may be nothing that text has, and the reverse: then the first that is there.
    const series = this.series.find((one) => one.key === (this.options.key ?? curveChoice.key)) ?? this.series[0];
    this.heading.textContent = this.options.key || series.key === curveChoice.key ? this.title : `${this.title}: ${series.name}`;
    return series.methods.filter((curves) => !curveChoice.hidden.has(curves.method));
  }

  draw() {
    const width = this.drawing.clientWidth;
    const curves = this.curves;
    this.readout.textContent = "";
    this.seeds.replaceChildren(...curves.map((method) => element("span", {}, swatch(method.method),
      document.createTextNode(`${modeName(method.method)}, ${count(method.seeds.length, "seed")}`))));
    if (!width) return;
    if (!curves.length) {
      this.drawing.replaceChildren(element("p", { class: "small", text: "Nothing to draw." }));
      return;
    }
    const height = Math.round(Math.min(320, Math.max(210, width * 0.62)));
    this.frame(curves, width, height);
    const clip = `clip-${Panel.count = (Panel.count ?? 0) + 1}`;
    const { left, top, right, bottom } = this.box;
    const lines = svg("g", { "clip-path": `url(#${clip})` });
    const parts = [...this.grid(), svg("clipPath", { id: clip }, svg("rect", {
      x: left - 4, y: top, width: right - left + 8, height: bottom - top + 3,
    })), lines];
    for (const method of curves) {
      if (curveChoice.seeds) for (const seed of method.seeds) lines.append(this.line(seed.points, method.method, "seed"));
      if (method.mean.length) lines.append(this.line(method.mean, method.method, "mean"));
    }
    this.cursor = svg("line", { class: "cursor", y1: top, y2: bottom, visibility: "hidden" });
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": this.spoken(curves),
      onpointermove: (event) => this.point(event.offsetX), onpointerdown: (event) => this.point(event.offsetX),
      onpointerleave: () => this.leave(), onblur: () => this.leave(), onkeydown: (event) => this.key(event),
    }, ...parts, this.cursor);
    picture.style.touchAction = "pan-y";
    this.drawing.replaceChildren(picture);
  }

  frame(curves, width, height) {
    const points = curves.flatMap((method) => method.seeds.flatMap((seed) => seed.points));
    const epochs = points.map(([epoch]) => epoch);
    const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
    const late = points.filter(([epoch]) => epoch > last / 10 && (epoch > 1 || last < 5)).map(([, value]) => value);
    let high = this.options.high ?? 1.05 * Math.max(...late);
    let low = this.options.low ?? Math.min(...points.map(([, value]) => value));
    if (this.options.low === undefined) low = low < 0.3 * high ? 0 : low - 0.06 * (high - low || high || 1);
    if (high <= low) high = low + 1;
    this.box = { left: 44, top: 10, right: width - 10, bottom: height - 34 };
    const { left, top, right, bottom } = this.box;
    this.range = { low, high, first, last };
    this.x = (epoch) => (first === last ? (left + right) / 2 : left + ((right - left) * (epoch - first)) / (last - first));
    this.y = (value) => bottom - ((bottom - top) * (value - low)) / (high - low);
  }

  grid() {
    const { left, top, right, bottom } = this.box;
    const { low, high, first, last } = this.range;
    const rows = ticks(low, high, 5);
    const columns = last - first < 1 ? { found: [last], digits: 0 } : ticks(first, last, Math.min(8, last - first));
    const parts = rows.found.flatMap((value) => [
      svg("line", { class: "grid", x1: left, x2: right, y1: this.y(value), y2: this.y(value) }),
      svg("text", { class: "axis", x: left - 6, y: this.y(value) + 4, "text-anchor": "end", text: value.toFixed(rows.digits) }),
    ]);
    for (const epoch of columns.found) {
      if (!Number.isInteger(epoch)) continue;
      parts.push(svg("text", { class: "axis", x: this.x(epoch), y: bottom + 16, "text-anchor": "middle", text: epoch }));
    }
    const middle = (left + right) / 2;
    parts.push(svg("text", { class: "axis", x: middle, y: bottom + 31, "text-anchor": "middle", text: "epoch" }));
    return parts;
  }

  line(points, method, kind) {
    const stroke = DATA.methods[method].colour;
    if (points.length === 1) {
      const [[epoch, value]] = points;
      return svg("circle", { class: "tinted", cx: this.x(epoch), cy: this.y(value), r: kind === "mean" ? 5 : 3, fill: stroke });
    }
    const path = points.map(([epoch, value], i) => `${i ? "L" : "M"}${this.x(epoch).toFixed(1)} ${this.y(value).toFixed(1)}`);
    const dashes = kind === "mean" && method === DATA.baseline ? { "stroke-dasharray": "7 4" } : {};
    return svg("path", { class: `${kind} tinted`, d: path.join(""), stroke, ...dashes });
  }

  get epochs() {
    const all = this.curves.flatMap((method) => method.seeds.flatMap((seed) => seed.points.map(([epoch]) => epoch)));
    return [...new Set(all)].sort((a, b) => a - b);
  }

  point(x) {
    const gap = (epoch) => Math.abs(this.x(epoch) - x);
    this.show(this.epochs.reduce((best, epoch) => (gap(epoch) < gap(best) ? epoch : best)));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const epochs = this.epochs;
    const now = this.at === null ? (step > 0 ? -1 : epochs.length) : epochs.indexOf(this.at);
    this.show(epochs[Math.min(epochs.length - 1, Math.max(0, now + step))]);
  }

  show(epoch) {
    this.at = epoch;
    for (const side of ["x1", "x2"]) this.cursor.setAttribute(side, this.x(epoch));
    this.cursor.setAttribute("visibility", "visible");
    const parts = this.curves.map((method) => {
      const values = method.seeds.flatMap((seed) => seed.points.filter(([at]) => at === epoch).map(([, value]) => value));
      if (!values.length) return null;
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const span = values.length > 1 ? `, ${fixed(Math.min(...values))} to ${fixed(Math.max(...values))}` : "";
      return `${modeName(method.method)} ${fixed(mean)} (${count(values.length, "seed")}${span})`;
    });
    const at = Number.isInteger(epoch) ? epoch : epoch.toFixed(2);
    this.readout.textContent = `Epoch ${at}: ${parts.filter(Boolean).join(" · ")}`;
  }

  leave() {
    this.at = null;
    this.cursor.setAttribute("visibility", "hidden");
    this.readout.textContent = "";
  }

  spoken(curves) {
    const ends = curves.filter((method) => method.mean.length).map((method) => {
      const [epoch, value] = method.mean[method.mean.length - 1];
      return `${modeName(method.method)} ends at ${fixed(value)} in epoch ${epoch}, ${count(method.seeds.length, "seed")}`;
    });
    return `${this.title}: ${ends.join("; ")}. Left and right arrow keys read the epochs.`;
  }
}

function showCurves() {
  if (!DATA.curves.length) return;
  const section = find("#curves");
  section.hidden = false;
  const names = new Map(DATA.curves.flatMap((panel) => panel.series.map((one) => [one.key, one.name])));
  curveChoice.key = names.keys().next().value;
  const panels = DATA.curves.map((panel) => new Panel(panel.task, panel.series, {}));
  panels.forEach((panel, i) => addNotes(panel.node, DATA.curves[i].notes));
  const developing = showDevelopment();
  const redraw = () => [...panels, ...developing].forEach((panel) => panel.draw());
  const methods = new Set(DATA.curves.flatMap((panel) => panel.series.flatMap((one) => one.methods.map((method) => method.method))));
  const controls = section.querySelector(".controls");
  controls.append(choice("Show", names, (key) => { curveChoice.key = key; redraw(); }));
  for (const method of methods) {
    controls.append(checkbox(modeName(method), true, (on) => {
      curveChoice.hidden[on ? "delete" : "add"](method);
      redraw();
    }, swatch(method)));
  }
  controls.append(checkbox("a line per seed", curveChoice.seeds, (on) => { curveChoice.seeds = on; redraw(); }));
  section.querySelector(".panels").append(...panels.map((panel) => panel.node));
}

function showDevelopment() {
  if (!DATA.development.length) return [];
  find("#development").hidden = false;
  const panels = DATA.development.flatMap((panel) => panel.series.map((one) => {
    const values = one.methods.flatMap((method) => method.seeds.flatMap((seed) => seed.points.map(([, value]) => value)));
    const limits = { low: 0, high: one.key === "true_label_mass" ? 1 : 1.05 * Math.max(...values, 1e-3) };
    return new Panel(`${panel.task}: ${one.name}`, panel.series, { key: one.key, ...limits });
  }));
  find("#development .panels").append(...panels.map((panel) => panel.node));
  return panels;
}

function addNotes(node, notes) {
  for (const note of notes) node.querySelector("h3").after(element("p", { class: "note", text: `Data: ${note}` }));
}
