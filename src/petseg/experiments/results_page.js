"use strict";
// State, filter, table and marks. results_charts.js draws the charts.

const data = JSON.parse(document.getElementById("data").textContent);
const state = { network: data.networks[0].name, sort: null, down: false, marked: null, kept: new Set() };
const element = (id) => document.getElementById(id);
const known = (values) => values.filter((value) => value !== null && value !== undefined);

function spread(values) {
  const numbers = known(values), n = numbers.length;
  if (!n) return null;
  const mean = numbers.reduce((a, b) => a + b, 0) / n;
  const square = numbers.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return { mean, sd: n > 1 ? Math.sqrt(square / (n - 1)) : null, n };
}

// A row is one experiment, or all that differ in their seed alone. Of equal seeds only the first counts.
function makeRow(all) {
  const seeds = new Map(all.map((each) => [each.params.seed, each]).reverse());
  const members = [...seeds.values()].reverse(), [first] = members;
  const changes = Object.entries(first.changes).filter(([key]) => members.length === 1 || key !== "seed");
  const row = { id: String(first.sha), members, params: first.params, n: members.length, dice: {}, seconds: {} };
  row.name = members.length > 1 ? `${first.name} +${members.length - 1}` : first.name;
  row.changes = changes.map(([key, value]) => (value === "true" && (key === "code" || key === "data") ? key : `${key}=${value}`)).join(" ");
  for (const { name } of data.networks) {
    row.dice[name] = spread(members.map((each) => each.dice[name]));
    row.seconds[name] = spread(members.map((each) => each.seconds[name]));
  }
  row.total = spread(members.map((each) => each.total));
  return row;
}

function allRows() {
  if (!element("fold").checked) return data.experiments.map((each) => makeRow([each]));
  const groups = new Map();
  for (const each of data.experiments) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  return [...groups.values()].map(makeRow);
}

// The parts of the filter: `key op value` compares, any other word must be in the name or the changes.
const compare = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b, "!=": (a, b) => a !== b };

function holds(row, word) {
  const match = /^([\w.]+)(<=|>=|!=|==|=|<|>)(.+)$/.exec(word);
  if (!match) return `${row.name} ${row.members.map((each) => each.name).join(" ")} ${row.changes}`.toLowerCase().includes(word.toLowerCase());
  const column = findColumn(match[1]), sign = match[2].replace("==", "=");
  if (!column) return false;
  const own = column.value(row), number = Number(match[3]);
  if (typeof own === "number" && !Number.isNaN(number)) return compare[sign](own, number);
  return sign.endsWith("=") && compare[sign](written(own), match[3]);
}

function filtered() {
  const words = element("filter").value.replace(/\s*(<=|>=|!=|==|=|<|>)\s*/g, "$1").split(/\s+/).filter(Boolean);
  return allRows().filter((row) => words.every((word) => holds(row, word)));
}

function written(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value === "number") return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential() : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
const shown = (each, digits) => (each ? each.mean.toFixed(digits) + (each.sd !== null && digits ? ` ± ${each.sd.toFixed(digits)}` : "") : "–");

// Columns of the table: key, header, value to compare by, text of a cell.
function columns() {
  const keys = data.keys.filter((key) => key !== "seed" || !element("fold").checked);
  return [
    { key: "name", header: "experiment", value: (row) => row.name, text: (row) => row.name },
    ...keys.map((key) => ({ key, header: key, value: (row) => row.params[key] ?? null, text: (row) => (row.params[key] === undefined ? "–" : written(row.params[key])) })),
    ...data.networks.map(({ name, label }) => ({ key: name, header: label, down: true, value: (row) => row.dice[name]?.mean ?? null, text: (row) => shown(row.dice[name], 4) })),
    { key: "seconds", header: "seconds", value: (row) => row.total?.mean ?? null, text: (row) => shown(row.total, 0) },
    { key: "n", header: "n", value: (row) => row.n, text: (row) => String(row.n) },
  ];
}

function findColumn(text) {
  const all = columns(), name = text.replace(/\.dice$/, "");
  return all.find(({ key }) => key === name) ?? (all.filter(({ key }) => key.endsWith(`.${name}`)).length === 1 ? all.find(({ key }) => key.endsWith(`.${name}`)) : null);
}

