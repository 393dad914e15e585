// Values under the pointer. The charts themselves are in the page; here are only the numbers behind them.

function number(value) {
  return value === null ? "–" : String(Number(value.toPrecision(4)));
}

function curvesReadout(chart, x) {
  const [left, , right] = chart.box;
  const epoch = chart.x[0] + ((chart.x[1] - chart.x[0]) * (x - left)) / (right - left);
  const epochs = [...new Set(chart.methods.flatMap((method) => method.mean.map(([at]) => at)))].sort((a, b) => a - b);
  if (!epochs.length) return "";
  const nearest = epochs.reduce((best, at) => (Math.abs(at - epoch) < Math.abs(best - epoch) ? at : best));
  const values = chart.methods.flatMap((method) => {
    const point = method.mean.find(([at]) => at === nearest);
    const seeds = method.n === 1 ? "1 seed" : `mean of ${method.n} seeds`;
    return point ? [`${DATA.methods[method.index]} ${number(point[1])} (${seeds})`] : [];
  });
  return `Epoch ${number(nearest)}: ${values.join(" · ")}`;
}

function matrixReadout(chart, x, y) {
  const [left, top, right, bottom] = chart.box;
  const size = chart.names.length;
  const column = Math.floor((size * (x - left)) / (right - left));
  const row = Math.floor((size * (y - top)) / (bottom - top));
  if (row < 0 || column < 0 || row >= size || column >= size) return "";
  const parts = { row: chart.names[row], column: chart.names[column], value: number(chart.values[row][column]) };
  return chart.sentence.replace(/\{(\w+)\}/g, (_, name) => parts[name]);
}

for (const [id, chart] of Object.entries(DATA.charts)) {
  const drawing = document.getElementById(id);
  const readout = drawing.closest(".panel").querySelector(".readout");
  const read = chart.kind === "matrix" ? matrixReadout : curvesReadout;
  const place = { x: chart.box[2], y: chart.box[1] }; // in units of the drawing
  const show = () => { readout.textContent = read(chart, place.x, place.y); };
  const follow = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    Object.assign(place, { x: point.x, y: point.y });
    show();
  };
  drawing.addEventListener("pointermove", follow);
  drawing.addEventListener("pointerdown", follow);
  drawing.addEventListener("pointerleave", () => { readout.textContent = ""; });
  drawing.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!steps) return;
    event.preventDefault();
    const [left, top, right, bottom] = chart.box;
    const count = chart.kind === "matrix" ? chart.names.length : Math.max(1, chart.x[1] - chart.x[0]);
    place.x = Math.min(right - 0.01, Math.max(left, place.x + (steps[0] * (right - left)) / count));
    place.y = Math.min(bottom - 0.01, Math.max(top, place.y + (steps[1] * (bottom - top)) / count));
    show();
  });
}
