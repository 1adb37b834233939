"use strict";
// The charts: Dice against seconds, learning curves, parallel coordinates. Marks carry data-id, the id of their row.

const MARGIN = { left: 56, right: 16, top: 12, bottom: 40 };

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Maps values to positions. `log` if they are positive and span more than a factor of 30; `ticks` are round.
function scale(values, from, to) {
  let low = Math.min(...values), high = Math.max(...values);
  const log = low > 0 && high / low > 30, f = log ? Math.log10 : (each) => each;
  if (low === high) [low, high] = low ? [low - Math.abs(low) * 0.05, high + Math.abs(high) * 0.05] : [-1, 1];
  else if (!log) [low, high] = [low - (high - low) * 0.05, high + (high - low) * 0.05];
  const position = (each) => from + ((f(each) - f(low)) / (f(high) - f(low))) * (to - from);
  return { position, ticks: log ? powers(low, high) : steps(low, high) };
}

function powers(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) all.push(10 ** power, 3 * 10 ** power);
  return all.map((each) => Number(each.toPrecision(1))).filter((each) => each >= low && each <= high);
}

function steps(low, high) {
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const all = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) all.push(Number((i * step).toPrecision(6)));
  return all;
}

// An empty chart with axes; returns scales and the group for the marks.
function axes(id, xs, ys, xTitle, yTitle) {
  const chart = element(id), width = chart.parentNode.clientWidth, height = 300;
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.setAttribute("height", height);
  if (!xs.length || !ys.length) {
    chart.replaceChildren(svg("text", { x: 8, y: 30 }, `Nothing to show: ${xs.length ? yTitle : xTitle} unknown.`));
    return null;
  }
  const x = scale(xs, MARGIN.left, width - MARGIN.right), y = scale(ys, height - MARGIN.bottom, MARGIN.top);
  const lines = y.ticks.flatMap((tick) => [
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y.position(tick), y2: y.position(tick) }),
    svg("text", { x: MARGIN.left - 8, y: y.position(tick) + 4, "text-anchor": "end" }, written(tick)),
  ]);
  const base = height - MARGIN.bottom;
  const below = x.ticks.filter((tick) => xTitle !== "epoch" || Number.isInteger(tick)).map((tick) => svg("text", { x: x.position(tick), y: base + 18, "text-anchor": "middle" }, written(tick)));
  const titles = [
    svg("text", { class: "title", x: width - MARGIN.right, y: height - 4, "text-anchor": "end" }, xTitle),
    svg("text", { class: "title", x: MARGIN.left + 4, y: MARGIN.top }, yTitle),
  ];
  const area = { x: MARGIN.left, y: 0, width: width - MARGIN.left - MARGIN.right + 8, height: base };
  const clip = svg("clipPath", { id: `${id}-area` }, svg("rect", area));
  const items = svg("g", { class: "items", "clip-path": `url(#${id}-area)` });
  chart.replaceChildren(clip, ...lines, ...below, items, ...titles);
  return { x: x.position, y: y.position, items };
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// The rows that no other row beats in both seconds and Dice, from the fastest.
function paretoFront(rows, network) {
  const best = [];
  const sorted = [...rows].sort((a, b) => a.seconds[network].mean - b.seconds[network].mean || b.dice[network].mean - a.dice[network].mean);
  for (const row of sorted) if (!best.length || row.dice[network].mean > best.at(-1).dice[network].mean) best.push(row);
  return best;
}

function drawScatter(rows, network) {
  const usable = rows.filter((row) => row.seconds[network] && row.dice[network]);
  const ends = usable.flatMap(({ dice: { [network]: { mean, sd } } }) => [mean - (sd ?? 0), mean + (sd ?? 0)]);
  const chart = axes("scatter", usable.map((row) => row.seconds[network].mean), ends, "seconds", "test Dice");
  if (!chart) return;
  const at = (row) => [chart.x(row.seconds[network].mean), chart.y(row.dice[network].mean)];
  const front = paretoFront(usable, network).map(at);
  chart.items.append(svg("path", { class: "front", d: line(front.flatMap(([x, y], i) => (i ? [[x, front[i - 1][1]], [x, y]] : [[x, y]]))) }));
  for (const row of usable) {
    const { mean, sd } = row.dice[network], [x, y] = at(row);
    if (sd) chart.items.prepend(svg("line", { class: "bar", x1: x, x2: x, y1: chart.y(mean - sd), y2: chart.y(mean + sd) }));
    chart.items.append(svg("circle", { class: "dot", "data-id": row.id, cx: x, cy: y, r: 5 }));
  }
}

