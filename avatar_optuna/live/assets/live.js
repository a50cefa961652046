// Shows a study while it runs: reads its values from this server again and again, and draws what has changed.
(() => {
  "use strict";
  const PAUSES_MS = { running: 2000, quiet: 2000, standing: 10000, finished: 60000 }, LONGEST_MS = 60000;
  const MEASURED = "#e0782b", PREDICTED = "#3f8fd2", REFERENCE = "#858c96", FAINT = "rgba(133,140,150,0.55)";
  const CURVES = [MEASURED, PREDICTED, "#3a9e6b", "#b065c0", "#c9a227", "#d25f7a", "#4fb0b8", "#8c7a5b"];
  const main = document.getElementById("live");
  const find = (id) => document.getElementById(id);

  const make = (name, text = null, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== null) made.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  };
  const within = (name, ...children) => {
    const made = make(name);
    made.append(...children);
    return made;
  };
  const number = (value) => value.toLocaleString("en");
  const several = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
  const lasted = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
  const training = (job) => (job.brief ? "brief" : "to the end");

  // Tables ----------------------------------------------------------------------------------------------------------

  const fill = (table, rows) => {
    table.tBodies[0].replaceChildren(...rows.map(({ cells, kind }) => {
      const row = make("tr", null, kind ? { class: kind } : {});
      cells.forEach((cell, index) => {
        const place = make(index ? "td" : "th", null, index ? {} : { scope: "row" });
        place.append(cell);
        row.append(place);
      });
      return row;
    }));
    table.parentElement.hidden = !rows.length;
  };

  const epochs = (job) => {
    if (!job.epochs) return `${job.epoch}`;
    const bar = make("progress", null, { value: job.epoch, max: job.epochs, "aria-hidden": "true" });
    return within("span", `${job.epoch} of ${job.epochs}`, bar);
  };

  const drawJobs = ({ jobs, running, waiting, failed, workers }) => {
    const lost = running.filter((job) => job.lost).length;
    find("job-counts").textContent = `${several(jobs.running, "job")} running, ${number(jobs.waiting)} waiting, `
      + `${number(jobs.done)} done, ${number(jobs.failed)} failed`
      + (lost ? `; ${several(lost, "running one")} lost its worker, and is taken up by another.` : ".");
    fill(find("running"), running.map((job) => ({
      kind: job.lost ? "lost" : null,
      cells: [
        number(job.job), `${training(job)}${job.attempt > 1 ? `, attempt ${job.attempt}` : ""}`, epochs(job),
        job.since ? lasted((Date.now() - Date.parse(job.since)) / 1000) : "", `${job.device || ""} ${job.worker || ""}`.trim(),
        job.lost ? `lost, ${lasted(job.heard_s)} ago` : `${lasted(job.heard_s)} ago`,
      ],
    })));
    const named = waiting.map((job) => `${job.job} (${training(job)}, ${several(job.epochs, "epoch")})`).join(", ");
    find("waiting").textContent = named && `Waiting: ${named}${jobs.waiting > waiting.length ? ", ..." : ""}`;
    find("failed").replaceChildren(...failed.map((job) => make("li", `Job ${job.job} failed after ${several(job.attempts, "attempt")}: ${job.reason}`)));
    find("workers").hidden = !workers.length;
    find("workers").querySelector("summary").textContent = several(workers.length, "worker");
    fill(find("workers").querySelector("table"), workers.map((one) => ({
      cells: [one.worker, one.host, one.device, (one.since || "").replace("+00:00", "").replace("T", " "), one.job === null ? "idle" : number(one.job)],
    })));
  };

  // Lists -----------------------------------------------------------------------------------------------------------

  const drawTiles = ({ tiles }) => find("tiles").replaceChildren(...tiles.map(({ value, what, note }) => within(
    "div", make("strong", value), make("span", what), make("small", note),
  )));

  const WORDS = { done: "done", going: "now", stands: "stopped here", "to come": "to come", "left out": "left out" };
  const drawPhases = ({ phases }) => find("phases").replaceChildren(...phases.map(({ title, done, total, state }) => {
    const share = state === "done" ? 1 : total ? Math.min(1, done / total) : 0;
    const bar = make("span"), track = within("span", bar);
    track.className = "track";
    bar.style.width = `${100 * share}%`;
    const counted = total === 1 ? "" : total ? `${number(done)} of ${number(total)}, ` : done ? `${number(done)}, ` : "";
    const item = within("li", make("span", title), track, make("small", `${counted}${WORDS[state]}`));
    item.className = state.replace(" ", "-");
    return item;
  }));

  const drawFunnel = ({ funnel }) => find("funnel").replaceChildren(...funnel.map((stage) => {
    const bar = make("span", null, { class: "bar" });
    bar.style.width = `${stage.bar}%`;
    return within("li", bar, make("strong", number(stage.number)), ` ${stage.title}`);
  }));

  const drawRungs = ({ rungs }) => {
    find("rungs").hidden = !rungs.length;
    fill(find("rungs").querySelector("table"), rungs.map((rung) => ({
      cells: [several(rung.epochs, "epoch"), number(rung.reached), number(rung.running), number(rung.waiting)],
    })));
  };

  // Figures ---------------------------------------------------------------------------------------------------------

  const LEGEND = { orientation: "h" }, NEAR = 1.5; // points between lines that have one name together
  const lines = (values) => {
    const known = [["teacher", values.teacher, "dash"], ["TF-IDF", values.baseline, "dot"]].filter(([, y]) => y !== null);
    const areClose = known.length === 2 && Math.abs(values.teacher - values.baseline) < NEAR;
    return {
      shapes: known.map(([, y, dash]) => ({ y0: y, y1: y, line: { color: REFERENCE, dash, width: 1 } })),
      annotations: known.map(([text], index) => ({ text: !areClose ? text : index ? "" : "teacher, TF-IDF" })),
    };
  };

  // Draws a figure unless it is as it was; what was hidden in the legend stays hidden, and what was zoomed stays so.
  const draw = (id, figure) => {
    const place = find(id), said = JSON.stringify(figure);
    if (place.said === said) return;
    const hidden = new Set((place.figure ? place.figure.data : []).filter((trace) => trace.visible === "legendonly").map((trace) => trace.name));
    figure.data.forEach((trace) => { if (hidden.has(trace.name)) trace.visible = "legendonly"; });
    Object.assign(place, { said, figure });
    Plot.draw(place, figure);
  };

  const drawCurves = (values) => {
    const { shown, known } = values.curves;
    find("curves").hidden = !shown.length;
    if (!shown.length) return;
    const running = shown.filter((one) => one.state === "running"), others = shown.filter((one) => one.state !== "running");
    const traces = [...others, ...running].map((one) => {
      const isRunning = one.state === "running";
      const color = isRunning ? CURVES[running.indexOf(one) % CURVES.length] : FAINT;
      return {
        x: one.points.map(([epoch]) => epoch), y: one.points.map(([, reached]) => reached),
        mode: "lines+markers", line: { color, width: isRunning ? 2.5 : 1 }, marker: { color, size: isRunning ? 6 : 3 },
        name: isRunning ? `job ${one.job}` : null,
        hovertext: one.points.map(([epoch, reached]) => `job ${one.job} (${one.brief ? "brief" : "to the end"}), epoch ${epoch}: ${reached.toFixed(1)} %`),
      };
    });
    const longest = Math.max(...shown.flatMap((one) => one.points.map(([epoch]) => epoch)));
    draw("plot-curves", {
      data: traces,
      layout: { height: 360, legend: LEGEND, xaxis: { title: { text: "epoch" }, dtick: longest <= 15 ? 1 : null }, yaxis: { title: { text: `${values.metric} on validation, %` } }, ...lines(values) },
    });
    const more = known > shown.length ? ` ${shown.length} of ${number(known)} are drawn: those that are trained now, and the best of the others.` : "";
    find("curves").querySelector("figcaption").textContent = `Measured on validation after each epoch; in colour: jobs that run now, grey: jobs before.${more}`;
  };

  const drawFront = (values) => {
    const { measured, brief, predicted } = values.front;
    find("front").hidden = !(measured.length + brief.length + predicted.length);
    if (find("front").hidden) return;
    const points = (name, list, marker, said) => ({
      x: list.map(([x]) => x), y: list.map(([, y]) => y), mode: "markers", name, marker, hovertext: list.map(said),
    });
    const traces = [
      points("predicted front", predicted, { color: PREDICTED, size: 6 }, ([mb, y]) => `predicted ${y.toFixed(1)} %<br>${mb} MB`),
      points("briefly trained", brief, { color: FAINT, size: 7 }, ([mb, y, job]) => `job ${job}, briefly trained<br>${y.toFixed(1)} % on validation<br>${mb} MB`),
      {
        x: measured.map(({ mb }) => mb), y: measured.map(({ reached }) => reached), mode: "markers+text", name: "distilled and measured",
        text: measured.map(({ job }) => `${job}`), marker: { color: MEASURED, size: 10, symbol: "diamond" },
        error_y: { type: "data", array: measured.map(({ high, reached }) => high - reached), arrayminus: measured.map(({ low, reached }) => reached - low), visible: true },
        hovertext: measured.map((one) => `student ${one.job}<br>${one.reached.toFixed(1)} % on validation (${one.low.toFixed(1)} to ${one.high.toFixed(1)})<br>${one.mb} MB, ${one.ms} ms`),
      },
    ].filter((trace) => trace.x.length);
    draw("plot-front", {
      data: traces,
      layout: { height: 420, legend: LEGEND, xaxis: { title: { text: "size, MB" }, type: "log" }, yaxis: { title: { text: `${values.metric} on validation, %` } }, ...lines(values) },
    });
    find("front").querySelector("figcaption").textContent = "Blue: what the search predicts, by the indicator. Grey: brief trainings. Orange: students that are trained to the end and measured, bars their 95 % intervals.";
  };

  // Refreshing ------------------------------------------------------------------------------------------------------

  let state = "running", failures = 0, timer = null;
  const show = (values) => {
    state = values.state;
    find("state").className = values.state;
    find("state").textContent = values.sentence;
    find("verdict").className = values.verdict.answer;
    find("verdict").textContent = values.verdict.sentence;
    find("report").hidden = values.state !== "finished";
    [drawTiles, drawPhases, drawJobs, drawRungs, drawFunnel, drawCurves, drawFront].forEach((part) => part(values));
    find("freshness").className = "quiet";
    find("freshness").textContent = `Read ${values.read_utc.replace("T", " ").replace("Z", "")} UTC; refreshes itself every ${PAUSES_MS[state] / 1000} s.`;
    main.dataset.reads = Number(main.dataset.reads || 0) + 1;
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (!document.hidden) {
      try {
        const answer = await fetch(main.dataset.source, { cache: "no-store" });
        const values = await answer.json();
        if (!answer.ok) throw new Error(values.reason);
        failures = 0;
        show(values);
      } catch (error) {
        failures += 1;
        find("freshness").className = "stale";
        find("freshness").textContent = `Not refreshed: ${error.message}. What is shown is older; trying again.`;
      }
    }
    timer = setTimeout(refresh, Math.min(PAUSES_MS[state] * 2 ** failures, LONGEST_MS));
  };

  show(JSON.parse(find("data").textContent));
  timer = setTimeout(refresh, PAUSES_MS[state]);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  let width = document.documentElement.clientWidth;
  window.addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    ["plot-curves", "plot-front"].map(find).filter((place) => place.figure).forEach((place) => Plot.draw(place, place.figure));
  });
})();
