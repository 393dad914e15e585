// All methods of a task beside each other: a dot and a 95 % interval per method on one axis, and the table of all figures.

function showModes() {
  const tasks = DATA.modesBeside.filter((found) => found.rows.length > 1 || found.cells[0].length > 4);
  find("#methods").hidden = !tasks.length;
  find("#methods .tasks").append(...tasks.map((found) => element("article", { class: "card" },
    element("h3", { text: found.task }), intervals(found), figures(found.cells))));
}

function intervals(found) {
  const bounds = found.rows.flatMap((row) => [row.mean, row.low ?? row.mean, row.high ?? row.mean, 0]);
  const [from, to] = [Math.min(...bounds), Math.max(...bounds)];
  const place = (points) => `${4 + (92 * (points - from)) / (to - from || 1)}%`;
  const rows = found.rows.map((row) => {
    const track = element("span", { class: "track", "aria-hidden": "true" }, mark("zero", place(0)));
    if (row.low !== null) {
      const bar = mark("bar tinted", place(row.low));
      bar.style.right = `calc(100% - ${place(row.high)})`;
      bar.style.borderColor = DATA.methods[row.method].colour;
      track.append(bar);
    }
    const dot = mark("dot tinted", place(row.mean));
    dot.style.borderColor = DATA.methods[row.method].colour;
    track.append(dot);
    const text = fixed(row.mean) + (row.low === null ? "" : ` (${fixed(row.low)} to ${fixed(row.high)})`);
    return element("li", {}, element("span", { text: modeName(row.method) }), track, element("span", { class: "value", text }));
  });
  const caption = `Points of test ${found.measure} ${found.lower ? "less" : "more"} than ${modeName(found.reference)}; right of the line is better. 95 % intervals.`;
  return element("figure", {}, element("ul", { class: "intervals" }, ...rows), element("figcaption", { class: "small", text: caption }));
}

function mark(kind, left) {
  const node = element("i", { class: kind });
  node.style.left = left;
  return node;
}

function figures(cells) {
  const [head, ...rows] = cells;
  const line = (row) => element("tr", {}, ...row.map((text, i) => element(i ? "td" : "th", i ? { text } : { scope: "row", text })));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures of all methods" }, element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", text })))),
    element("tbody", {}, ...rows.map(line))));
}
