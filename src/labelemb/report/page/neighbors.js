// Search among the labels of a view: the most similar ones, with bars that are shares of 1.

function percent(probability) {
  const value = 100 * probability;
  return `${value >= 10 ? value.toFixed(1) : value >= 0.095 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

function search(view, data) {
  const box = view.querySelector("input");
  const folded = data.names.map((name) => name.toLowerCase());
  const ask = (name) => { box.value = name; answer(); };

  function answer() {
    const asked = box.value.trim().toLowerCase();
    const matches = folded.flatMap((name, i) => (asked && name.includes(asked) ? [i] : []));
    const found = folded.includes(asked) ? folded.indexOf(asked) : matches.length === 1 ? matches[0] : -1;
    view.querySelector(".status").textContent = status(asked, matches, found);
    view.querySelector("ol").replaceChildren(...(found < 0 ? [] : data.neighbors[found]).map(row));
  }

  function status(asked, matches, found) {
    if (found >= 0) return `Shares of the soft label of ${data.names[found]}, ${data.seeds}.`;
    if (matches.length) return `Several labels match: ${matches.slice(0, 8).map((i) => data.names[i]).join(", ")}${matches.length > 8 ? " …" : ""}`;
    return asked ? "No label matches." : "Type the name of a label.";
  }

  function row([name, share]) {
    const bar = element("i");
    bar.style.width = `${100 * share}%`;
    const isKnown = data.names.includes(name);
    const word = isKnown ? element("button", { type: "button", text: name, onclick: () => ask(name) }) : element("span", { text: name });
    return element("li", {}, element("span", { class: "name" }, word), element("span", { class: "value", text: percent(share) }),
      element("span", { class: "bar", "aria-hidden": "true" }, bar));
  }

  box.addEventListener("input", answer);
  const largest = data.neighbors.map((found) => found[0][1]);
  ask(data.names[largest.indexOf(Math.max(...largest))]);
}

DATA.views.forEach((data, i) => search(document.querySelector(`.view[data-view="${i}"]`), data));
