// Draws the report's figures from the data that the page holds. Asks nothing of any network.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const print = window.matchMedia("print");
  const PRINT_WIDTH = 660; // pixels of an A4 page between its margins
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };

  const template = () => {
    const isDark = dark.matches && !print.matches;
    const [ink, line] = isDark ? ["#b3bcc5", "#31373d"] : ["#4a525a", "#e3e7ea"];
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, title: { standoff: 10 } };
    const space = { gridcolor: line, zerolinecolor: line, backgroundcolor: "rgba(0,0,0,0)", showbackground: false };
    return {
      layout: {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: ink, size: 12, family: getComputedStyle(document.body).fontFamily },
        hoverlabel: { font: { size: 12 }, align: "left" },
        xaxis: axis, yaxis: axis, scene: { xaxis: space, yaxis: space, zaxis: space },
      },
    };
  };

  const canDrawSpace = () => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  };

  const draw = (id, figure) => {
    const place = document.getElementById(id);
    if (!place) return;
    if (figure.data.some((trace) => trace.type === "scatter3d") && !canDrawSpace()) {
      place.className = "absent plot";
      place.textContent = "This browser cannot draw in three dimensions (it has no WebGL).";
      return;
    }
    const layout = { ...figure.layout, template: template(), autosize: !print.matches };
    if (print.matches) layout.width = PRINT_WIDTH;
    else delete layout.width;
    Plotly.react(place, figure.data, layout, config);
  };

  const drawAll = () => Object.entries(data.figures).forEach(([id, figure]) => draw(id, figure));

  // The front's axes: each trace holds a column an axis; one that lacks the column is not drawn.
  const chooseAxes = () => {
    const figure = data.figures["plot-front"];
    const [x, y] = ["x", "y"].map((which) => document.getElementById(`front-${which}`).value);
    figure.data.forEach((trace) => {
      const { columns, errors } = trace.meta;
      const isThere = columns[x] && columns[y];
      trace.x = isThere ? columns[x] : [];
      trace.y = isThere ? columns[y] : [];
      if (!errors) return;
      const bars = trace.error_y && trace.error_y.array ? trace.error_y : trace.error_x;
      trace.error_y = { ...bars, visible: y === "effectiveness" };
      trace.error_x = { ...bars, visible: x === "effectiveness" };
    });
    [["xaxis", x], ["yaxis", y]].forEach(([place, axis]) => {
      const scale = data.axes[axis].log ? { type: "log", dtick: "D2", tickformat: "~g" } : { type: "linear" };
      figure.layout[place] = { title: { text: data.axes[axis].title }, ...scale };
    });
    [...(figure.layout.shapes || []), ...(figure.layout.annotations || [])].forEach((line) => {
      line.visible = y === "effectiveness"; // the teacher's line
    });
    draw("plot-front", figure);
  };

  const show = (key) => {
    const place = document.getElementById("chosen");
    const lines = data.details[key];
    if (!place || !lines) return;
    const title = document.createElement("strong");
    title.textContent = lines[0];
    const list = document.createElement("ul");
    lines.slice(1).forEach((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      list.append(item);
    });
    place.replaceChildren(title, list);
  };

  drawAll();
  const front = document.getElementById("plot-front");
  if (front && data.figures["plot-front"]) {
    ["x", "y"].forEach((which) => document.getElementById(`front-${which}`).addEventListener("change", chooseAxes));
    front.on("plotly_click", (event) => show(event.points[0].customdata));
  }
  dark.addEventListener("change", drawAll);
  print.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