function order(rows) {
  const column = columns().find(({ key }) => key === state.sort);
  if (!column) return rows;
  const rank = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  const missing = rows.filter((row) => column.value(row) === null);
  const sorted = rows.filter((row) => column.value(row) !== null).sort((a, b) => rank(column.value(a), column.value(b)));
  return [...(state.down ? sorted.reverse() : sorted), ...missing];
}

function drawTable(rows) {
  const all = columns();
  element("head").replaceChildren(...all.map((column) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    if (column.key === state.sort) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    button.textContent = column.header;
    button.dataset.key = column.key;
    button.onclick = () => sortBy(column);
    cell.append(button);
    return cell;
  }));
  const best = Object.fromEntries(data.networks.map(({ name }) => [name, Math.max(...known(rows.map((row) => row.dice[name]?.mean)))]));
  element("rows").replaceChildren(...order(rows).map((row) => {
    const line = document.createElement("tr");
    line.tabIndex = 0;
    line.dataset.id = row.id;
    line.append(...all.map((column, i) => {
      const cell = document.createElement(i ? "td" : "th");
      if (!i) cell.scope = "row";
      cell.textContent = column.text(row);
      cell.title = i ? "" : row.members.map((each) => each.name).join(", ");
      if (best[column.key] !== undefined && column.value(row) === best[column.key]) cell.className = "best";
      return cell;
    }));
    return line;
  }));
}

function sortBy(column) {
  state.down = state.sort === column.key ? !state.down : Boolean(column.down);
  state.sort = column.key;
  draw();
  document.querySelector(`#head [data-key="${CSS.escape(column.key)}"]`).focus();
}

// One experiment is marked in every chart; experiments that were clicked stay marked.
function mark(id) {
  state.marked = id;
  for (const each of document.querySelectorAll("[data-id]")) {
    const on = each.dataset.id === id || state.kept.has(each.dataset.id);
    if (on && !each.classList.contains("marked") && each.parentNode.matches(".items")) each.parentNode.append(each);
    each.classList.toggle("marked", on);
    each.classList.toggle("kept", state.kept.has(each.dataset.id));
  }
  const row = state.rows.find((each) => each.id === id);
  element("readout").textContent = row ? describe(row) : "";
}

function describe(row) {
  const scores = data.networks.map(({ name, label }) => `${label} ${shown(row.dice[name], 4)}`);
  return [`${row.name}: ${row.changes || "no changes"}`, ...scores, `${shown(row.total, 0)} s`].join("; ") + (row.n > 1 ? `; ${row.n} seeds` : "");
}

function keep(id) {
  if (!state.kept.delete(id)) state.kept.add(id);
  mark(id);
}

function draw() {
  state.rows = filtered();
  document.documentElement.style.setProperty("--chosen", `var(--${state.network})`);
  const many = data.experiments.length, members = state.rows.reduce((sum, row) => sum + row.members.length, 0);
  element("summary").textContent = `${members} of ${many} ${many === 1 ? "experiment" : "experiments"}, HEAD included.`;
  drawTable(state.rows);
  drawCharts(state.rows);
  mark(state.marked);
}

const idOf = (event) => event.target.closest?.("[data-id]")?.dataset.id;
for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, (event) => idOf(event) && mark(idOf(event)));
document.addEventListener("click", (event) => idOf(event) && keep(idOf(event)));
document.addEventListener("keydown", (event) => {
  const line = event.target.closest?.("tbody tr");
  if (!line) return;
  const next = { ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling }[event.key];
  if (next) next.focus();
  if (event.key === "Enter" || event.key === " ") keep(line.dataset.id);
  if (event.key.startsWith("Arrow") || event.key === " ") event.preventDefault();
});
element("controls").addEventListener("submit", (event) => event.preventDefault());
element("controls").addEventListener("input", () => {
  state.network = document.querySelector("[name=network]:checked").value;
  draw();
});
addEventListener("resize", () => draw());
addEventListener("DOMContentLoaded", () => draw());
