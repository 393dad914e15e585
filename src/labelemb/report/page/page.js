// The page: findings, table, labels, origins. The drawings are in the files before this one.

function showFindings() {
  find("#findings .cards").append(...DATA.findings.map((finding) => {
    const card = element("article", { class: "card" }, element("h3", { text: finding.task }));
    if (!finding.comparisons.length) card.append(element("p", { text: lonely(finding.task) }));
    // Of many methods a sentence each; their intervals stand side by side further down.
    if (finding.comparisons.length <= 2) card.append(...finding.comparisons.map(comparison));
    else card.append(element("ul", {}, ...finding.comparisons.map((found) => element("li", { text: sentence(found) }))));
    if (finding.alike.length) {
      const pairs = finding.alike.map(([one, other, share]) => `${one} and ${other} (${percent(share)})`).join(", ");
      card.append(element("p", { class: "small", text: `Labels that the network found most alike by itself${finding.drawn}: ${pairs}.` }));
    }
    addNotes(card, finding.notes);
    return card;
  }));
}

function comparison(found) {
  const figures = element("p", { class: "figures", text: `${fixed(found.from)}${found.unit} → ${fixed(found.to)}${found.unit} ` },
    element("small", { text: `test ${found.measure}, ${found.seeds[0] === found.seeds[1] ? count(found.seeds[0], "seed") : `${found.seeds[0]} and ${found.seeds[1]} seeds`}` }));
  const text = element("p", { text: sentence(found) });
  const quick = found.pace ? element("p", { class: "small", text: `${capital(found.pace)}.` }) : null;
  return element("div", { class: "comparison" }, figures, text, found.bounds ? interval(found) : null, quick);
}

function sentence(found) {
  return capital(`${modeName(found.method)} against ${modeName(found.against)}: ${found.verdict}.`);
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function interval(found) {
  const [low, high] = found.bounds;
  const [from, to] = [Math.min(0, low), Math.max(0, high)];
  const x = (points) => 20 + (260 * (points - from)) / (to - from || 1);
  const label = (points, text) => svg("text", { class: "axis", x: x(points), y: 41, "text-anchor": "middle", text });
  const stroke = DATA.methods[found.method].colour;
  const parts = [
    svg("line", { class: "grid", x1: 10, x2: 290, y1: 16, y2: 16 }),
    svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 4, y2: 28 }),
    svg("line", { x1: x(low), x2: x(high), y1: 16, y2: 16, stroke, class: "tinted", "stroke-width": 5, "stroke-linecap": "round" }),
    svg("circle", { cx: x(found.difference), cy: 16, r: 6, fill: stroke, class: "tinted" }),
    label(0, "0"),
  ];
  const clear = (a, b) => Math.abs(x(a) - x(b)) > 34;
  if (clear(found.difference, 0)) parts.push(label(found.difference, `${fixed(found.difference)} points`));
  return svg("svg", {
    class: "interval", viewBox: "0 0 300 44", role: "img",
    "aria-label": `95 % interval of the reduction: ${fixed(low)} to ${fixed(high)} points; 0 means no difference`,
  }, ...parts);
}

function lonely(task) {
  const rows = DATA.table.filter((row) => row.task === task && row.seeds.length);
  if (!rows.length) return "No finished run yet.";
  const names = rows.map((row) => `${modeName(row.method)} (${count(row.seeds.length, "seed")})`).join(", ");
  return `Only ${names} so far: nothing to compare.`;
}

function showCautions() {
  const lines = [...DATA.unfinished.map((line) => `Unfinished, not counted: ${line}`), ...DATA.warnings];
  find("#cautions").hidden = !lines.length;
  find("#cautions ul").append(...lines.map((text) => element("li", { text })));
}

const COLUMNS = [
  ["task", (row) => row.task, (row) => row.task],
  ["method", (row) => modeName(row.method), (row) => modeName(row.method)],
  ["seeds", (row) => row.seeds.length, (row) => `${row.seeds.length}`],
  ["last epoch", (row) => row.last?.mean, (row) => deviation(row.last)],
  ["chosen epoch", (row) => row.chosen?.mean, (row) => deviation(row.chosen)],
  ["reduction", (row) => row.last?.absolute, (row) => reduction(row.last)],
  ["95 % interval", (row) => row.last?.paired?.[0], (row) => bounds(row.last?.paired)],
  ["s / epoch", (row) => row.seconds, (row) => (row.seconds === null ? MISSING : `${Number(row.seconds.toPrecision(3))}`)],
];

function deviation(figure) {
  if (!figure) return MISSING;
  return fixed(figure.mean) + (figure.sd === null ? "" : ` ± ${fixed(figure.sd)}`);
}

function reduction(figure) {
  if (figure?.absolute === undefined) return MISSING;
  return fixed(figure.absolute) + (figure.relative === null ? "" : ` (${fixed(100 * figure.relative, 1)} %)`);
}

function bounds(paired) {
  return paired && paired[1] !== null ? `${fixed(paired[1])} to ${fixed(paired[2])}, n = ${paired[3]}` : MISSING;
}

