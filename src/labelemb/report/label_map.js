// The labels as a map and as a tree.

function drawMap(container, readout, labels, chosen) {
  const width = container.clientWidth;
  if (!width) return;
  const xs = labels.places.map(([x]) => x);
  const ys = labels.places.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = { x: 46, y: 24 };
  const scale = (width - 2 * room.x) / Math.max(right - left, (high - low) / 1.3, 1e-6);
  const height = Math.max(120, (high - low) * scale + 2 * room.y);
  const across = (width - (right - left) * scale) / 2;
  const spots = labels.places.map(([x, y]) => [across + (x - left) * scale, room.y + (high - y) * scale]);
  const nearest = labels.matrix.map((row, i) => row.reduce((best, value, j) =>
    (j !== i && (best < 0 || value > row[best]) ? j : best), -1));
  const parts = nearest.map((j, i) => {
    const [[x1, y1], [x2, y2]] = [spots[i], spots[j]];
    return svg("line", { class: "link", x1, y1, x2, y2, "stroke-opacity": 0.35 });
  });
  const taken = spots.map(([x, y]) => [x - 4, y - 4, x + 4, y + 4]);
  spots.forEach(([x, y], i) => {
    const tell = () => {
      const j = nearest[i];
      readout.textContent = `${labels.names[i]}: nearest ${labels.names[j]}, ${percent(labels.matrix[i][j] / 1e5)}`;
    };
    parts.push(svg("circle", { class: "dot", cx: x, cy: y, r: 3.5 }));
    const word = placed(labels.names[i], x, y, width, taken);
    if (word) parts.push(word);
    // A larger invisible spot for fingers.
    const spot = svg("circle", { cx: x, cy: y, r: 11, fill: "transparent", onpointerenter: tell, onclick: () => { tell(); chosen(i); } });
    spot.style.cursor = "pointer";
    parts.push(spot);
  });
  const spoken = `Map of ${count(labels.names.length, "label")}, ${labels.source}. The list of near labels gives the same in numbers.`;
  container.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spoken }, ...parts));
}

// A name beside its dot where there is room; a crowded one shows under the pointer instead.
function placed(name, x, y, width, taken) {
  const long = Math.min(name.length, 18) * 6.4;
  const sides = [[6, 4, "start", 6], [-6, 4, "end", -6 - long], [0, -8, "middle", -long / 2], [0, 16, "middle", -long / 2]];
  for (const [dx, dy, anchor, from] of sides) {
    const box = [x + from, y + dy - 10, x + from + long, y + dy + 2];
    const free = taken.every(([l, t, r, b]) => box[2] < l || box[0] > r || box[3] < t || box[1] > b);
    if (free && box[0] >= 0 && box[2] <= width) {
      taken.push(box);
      const text = name.length > 18 ? `${name.slice(0, 17)}…` : name;
      return svg("text", { x: x + dx, y: y + dy, "text-anchor": anchor, text });
    }
  }
  return null;
}

function drawTree(container, labels) {
  const width = container.clientWidth;
  if (!width) return;
  const size = labels.names.length;
  const row = size > 40 ? 14 : 20;
  const left = Math.min(Math.max(...labels.names.map((name) => Math.min(name.length, 18))) * 6.6 + 10, width * 0.4);
  const [near, far] = [labels.tree[0][2], labels.tree[size - 2][2]];
  const start = Math.max(0, near - 0.25 * Math.max(far - near, 0.4));
  const x = (distance) => left + ((width - left - 20) * (distance - start)) / Math.max(far - start, 1e-6);
  const nodes = [];
  labels.clustered.forEach((label, i) => { nodes[label] = { x: left, y: row * (i + 0.5) + 4 }; });
  const parts = [];
  labels.tree.forEach(([a, b, distance], i) => {
    const [one, two, at] = [nodes[a], nodes[b], x(distance)];
    nodes[size + i] = { x: at, y: (one.y + two.y) / 2 };
    parts.push(svg("path", { class: "branch", "stroke-width": 1.4, d: `M${one.x} ${one.y}H${at}V${two.y}H${two.x}` }));
  });
  labels.clustered.forEach((label) => {
    const name = labels.names[label];
    const text = name.length > 18 ? `${name.slice(0, 17)}…` : name;
    const style = size > 40 ? { class: "axis name" } : { class: "name" };
    parts.push(svg("text", { ...style, x: left - 6, y: nodes[label].y + 4, "text-anchor": "end", text }));
  });
  const bottom = row * size + 12;
  parts.push(svg("line", { class: "grid", x1: left, x2: width - 20, y1: bottom, y2: bottom }));
  const marks = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9];
  let free = -Infinity;
  for (const mark of marks) {
    const at = x(-Math.log(mark));
    if (at < left || at > width - 18 || at < free) continue;
    free = at + 46;
    parts.push(svg("line", { class: "grid", x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
    const text = `${Number((100 * mark).toPrecision(2))} %`;
    parts.push(svg("text", { class: "axis", x: at, y: bottom + 17, "text-anchor": "middle", text }));
  }
  const spoken = `Tree of ${count(size, "label")}, ${labels.source}, in the order ${labels.clustered.map((i) => labels.names[i]).join(", ")}`;
  container.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${bottom + 24}`, role: "img", "aria-label": spoken }, ...parts));
}
