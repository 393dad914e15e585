"use strict";
// Text from the data reaches the page through textContent only: names of labels are not trusted.

const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Lists of choices: of the charts in a panel, and of the label embeddings.
for (const chooser of document.querySelectorAll(".chooser")) {
  const charts = chooser.closest(".panel").querySelectorAll(".chart");
  chooser.addEventListener("change", () => charts.forEach((chart) => { chart.hidden = chart.dataset.choice !== chooser.value; }));
}
document.getElementById("view-chooser")?.addEventListener("change", (event) => {
  for (const view of document.querySelectorAll(".view")) view.hidden = view.dataset.view !== event.target.value;
});

// Methods can be switched off in all charts.
for (const box of document.querySelectorAll("input[data-method]")) {
  const index = box.dataset.method;
  box.addEventListener("change", () => {
    for (const node of document.querySelectorAll(`.chart [id*="-m${index}-"]`)) node.style.display = box.checked ? "" : "none";
  });
}

// Sortable tables: numbers by value, text by the alphabet; cells without a value stay at the end.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => row.children[column].dataset.key;
    const compare = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: false });
    const numeric = (a, b) => Number(key(a)) - Number(key(b));
    const rows = [...table.tBodies[0].rows];
    const known = rows.filter((row) => key(row) !== "");
    const isNumeric = known.every((row) => Number.isFinite(Number(key(row))));
    known.sort((a, b) => (descending ? -1 : 1) * (isNumeric ? numeric : compare)(a, b));
    table.tBodies[0].append(...known, ...rows.filter((row) => key(row) === ""));
  }));
}

// Paper cannot be opened with a click.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