function drawCurves(rows, network) {
  const all = rows.flatMap((row) => row.members.map((each) => [row, each.curves[network]])).filter(([, curve]) => curve.length);
  // The steep rise of the first tenth may leave the chart below, or the rest would be too flat to compare.
  const dices = all.flatMap(([, curve]) => curve.filter(([epoch]) => epoch > 0.1 * curve.at(-1)[0]).map(([, dice]) => dice));
  const chart = axes("curves", all.flatMap(([, curve]) => [curve[0][0], curve.at(-1)[0]]), dices, "epoch", "valid Dice");
  if (!chart) return;
  for (const [row, curve] of all) chart.items.append(svg("path", { class: "path", "data-id": row.id, d: line(curve.map(([x, y]) => [chart.x(x), chart.y(y)])) }));
}

// An axis of the parallel coordinates: numbers by size, anything else in order of its text, evenly spaced.
function parameterAxis(values, bottom, top) {
  const different = [...new Set(values)];
  if (different.every((each) => typeof each === "number")) {
    const { position, ticks } = scale(different, bottom, top);
    const labels = different.length <= 6 ? different : ticks;
    return { position, labels: labels.map((each) => [written(Number(each.toPrecision(4))), position(each)]) };
  }
  const texts = different.map(written).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const place = (text) => bottom + ((texts.indexOf(text) + 0.5) / texts.length) * (top - bottom);
  return { position: (each) => place(written(each)), labels: texts.map((each) => [each, place(each)]) };
}

function drawParallel(rows, network) {
  const usable = rows.filter((row) => row.dice[network]).sort((a, b) => a.dice[network].mean - b.dice[network].mean);
  const keys = columns().map(({ key }) => key).filter((key) => data.keys.includes(key) && new Set(usable.map((row) => written(row.params[key]))).size > 1);
  element("parameters").hidden = !keys.length;
  if (!keys.length) return;
  const all = [...keys.map((key) => [key, (row) => row.params[key] ?? null]), ["test Dice", (row) => row.dice[network].mean]];
  const chart = element("parallel"), height = 320, gap = Math.max(130, (chart.parentNode.clientWidth - 130) / (all.length - 1));
  const width = 130 + gap * (all.length - 1);
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.style.width = `${width}px`;
  const scales = all.map(([, value]) => parameterAxis(usable.map(value), height - 16, 44));
  const axis = all.flatMap(([title], i) => {
    const x = 30 + gap * i, last = i === all.length - 1;
    const short = title.length > 18 ? `${title.slice(0, 17)}…` : title;
    return [
      svg("line", { class: "grid", x1: x, x2: x, y1: 36, y2: height - 8 }),
      svg("text", { class: "title", x: i ? x : 4, y: 20, "text-anchor": i ? "middle" : "start" }, svg("title", {}, title), short),
      ...scales[i].labels.map(([text, y]) => svg("text", { x: x + (last ? 8 : 6), y: y + 4 }, text)),
    ];
  });
  const items = svg("g", { class: "items" });
  usable.forEach((row, rank) => {
    const points = all.map(([, value], i) => [30 + gap * i, scales[i].position(value(row))]);
    items.append(svg("path", { class: "path", "data-id": row.id, d: line(points), "stroke-opacity": (0.2 + 0.7 * (rank / Math.max(usable.length - 1, 1)) ** 3).toFixed(3) }));
  });
  chart.replaceChildren(items, ...axis);
}

function drawCharts(rows) {
  drawScatter(rows, state.network);
  drawCurves(rows, state.network);
  drawParallel(rows, state.network);
}
