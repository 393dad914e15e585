"use strict";
// Every text that comes from the data reaches the page through textContent: names of labels are not trusted.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MISSING = "–";

function find(selector) {
  return document.querySelector(selector);
}

function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function checkbox(text, checked, changed, swatch = null) {
  const box = element("input", { type: "checkbox", onchange: () => changed(box.checked) });
  box.checked = checked;
  return element("label", {}, box, swatch, document.createTextNode(text));
}

function choice(text, options, changed) {
  const list = element("select", { onchange: () => changed(list.value) });
  for (const [value, name] of options) list.append(element("option", { value, text: name }));
  return element("label", {}, document.createTextNode(text), list);
}

function swatch(method) {
  const line = element("i", { class: "swatch tinted", "aria-hidden": "true" });
  line.style.borderTopColor = DATA.methods[method].colour;
  if (method === DATA.baseline) line.style.borderTopStyle = "dashed";
  return line;
}

function modeName(method) {
  return DATA.methods[method].name;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function fixed(value, digits = 2) {
  return value === null || value === undefined ? MISSING : value.toFixed(digits);
}

function percent(probability) {
  const value = 100 * probability;
  return `${value >= 10 ? value.toFixed(1) : value >= 0.095 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Steps of 1, 2 or 5 times a power of ten, about `wanted` of them.
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + step * 1e-9; tick++) found.push(tick * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// Draws now, and again whenever the room changes.
function redrawn(container, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (container.clientWidth && container.clientWidth !== width) {
      width = container.clientWidth;
      draw(width);
    }
  }).observe(container);
}