function showTable() {
  const body = element("tbody");
  const fill = (rows) => body.replaceChildren(...rows.map((row) => element("tr", {}, ...COLUMNS.map(([, , text], i) =>
    element(i ? "td" : "th", i ? { text: text(row) } : { scope: "row", text: text(row) })))));
  const heads = COLUMNS.map(([name, key], i) => {
    const head = element("th", { scope: "col" }, element("button", { type: "button", text: name, onclick: () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      fill(sorted(key, down));
    } }));
    return head;
  });
  fill(DATA.table);
  find("#results table").append(element("thead", {}, element("tr", {}, ...heads)), body);
}

function sorted(key, down) {
  const known = DATA.table.filter((row) => key(row) !== null && key(row) !== undefined);
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  known.sort((a, b) => (down ? -1 : 1) * compare(key(a), key(b)));
  return [...known, ...DATA.table.filter((row) => !known.includes(row))]; // what has no value stays at the end
}

function showLabels() {
  if (!DATA.labels.length) return;
  find("#labels").hidden = false;
  let labels = DATA.labels[0];
  const search = new NearSearch();
  const ask = (i) => search.ask(labels.names[i]);
  const heat = new HeatMap(find("#heat canvas"), find("#heat .readout"), ask);
  find("#heat .controls").append(...heat.controls());
  const map = () => drawMap(find("#map .drawing"), find("#map .readout"), labels, ask);
  const tree = () => drawTree(find("#tree .drawing"), labels);
  const show = (number) => {
    labels = DATA.labels[number];
    find("#labels").classList.toggle("few", labels.names.length <= 30);
    find("#label-caption").textContent = `${labels.source}.`;
    heat.show(labels);
    search.show(labels);
    map();
    tree();
  };
  if (DATA.labels.length > 1) {
    const names = DATA.labels.map((one, i) => [String(i), `${one.task}, ${modeName(one.method)}`]);
    find("#label-source").append(choice("Labels of", names, (value) => show(Number(value))));
  }
  redrawn(find("#map .drawing"), map);
  redrawn(find("#tree .drawing"), tree);
  show(0);
  const recolour = () => heat.draw(); // a canvas keeps the colours it was drawn with
  for (const query of ["print", "(prefers-color-scheme: dark)"]) matchMedia(query).addEventListener("change", recolour);
  addEventListener("beforeprint", recolour);
}

class NearSearch {
  constructor() {
    this.box = find("#near-query");
    this.box.addEventListener("input", () => this.answer());
  }

  show(labels) {
    this.labels = labels;
    find("#near-names").replaceChildren(...labels.names.map((value) => element("option", { value })));
    const most = labels.near.map((near) => near[0][1]);
    this.ask(labels.names[most.indexOf(Math.max(...most))]);
  }

  ask(name) {
    this.box.value = name;
    this.answer();
  }

  answer() {
    const asked = this.box.value.trim().toLowerCase();
    const names = this.labels.names.map((name) => name.toLowerCase());
    const within = names.flatMap((name, i) => (asked && name.includes(asked) ? [i] : []));
    const found = names.includes(asked) ? names.indexOf(asked) : within.length === 1 ? within[0] : -1;
    const near = found < 0 ? [] : this.labels.near[found];
    find("#near-status").textContent = found >= 0
      ? `Near ${this.labels.names[found]}: share of its soft label, ${this.labels.seeds === 1 ? "1 seed" : `mean of ${this.labels.seeds} seeds`}.`
      : within.length ? `Several labels match: ${within.slice(0, 8).map((i) => this.labels.names[i]).join(", ")}${within.length > 8 ? " …" : ""}`
        : asked ? "No label has this in its name." : "Type the name of a label.";
    const most = near.length ? near[0][1] : 1;
    find("#near-list").replaceChildren(...near.map(([name, share]) => {
      const bar = element("i");
      bar.style.width = `${(100 * share) / (most || 1)}%`;
      const known = this.labels.names.includes(name);
      const word = known ? element("button", { type: "button", text: name, onclick: () => this.ask(name) }) : element("span", { text: name });
      return element("li", {}, element("span", { class: "name" }, word), element("span", { class: "value", text: percent(share) }),
        element("span", { class: "bar", "aria-hidden": "true" }, bar));
    }));
  }
}

function showOrigins() {
  find("#command").textContent = DATA.command;
  // Paper cannot be opened with a click.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  find("#origins div").append(...DATA.origins.map((origin) => {
    const heads = ["", ...origin.columns].map((text) => element("th", { scope: "col", text }));
    const rows = origin.rows.map(([key, ...values]) => {
      const alike = new Set(values).size === 1;
      const cells = values.map((text) => element("td", alike ? { text } : { class: "differs", text }));
      return element("tr", {}, element("th", { scope: "row", text: key }), ...cells);
    });
    const table = element("table", { class: "origin" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
    return element("details", {}, element("summary", { text: origin.task }), table);
  }));
}

showFindings();
showCautions();
showTable();
showModes();
showCurves();
showLabels();
showOrigins();
