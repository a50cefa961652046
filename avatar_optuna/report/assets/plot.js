// Draws figures as SVG, from the part of plotly's JSON that the report uses: scatter and scatter3d traces, linear and
// logarithmic axes, error bars, horizontal lines. Colours of axes come from the page's style sheet.
const Plot = (() => {
  "use strict";
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const CHARACTER = 6.6, APART = 10, EDGE = 4, REACH = 22, LEAST_DRAG = 6; // pixels
  const DASHES = { dash: "7 5", dot: "2 4" };

  const element = (name, attributes = {}, parent = null, text = null) => {
    const made = document.createElementNS(NAMESPACE, name);
    Object.entries(attributes).forEach(([key, value]) => {
      if (value !== null && value !== undefined) made.setAttribute(key, value);
    });
    if (text !== null) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const at = (value, index) => (Array.isArray(value) ? value[index] : value);
  const isShown = (trace) => trace.visible !== "legendonly" && trace.visible !== false;
  const has = (trace, part) => (trace.mode || "lines").includes(part);
  const written = (value) => {
    if (value === 0) return "0";
    const digits = Math.abs(value) >= 1000 ? 0 : 3;
    return Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: digits || 0, maximumSignificantDigits: digits ? 4 : undefined });
  };

  // Axes ------------------------------------------------------------------------------------------------------------

  // An axis over values: where each lies from 0 to 1, and its ticks. `range` is what was zoomed to, in scaled values;
  // `length`, in pixels, is of an axis whose labels stand side by side.
  const axisOf = (layout, values, room, range = null, length = Infinity) => {
    const isLog = layout.type === "log";
    const scaled = (value) => (isLog ? Math.log10(value) : value);
    const known = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0)).map(scaled);
    let [low, high] = range || (known.length ? [Math.min(...known), Math.max(...known)] : [0, 1]);
    if (!range) {
      const spare = high > low ? (high - low) * 0.06 : isLog ? 0.2 : Math.abs(low) * 0.1 || 1;
      [low, high] = [low - spare, high + spare];
      if (layout.rangemode === "tozero") low = Math.min(0, scaled(0));
    }
    const place = (value) => (scaled(value) - low) / (high - low);
    return { low, high, place, isDrawable: (value) => Number.isFinite(value) && (!isLog || value > 0), ticks: isLog ? logTicks(low, high, room, (found) => areApart(found, place, length)) : ticks(low, high, room, layout.dtick) };
  };

  // Whether the labels of ticks, each centred below its tick, keep a distance.
  const areApart = (found, place, length) => found.every((value, index) => {
    if (index === 0) return true;
    const half = (CHARACTER * (written(value).length + written(found[index - 1]).length)) / 2;
    return (place(value) - place(found[index - 1])) * length >= half + APART;
  });

  // At round numbers, about as many as there is room for, and two at least.
  const ticks = (low, high, room, least = null) => {
    const rough = (high - low) / Math.max(2, Math.floor(room));
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
    if (typeof least === "number") step = Math.max(step, least);
    const found = [];
    for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index += 1) found.push(index * step);
    return found.length < 2 && step > least ? ticks(low, high, room + 1, least) : found;
  };

  // Every tick, or every second, third, ...: as many as are clear of each other.
  const thinned = (found, isClear) => {
    let kept = found;
    for (let step = 2; !isClear(kept); step += 1) kept = found.filter((_, index) => index % step === 0);
    return kept;
  };

  // As fine as there is room for, at round digits; over a short range evenly.
  const logTicks = (low, high, room, isClear) => {
    const within = (digits) => {
      const found = [];
      for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
        digits.forEach((digit) => found.push(digit * 10 ** power));
      }
      return found.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
    };
    const kinds = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map(within);
    if (kinds[0].length < 3) {
      return thinned(ticks(10 ** low, 10 ** high, room), isClear);
    }
    return kinds.find((found) => found.length <= room * 1.4 && isClear(found)) || thinned(kinds.at(-1), isClear);
  };

  // Marks -----------------------------------------------------------------------------------------------------------

  const outline = (symbol, radius) => {
    const corner = (index, count, reach) => {
      const angle = (2 * Math.PI * index) / count - Math.PI / 2;
      return `${(reach * Math.cos(angle)).toFixed(2)},${(reach * Math.sin(angle)).toFixed(2)}`;
    };
    if (symbol === "diamond") return `M${[0, 1, 2, 3].map((i) => corner(i, 4, radius * 1.25)).join("L")}Z`;
    if (symbol === "star") return `M${[...Array(10).keys()].map((i) => corner(i, 10, radius * (i % 2 ? 0.55 : 1.35))).join("L")}Z`;
    if (symbol === "square") return `M${-radius},${-radius}h${2 * radius}v${2 * radius}h${-2 * radius}Z`;
    return `M${-radius},0a${radius},${radius} 0 1,0 ${2 * radius},0a${radius},${radius} 0 1,0 ${-2 * radius},0Z`;
  };

  const mark = (trace, index, x, y, parent) => {
    const { marker = {} } = trace;
    const key = at(trace.customdata, index);
    return element("path", {
      d: outline(at(marker.symbol, index), (at(marker.size, index) || 6) / 2),
      transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
      fill: at(marker.color, index), opacity: at(marker.opacity, index), "data-key": key || null,
    }, parent);
  };

  const said = (trace, index) => at(trace.hovertext, index) || `${trace.name || ""}: ${written(trace.x[index])}, ${written(trace.y[index])}`;

  // The legend: a button for each trace, which hides it or shows it.
  const legend = (place, figure, redraw) => {
    const row = document.createElement("div");
    row.className = "legend";
    figure.data.forEach((trace) => {
      if (!trace.name || !(trace.x || []).length) return;
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(isShown(trace)));
      const colour = (trace.line && trace.line.color) || at(trace.marker && trace.marker.color, 0);
      const sign = element("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" });
      element("path", { d: outline(at(trace.marker && trace.marker.symbol, 0), 4), fill: colour }, sign);
      button.append(sign, trace.name);
      button.addEventListener("click", () => {
        trace.visible = isShown(trace) ? "legendonly" : true;
        redraw();
      });
      row.append(button);
    });
    if (row.childElementCount > 1 && figure.layout.showlegend !== false) place.append(row);
  };

  // What the pointer is near, said beside it; a click hands its key on.
  const pointing = (place, svg, points, onClick) => {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    place.append(tip);
    const nearest = (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const [x, y] = [(event.clientX - box.x) * scale, (event.clientY - box.y) * scale];
      let best = null, least = REACH ** 2;
      points().forEach((point) => {
        const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (distance <= least) [best, least] = [point, distance];
      });
      return best;
    };
    const show = (point) => {
      tip.hidden = !point;
      if (!point) return;
      tip.replaceChildren(...point.said.split("<br>").flatMap((line) => [line, document.createElement("br")]).slice(0, -1));
      const box = svg.getBoundingClientRect(), outer = place.getBoundingClientRect();
      const scale = box.width / svg.viewBox.baseVal.width;
      const x = box.x - outer.x + point.x * scale, y = box.y - outer.y + point.y * scale;
      tip.style.left = `${Math.max(0, Math.min(x + 12, outer.width - tip.offsetWidth))}px`;
      tip.style.top = `${y + 12}px`;
    };
    svg.addEventListener("pointermove", (event) => show(nearest(event)));
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("click", (event) => {
      const point = nearest(event);
      show(point);
      if (point && point.key && onClick) onClick(point.key);
    });
  };

  // Two dimensions --------------------------------------------------------------------------------------------------

  const bars = (trace) => ["error_x", "error_y"].filter((name) => trace[name] && trace[name].array && trace[name].visible !== false);
  const ends = (trace, name, index) => {
    const { array, arrayminus } = trace[name];
    const value = trace[name === "error_x" ? "x" : "y"][index];
    return [value - (arrayminus || array)[index], value + array[index]];
  };
  const valuesAlong = (traces, axis) => traces.flatMap((trace) => [
    ...trace[axis],
    ...(bars(trace).includes(`error_${axis}`) ? trace[axis].flatMap((_, index) => ends(trace, `error_${axis}`, index)) : []),
  ]);

  const flat = (place, figure, width, onClick, redraw) => {
    const { layout } = figure, height = layout.height || 400;
    const lines = (layout.shapes || []).filter((line) => line.visible !== false);
    const drawn = figure.data.filter((trace) => isShown(trace) && (trace.x || []).length);
    const zoom = place.zoom || {};
    const ys = [...valuesAlong(drawn, "y"), ...lines.map((line) => line.y0)];
    const up = axisOf(layout.yaxis, ys, height / 60, zoom.y);
    const left = 34 + Math.max(...up.ticks.map((tick) => written(tick).length), 1) * CHARACTER;
    const [right, top, bottom] = [12, 14, 48];
    const across = axisOf(layout.xaxis, valuesAlong(drawn, "x"), (width - left - right) / 75, zoom.x, width - left - right);
    const [wide, high] = [width - left - right, height - top - bottom];
    const px = (value) => left + across.place(value) * wide, py = (value) => top + (1 - up.place(value)) * high;
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "main-svg" }, place);
    const clip = `${place.id}-clip`;
    element("rect", { x: left, y: top, width: wide, height: high }, element("clipPath", { id: clip }, element("defs", {}, svg)));
    across.ticks.forEach((tick) => {
      element("line", { x1: px(tick), x2: px(tick), y1: top, y2: top + high, class: "grid" }, svg);
      element("text", { x: px(tick), y: top + high + 16, "text-anchor": "middle" }, svg, written(tick));
    });
    up.ticks.forEach((tick) => {
      element("line", { x1: left, x2: left + wide, y1: py(tick), y2: py(tick), class: "grid" }, svg);
      element("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, svg, written(tick));
    });
    element("text", { x: left + wide / 2, y: height - 8, "text-anchor": "middle", class: "title" }, svg, layout.xaxis.title.text);
    const middle = top + high / 2;
    element("text", { x: 14, y: middle, "text-anchor": "middle", class: "title", transform: `rotate(-90 14 ${middle})` }, svg, layout.yaxis.title.text);
    const inside = element("g", { "clip-path": `url(#${clip})` }, svg);
    lines.forEach((line, index) => {
      const { color, dash, width: thickness } = line.line;
      element("line", { x1: left, x2: left + wide, y1: py(line.y0), y2: py(line.y0), stroke: color, "stroke-dasharray": DASHES[dash], "stroke-width": thickness }, inside);
      const name = (layout.annotations || [])[index];
      if (name) element("text", { x: left + wide - 4, y: py(line.y0) - 5, "text-anchor": "end" }, inside, name.text);
    });
    const points = [];
    drawn.forEach((trace) => {
      const places = trace.x.map((x, index) => [x, trace.y[index], index]).filter(([x, y]) => across.isDrawable(x) && up.isDrawable(y));
      if (has(trace, "lines")) {
        const d = places.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join("L");
        element("path", { d: d && `M${d}`, fill: "none", stroke: trace.line.color, "stroke-width": trace.line.width || 2, "stroke-dasharray": DASHES[trace.line.dash] }, inside);
      }
      bars(trace).forEach((name) => places.forEach(([x, y, index]) => {
        const [from, to] = ends(trace, name, index);
        const along = name === "error_x" ? { x1: px(from), x2: px(to), y1: py(y), y2: py(y) } : { x1: px(x), x2: px(x), y1: py(from), y2: py(to) };
        element("line", { ...along, stroke: at(trace.marker.color, index), "stroke-width": trace[name].thickness || 1 }, inside);
      }));
      places.forEach(([x, y, index]) => {
        if (has(trace, "markers")) {
          const made = mark(trace, index, px(x), py(y), inside);
          if (has(trace, "text") && onClick && at(trace.customdata, index)) reachable(made, said(trace, index), () => onClick(at(trace.customdata, index)));
        }
        if (has(trace, "text")) element("text", { x: px(x), y: py(y) - 9, "text-anchor": "middle", class: "label" }, inside, at(trace.text, index));
        if (trace.hoverinfo !== "skip") points.push({ x: px(x), y: py(y), said: said(trace, index), key: at(trace.customdata, index) });
      });
    });
    pointing(place, svg, () => points.filter(({ x, y }) => x >= left && x <= left + wide && y >= top && y <= top + high), onClick);
    zooming(place, svg, { left, top, wide, high, across, up }, redraw);
  };

  const reachable = (made, label, act) => {
    Object.entries({ tabindex: 0, role: "button", "aria-label": label.replaceAll("<br>", ", ") }).forEach(([key, value]) => made.setAttribute(key, value));
    made.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        act();
      }
    });
  };

  // Drag a rectangle with the mouse to see it larger; a double click shows everything again.
  const zooming = (place, svg, area, redraw) => {
    let begun = null, box = null;
    const where = (event) => {
      const outer = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / outer.width;
      const kept = (value, low, size) => Math.max(low, Math.min(value, low + size));
      return [kept((event.clientX - outer.x) * scale, area.left, area.wide), kept((event.clientY - outer.y) * scale, area.top, area.high)];
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) begun = where(event);
    });
    svg.addEventListener("pointermove", (event) => {
      if (!begun) return;
      const now = where(event);
      box = box || element("rect", { class: "zoom" }, svg);
      [["x", 0, "width"], ["y", 1, "height"]].forEach(([name, index, size]) => {
        box.setAttribute(name, Math.min(begun[index], now[index]));
        box.setAttribute(size, Math.abs(begun[index] - now[index]));
      });
    });
    const end = (event) => {
      const from = begun;
      begun = null;
      if (box) box.remove();
      box = null;
      if (!from || event.type === "pointerleave") return;
      const to = where(event);
      if (Math.abs(from[0] - to[0]) < LEAST_DRAG || Math.abs(from[1] - to[1]) < LEAST_DRAG) return;
      const back = (axis, share) => axis.low + share * (axis.high - axis.low);
      const xs = [from[0], to[0]].map((x) => back(area.across, (x - area.left) / area.wide)).sort((a, b) => a - b);
      const ys = [from[1], to[1]].map((y) => back(area.up, 1 - (y - area.top) / area.high)).sort((a, b) => a - b);
      place.zoom = { x: xs, y: ys };
      redraw();
    };
    svg.addEventListener("pointerup", end);
    svg.addEventListener("pointerleave", end);
    svg.addEventListener("dblclick", () => {
      place.zoom = null;
      redraw();
    });
  };

  // Three dimensions ------------------------------------------------------------------------------------------------

  const solid = (place, figure, width, onClick) => {
    const { layout } = figure, height = Math.min(layout.height || 500, 0.8 * width + 120), names = ["x", "y", "z"];
    const drawn = figure.data.filter((trace) => isShown(trace) && (trace.x || []).length);
    const scenes = names.map((name) => layout.scene[`${name}axis`]);
    const axes = names.map((name, index) => axisOf(scenes[index], drawn.flatMap((trace) => trace[name]), 3));
    const cube = (values) => values.map((value, index) => 2 * axes[index].place(value) - 1);
    const all = drawn.flatMap((trace) => trace.x.map((_, index) => ({ trace, index, values: names.map((name) => trace[name][index]) })))
      .filter(({ values }) => values.every((value, index) => axes[index].isDrawable(value))).map((point) => ({ ...point, corner: cube(point.values) }));
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, class: "main-svg turns", tabindex: 0 }, place);
    const size = Math.min((height - 84) / 3.1, (width - 130) / 2.83); // of half an edge, so that all of it is seen
    const state = (place.turned = place.turned || { yaw: 0.7, pitch: 0.45 });
    let shown = [];
    const seen = ([x, y, z]) => {
      const [c, s] = [Math.cos(state.yaw), Math.sin(state.yaw)], [cp, sp] = [Math.cos(state.pitch), Math.sin(state.pitch)];
      const [sideways, away] = [c * x - s * y, s * x + c * y];
      return { x: width / 2 + size * sideways, y: height / 2 - size * (cp * z + sp * away), depth: cp * away - sp * z };
    };
    const edge = (from, to, kind) => {
      const [a, b] = [seen(from), seen(to)];
      element("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: kind }, svg);
    };
    const paint = () => {
      svg.replaceChildren();
      const signs = [-1, 1];
      signs.forEach((a) => signs.forEach((b) => {
        [[[-1, a, b], [1, a, b]], [[a, -1, b], [a, 1, b]], [[a, b, -1], [a, b, 1]]].forEach(([from, to]) => edge(from, to, "grid"));
      }));
      // Each axis is written along the edge of the floor that is nearest, the one that goes up along the leftmost edge.
      const near = (first, second) => (seen(first).depth <= seen(second).depth ? first : second);
      const leftmost = signs.flatMap((a) => signs.map((b) => [a, b])).reduce((best, pair) => (seen([...pair, 0]).x < seen([...best, 0]).x ? pair : best));
      const along = [(t) => [t, near([0, -1, -1], [0, 1, -1])[1], -1], (t) => [near([-1, 0, -1], [1, 0, -1])[0], t, -1], (t) => [...leftmost, t]];
      axes.forEach((axis, index) => {
        const centre = seen([0, 0, 0]), isUp = index === 2;
        axis.ticks.forEach((tick) => {
          const spot = seen(along[index](2 * axis.place(tick) - 1));
          const anchor = isUp || spot.x < centre.x ? "end" : "start";
          element("text", { x: spot.x + (anchor === "end" ? -6 : 6), y: spot.y + (isUp ? 4 : 14), "text-anchor": anchor }, svg, written(tick));
        });
        const middle = seen(along[index](0));
        const away = isUp ? [-62, 0] : [Math.sign(middle.x - centre.x) * 54, 50];
        const turn = isUp ? `rotate(-90 ${Math.max(14, middle.x + away[0])} ${middle.y})` : null;
        const y = middle.y + away[1];
        const title = element("text", { y, "text-anchor": "middle", class: "title", transform: turn }, svg, scenes[index].title.text);
        const half = title.getComputedTextLength() / 2 + EDGE;
        title.setAttribute("x", isUp ? Math.max(14, middle.x + away[0]) : Math.max(half, Math.min(middle.x + away[0], width - half)));
      });
      shown = all.map((point) => ({ ...point, ...seen(point.corner) })).sort((a, b) => b.depth - a.depth);
      shown.forEach(({ trace, index, x, y }) => mark(trace, index, x, y, svg));
      shown = shown.map(({ trace, index, x, y }) => ({ x, y, said: said(trace, index), key: at(trace.customdata, index) }));
    };
    const turn = (sideways, upwards) => {
      state.yaw += sideways;
      state.pitch = Math.max(-0.2, Math.min(state.pitch + upwards, 1.5));
      paint();
    };
    let last = null;
    svg.addEventListener("pointerdown", (event) => {
      last = event;
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (!last) return;
      turn((last.clientX - event.clientX) / 120, (event.clientY - last.clientY) / 160);
      last = event;
    });
    ["pointerup", "pointercancel"].forEach((name) => svg.addEventListener(name, () => { last = null; }));
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (!steps[event.key]) return;
      event.preventDefault();
      turn(...steps[event.key]);
    });
    paint();
    pointing(place, svg, () => shown, onClick);
  };

  // Draw a figure into its place, which has an id, as wide as it is or as it is told.
  const draw = (place, figure, { width = null, onClick = null } = {}) => {
    const redraw = () => draw(place, figure, { width, onClick });
    place.replaceChildren();
    legend(place, figure, redraw);
    const wide = width || Math.max(280, place.clientWidth);
    if (figure.layout.scene) solid(place, figure, wide, onClick);
    else flat(place, figure, wide, onClick, redraw);
  };

  return { draw };
})();
