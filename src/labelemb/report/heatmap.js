// The heat map: hover, zoom, order, with or without the own labels. A window of cells is drawn, so zooming keeps the names.

class HeatMap {
  constructor(canvas, readout, chosen) {
    Object.assign(this, { canvas, readout, chosen, order: DATA.order, own: false, at: null, pointers: new Map() });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.read(null); });
    canvas.addEventListener("dblclick", (event) => this.zoom(0.5, this.cell(event)));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.cell(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    redrawn(canvas.parentElement, () => this.draw());
  }

  show(labels) {
    this.labels = labels;
    this.all();
  }

  all() {
    this.window = { x: 0, y: 0, size: this.labels.names.length };
    this.draw();
  }

  get positions() {
    return this.order === "cluster" ? this.labels.clustered : this.labels.names.map((_, i) => i);
  }

  value(row, column) {
    return this.labels.matrix[row][column] / 1e5;
  }

  get top() {
    if (this.own) return 1;
    return Math.max(1e-5, ...this.labels.matrix.map((row, i) => Math.max(...row.filter((_, j) => j !== i)) / 1e5));
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!this.labels || !width) return;
    const pen = this.canvas.getContext("2d");
    const scale = Math.max(2, window.devicePixelRatio || 1); // sharp on paper too
    const names = this.positions.map((position) => this.labels.names[position]);
    const font = "11px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
    pen.font = font;
    const longest = Math.min(Math.max(...names.map((name) => pen.measureText(name).width)), width * 0.24);
    this.margin = { left: longest + 8, top: 6 };
    this.side = Math.min(width - this.margin.left - 4, 640);
    this.size = this.side / this.window.size;
    const upright = Math.max(...names.map((name) => name.length)) <= 2;
    const below = upright ? 18 : longest + 10;
    const height = this.margin.top + this.side + below + 44;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.height = `${height}px`;
    this.canvas.style.touchAction = this.window.size < names.length ? "none" : "pan-y";
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.font = font;
    this.cells(pen);
    this.words(pen, names, longest, upright);
    this.bar(pen, this.margin.top + this.side + below + 4);
    this.canvas.setAttribute("aria-label", `Heat map of ${count(names.length, "soft label")}, ${this.labels.source}. ` +
      "Plus and minus zoom, arrow keys move, zero shows all. The list of near labels gives the numbers.");
  }

  cells(pen) {
    const { left, top } = this.margin;
    const { x, y, size } = this.window;
    const shade = shades();
    const most = this.top;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, this.side, this.side);
    pen.clip();
    for (let i = Math.floor(y); i < Math.min(y + size, this.positions.length); i++) {
      for (let j = Math.floor(x); j < Math.min(x + size, this.positions.length); j++) {
        const hidden = i === j && !this.own;
        pen.fillStyle = hidden ? colour("--own") : shade(this.value(this.positions[i], this.positions[j]) / most);
        // A little over the edge: no hair lines between cells.
        pen.fillRect(left + (j - x) * this.size, top + (i - y) * this.size, this.size + 0.5, this.size + 0.5);
      }
    }
    if (this.at) {
      pen.strokeStyle = colour("--accent");
      pen.lineWidth = 2;
      pen.strokeRect(left + (this.at.column - x) * this.size, top + (this.at.row - y) * this.size, this.size, this.size);
    }
    pen.restore();
    pen.strokeStyle = colour("--line");
    pen.lineWidth = 1;
    pen.strokeRect(left, top, this.side, this.side);
  }

  words(pen, names, longest, upright) {
    const { left, top } = this.margin;
    const every = Math.max(1, Math.ceil(11 / this.size)); // as many as fit
    pen.fillStyle = colour("--ink");
    pen.textBaseline = "middle";
    for (let i = 0; i < names.length; i++) {
      const along = [i - this.window.x + 0.5, i - this.window.y + 0.5].map((cell) => cell * this.size);
      const word = shortened(pen, names[i], longest);
      if (i % every) continue;
      if (along[1] > 0 && along[1] < this.side) {
        pen.textAlign = "right";
        pen.fillText(word, left - 5, top + along[1]);
      }
      if (along[0] > 0 && along[0] < this.side) {
        pen.save();
        pen.translate(left + along[0], top + this.side + (upright ? 11 : 5));
        pen.rotate(upright ? 0 : -Math.PI / 2);
        pen.textAlign = upright ? "center" : "right";
        pen.fillText(word, 0, 0);
        pen.restore();
      }
    }
  }

  bar(pen, top) {
    const { left } = this.margin;
    const width = Math.min(220, this.side);
    const shade = shades();
    for (let i = 0; i < width; i++) {
      pen.fillStyle = shade(i / (width - 1));
      pen.fillRect(left + i, top, 1.5, 10);
    }
    pen.strokeStyle = colour("--line");
    pen.strokeRect(left, top, width, 10);
    pen.fillStyle = colour("--soft");
    pen.textBaseline = "top";
    pen.textAlign = "left";
    pen.fillText("0", left, top + 15);
    pen.textAlign = "center";
    pen.fillText("probability", left + width / 2, top + 15);
    pen.textAlign = "right";
    pen.fillText(this.own ? "1" : this.top.toPrecision(2), left + width, top + 15);
  }

  cell(event) {
    const column = Math.floor((event.offsetX - this.margin.left) / this.size + this.window.x);
    const row = Math.floor((event.offsetY - this.margin.top) / this.size + this.window.y);
    const { x, y, size } = this.window;
    const inside = column >= Math.floor(x) && row >= Math.floor(y) && column < x + size && row < y + size;
    return inside ? { row, column } : null;
  }

  read(at) {
    this.at = at;
    if (at) {
      const [row, column] = [this.positions[at.row], this.positions[at.column]];
      const [given, taken] = [this.labels.names[row], this.labels.names[column]];
      const what = row === column ? "keeps for itself" : `gives “${taken}”`;
      this.readout.textContent = `The soft label of “${given}” ${what} ${percent(this.value(row, column))}`;
    } else {
      this.readout.textContent = "";
    }
    this.draw();
  }

  zoom(factor, centre) {
    const all = this.labels.names.length;
    const old = this.window;
    const size = Math.min(all, Math.max(Math.min(5, all), old.size * factor));
    const column = centre ? centre.column + 0.5 : old.x + old.size / 2;
    const row = centre ? centre.row + 0.5 : old.y + old.size / 2;
    const kept = size / old.size;
    this.window = { size, x: column - (column - old.x) * kept, y: row - (row - old.y) * kept };
    this.shift(0, 0);
  }

  shift(columns, rows) {
    const most = this.labels.names.length - this.window.size;
    this.window.x = Math.min(most, Math.max(0, this.window.x + columns));
    this.window.y = Math.min(most, Math.max(0, this.window.y + rows));
    this.draw();
  }

  down(event) {
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.dragged = this.pointers.size > 1;
    if (event.pointerType !== "mouse") this.read(this.cell(event));
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    const now = [event.offsetX, event.offsetY];
    if (!before) {
      this.read(this.cell(event));
      return;
    }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (others.length) {
      const from = others[0][1];
      const span = (point) => Math.hypot(point[0] - from[0], point[1] - from[1]);
      this.zoom(span(before) / Math.max(span(now), 1), null);
    } else if (this.window.size < this.labels.names.length) {
      if (Math.hypot(now[0] - before[0], now[1] - before[1]) > 2) this.dragged = true;
      this.shift((before[0] - now[0]) / this.size, (before[1] - now[1]) / this.size);
    }
  }

  up(event) {
    const known = this.pointers.delete(event.pointerId);
    const at = this.cell(event);
    if (known && at && !this.dragged && event.type === "pointerup") this.chosen(this.positions[at.row]);
  }

  key(event) {
    const step = Math.max(1, this.window.size / 8);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "+" || event.key === "=") this.zoom(0.7, null);
    else if (event.key === "-") this.zoom(1 / 0.7, null);
    else if (event.key === "0") this.all();
    else if (moves[event.key] && this.window.size < this.labels.names.length) this.shift(...moves[event.key]);
    else return;
    event.preventDefault();
  }

  controls() {
    const button = (text, label, action) => element("button", { type: "button", text, "aria-label": label, onclick: action });
    const orders = [["cluster", "by cluster"], ["given", "as given"]];
    const list = choice("Order", orders, (order) => { this.order = order; this.read(null); });
    list.querySelector("select").value = this.order;
    return [
      list,
      checkbox("show own labels (scale 0 to 1)", this.own, (on) => { this.own = on; this.draw(); }),
      element("span", {}, button("+", "Zoom in", () => this.zoom(0.7, null)), document.createTextNode(" "),
        button("−", "Zoom out", () => this.zoom(1 / 0.7, null)), document.createTextNode(" "),
        button("All", "Show all labels", () => this.all())),
    ];
  }
}

function shades() {
  const [paper, ink] = [colour("--paper"), colour("--ink")].map((hex) => {
    const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
    return [1, 3, 5].map((i) => parseInt(full.slice(i, i + 2), 16));
  });
  return (part) => {
    const share = Math.min(1, Math.max(0, part));
    return `rgb(${paper.map((from, i) => Math.round(from + (ink[i] - from) * share)).join(",")})`;
  };
}

function shortened(pen, word, room) {
  if (pen.measureText(word).width <= room + 1) return word;
  let kept = word.length;
  while (kept > 1 && pen.measureText(`${word.slice(0, kept)}…`).width > room) kept--;
  return `${word.slice(0, kept)}…`;
}
